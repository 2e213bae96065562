"""A training as a process of its own, for the tests that kill it, or as one of several: fit_dots.py IMAGES RESULT [--slow]."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from dot_network import DotNetwork, LossHead, dot_samples

from boxwise.config import TrainConfig
from boxwise.detectors.training import fit_network


def fit(images: Path, checkpoint: Path, *, norm: bool, rank: int, progress: Callable[..., None] | None = None) -> dict[str, torch.Tensor]:
    """The weights after a short training whose start depends on `rank`."""
    torch.manual_seed(rank)
    network, head = DotNetwork(norm=norm, dropout=0.2 if norm else 0, seed=rank), LossHead(8 * 49, 1)
    config = TrainConfig(max_steps=40, min_steps=40, batch=4, checkpoint_every=5, ema=0.9)
    samples = dot_samples(images, count=6, write=False)
    fit_network(network, head, samples, [], config, seed=0, device=torch.device("cpu"), checkpoint=checkpoint, progress=progress)
    return network.state_dict() | {f"head.{name}": value for name, value in head.state_dict().items()}


def main() -> None:
    images, result, rank = Path(sys.argv[1]), Path(sys.argv[2]), os.environ.get("RANK")
    torch.set_num_threads(1)
    if rank is None:
        fit(images, result.with_suffix(".pt"), norm=True, rank=0, progress=lambda *_: time.sleep(0.5) if "--slow" in sys.argv else None)
        return
    trainings = {
        name: fit(images, result.with_suffix(f".{norm}.pt"), norm=norm, rank=int(rank))
        for name, norm in (("norm", True), ("resumed", True), ("plain", False))
    }
    torch.save(trainings, f"{result}{rank}")


if __name__ == "__main__":
    main()
