"""Images per CPU-second of the pool pass by ONNX Runtime, beside the pass by torch and the bare session, in one run.

The contestants take turns in one process. Bare: `session.run` of the exported graph on tensors that are decoded already. The passes: from
image files, the dual score with a fitted VAE, detections written; "decoded" without reading the files. Prints medians of the turns and of
their ratios.

    python benchmarks/onnx_scoring.py --images DIR [--detector yolox_nano] [--imgsz 416] [--weights FILE] [--device onnx:cpu]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from boxwise import runtime
from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, VaeConfig
from boxwise.data.image_store import find_images
from boxwise.data.images import image_size
from boxwise.detectors.base import ImageBatch
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.loading import image_batches
from boxwise.detectors.onnx_runtime import OnnxForward, run_by_onnx
from boxwise.records import ImageRecord, Sample
from boxwise.scorers.detection_loss import ExpectedLoss
from boxwise.scorers.dual import Dual
from boxwise.scorers.pool_pass import inspect_pool, inspections
from boxwise.scorers.reconstruction import Reconstruction

CLASSES = ("person", "car", "dog")


def main() -> None:
    arguments = _arguments()
    runtime.prepare(1)
    by_torch, by_onnx = _detector(arguments), _detector(arguments)
    records = _records(arguments.images, arguments.count)
    vae = Reconstruction(VaeConfig(steps=10), corrected=True, spec=by_torch.input)
    vae.fit([Sample(record, Boxes.empty()) for record in records[:32]], [], detector=by_torch, rng=np.random.default_rng(0))
    scorer = Dual(vae, ExpectedLoss())
    batches = list(image_batches(records, by_torch.input, batch=arguments.batch))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "forward.onnx"
        run_by_onnx(by_onnx, path, device=arguments.device)
        forward = OnnxForward(by_onnx.network, path, device=arguments.device, to=torch.device("cpu"))
        contestants = {
            "the bare session, decoded tensors": lambda: _bare(forward, batches),
            "pool pass by ONNX Runtime, decoded tensors": lambda: _decoded(by_onnx, scorer, batches),
            "pool pass by ONNX Runtime, from files": lambda: _pass(by_onnx, scorer, records, arguments.batch, Path(folder)),
            "pool pass by torch, from files": lambda: _pass(by_torch, scorer, records, arguments.batch, Path(folder)),
        }
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(arguments.turns + 1):
            for name, work in contestants.items():
                rate = len(records) / _cpu_seconds(work)
                if turn:  # the first warms up
                    rates[name].append(rate)
    bare = rates[next(iter(rates))]
    print(
        f"{arguments.detector} at {by_torch.input.imgsz} px, {len(records)} images, batch {arguments.batch}, {forward.provider}, one thread"
    )
    for name, each in rates.items():
        ratio = statistics.median(mine / base for mine, base in zip(each, bare, strict=True))
        print(f"{name:<44} {statistics.median(each):7.1f} images per CPU-second  {ratio:5.2f} x bare")


def _bare(forward: OnnxForward, batches: list[ImageBatch]) -> None:
    for batch in batches:
        given = {"pixels": batch.pixels.numpy(), "valid": batch.valid.numpy()}
        forward._session.run(None, {name: values for name, values in given.items() if name in forward._inputs})


def _decoded(detector: TorchDetector, scorer: Dual, batches: list[ImageBatch]) -> None:
    for batch in batches:
        list(inspections(detector, scorer, detector.view(batch)))


def _pass(detector: TorchDetector, scorer: Dual, records: list[ImageRecord], batch: int, folder: Path) -> None:
    inspect_pool(detector, scorer, records, batch=batch, detections_path=folder / "detections.parquet")


def _cpu_seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _detector(arguments: argparse.Namespace) -> TorchDetector:
    config = DetectorConfig(imgsz=arguments.imgsz, weights=arguments.weights, pretrained="auto" if arguments.weights else "none")
    return build_detector(arguments.detector, CLASSES, config, seed=0, device=torch.device("cpu"))


def _records(folder: Path, count: int) -> list[ImageRecord]:
    paths = find_images(folder)
    return [ImageRecord(f"{i:06}", str(paths[i % len(paths)]), *image_size(paths[i % len(paths)])) for i in range(count)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="yolox_nano")
    parser.add_argument("--imgsz", type=int, default=416)
    parser.add_argument("--weights", type=Path, help="the detector's COCO release; default: random weights")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--device", default="onnx:cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
