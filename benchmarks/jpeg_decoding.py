"""What each JPEG decoder costs: TorchCodec, torchvision and Pillow, on the same files, taking turns.

Prints milliseconds of processor time an image, reading and header included, as every image of a pool pass or a training is read.

    python benchmarks/jpeg_decoding.py --data DIR [--images 60] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from time import process_time

from boxwise import runtime
from boxwise.data.image_store import find_images
from boxwise.detectors import decoding
from boxwise.detectors.decoding import jpeg_decoder


def milliseconds(paths: Sequence[Path], package: str) -> float:
    """Of processor time an image, with `package` as the one fast decoder there is."""
    finders = decoding.FASTEST_FIRST
    decoding.FASTEST_FIRST = {name: find for name, find in finders.items() if name == package}
    jpeg_decoder.cache_clear()
    try:
        assert jpeg_decoder().name.startswith(package), f"not here: {jpeg_decoder()}"
        started = process_time()
        for path in paths:
            decoding.decode(path)
        return 1000 * (process_time() - started) / len(paths)
    finally:
        decoding.FASTEST_FIRST = finders
        jpeg_decoder.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    runtime.prepare(1)
    paths = [path for path in find_images(given.data) if path.suffix.lower() in (".jpg", ".jpeg")][: given.images]
    print(f"chosen here: {jpeg_decoder()}; {len(paths)} images")
    packages = ("torchcodec", "torchvision", "Pillow")
    turns = [{package: milliseconds(paths, package) for package in packages} for _ in range(given.rounds + 1)][1:]  # the first warms up
    middle = {package: statistics.median(turn[package] for turn in turns) for package in packages}
    for package, of in middle.items():
        print(f"{package}: {of:.2f} ms an image, {of / middle['torchcodec']:.2f} x TorchCodec's")


if __name__ == "__main__":
    main()
