"""What a cache of decoded images, shared by all cells of a simulation, would save: the pool pass and training, decoding or not.

Prints seconds of processor time an image and the ratio, the median over rounds in which the contestants take turns. Processor time is what
counts where cells run side by side and every core is busy. The cache stands in at its best: one memory-mapped file, warm in the page cache.

    python benchmarks/image_cache.py --data DIR [--format voc] [--detector ssdlite320_mobilenet_v2] [--imgsz 160] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import process_time
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from boxwise import runtime
from boxwise.config import DetectorConfig, TrainConfig
from boxwise.data.addresses import Address
from boxwise.data.datasets import read_dataset
from boxwise.detectors import loading, training_data
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.records import ImageRecord, Sample
from boxwise.scorers.no_score import NoScore
from boxwise.scorers.pool_pass import inspect_pool

Reader = Callable[[Address], Tensor]
BATCH, ROUND_STEPS = 16, 200


def mapped(records: Sequence[ImageRecord], file: Path) -> Reader:
    """A reader of images decoded into one memory-mapped file; bit-equal to decoding."""
    places, start = {}, 0
    with file.open("wb") as target:
        for record in records:
            pixels = loading.decode(record.uri)
            places[record.uri] = (start, tuple(pixels.shape))
            start += target.write(pixels.numpy().tobytes())
    memory = np.memmap(file, np.uint8, "r")

    def read(uri: Address) -> Tensor:
        begin, shape = places[str(uri)]
        return torch.from_numpy(memory[begin : begin + int(np.prod(shape))]).view(shape)

    assert all(torch.equal(read(record.uri), loading.decode(record.uri)) for record in records)
    return read


def pool_pass(detector: TorchDetector, records: Sequence[ImageRecord]) -> float:
    inspect_pool(detector, NoScore(), records)
    return len(records)


def training(detector: TorchDetector, samples: Sequence[Sample], steps: int) -> float:
    """One round's training, which keeps decoded images in memory itself once it has read them."""
    config = TrainConfig(min_steps=steps, max_steps=steps, batch=BATCH, lr=0.001, warmup_steps=1)
    detector.fit(samples, [], config, seed=0)
    return steps * config.batch


def seconds_an_image(work: Callable[[], float], reader: Reader) -> float:
    """Processor seconds of this process, all threads, with `reader` in place of decoding."""
    with patch.object(loading, "decode", reader), patch.object(training_data, "decode", reader):
        started = process_time()
        images = work()
        return (process_time() - started) / images


def compared(work: Callable[[], float], readers: Mapping[str, Reader], rounds: int) -> dict[str, float]:
    """Median seconds an image by reader, and the median "ratio" of decoding to the cache; the first turn warms up."""
    turns = [{name: seconds_an_image(work, reader) for name, reader in readers.items()} for _ in range(rounds + 1)][1:]
    middle = {name: statistics.median(turn[name] for turn in turns) for name in readers}
    return middle | {"ratio": statistics.median(turn["decoding"] / turn["cache"] for turn in turns)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--format")
    parser.add_argument("--detector", default="ssdlite320_mobilenet_v2")
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--labelled", type=int, default=80)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    runtime.prepare(1)
    dataset = read_dataset(given.data, format_name=given.format)
    records = dataset.images[: given.images]
    samples = [Sample(record, dataset.labels[record.image_id]) for record in records if record.image_id in dataset.labels][: given.labelled]
    config = DetectorConfig(name=given.detector, imgsz=given.imgsz, pretrained=False)
    detector = build_detector(given.detector, dataset.classes, config, seed=0, device=torch.device("cpu"))
    works = {"pool pass": lambda: pool_pass(detector, records), "training": lambda: training(detector, samples, given.steps)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.bin"
        readers = {"decoding": loading.decode, "cache": mapped(records, file)}
        print(f"{len(records)} images, {file.stat().st_size / 2**20 / len(records):.2f} MiB each when decoded")
        middle = {name: compared(work, readers, given.rounds) for name, work in works.items()}
    for name, of in middle.items():
        print(f"{name}: decoding {1000 * of['decoding']:.2f} ms, cache {1000 * of['cache']:.2f} ms an image: {of['ratio']:.2f}x")
    images = {"pool pass": len(dataset.images), "training": ROUND_STEPS * BATCH}
    rounds = {reader: sum(images[name] * middle[name][reader] for name in works) for reader in readers}
    share = rounds["decoding"] / rounds["cache"]
    print(f"a round, {ROUND_STEPS} steps of {BATCH} and one pass over {len(dataset.images)} images: {share:.3f}x")


if __name__ == "__main__":
    main()
