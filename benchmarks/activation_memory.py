"""What a training step keeps of an image for its backward pass: bytes counted as autograd saves them, not estimated.

    python benchmarks/activation_memory.py [--detectors NAME ...] [--imgsz N] [--batch 2]

Each storage is counted once, weights not at all. A batch of N images keeps N times as much, of which one piece of `train.accumulate` is in
memory at a time.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig
from boxwise.detectors.network import Network
from boxwise.detectors.targets import target_of
from boxwise.records import ImageRecord, Sample
from boxwise.registry import build_detector

CLASSES = tuple(f"class {number}" for number in range(20))


def main() -> None:
    arguments = _arguments()
    for name in arguments.detectors:
        size = {"imgsz": arguments.imgsz} if arguments.imgsz else {}
        config = DetectorConfig(name=name, pretrained="none", **size)
        network = build_detector(CLASSES, config, seed=0, device=torch.device("cpu")).network
        kept = saved_bytes(network, arguments.batch) / arguments.batch
        weights = sum(p.numel() * p.element_size() for p in network.parameters())
        print(f"{name:<16} {network.input.imgsz:4} px  {kept / 1e6:7.1f} MB an image, weights {weights / 1e6:6.1f} MB", flush=True)


def saved_bytes(network: Network, batch: int) -> int:
    """Bytes of all storages that the backward pass of one step over `batch` images of five boxes would read, but for the weights."""
    network.to(memory_format=torch.channels_last)
    nn.Module.train(network)
    side, rng, seen = network.input.imgsz, np.random.default_rng(0), {p.untyped_storage().data_ptr() for p in network.parameters()}
    total = 0

    def keep(tensor: Tensor) -> Tensor:
        nonlocal total
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total += storage.nbytes()
        return tensor

    pixels = torch.from_numpy(rng.integers(0, 256, (batch, 3, side, side), dtype=np.uint8)).contiguous(memory_format=torch.channels_last)
    targets = [target_of(_sample(side, rng), side, side) for _ in range(batch)]
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = network.training_step(pixels, torch.full((batch, 2), side), targets)
        total_loss = torch.stack([values.mean() for values in losses.terms.values()]).sum()
    assert total_loss.requires_grad  # the graph, and so what it keeps, is alive until here
    return total


def _sample(side: int, rng: np.random.Generator) -> Sample:
    corners = rng.integers(0, side // 2, (5, 2))
    boxes = np.concatenate([corners, corners + side // 4], axis=1).astype(np.float32)
    return Sample(ImageRecord("image.jpg", "image.jpg", side, side), Boxes(boxes, np.arange(5)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--detectors",
        nargs="+",
        default=["tiny_ssd", "yolox_nano", "yolox_s", "ssdlite320_mobilenet_v2", "ssd300_vgg16", "fasterrcnn_mobilenet_v3_large_fpn"],
    )
    parser.add_argument("--imgsz", type=int, default=0, help="instead of each detector's own")
    parser.add_argument("--batch", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
