"""Optimisers, learning rates by step, averaged weights, and the ranking loss of the loss-prediction head.

Returns torch objects and plain functions of the step; nothing here keeps a schedule's state. Knows nothing of data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import margin_ranking_loss

from boxwise.config import TrainConfig
from boxwise.detectors.network import Network, ParameterGroup
from boxwise.detectors.recipe import COOLDOWN

HEAD_SCALE = 0.1  # of the learning rate, for the loss-prediction head


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """The learning rate of `step` in [0, steps): a function of nothing else, so that a resumed training follows it too.

    config: without open choices, see recipe.settled. Warm-up rises linearly over `warmup_steps`, at most a quarter of the training.
    "plateau" stays at lr and falls to a twentieth of it over the last fifth (warm-up, stable, decay: Hägele et al., NeurIPS 2024);
    "onecycle" (Smith 2018) has a rise of its own: from lr/25 over the first 30%, then a cosine down to lr/250000.
    """
    assert config.lr is not None and config.warmup_steps is not None
    if config.schedule == "onecycle":
        return config.lr * _one_cycle(step / max(1, steps - 1))
    warmup = min(config.warmup_steps, steps // 4)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    return config.lr * _share(step, warmup, steps, config)


def _share(step: int, warmup: int, steps: int, config: TrainConfig) -> float:
    """What is left of the learning rate at a step after the warm-up."""
    if config.schedule == "cosine":
        return _between(1, 0, (step - warmup) / (steps - warmup))
    if config.schedule == "plateau":
        return _between(1, 0.05, max(0.0, (step / steps - (1 - COOLDOWN)) / COOLDOWN))
    if config.schedule == "multistep":
        return float(0.1 ** sum(step >= share * steps for share in config.milestones))
    return 1.0


def _one_cycle(done: float, *, rise: float = 0.3, start: float = 1 / 25, end: float = 4e-6) -> float:
    return _between(start, 1, done / rise) if done < rise else _between(1, end, (done - rise) / (1 - rise))


def _between(start: float, end: float, done: float) -> float:
    """Half a cosine wave from `start` at 0 to `end` at 1."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def make_optimizer(network: Network, loss_head: nn.Module | None, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, over the network's own groups; the head's parameters are a group apart.

    Every update is element by element, so the head's presence changes no weight of the network. A group's learning rate is the
    schedule's times its "scale": the head's is a tenth, since at a detector's 0.05 its predictions collapsed to a constant.
    """
    head = [] if loss_head is None else list(loss_head.parameters())
    own = [ParameterGroup(head, HEAD_SCALE)] if head else []
    groups: list[dict[str, Any]] = [
        {"params": group.parameters, "scale": group.scale} | ({} if group.decay else {"weight_decay": 0.0})
        for group in (*network.parameter_groups(), *own)
        if group.parameters
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in network.parameters())
    assert config.lr is not None and config.weight_decay is not None
    common: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused}
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, nesterov=config.momentum > 0, **common)
    return torch.optim.AdamW(groups, **common)


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
    """Exponential moving average of the parameters of modules; buffers (BatchNorm statistics) are the modules' own.

    The decay starts low, min(decay, (1 + n) / (10 + n)) at the n-th update, so that the first weights are soon forgotten.
    """

    def __init__(self, modules: Iterable[nn.Module], decay: float) -> None:
        self.decay, self.updates = decay, 0
        self._live = [p for module in modules for p in module.parameters()]
        self.average = [p.detach().clone() for p in self._live]

    @torch.no_grad()
    def update(self) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self.average, [p.detach() for p in self._live], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the modules' parameters with the averaged ones; a second call undoes the first."""
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
