"""Single bits changed in a round's files: a message or what was written, never anything else.

`BOXWISE_FLIPS=5000 pytest tests/artifacts/test_changed_bits.py -s` changes that many bits of each kind of file and says what came of them.
"""

import os
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from changed_bits import changed_bits

from boxwise.artifacts.box_tables import (
    read_consistency,
    read_proposals,
    read_self_labels,
    write_consistency,
    write_proposals,
    write_self_labels,
)
from boxwise.artifacts.detections_file import read_detections, write_detections
from boxwise.artifacts.pool_parts import PartFile, PoolPart
from boxwise.artifacts.round_folder import RoundFolder
from boxwise.artifacts.scored_pool import ScoredPool, read_scored_pool, write_scored_pool
from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.policies.base import SelfLabels
from boxwise.records import Inspection, Proposals, Scores

FLIPS = int(os.environ.get("BOXWISE_FLIPS", "60"))
RNG = np.random.default_rng(0)


def some_boxes(count):
    return Boxes(
        RNG.uniform(0, 99, (count, 4)).astype(np.float32),
        RNG.integers(0, 3, count),
        RNG.random(count).astype(np.float32),
        RNG.dirichlet(np.ones(4), count).astype(np.float32),
        ids=np.array([f"box {number}" for number in range(count)], object),
    )


def without_ids(boxes):
    return Boxes(boxes.xyxy, boxes.labels, boxes.scores, boxes.probabilities)


IMAGES = {f"folder/{number}.jpg": some_boxes(1 + number % 4) for number in range(20)}
PLAIN = {image_id: without_ids(boxes) for image_id, boxes in IMAGES.items()}


def scored():
    scores = Scores(tuple(IMAGES), RNG.random(20), {"L_detection": RNG.random(20)})
    arrays = [RNG.random(shape).astype(np.float32) for shape in ((20, 8), (5, 8), (20, 3))]
    return ScoredPool(scores, arrays[0], arrays[1], RNG.random(20), arrays[2])


def pool_part():
    found = (Inspection(image_id, boxes, RNG.random(8).astype(np.float32), {"L": 0.5}, None) for image_id, boxes in PLAIN.items())
    return PoolPart(tuple(found), {"x.jpg": "broken"})


# kind → what is written, how, and how it is read; both take the path of the file
KINDS = {
    "detections": (PLAIN, write_detections, lambda path: dict(read_detections(path))),
    "proposals": (
        [Proposals(image_id, boxes, RNG.random(len(boxes)) < 0.5) for image_id, boxes in IMAGES.items()],
        write_proposals,
        lambda path: list(read_proposals(path, {}).values()),
    ),
    "self_labels": (
        {image_id: SelfLabels(boxes, RNG.random(len(boxes)).astype(np.float32)) for image_id, boxes in PLAIN.items()},
        write_self_labels,
        read_self_labels,
    ),
    "consistency": ({name: RNG.random(3).astype(np.float32) for name in IMAGES}, write_consistency, read_consistency),
    "scores": (
        scored(),
        lambda path, pool: write_scored_pool(RoundFolder(path.parent), pool),
        lambda path: read_scored_pool(RoundFolder(path.parent)),
    ),
}


def plain(value):
    """What can be compared: arrays as type, shape and bytes."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tolist()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def messages(path, read, whole):
    """How many of FLIPS changed bits were a message; of the others none may change anything."""
    found = 0
    for place in changed_bits(path, FLIPS):
        try:
            assert plain(read(path)) == whole, place
        except BoxwiseError as error:
            assert path.name in str(error) and "boxwise repair" in str(error)
            found += 1
    print(f"{path.name}, {path.stat().st_size} bytes: {FLIPS} changes, {found} messages")
    return found


@pytest.mark.parametrize("kind", ["detections", "proposals", "self_labels", "consistency", "scores", "embeddings"])
def test_a_changed_bit_is_a_message_or_changes_nothing(kind, tmp_path):
    content, write, read = KINDS["scores" if kind == "embeddings" else kind]
    path = getattr(RoundFolder(tmp_path), kind)
    write(path, content)
    whole = plain(read(path))
    assert whole == plain(content)
    assert messages(path, read, whole) > 0.9 * FLIPS


def test_a_changed_part_of_a_pool_pass_is_no_part(tmp_path):
    part = PartFile(tmp_path, 0, "made_of")
    found = (Inspection(image_id, boxes, RNG.random(8).astype(np.float32), {"L": 0.5}, None) for image_id, boxes in PLAIN.items())
    path = part.write(PoolPart(tuple(found), {"x.jpg": "broken"}))
    assert part.read() is not None
    for _ in changed_bits(path, FLIPS):
        assert part.read() is None
