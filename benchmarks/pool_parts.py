"""What it costs to put a pool pass on the disk in parts and to join them: CPU-seconds and bytes an image, without any network.

Made-up inspections of `--boxes` detections over `--classes` classes, with two terms and an embedding, in parts as a study cuts them.

    python benchmarks/pool_parts.py [--images 4096] [--boxes 10] [--classes 20] [--dimensions 320]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from boxwise.artifacts.pool_parts import PartFile, PoolPart
from boxwise.boxes import Boxes
from boxwise.records import Inspection
from boxwise.rounds.parts import part_size
from boxwise.scorers.pool_pass import join

Result = TypeVar("Result")


def main() -> None:
    arguments = _arguments()
    rng, size = np.random.default_rng(0), part_size(arguments.images, 16)
    found = [_inspection(f"folder/{index:08}.jpg", arguments, rng) for index in range(arguments.images)]
    parts = [PoolPart(tuple(found[start : start + size]), {}) for start in range(0, len(found), size)]
    with tempfile.TemporaryDirectory() as folder:
        files = [PartFile(Path(folder), number, "bench") for number in range(len(parts))]
        writing, paths = _timed(lambda: [file.write(part) for file, part in zip(files, parts, strict=True)])
        reading, read = _timed(lambda: [part for file in files if (part := file.read()) is not None])
        joining, _ = _timed(
            lambda: join(iter(read), arguments.images, arguments.classes, detections_path=Path(folder) / "detections.parquet")
        )
        size_of_parts = sum(path.stat().st_size for path in paths)
    print(f"{arguments.images} images of {arguments.boxes} boxes, {len(parts)} parts; an image, one thread:")
    for name, seconds in (("write parts", writing), ("read parts", reading), ("join", joining)):
        print(f"  {name:<12} {1e3 * seconds / arguments.images:7.3f} CPU-ms")
    print(f"  parts        {size_of_parts / arguments.images / 1e3:7.2f} kB (random numbers: they do not compress)")


def _inspection(image_id: str, arguments: argparse.Namespace, rng: np.random.Generator) -> Inspection:
    count = arguments.boxes
    probabilities = rng.dirichlet(np.ones(arguments.classes + 1), count).astype(np.float32)
    boxes = Boxes(
        rng.random((count, 4)).astype(np.float32),
        np.zeros(count, np.int64),
        np.sort(rng.random(count))[::-1].astype(np.float32),
        probabilities,
    )
    return Inspection(image_id, boxes, rng.random(arguments.dimensions).astype(np.float32), {"L_rec": 0.5, "L_det": 0.25})


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--boxes", type=int, default=10)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--dimensions", type=int, default=320)
    return parser.parse_args()


if __name__ == "__main__":
    main()
