"""The process in which the page's models run: a line of JSON in, a line of JSON out, until its input ends.

Requests: {"do": "embed", "image": ID} prepares an image for SAM 2; {"do": "box", "image": ID, "point": [x, y]} or "rough": [x1, y1, x2, y2]
gives {xyxy, score} or null; {"do": "follow", "before": ID, "boxes": [{xyxy, label}], "image": ID} gives [{row, xyxy, score}], or null where
the study's detector has no embeddings of boxes. Knows nothing of HTTP.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError, ConfigError, StudyError
from boxwise.records import ImageRecord, Phase
from boxwise.study import Study
from boxwise.web.following import followed

if TYPE_CHECKING:
    from boxwise.detectors.base import Detector, View
    from boxwise.detectors.sam import Embedded, Sam

MOST_EMBEDDED = 16  # images that SAM 2's embeddings are kept of: some 16 MB each


class Models:
    """The models of one study, each loaded when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._study = Study.open(folder)
        self._sam: Sam | None = None
        self._embedded: OrderedDict[str, Embedded] = OrderedDict()
        self._detector: tuple[int, Detector] | None = None

    def answer(self, request: dict[str, Any]) -> Any:
        """What the request asks for, as plain JSON. Raises BoxwiseError."""
        record = self._record(request["image"])
        if request["do"] == "embed":
            return self._embedding(record) and None
        if request["do"] == "box":
            return self._box(record, request.get("point"), request.get("rough"))
        return self._follow(self._record(request["before"]), request["boxes"], record)

    def _record(self, image_id: str) -> ImageRecord:
        record = self._study.record(image_id)
        if record is None:
            raise BoxwiseError(f"{image_id}: no such image in the study.")
        return record

    def _embedding(self, record: ImageRecord) -> Embedded:
        """Of an image, kept for the next prompts on it."""
        from boxwise.detectors.decoding import decode
        from boxwise.detectors.sam import Sam
        from boxwise.runtime import choose_device

        config = self._study.config
        self._sam = self._sam or Sam(config.labelling.sam2, device=choose_device(config.device))
        if record.image_id not in self._embedded:
            self._embedded[record.image_id] = self._sam.embed(decode(record.uri))
        self._embedded.move_to_end(record.image_id)
        while len(self._embedded) > MOST_EMBEDDED:
            self._embedded.popitem(last=False)
        return self._embedded[record.image_id]

    def _box(self, record: ImageRecord, point: Any, rough: Any) -> dict[str, Any] | None:
        image = self._embedding(record)
        assert self._sam is not None  # there is an embedding
        found = self._sam.box(image, point=point and tuple(point), rough=rough and tuple(rough))
        return None if found is None else {"xyxy": list(found[0]), "score": found[1]}

    def _follow(self, before: ImageRecord, boxes: list[dict[str, Any]], record: ImageRecord) -> list[dict[str, Any]] | None:
        """Where the boxes of one image are on another one; None where the study's detector cannot say."""
        xyxy = np.array([box["xyxy"] for box in boxes], np.float32).reshape(-1, 4)
        drawn = Boxes(xyxy, np.array([box["label"] for box in boxes], np.int64))
        try:
            detector = self._trained()
            (looks,) = detector.box_embeddings(_view(detector, before), [drawn])
            view = _view(detector, record)
            (found,), (found_looks,) = detector.detections(view), detector.box_embeddings(view)
        except (ConfigError, StudyError):
            return None
        assert found.scores is not None  # detections have scores
        pairs = followed(drawn, looks, found, found_looks)
        return [{"row": row, "xyxy": found.xyxy[at].tolist(), "score": float(found.scores[at])} for row, at in pairs]

    def _trained(self) -> Detector:
        """The detector of the best round; read anew once there is another round. Raises StudyError before the first."""
        from boxwise.inference import load

        rounds = sum(one.done(Phase.EVALUATE) for one in self._study.rounds())
        if self._detector is None or self._detector[0] != rounds:
            self._detector = rounds, load(self._study.folder, device=self._study.config.device).detector
        return self._detector[1]


def _view(detector: Detector, record: ImageRecord) -> View:
    from boxwise.detectors.decoding import decode
    from boxwise.detectors.loading import batch_of

    return detector.view(batch_of([record], [decode(record.uri)], detector.input))


def main(folder: Path) -> None:
    """Answer what comes on standard input on standard output; what libraries print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the server, whose end closes the input here
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    models = Models(folder)
    for line in sys.stdin:
        try:
            reply = {"answer": models.answer(json.loads(line))}
        except BoxwiseError as error:
            reply = {"fault": str(error)}
        except Exception as error:  # of a library or an installed package's detector: the next request may be answered
            traceback.print_exc()
            reply = {"fault": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
