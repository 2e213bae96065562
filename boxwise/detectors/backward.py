"""The gradients of a training batch, at once or piece by piece, so that pieces and processes make the gradient that the whole batch has.

Leaves them in the parameters and returns the loss terms. Knows nothing of optimisers or schedules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from boxwise.detectors.distributed import Ranks
from boxwise.detectors.network import Network
from boxwise.detectors.optimization import ranking_loss
from boxwise.detectors.training_data import TrainingBatch

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class _Losses:
    """Of one piece of B images. terms: their means over them, and "loss", their sum. per: what they are per, a scalar.

    seen: [B, F + 2], without gradient, what the head sees of each image, its loss by the same measure in every piece, and whether it is
    complete.
    """

    terms: Terms
    per: Tensor
    seen: Tensor


def backward(
    network: Network, loss_head: nn.Module | None, batch: TrainingBatch, *, device: torch.device, amp: bool, pieces: int, ranks: Ranks
) -> tuple[Terms, Tensor | None]:
    """The loss terms, detached, and what they and the gradients are sums over; None where they are the batch's means already.

    A family's loss is divided by the objects that it finds in what it sees, so each piece is multiplied by its own again: the sums of
    all pieces, and of all processes' shares, over the sum of their objects are what the batch gives at once. The head ranks the images of
    them all. pieces: done one after another, so that only one's activations are in memory. batch: this process's share, of equal ones.
    """

    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=amp and device.type == "cuda")

    def losses(piece: TrainingBatch) -> _Losses:
        with autocast():
            return _losses(network, piece, device)

    def ranking(seen: Sequence[_Losses]) -> Terms:
        with autocast():
            return {} if loss_head is None else {"ranking": _ranking(loss_head, ranks.gathered(torch.cat([found.seen for found in seen])))}

    if ranks.world == 1 and pieces == 1:
        found = losses(batch)
        own = ranking([found])
        torch.stack([found.terms["loss"], *own.values()]).sum().backward()
        return _detached(found.terms | own), None
    return _sums(losses, ranking, batch.pieces(pieces), ranks=ranks, device=device)


def _sums(
    losses: Callable[[TrainingBatch], _Losses],
    ranking: Callable[[Sequence[_Losses]], Terms],
    pieces: list[TrainingBatch],
    *,
    ranks: Ranks,
    device: torch.device,
) -> tuple[Terms, Tensor]:
    sums: Terms = defaultdict(lambda: torch.zeros((), device=device))
    objects = torch.zeros((), device=device)
    seen: list[_Losses] = []
    for piece in pieces:
        found = losses(piece)
        divided_by = found.per.clamp(min=1)
        (found.terms["loss"] * divided_by).backward()
        for name, value in _detached(found.terms).items():
            sums[name] += value * divided_by
        objects += found.per
        seen.append(replace(found, terms={}))  # without what its activations are kept for
    of_all = ranks.gathered(objects.reshape(1)).sum().clamp(min=1) / ranks.world  # the ranking is the same on every process
    for name, value in ranking(seen).items():
        (value * of_all).backward()
        sums[name] = value.detach().float() * of_all
    return dict(sums), objects


def _detached(terms: Terms) -> Terms:
    return {name: value.detach().float() for name, value in terms.items()}


def _losses(network: Network, batch: TrainingBatch, device: torch.device) -> _Losses:
    pixels = batch.pixels.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
    targets = [target.to(device) for target in batch.targets]
    losses = network.training_step(pixels, batch.valid.to(device, non_blocking=True), targets)
    terms = {name: values.mean() for name, values in losses.terms.items()}
    terms["loss"] = torch.stack(list(terms.values())).sum()
    per = torch.tensor(len(targets), device=device) if losses.per is None else losses.per
    complete = torch.tensor([target.complete for target in targets], device=device)  # a loss that ignores a lot is low for it
    columns = (losses.features, (losses.per_image() * per.clamp(min=1))[:, None], complete[:, None])
    return _Losses(terms, per, torch.cat([column.float() for column in columns], dim=1))


def _ranking(loss_head: nn.Module, seen: Tensor) -> Tensor:
    """Of the images of the whole batch, so that pieces and shares of one image have pairs as well. seen: see `_Losses`."""
    judged = seen[seen[:, -1] > 0]
    return ranking_loss(loss_head(judged[:, :-2]), judged[:, -2])
