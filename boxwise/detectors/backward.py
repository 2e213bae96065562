"""The gradients of a training batch, at once or piece by piece, so that pieces and processes make the gradient that the whole batch has.

Leaves them in the parameters and returns the loss terms. Knows nothing of optimisers, schedules or how processes talk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from boxwise.detectors.network import Network
from boxwise.detectors.optimization import ranking_loss
from boxwise.detectors.training_data import TrainingBatch

Terms = dict[str, Tensor]


def backward(
    network: Network, loss_head: nn.Module | None, batch: TrainingBatch, *, device: torch.device, amp: bool, pieces: int, whole: bool
) -> tuple[Terms, Tensor | None]:
    """The loss terms, detached, and what they and the gradients are sums over; None where they are the batch's means already.

    A family's loss is divided by the objects that it finds in what it sees, so each piece is multiplied by its own again: the sums of
    all pieces, and of all processes' shares, over the sum of their objects are what the batch gives at once. pieces: done one after
    another, so that only one's activations are in memory. whole: the batch is no share of a larger one.
    """

    def losses(piece: TrainingBatch) -> tuple[Terms, Tensor, Tensor]:
        return _losses(network, loss_head, piece, device=device, amp=amp)

    if whole and pieces == 1:
        terms, total, _ = losses(batch)
        total.backward()
        return terms, None
    return _sums(losses, batch.pieces(pieces), device)


def _sums(
    losses: Callable[[TrainingBatch], tuple[Terms, Tensor, Tensor]], pieces: list[TrainingBatch], device: torch.device
) -> tuple[Terms, Tensor]:
    sums: Terms = defaultdict(lambda: torch.zeros((), device=device))
    objects = torch.zeros((), device=device)
    for piece in pieces:
        terms, total, per = losses(piece)
        divided_by = per.clamp(min=1)
        (total * divided_by).backward()
        for name, value in terms.items():
            sums[name] += value * divided_by
        objects += per
    return dict(sums), objects


def _losses(
    network: Network, loss_head: nn.Module | None, batch: TrainingBatch, *, device: torch.device, amp: bool
) -> tuple[Terms, Tensor, Tensor]:
    """Each term's mean over images, detached; what to differentiate, their sum and the head's own loss; and what they are per, a scalar."""
    pixels = batch.pixels.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
    targets = [target.to(device) for target in batch.targets]
    with torch.autocast(device.type, torch.bfloat16, enabled=amp and device.type == "cuda"):
        losses = network.training_step(pixels, batch.valid.to(device, non_blocking=True), targets)
        terms = {name: values.mean() for name, values in losses.terms.items()}
        total = torch.stack(list(terms.values())).sum()
        terms["loss"] = total
        if loss_head is not None:
            judged = [row for row, target in enumerate(batch.targets) if target.complete]  # a loss that ignores a lot is low for it
            terms["ranking"] = ranking_loss(loss_head(losses.features[judged]), losses.per_image()[judged])
            total = total + terms["ranking"]
    per = torch.tensor(len(targets), device=device) if losses.per is None else losses.per
    return {name: value.detach().float() for name, value in terms.items()}, total, per
