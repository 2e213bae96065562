"""Image files for the scorers: dark scenes with one bright rectangle, or none, and files that are none."""

from pathlib import Path

import numpy as np
from PIL import Image

from boxwise.records import ImageRecord

WIDTH, HEIGHT = 128, 96


def write_image(folder: Path, name: str, *, blob=None, seed: int = 0) -> ImageRecord:
    """A dark noisy PNG of 128 × 96 with a white rectangle `blob` (x1, y1, x2, y2)."""
    pixels = np.random.default_rng(seed).integers(10, 40, (HEIGHT, WIDTH, 3), np.uint8)
    if blob is not None:
        pixels[blob[1] : blob[3], blob[0] : blob[2]] = 255
    Image.fromarray(pixels).save(folder / name)
    return ImageRecord(name, folder / name, WIDTH, HEIGHT)


def write_broken(folder: Path, name: str) -> ImageRecord:
    (folder / name).write_bytes(b"\xff\xd8\xff not really a JPEG")
    return ImageRecord(name, folder / name, WIDTH, HEIGHT)
