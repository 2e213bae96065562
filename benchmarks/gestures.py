"""What labelling an image takes: gestures counted in the real page, seconds by the keystroke-level model, each way of drawing in turn.

    python benchmarks/gestures.py shared/data/bccd shared/data/pothole            # 8 images a data set and way

A script that knows the labels draws them in Chromium: with the class after each box; with the class first, then all its boxes; and by
clicking the model's boxes. The model of that last way is the labels themselves, every `--missed`th left out, which is then drawn: it shows
the least that the help can cost, not what a detector of a study reaches. Every answer is held against the labels; the exit code is 1 when
one differs. Seconds are not a person's: operators count as Card, Moran and Newell (The Psychology of Human-Computer Interaction, 1983)
timed them, without what it takes to look and to think: a key 0.28 s, pointing 1.1 s, a mouse button 0.1 s each way.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from page import chromium
from playwright.sync_api import Page, sync_playwright

from boxwise.artifacts.detections_file import writing_detections
from boxwise.boxes import Boxes, iou
from boxwise.config import load_config
from boxwise.data.datasets import read_dataset
from boxwise.records import ImageRecord, Phase, Split
from boxwise.store import LabellingStore
from boxwise.study import Study
from boxwise.web.app import create_app
from boxwise.web.queue import LabelQueue
from boxwise.web.server import Server, listen

KEY, POINT, BUTTON = 0.28, 1.1, 0.1  # seconds of an operator


@dataclass
class Hand:
    """Does what a person would, and counts it."""

    page: Page
    record: ImageRecord | None = None
    gestures: int = 0
    seconds: float = 0.0

    def key(self, key: str) -> None:
        self.page.keyboard.press(key)
        self._count(KEY)

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self._spot(x, y))
        self._count(POINT + 2 * BUTTON)

    def drag(self, box: list[float]) -> None:
        self.page.mouse.move(*self._spot(*box[:2]))
        self.page.mouse.down()
        self.page.mouse.move(*self._spot(*box[2:]), steps=3)
        self.page.mouse.up()
        self._count(2 * POINT + 2 * BUTTON)

    def _spot(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator(".picture").bounding_box()
        assert box is not None and self.record is not None
        return box["x"] + x / self.record.width * box["width"], box["y"] + y / self.record.height * box["height"]

    def _count(self, seconds: float) -> None:
        self.gestures += 1
        self.seconds += seconds


Way = Callable[[Hand, Boxes, Boxes], None]


def class_after(hand: Hand, labels: Boxes, _found: Boxes) -> None:
    """Each box, then its class."""
    hand.key("d")
    for box, label in zip(labels.xyxy.tolist(), labels.labels.tolist(), strict=True):
        hand.drag(box)
        hand.key(str(label + 1))


def class_first(hand: Hand, labels: Boxes, _found: Boxes) -> None:
    """A class, then all its boxes."""
    hand.key("d")
    hand.key("Escape")
    for label in sorted(set(labels.labels.tolist())):
        hand.key(str(label + 1))
        for box in labels.xyxy[labels.labels == label].tolist():
            hand.drag(box)


def by_model(hand: Hand, labels: Boxes, found: Boxes) -> None:
    """A click on what the model has found; the rest is drawn."""
    hand.key("w")
    for number, (box, label) in enumerate(zip(labels.xyxy.tolist(), labels.labels.tolist(), strict=True)):
        if any(np.array_equal(box, other) for other in found.xyxy.tolist()):
            hand.click(*_own_spot(number, labels))
            hand.page.wait_for_function(f"() => document.querySelectorAll('#boxes [role=option]').length > {number}")
        else:
            hand.key("d")
            hand.drag(box)
            hand.key(str(label + 1))
            hand.key("w")


def _own_spot(number: int, labels: Boxes) -> tuple[float, float]:
    """A point of a box where as few others as possible lie."""
    x1, y1, x2, y2 = labels.xyxy[number].tolist()
    spots = [(x1 + a * (x2 - x1), y1 + b * (y2 - y1)) for a in (0.5, 0.1, 0.9) for b in (0.5, 0.1, 0.9)]
    others = np.delete(labels.xyxy, number, axis=0)
    return min(spots, key=lambda spot: int(((others[:, :2] <= spot) & (others[:, 2:] >= spot)).all(axis=1).sum()))


WAYS: dict[str, Way] = {"class after each box": class_after, "class first": class_first, "model's boxes": by_model}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--missed", type=int, default=4, help="the model has missed every n-th label")
    options = parser.parse_args()
    wrong = 0
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        for data in options.data:
            for name, way in WAYS.items():
                with tempfile.TemporaryDirectory() as folder:
                    gestures, seconds, boxes, bad = measure(browser.new_context().new_page(), Path(folder), data, way, options)
                wrong += bad
                print(
                    f"{data.name:10} {name:22} {boxes:5.1f} boxes {gestures:6.1f} gestures {seconds:6.1f} s an image, {bad} answers differ",
                    flush=True,
                )
        browser.close()
    return int(wrong > 0)


def measure(page: Page, folder: Path, data: Path, way: Way, options: argparse.Namespace) -> tuple[float, float, float, int]:
    """(gestures, seconds and boxes an image, how many answers differ from the labels)."""
    dataset = read_dataset(data)
    images = [record for record in dataset.images if 2 <= len(dataset.labels.get(record.image_id, ())) <= 30][: options.images]
    records = tuple(replace(record, split=Split.TRAIN) for record in images)
    config = load_config(None, [f"budget.initial={len(images)}", "budget.validation=0", "detector.pretrained=none"])
    study = Study.create(folder / "study", replace(dataset, images=records, labels={}), config=config)
    study.ask()
    found = {r.image_id: _without(dataset.labels[r.image_id], options.missed) for r in records}
    with writing_detections(study.files(0).detections) as writer:
        for image_id, boxes in found.items():
            writer.add(image_id, boxes)
    address, hand = listen("127.0.0.1", 0), Hand(page)
    with Server(create_app(LabelQueue(study, LabellingStore(study.store)), hosts={"127.0.0.1"}), address):
        page.goto(address.link)
        page.locator("dialog[open] input").fill("script")
        page.keyboard.press("Enter")
        for _ in records:
            page.locator("#stage[data-seen]").wait_for(state="attached")
            name = page.locator("#image-name").inner_text()
            hand.record = study.store.record(name)
            way(hand, dataset.labels[name], found[name])
            hand.key("Space")
            page.wait_for_function("name => document.querySelector('#image-name').textContent !== name"
                                   " || !document.querySelector('#waiting').hidden", arg=name)  # fmt: skip
        page.locator("#saved[data-state=saved]").wait_for(state="attached")
    assert study.store.position[1] is Phase.ANNOTATE
    stored = study.store.annotations(Split.TRAIN)
    bad = sum(r.image_id not in stored or not _same(stored[r.image_id].boxes, dataset.labels[r.image_id]) for r in records)
    total = sum(len(dataset.labels[r.image_id]) for r in records)
    return hand.gestures / len(records), hand.seconds / len(records), total / len(records), bad


def _without(labels: Boxes, every: int) -> Boxes:
    """The labels as a model that has missed some would find them."""
    kept = labels[np.arange(len(labels)) % every != every - 1]
    return Boxes(kept.xyxy, kept.labels, np.full(len(kept), 0.2, np.float32))


def _same(drawn: Boxes, labels: Boxes) -> bool:
    """Whether each label was drawn: with its class, and as exactly as a mouse on the screen can."""
    if len(drawn) != len(labels):
        return False
    over = iou(labels.xyxy, drawn.xyxy) * (labels.labels[:, None] == drawn.labels[None, :])
    return bool((over.max(axis=1) > 0.8).all())


if __name__ == "__main__":
    sys.exit(main())
