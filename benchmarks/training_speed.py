"""Training images a second: boxwise's loop against the plain loop of torchvision's reference scripts, on the same SSDlite.

Prints both and their ratio within one run: the contestants take turns, each in a process of its own, so that the product's allocator
and OpenMP settings affect the product alone. Plain is PIL decoding and the v2 SSD recipe in DataLoader workers, torchvision's own
ssdlite320_mobilenet_v3_large with its resize and loss, default memory format.

    python benchmarks/training_speed.py [--data DIR --format voc] [--imgsz 320 160] [--batch 16] [--rounds 3]
    python benchmarks/training_speed.py --device cuda --workers 12     # also SSD300-VGG16 and Faster R-CNN with bf16
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxwise import runtime

if TYPE_CHECKING:
    import torch

    from boxwise.records import Sample

WARM_UP = 10  # steps before the clock starts; a multiple of the product's ten steps between two reports
MEAN = (123.0, 117.0, 104.0)
GPU_NETWORKS = (("ssd300_vgg16", 300, 32), ("fasterrcnn_resnet50_fpn", 800, 8))


def ours(options: argparse.Namespace, samples: list[Sample], classes: int) -> float:
    runtime.prepare(options.threads)
    from boxwise.config import DetectorConfig, TrainConfig
    from boxwise.detectors.detector import build_detector
    from boxwise.detectors.training import fit_network

    device = runtime.choose_device(options.device)
    names = [str(number) for number in range(classes)]
    config = DetectorConfig(name=options.network, imgsz=options.imgsz, pretrained=False)
    network = build_detector(options.network, names, config, seed=0, device=device).network
    steps = WARM_UP + options.steps
    train = TrainConfig(max_steps=steps, min_steps=steps, batch=options.batch, augment="ssd", lr=0.002)
    times: dict[int, float] = {}

    def note(step: int, *_: Any) -> None:
        finish(device)
        times[step] = time.perf_counter()

    fit_network(network, None, samples, [], train, seed=0, device=device, workers=options.workers, progress=note)
    return options.steps * options.batch / (times[steps] - times[WARM_UP])


def plain(options: argparse.Namespace, samples: list[Sample], classes: int) -> float:
    """torchvision's references/detection/engine.py, less its logging."""
    import torch
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    device = runtime.choose_device(options.device)
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes + 1)
    size, scaling = options.imgsz, model.transform
    model.transform = GeneralizedRCNNTransform(size, size, scaling.image_mean, scaling.image_std, size_divisible=1, fixed_size=(size, size))
    model.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.9, weight_decay=5e-4)
    batches, started = plain_batches(options, samples), 0.0
    for step in range(WARM_UP + options.steps):
        if step == WARM_UP:
            finish(device)
            started = time.perf_counter()
        images, targets = next(batches)
        losses = model([i.to(device) for i in images], [{k: v.to(device) for k, v in t.items()} for t in targets])
        loss = sum(losses.values())
        if not torch.isfinite(loss):
            raise SystemExit("the plain loop diverged")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    finish(device)
    return float(options.steps * options.batch / (time.perf_counter() - started))


def plain_batches(options: argparse.Namespace, samples: list[Sample]) -> Iterator[tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]]:
    """Endless epochs of a shuffling DataLoader with two workers."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    recipe = v2.Compose(
        [
            v2.RandomPhotometricDistort(),
            v2.RandomZoomOut(fill=list(MEAN)),
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.SanitizeBoundingBoxes(),
            v2.ToPureTensor(),
        ]
    )

    class Photos(Dataset[Any]):
        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            sample = samples[index]
            image = Image.open(sample.image.uri).convert("RGB")
            boxes = tv_tensors.BoundingBoxes(torch.from_numpy(sample.boxes.xyxy), format="XYXY", canvas_size=image.size[::-1])
            pixels, target = recipe(image, {"boxes": boxes, "labels": torch.from_numpy(sample.boxes.labels) + 1})
            return pixels, target

    workers = max(2, options.workers)
    loader = DataLoader(
        Photos(),
        batch_size=options.batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
        persistent_workers=True,
    )
    while True:
        yield from loader


def finish(device: torch.device) -> None:
    """Wait until the GPU has done what it was given."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def read_samples(options: argparse.Namespace) -> tuple[list[Sample], int]:
    """Labelled images with at least one box, and the number of classes."""
    from boxwise.data.datasets import read_dataset
    from boxwise.records import Sample

    dataset = read_dataset(options.data, format_name=options.format)
    labelled = [Sample(image, dataset.labels[image.image_id]) for image in dataset.images if image.image_id in dataset.labels]
    return [sample for sample in labelled if len(sample.boxes)][: options.images], len(dataset.classes)


def compete(options: argparse.Namespace, imgsz: int) -> None:
    pairs = []
    for number in range(options.rounds):
        pair = {who: contestant(options, who, imgsz=imgsz) for who in (("plain", "ours"), ("ours", "plain"))[number % 2]}
        pairs.append(pair)
        print(f"  round {number + 1}: plain {pair['plain']:.1f}, ours {pair['ours']:.1f} images/s", flush=True)
    ratio = statistics.median(pair["ours"] / pair["plain"] for pair in pairs)
    speeds = {who: statistics.median(pair[who] for pair in pairs) for who in ("plain", "ours")}
    print(
        f"{options.network} at {imgsz} px: plain {speeds['plain']:.1f}, ours {speeds['ours']:.1f} images/s, ratio {ratio:.2f}", flush=True
    )


def contestant(options: argparse.Namespace, who: str, **changes: Any) -> float:
    """Images a second of one contestant in a fresh process."""
    settings = vars(options) | changes
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    command = [sys.executable, "-W", "ignore", __file__, "--contestant", who, json.dumps(settings)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def run_contestant(who: str, settings: dict[str, Any]) -> None:
    options = argparse.Namespace(**settings | {"data": Path(settings["data"])})
    if who == "ours":
        runtime.prepare_environment()  # before torch is imported
    samples, classes = read_samples(options)
    print({"ours": ours, "plain": plain}[who](options, samples, classes))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="labelled images; default: generated scenes of digits")
    parser.add_argument("--format", choices=("voc", "coco", "yolo"), default="voc")
    parser.add_argument("--network", default="ssdlite320_mobilenet_v3", help=argparse.SUPPRESS)
    parser.add_argument("--imgsz", type=int, nargs="+", default=[320, 160])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20, help="timed steps; a multiple of 10")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--threads", type=int, default=0, help="torch threads of both; 0: torch's own choice")
    parser.add_argument("--workers", type=int, default=0, help="ours: loading processes; plain has at least two")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main() -> None:
    if sys.argv[1:2] == ["--contestant"]:
        return run_contestant(sys.argv[2], json.loads(sys.argv[3]))
    options = parse()
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        if options.data is None:
            from boxwise.data.digits import make_digits

            options.data = Path(folder)
            make_digits(options.data, seed=0, images=options.images, imgsz=320)
        for imgsz in options.imgsz:
            compete(options, imgsz)
        if options.device.startswith("cuda"):
            for network, imgsz, batch in GPU_NETWORKS:
                speed = contestant(options, "ours", network=network, imgsz=imgsz, batch=batch)
                print(f"{network} at {imgsz} px, batch {batch}, bf16: {speed:.1f} images/s", flush=True)
    return None


if __name__ == "__main__":
    main()
