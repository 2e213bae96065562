"""The labelling page's server under load: many annotators at once, nothing lost, nothing doubled, and how long each request takes.

    python benchmarks/labelling.py                         # 2,000 queued images, 20 annotators, 10 minutes
    python benchmarks/labelling.py --images 200 --minutes 0.5 --pause 1

Starts `boxwise label` on a study of generated images, lets simulated annotators fetch, draft and answer over HTTP as the page does (some
answers sent twice, as after a lost network), then holds what the server acknowledged against what the store has. Prints p50 and p95 of
each request, with the bare reply of a 404 in the same run as baseline. The exit code is 1 when a verdict was lost or doubled, or the p95
of "next" is not below 100 ms.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from time import monotonic, perf_counter, sleep
from typing import Any
from uuid import uuid4

import httpx
import numpy as np

from boxwise.config import load_config
from boxwise.data.formats.base import Dataset
from boxwise.data.images import write_image
from boxwise.records import ImageRecord, Split
from boxwise.store import HistoryEntry, Store
from boxwise.study import Study

SIDE = 640  # pixels of each generated image
GOAL = 0.1  # seconds until the server has said which image is next


class Annotator(Thread):
    """One simulated person: takes images, draws, answers, until the time is over. Keeps what the server acknowledged.

    acknowledged: key of an answer → its image and the boxes drawn. times: kind of request → seconds.
    """

    def __init__(self, number: int, link: str, until: float, pause: float) -> None:
        super().__init__(name=f"annotator {number}", daemon=True)
        self.rng = np.random.default_rng(number)
        self.link, self.until, self.pause = link, until, pause
        self.times: dict[str, list[float]] = defaultdict(list)
        self.acknowledged: dict[str, tuple[str, list[list[float]]]] = {}
        self.faults: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self.link, timeout=30) as client:
            while monotonic() < self.until:
                task = self._timed("next", client, "POST", "/api/next", {"annotator": self.name, "keep": []}).json()["task"]
                if task is None:
                    return
                self._timed("image", client, "GET", task["url"])
                sleep(self.pause)
                self._label(client, task)

    def _label(self, client: httpx.Client, task: dict[str, Any]) -> None:
        where = {"annotator": self.name, "image_id": task["image_id"], "round": task["round"]}
        corners = np.sort(self.rng.uniform(0, SIDE, (int(self.rng.integers(0, 8)), 2, 2)).round(1), axis=1)
        boxes = [box for box in corners.reshape(-1, 4).tolist() if min(box[2] - box[0], box[3] - box[1]) >= 2]  # as the page draws them
        for revision in range(1, len(boxes) + 1):  # a draft after every gesture
            document = {"boxes": boxes[:revision]}
            self._timed("draft", client, "PUT", "/api/drafts", where | {"revision": revision, "document": document})
        key = str(uuid4())
        verdicts = [{"action": "add", "xyxy": box, "label": 0, "seconds": 1.0} for box in boxes]
        answer = where | {"key": key, "verdicts": verdicts, "complete": True, "seconds": float(len(boxes))}
        for _ in range(1 + (self.rng.random() < 0.1)):  # the reply got lost: sent again
            reply = self._timed("answer", client, "POST", "/api/answers", answer)
            if reply.status_code == 200:
                self.acknowledged[key] = (task["image_id"], boxes)
            else:
                self.faults.append(reply.text)

    def _timed(self, kind: str, client: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        started = perf_counter()
        reply = client.request(method, path, json=body)
        self.times[kind].append(perf_counter() - started)
        return reply


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--annotators", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--pause", type=float, default=6.0, help="seconds that an annotator looks at each image; 0: as fast as it goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = make_study(Path(folder), options.images)
        command = [sys.executable, "-m", "boxwise", "label", str(study), "--no-browser", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            link = link_of(server)
            sleep(1)
            until = monotonic() + 60 * options.minutes
            people = [Annotator(number, link, until, options.pause) for number in range(options.annotators)]
            for person in people:
                person.start()
            for person in people:
                person.join()
            baseline = bare_reply(link)
            server.terminate()
        return report(study, people, baseline)


def link_of(server: subprocess.Popen[str]) -> str:
    """Where `boxwise label` serves, which is the first thing that it prints."""
    assert server.stdout is not None
    found = re.search(r"http://\S+", server.stdout.readline())
    assert found is not None, "the server did not start; its message is above"
    return found.group(0).rstrip("/")


def make_study(folder: Path, images: int) -> Path:
    """A study in round 0 that asks for all of its images."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(images):
        path = folder / "images" / f"{number:05d}.jpg"
        coarse = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
        write_image(np.kron(coarse, np.ones((SIDE // 20, SIDE // 20, 1), np.uint8)), path)
        records.append(ImageRecord(path.name, str(path), SIDE, SIDE, Split.TRAIN))
    config = load_config(None, [f"budget.initial={images}", "budget.validation=0", "detector.pretrained=none"])
    study = Study.create(folder / "study", Dataset(("thing",), tuple(records), {}), config=config)
    study.ask()
    return study.folder


def bare_reply(link: str) -> list[float]:
    """Seconds of requests that the server has nothing to do for."""
    with httpx.Client(base_url=link) as client:
        times = []
        for _ in range(200):
            started = perf_counter()
            client.get("/nowhere")
            times.append(perf_counter() - started)
    return times


def report(folder: Path, people: list[Annotator], baseline: list[float]) -> int:
    """Print times, and hold what was acknowledged against the store; the exit code."""
    times: dict[str, list[float]] = {"404 (baseline)": baseline}
    for person in people:
        for kind, found in person.times.items():
            times.setdefault(kind, []).extend(found)
    unit = np.median(baseline)
    for kind, found in times.items():
        p50, p95 = np.quantile(found, [0.5, 0.95])
        print(f"{kind:15} {len(found):7,} requests  p50 {1e3 * p50:7.1f} ms  p95 {1e3 * p95:7.1f} ms  {p50 / unit:6.1f} x baseline")
    acknowledged = {key: answer for person in people for key, answer in person.acknowledged.items()}
    store: Store = Study.open(folder).store
    stored = {record.image_id: store.history(record.image_id) for record in store.images()}
    answers = Counter(image_id for image_id, history in stored.items() for _ in history)
    lost = [image_id for image_id, boxes in acknowledged.values() if not is_stored(boxes, stored[image_id])]
    doubled = [image_id for image_id, times in answers.items() if times > 1]
    faults = [fault for person in people for fault in person.faults]
    verdicts = sum(len(boxes) for _, boxes in acknowledged.values())
    print(f"{len(acknowledged):,} answers with {verdicts:,} verdicts acknowledged by {len(people)} annotators; "
          f"{len(lost)} lost, {len(doubled)} doubled, {len(faults)} refused")  # fmt: skip
    late = bool(times.get("next")) and float(np.quantile(times["next"], 0.95)) >= GOAL
    print(f"next: p95 {'not ' if late else ''}below {1e3 * GOAL:.0f} ms")
    return 1 if lost or doubled or faults or late else 0


def is_stored(boxes: list[list[float]], history: Sequence[HistoryEntry]) -> bool:
    """Whether one of an image's annotations has exactly these boxes."""
    drawn = np.array(boxes, np.float32).reshape(-1, 4)
    return any(np.array_equal(entry.annotation.boxes.xyxy, drawn) for entry in history)


if __name__ == "__main__":
    sys.exit(main())
