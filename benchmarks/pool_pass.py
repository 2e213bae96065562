"""Images a second of the pool pass against the bare forward passes of its two networks; and its peak memory by pool size.

Prints ratios within one run: the contestants take turns, each in a process of its own, so that the product's allocator settings
affect the product alone. Bare is plain eager torch on tensors that are already decoded and resized.

    python benchmarks/pool_pass.py [--detector ssdlite320_mobilenet_v2] [--imgsz 160] [--images DIR] [--device cpu]
    python benchmarks/pool_pass.py --memory
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from boxwise import runtime
from boxwise.artifacts.detections_file import writing_detections
from boxwise.artifacts.pool_parts import PartFile
from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, TrainConfig, VaeConfig
from boxwise.data.image_store import find_images
from boxwise.detectors.base import Detector, ImageBatch, View
from boxwise.detectors.detector import TorchDetector, build_detector, load_detector
from boxwise.detectors.loading import image_batches
from boxwise.records import ImageRecord, Sample
from boxwise.rounds.parts import part_size
from boxwise.scorers.base import Terms
from boxwise.scorers.detection_loss import DetectionLoss, ExpectedLoss, surrogates
from boxwise.scorers.dual import Dual
from boxwise.scorers.pool_pass import inspect_parts, inspect_pool, inspections, join
from boxwise.scorers.reconstruction import Reconstruction, thumbnails

CLASSES = tuple("abcdefghij")
WARM_UP = 3  # batches before the clock starts
TRAINING = TrainConfig(min_steps=40, max_steps=40, batch=8, epochs=1, warmup_steps=5, augment="none")


@dataclass(frozen=True)
class Setting:
    """One contestant's material."""

    detector: TorchDetector
    reconstruction: Reconstruction
    records: list[ImageRecord]
    batch: int
    workers: int
    folder: Path

    def decoded(self) -> list[ImageBatch]:
        return list(image_batches(self.records, self.detector.input, batch=self.batch))


