"""A training of a real detector as one of several processes: fit_textures.py IMAGES RESULT PIECES [--slow]."""

import os
import sys
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, TrainConfig
from boxwise.detectors import training
from boxwise.records import ImageRecord, Sample
from boxwise.registry import build_detector

STEPS, SIDE = 30, 96


def textured_samples(folder: Path, *, write: bool = True) -> list[Sample]:
    """Twenty images of noise with one to five darker boxes of two classes.

    Noise, because in plain ground many default boxes have one and the same loss but for rounding, and which of them are the hardest
    negatives is then a matter of rounding, too. `write=False` gives the same samples over files that are there already.
    """
    rng, samples = np.random.default_rng(0), []
    for number in range(20):
        pixels, count = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), int(rng.integers(1, 6))
        corners = rng.integers(0, SIDE - 36, (count, 2))
        boxes = np.concatenate([corners, corners + rng.integers(15, 36, (count, 2))], axis=1)
        for left, top, right, bottom in boxes:
            pixels[top:bottom, left:right] //= 4
        path = folder / f"texture_{number}.png"
        if write:
            Image.fromarray(pixels).save(path)
        samples.append(Sample(ImageRecord(path.name, path, SIDE, SIDE), Boxes(boxes.astype(np.float32), np.arange(count) % 2)))
    return samples


def fit(images: Path, *, pieces: int = 1, checkpoint: Path | None = None, slow: bool = False) -> list[float]:
    """The loss of every step. tiny_ssd has GroupNorm, which sees each image by itself, and no dropout."""
    config = DetectorConfig(name="tiny_ssd", imgsz=SIDE, pretrained="none")
    detector = build_detector(("even", "odd"), config, seed=0, device=torch.device("cpu"))
    length = {"min_steps": STEPS, "max_steps": STEPS, "warmup_steps": 5, "checkpoint_every": 5}
    train = TrainConfig(**length, batch=8, lr=0.001, augment="ssd", accumulate=pieces)  # "scale" would leave plain ground at the sides
    wait, samples = (lambda *_: time.sleep(0.3)) if slow else None, textured_samples(images, write=False)
    with patch.object(training, "_LOG_EVERY", 1):
        return [entry["loss"] for entry in detector.fit(samples, [], train, seed=0, checkpoint=checkpoint, progress=wait).history]


def main() -> None:
    torch.set_num_threads(1)
    result, rank = sys.argv[2], os.environ["RANK"]
    losses = fit(Path(sys.argv[1]), pieces=int(sys.argv[3]), checkpoint=Path(f"{result}.pt"), slow="--slow" in sys.argv)
    torch.save(losses, f"{result}{rank}")


if __name__ == "__main__":
    main()
