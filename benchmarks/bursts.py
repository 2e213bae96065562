"""How many boxes of an image are found again on the next one of a burst: by the detector's embeddings, and by overlap alone.

    python benchmarks/bursts.py shared/data/coco256 --weights shared/weights/yolox_nano_coco.pth      # 60 images

A burst is made of a photograph: two windows of it, the second moved aside by a share of the objects' median size, as by a camera that pans.
So it is known where each object has gone. Not shown: objects that turn, hide or change, and a detector that was trained on few labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from boxwise.boxes import Boxes, iou
from boxwise.config import DetectorConfig
from boxwise.data.coco_classes import COCO_CLASSES
from boxwise.data.datasets import read_dataset
from boxwise.detectors.decoding import decode
from boxwise.detectors.loading import batch_of
from boxwise.records import ImageRecord
from boxwise.registry import build_detector
from boxwise.web.following import followed

WINDOW = 0.7  # of the photograph's sides
MOVES = (0.25, 0.5, 1.0, 1.5)  # of the median longer side of its objects
SAME, OVERLAP = 0.5, 0.2  # IoU of a box that is right; of the page's matching by overlap (static/wand.js)


def seen(boxes: Boxes, left: int, width: int, height: int) -> tuple[Boxes, np.ndarray]:
    """The boxes as a window shows them, and which of them it shows whole."""
    xyxy = boxes.xyxy - np.array([left, 0, left, 0], np.float32)
    whole = (xyxy[:, 0] >= 0) & (xyxy[:, 2] <= width) & (xyxy[:, 3] <= height)
    return Boxes(xyxy, boxes.labels), whole


def bursts(pixels: Tensor, boxes: Boxes, move: float) -> tuple[Tensor, Boxes, Tensor, Boxes] | None:
    """(first window, its boxes, second window, the same boxes there) of one photograph; None where no object stays in sight."""
    height, full = pixels.shape[1:]
    width, shift = int(WINDOW * full), round(move * float(np.median((boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).max(axis=1))))
    shift = min(shift, full - width)
    (here, inside), (there, still) = seen(boxes, 0, width, height), seen(boxes, shift, width, height)
    kept = inside & still
    return (pixels[:, :, :width], here[kept], pixels[:, :, shift : shift + width], there[kept]) if kept.any() and shift else None


def by_overlap(before: Boxes, found: Boxes) -> list[tuple[int, int]]:
    """As the page matches where nothing is embedded: each box with the detection of its class that overlaps it most."""
    overlaps = iou(before.xyxy, found.xyxy) * (before.labels[:, None] == found.labels[None])
    pairs: list[tuple[int, int]] = []
    for at in np.argsort(-overlaps, axis=None):
        row, column = divmod(int(at), len(found))
        if overlaps[row, column] >= OVERLAP and all(row != r and column != c for r, c in pairs):
            pairs.append((row, column))
    return pairs


def right(pairs: list[tuple[int, int]], there: Boxes, found: Boxes) -> int:
    return sum(float(iou(there.xyxy[row : row + 1], found.xyxy[column : column + 1])[0, 0]) >= SAME for row, column in pairs)


def photographs(folder: Path, images: int) -> Iterator[tuple[Tensor, Boxes]]:
    dataset = read_dataset(folder)
    labelled = [record for record in dataset.images if len(dataset.labels.get(record.image_id, Boxes.empty()))]
    for record in labelled[:images]:
        yield decode(record.uri), dataset.labels[record.image_id]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--detector", default="yolox_nano")
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--images", type=int, default=60)
    asked = parser.parse_args()
    config = DetectorConfig(name=asked.detector, weights=asked.weights)
    names = read_dataset(asked.data).classes
    classes = COCO_CLASSES if names == tuple(map(str, range(len(COCO_CLASSES)))) else names  # a folder of YOLO has numbers alone
    detector = build_detector(classes, config, seed=0, device=torch.device("cpu"))

    def look(pixels: Tensor, boxes: Boxes | None = None) -> tuple[Boxes, np.ndarray]:
        view = detector.view(batch_of([ImageRecord("window", "window", pixels.shape[2], pixels.shape[1])], [pixels], detector.input))
        wanted = detector.detections(view)[0] if boxes is None else boxes
        return wanted, detector.box_embeddings(view, None if boxes is None else [boxes])[0]

    counts = {move: np.zeros(5, int) for move in MOVES}
    for pixels, boxes in photographs(asked.data, asked.images):
        for move in MOVES:
            if (made := bursts(pixels, boxes, move)) is None:
                continue
            first, here, second, there = made
            (found, found_looks), (_, looks) = look(second), look(first, here)
            embedded, overlapping = followed(here, looks, found, found_looks), by_overlap(here, found)
            counts[move] += [len(here), right(embedded, there, found), len(embedded), right(overlapping, there, found), len(overlapping)]
    print("| moved by, of an object's size | boxes | by embeddings: right, of those placed | by overlap: right, of those placed |")
    print("|---|---|---|---|")
    for move, (all_, good, placed, plain_good, plain_placed) in counts.items():
        print(
            f"| {move:g} | {all_} | {good} ({good / all_:.0%}), of {placed} | {plain_good} ({plain_good / all_:.0%}), of {plain_placed} |"
        )


if __name__ == "__main__":
    main()