def bare(setting: Setting) -> float:
    network = setting.detector.network.to(memory_format=torch.contiguous_format)
    assert setting.reconstruction.vae is not None  # it is fitted
    vae = setting.reconstruction.vae.to(memory_format=torch.contiguous_format)
    device = setting.detector.device
    size = setting.reconstruction.config.size
    ready = [(b.pixels.to(device), b.valid.to(device), thumbnails(b, size).to(device).float() / 255) for b in setting.decoded()]

    def forward(inputs: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> None:
        for pixels, valid, small in inputs:
            network(pixels, valid)
            vae.decode(vae.encode(small)[0])
            _finish(device)

    with torch.inference_mode():
        return _rate(setting, lambda: forward(ready[:WARM_UP]), lambda: forward(ready))


def decoded_pass(setting: Setting) -> float:
    scorer = Dual(setting.reconstruction, ExpectedLoss())
    batches = setting.decoded()

    def inspect(some: list[ImageBatch]) -> None:
        with writing_detections(setting.folder / "detections.parquet") as file:
            for batch in some:
                for found in inspections(setting.detector, scorer, setting.detector.view(batch)):
                    file.add(found.image_id, found.boxes)

    return _rate(setting, lambda: inspect(batches[:WARM_UP]), lambda: inspect(batches))


def whole_pass(setting: Setting) -> float:
    return _inspect_pool(setting, Dual(setting.reconstruction, ExpectedLoss()))


def parts_pass(setting: Setting) -> float:
    """As a study does it: parts on the disk, then joined."""
    scorer, size = Dual(setting.reconstruction, ExpectedLoss()), part_size(len(setting.records), setting.batch)

    def inspect(records: list[ImageRecord]) -> None:
        parts = [records[start : start + size] for start in range(0, len(records), size)]
        files = [PartFile(setting.folder / "parts", number, "bench") for number in range(len(parts))]
        found = inspect_parts(setting.detector, scorer, parts, batch=setting.batch, workers=setting.workers)
        for file, part in zip(files, found, strict=True):
            file.write(part)
        read = (again for file in files if (again := file.read()) is not None)
        join(read, len(records), len(CLASSES), detections_path=setting.folder / "detections.parquet")

    return _rate(setting, lambda: inspect(setting.records[: WARM_UP * setting.batch]), lambda: inspect(setting.records))


def surrogates_pass(setting: Setting) -> float:
    return _inspect_pool(setting, Dual(setting.reconstruction, AllSurrogates()))


CONTESTANTS: dict[str, tuple[Callable[[Setting], float], str]] = {
    "bare": (bare, "detector + VAE forward on decoded tensors, plain eager torch"),
    "decoded": (decoded_pass, "pool pass on decoded tensors, dual score, detections written"),
    "files": (whole_pass, "pool pass from image files, dual score, detections written"),
    "parts": (parts_pass, "the same as a study does it: parts on the disk, then joined"),
    "surrogates": (surrogates_pass, "the same with all surrogates (pseudo: a second forward)"),
}


class AllSurrogates(DetectionLoss):
    """Every surrogate measured, the first one counted."""

    name = "expected"

    def measure(self, detector: Detector, view: View) -> Terms:
        terms: Terms = {}
        for surrogate in surrogates(pseudo_threshold=0.5):
            terms |= surrogate.measure(detector, view)
        return terms

    def losses(self, detector: Detector, view: View) -> np.ndarray:
        return detector.expected_losses(view)


def main() -> None:
    arguments = _arguments()
    if arguments.contestant:
        print(json.dumps(_compete(arguments)))
    elif arguments.memory:
        _compare_memory(arguments)
    else:
        _compare_speed(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="ssdlite320_mobilenet_v2")
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--images", type=Path, help="folder of images; default: synthetic 500 x 375 JPEGs")
    parser.add_argument("--count", type=int, default=160, help="images a measurement")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0: torch's own choice")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="peak memory at 1k and 20k images instead, with tiny_ssd")
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--contestant", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare_speed(arguments: argparse.Namespace) -> None:
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        images = arguments.images or _synthetic(Path(folder), arguments.count, (500, 375))
        arguments.weights = _trained(arguments, _records(images, 64), Path(folder) / "weights.pt")
        for _ in range(arguments.rounds):
            for name in CONTESTANTS:
                rates[name].append(_spawn(arguments, name, images)["images_per_second"])
    print(f"{arguments.detector} at {arguments.imgsz} px, batch {arguments.batch}, {arguments.device}, median of {arguments.rounds} rounds")
    for name, (_, meaning) in CONTESTANTS.items():
        ratio = statistics.median(mine / base for mine, base in zip(rates[name], rates["bare"], strict=True))
        print(f"{meaning:<62} {statistics.median(rates[name]):8.1f} images/s  {ratio:5.2f} x bare")


def _compare_memory(arguments: argparse.Namespace) -> None:
    arguments.detector, arguments.imgsz = "tiny_ssd", 96
    with tempfile.TemporaryDirectory() as folder:
        images = _synthetic(Path(folder), 1000, (64, 48))
        arguments.weights = _trained(arguments, _records(images, 64), Path(folder) / "weights.pt")
        for count in (1000, 20_000):
            arguments.count = count
            print(f"{count:6} images: peak memory {_spawn(arguments, 'files', images)['peak_mb']:7.1f} MB")


def _peak_mb() -> float:
    """Of this process alone. Linux: a child's `ru_maxrss` begins at that of the process that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (kilobytes,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(kilobytes) / 1024


def _spawn(arguments: argparse.Namespace, contestant: str, images: Path) -> dict[str, float]:
    options = ("weights", "count", "batch", "workers", "threads", "device")
    words = [word for name in options for word in (f"--{name}", str(getattr(arguments, name)))]
    command = [sys.executable, __file__, "--contestant", contestant, "--images", str(images), *words]
    surroundings = dict(os.environ) if contestant == "bare" else {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}  # as the command line sets it
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=surroundings).stdout)


def _compete(arguments: argparse.Namespace) -> dict[str, float]:
    if arguments.contestant != "bare":
        runtime.prepare(arguments.threads)
    elif arguments.threads:
        torch.set_num_threads(arguments.threads)
    detector = load_detector(arguments.weights, device=torch.device(arguments.device))
    records = _records(arguments.images, arguments.count)
    vae = Reconstruction(VaeConfig(steps=1), corrected=True, spec=detector.input, device=detector.device)
    samples = [Sample(record, Boxes.empty()) for record in records[:64]]
    vae.fit(samples, [], detector=detector, rng=np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(detector, vae, records, arguments.batch, arguments.workers, Path(folder))
        rate = CONTESTANTS[arguments.contestant][0](setting)
    return {"images_per_second": rate, "peak_mb": _peak_mb()}


def _trained(arguments: argparse.Namespace, records: list[ImageRecord], path: Path) -> Path:
    """Weights after a few steps on one box an image: an untrained detector would fill the postprocessing with false boxes."""
    config = DetectorConfig(name=arguments.detector, imgsz=arguments.imgsz, pretrained=False)
    detector = build_detector(arguments.detector, CLASSES, config, seed=0, device=torch.device(arguments.device))
    middle, sizes = np.array([0.3, 0.3, 0.7, 0.7], np.float32), [np.array([r.width, r.height] * 2, np.float32) for r in records]
    boxes = [Boxes(middle * size, np.array([index % len(CLASSES)])) for index, size in enumerate(sizes)]
    detector.fit([Sample(record, box) for record, box in zip(records, boxes, strict=True)], [], TRAINING, seed=0)
    detector.save(path)
    return path


def _inspect_pool(setting: Setting, scorer: Dual) -> float:
    how: dict[str, Any] = {"batch": setting.batch, "workers": setting.workers, "detections_path": setting.folder / "detections.parquet"}
    warm = setting.records[: WARM_UP * setting.batch]
    return _rate(
        setting,
        lambda: inspect_pool(setting.detector, scorer, warm, **how),
        lambda: inspect_pool(setting.detector, scorer, setting.records, **how),
    )


def _rate(setting: Setting, warm_up: Callable[[], object], work: Callable[[], object]) -> float:
    warm_up()
    start = time.perf_counter()
    work()
    return len(setting.records) / (time.perf_counter() - start)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _synthetic(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """JPEGs of smooth noise, about as hard to decode as photographs."""
    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{index:05}.jpg", quality=90)
    return folder


def _records(folder: Path, count: int) -> list[ImageRecord]:
    """`count` images of the folder, taken again under other names when it holds fewer."""
    paths = find_images(folder)
    chosen = [paths[index % len(paths)] for index in range(count)]
    sizes = {path: Image.open(path).size for path in set(chosen)}
    return [ImageRecord(f"{index:06}-{path.name}", str(path), *sizes[path]) for index, path in enumerate(chosen)]


if __name__ == "__main__":
    main()
