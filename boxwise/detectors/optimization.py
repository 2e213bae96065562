"""Optimisers, learning rates by step, averaged weights, and the ranking loss of the loss-prediction head.

Returns torch objects and plain functions of the step; nothing here keeps a schedule's state. Knows nothing of data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import margin_ranking_loss

from boxwise.config import TrainConfig

HEAD_SCALE = 0.1  # of the learning rate, for the loss-prediction head


def training_steps(images: int, config: TrainConfig) -> int:
    """Steps that make `config.epochs` passes over `images`, held within [min_steps, max_steps]."""
    return min(max(math.ceil(config.epochs * images / config.batch), config.min_steps), config.max_steps)


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """The learning rate of `step` in [0, steps): a function of nothing else, so that a resumed training follows it too.

    Warm-up rises linearly over `warmup_steps`, at most a quarter of the training. "onecycle" (Smith 2018) has a rise of its own:
    from lr/25 over the first 30%, then a cosine down to lr/250000.
    """
    if config.schedule == "onecycle":
        return config.lr * _one_cycle(step / max(1, steps - 1))
    warmup = min(config.warmup_steps, steps // 4)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    if config.schedule == "cosine":
        return config.lr * _between(1, 0, (step - warmup) / (steps - warmup))
    if config.schedule == "multistep":
        return config.lr * 0.1 ** sum(step >= share * steps for share in config.milestones)
    return config.lr


def _one_cycle(done: float, *, rise: float = 0.3, start: float = 1 / 25, end: float = 4e-6) -> float:
    return _between(start, 1, done / rise) if done < rise else _between(1, end, (done - rise) / (1 - rise))


def _between(start: float, end: float, done: float) -> float:
    """Half a cosine wave from `start` at 0 to `end` at 1."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def make_optimizer(network: nn.Module, loss_head: nn.Module | None, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW without decay on biases and norms; the head's parameters are a group of their own.

    Every update is element by element, so the head's presence changes no weight of the network. A group's learning rate is the
    schedule's times its "scale": the head's is a tenth, since at a detector's 0.05 its predictions collapsed to a constant.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    head = [] if loss_head is None else list(loss_head.parameters())
    groups: list[dict[str, Any]]
    if config.optimizer == "sgd":
        groups = [{"params": trained, "scale": 1.0}, {"params": head, "scale": HEAD_SCALE}]
    else:
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "scale": 1.0},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0, "scale": 1.0},
            {"params": head, "scale": HEAD_SCALE},
        ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") for p in trained)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=fused)
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def ranking_loss(predicted: Tensor, losses: Tensor, *, margin: float = 1.0) -> Tensor:
    """How wrongly predicted losses [B] order the images (Yoo & Kweon, CVPR 2019): hinge over the pairs (i, i + B // 2).

    Scalar; 0 for a single image. `losses` [B] are taken as they are, without gradient.
    """
    half = len(losses) // 2
    if half == 0:
        return predicted.sum() * 0
    order = torch.sign(losses[:half] - losses[half : 2 * half]).detach()
    return margin_ranking_loss(predicted[:half], predicted[half : 2 * half], order, margin=margin)


class AveragedWeights:
    """Exponential moving average of a network's parameters; buffers (BatchNorm statistics) are the network's own.

    The decay starts low, min(decay, (1 + n) / (10 + n)) at the n-th update, so that the first weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self._live = list(network.parameters())
        self.average = [p.detach().clone() for p in self._live]

    @torch.no_grad()
    def update(self) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self.average, [p.detach() for p in self._live], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the network's parameters with the averaged ones; a second call undoes the first."""
        for live, average in zip(self._live, self.average, strict=True):
            kept = live.detach().clone()
            live.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        for mine, saved in zip(self.average, state["average"], strict=True):
            mine.copy_(saved)


def gradients(module: nn.Module) -> Iterator[Tensor]:
    """The gradients that the backward pass left behind."""
    return (p.grad for p in module.parameters() if p.grad is not None)


def clip(grads: list[Tensor], limit: float) -> float:
    """Scale the gradients to a total norm of at most `limit` (0: leave them); returns the norm before."""
    norm = torch.nn.utils.get_total_norm(grads, foreach=True)
    total = float(norm)
    if limit > 0 and total > limit:
        torch._foreach_mul_(grads, limit / (total + 1e-6))
    return total
