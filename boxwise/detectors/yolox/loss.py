"""YOLOX's loss as plain functions: SimOTA gives every object its cells, then one value an image and term.

Returns sums per image, and these per matched cell of the batch (for a training) or of the image (to compare images).
Knows nothing of pixels, networks, modes or optimisers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import box_iou

from boxwise.detectors.targets import LEAST_OVERLAP, Target
from boxwise.detectors.yolox.cells import Cells
from boxwise.detectors.yolox.model import Predictions

RADIUS = 2.5  # in strides: how far from an object's centre a cell may stand for it
MOST_CELLS = 10  # of an object; fewer where the predicted boxes overlap it little
BOX_WEIGHT = 5.0
OVERLAP_COST = 3.0
FAR_COST = 1e5  # of a cell that is not both inside the object and near its centre
_TINY = 1e-8


@dataclass(frozen=True)
class Matches:
    """Which cells of a batch stand for an object, and which for background.

    images, cells: int64 [P], place of each of the P matched cells. xyxy: float32 [P, 4], the objects there. classes: int64 [P], from 0.
    overlaps: float32 [P], IoU of the predicted box with the object. weights: float32 [P], how much each counts.
    counts: int64 [B], matched cells an image, of any weight. background: bool [B, A], unmatched cells that may be taught as
    background.
    """

    images: Tensor
    cells: Tensor
    xyxy: Tensor
    classes: Tensor
    overlaps: Tensor
    weights: Tensor
    counts: Tensor
    background: Tensor


@dataclass(frozen=True)
class Objects:
    """All G objects of a batch: xyxy float32 [G, 4], classes int64 [G] from 0, weights float32 [G], and the image of each, int64 [G]."""

    xyxy: Tensor
    classes: Tensor
    weights: Tensor
    images: Tensor


@torch.no_grad()
def match(predictions: Predictions, targets: Sequence[Target]) -> Matches:
    """Match the cells of B images to their targets by SimOTA, under the network's present predictions."""
    objects = _objects(targets)
    candidates, near = candidate_cells(predictions.cells, objects, len(targets))
    costs, overlaps = _costs(predictions, objects, candidates, near)
    owners = simota(costs, overlaps, objects.images, len(targets))
    images, columns = torch.where(owners >= 0)
    cells, own = candidates[images, columns], owners[images, columns]
    background = _background(predictions, targets)
    background[images, cells] = False
    return Matches(
        images,
        cells,
        objects.xyxy[own],
        objects.classes[own],
        overlaps[own, columns],
        objects.weights[own],
        counts=(owners >= 0).sum(1),
        background=background,
    )


def _objects(targets: Sequence[Target]) -> Objects:
    xyxy, classes, weights = (torch.cat(parts) for parts in zip(*((t.xyxy, t.classes, t.weights) for t in targets), strict=True))
    images = [index for index, target in enumerate(targets) for _ in range(len(target.classes))]
    return Objects(xyxy, classes - 1, weights, torch.tensor(images, dtype=torch.int64, device=xyxy.device))


def candidate_cells(cells: Cells, objects: Objects, images: int) -> tuple[Tensor, Tensor]:
    """Which cells of each image may stand for any of its objects: those whose centres lie in one or within RADIUS of its centre.

    int64 [B, F], rows filled up with -1; and for which objects both holds, bool [G, F].
    """
    (across, near_across), (down, near_down) = (_beside(cells, objects, axis) for axis in (0, 1))
    inside, close = across & down, near_across & near_down
    counts = cells.strides.new_zeros(images, len(cells.strides)).index_add(0, objects.images, (inside | close).float())
    chosen = counts > 0
    each = torch.where(chosen)[1].split(chosen.sum(1).tolist())
    candidates = pad_sequence(list(each), batch_first=True, padding_value=-1)
    return candidates, (inside & close).gather(1, candidates[objects.images].clamp(min=0))


def _beside(cells: Cells, objects: Objects, axis: int) -> tuple[Tensor, Tensor]:
    """Of each object and cell, bool [G, A] both: whether the cell's centre lies within the object along an axis, and within RADIUS of its
    centre. One axis at a time, since torch is slow over a last dimension of two."""
    centers, starts, ends = cells.centers[:, axis], objects.xyxy[:, axis, None], objects.xyxy[:, axis + 2, None]
    return (starts < centers) & (centers < ends), (centers - (starts + ends) / 2).abs() < RADIUS * cells.strides


def _costs(predictions: Predictions, objects: Objects, candidates: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
    """(costs, overlaps) of every object with every candidate of its image; [G, F] both, infinite and 0 where there is none."""
    rows = torch.arange(len(candidates), device=candidates.device)[:, None], candidates
    boxes = predictions.cells[candidates].decode(predictions.boxes[rows].float())
    absent = (candidates < 0)[objects.images]
    overlaps = iou(objects.xyxy[:, None], boxes[objects.images]).masked_fill(absent, 0)
    costs = class_costs(predictions.objectness[rows], predictions.classes[rows], objects)
    costs = costs - OVERLAP_COST * (overlaps + _TINY).log() + FAR_COST * ~near
    return costs.masked_fill(absent, torch.inf), overlaps


def class_costs(objectness: Tensor, classes: Tensor, objects: Objects) -> Tensor:
    """Binary cross-entropy of √(objectness × class), summed over classes, if each candidate stood for each object of its image; [G, F].

    From logits [B, F] and [B, F, C].
    """
    log_p = (F.logsigmoid(objectness.float())[..., None] + F.logsigmoid(classes.float())) / 2
    log_not_p = torch.log1p(-log_p.exp()).clamp(min=-100)
    turned = (log_not_p - log_p.clamp(min=-100)).transpose(1, 2)[objects.images, objects.classes]
    return turned - log_not_p.sum(2)[objects.images]


def simota(costs: Tensor, overlaps: Tensor, images: Tensor, count: int) -> Tensor:
    """The object of each candidate of `count` images; int64 [B, F], -1 for none.

    Every object takes its cheapest candidates, as many as its ten largest overlaps add up to; one that several want goes to the object
    that it is cheapest for. costs, overlaps: [G, F], infinite and 0 where an image has no such candidate. images: int64 [G].
    """
    most = min(MOST_CELLS, costs.shape[1])
    wanted = overlaps.topk(most, dim=1).values.sum(1).int().clamp(min=1)
    cheapest = costs.topk(most, dim=1, largest=False).indices
    taken = torch.arange(most, device=costs.device) < wanted[:, None]
    claims = torch.zeros_like(costs, dtype=torch.bool).scatter(1, cheapest, taken) & costs.isfinite()
    claimants = costs.new_zeros(count, costs.shape[1]).index_add(0, images, claims.float())
    rows = images[:, None].expand_as(costs)
    lowest = torch.full_like(claimants, torch.inf).scatter_reduce(0, rows, costs, "amin")
    holds = torch.where((claimants > 1)[images], costs == lowest[images], claims)
    numbers = torch.where(holds, torch.arange(len(costs), device=costs.device)[:, None], -1)
    return torch.full_like(claimants, -1, dtype=torch.int64).scatter_reduce(0, rows, numbers, "amax")


def _background(predictions: Predictions, targets: Sequence[Target]) -> Tensor:
    """Cells that may be taught as background if they stand for no object; bool [B, A]."""
    background = torch.ones_like(predictions.objectness, dtype=torch.bool)
    for image, target in enumerate(targets):
        if len(target.ignore):
            background[image] = _allowed(predictions.cells, predictions.cells.decode(predictions.boxes[image].float()), target)
    return background


def _allowed(cells: Cells, boxes: Tensor, target: Target) -> Tensor:
    """Neither a cell in an ignored region nor one whose predicted box is in it, unless that box was verified as background; bool [A]."""
    allowed = target.allows_background(cells.xyxy) & target.allows_background(boxes)
    if len(target.background):
        allowed |= (box_iou(target.background, boxes) >= LEAST_OVERLAP).any(0)
    return allowed


def box_losses(predictions: Predictions, matches: Matches) -> Tensor:
    """5 (1 - IoU²) of the matched cells' boxes, weighted, summed over each image; [B]."""
    cells = predictions.cells[matches.cells]
    overlaps = iou(cells.decode(_matched(predictions.boxes, matches)), matches.xyxy)
    return matched_losses(BOX_WEIGHT * (1 - overlaps**2), matches)


def offset_losses(predictions: Predictions, matches: Matches) -> Tensor:
    """L1 distance of the matched cells' encoded boxes, weighted, summed over each image; [B]."""
    wanted = predictions.cells[matches.cells].encode(matches.xyxy)
    return matched_losses((_matched(predictions.boxes, matches) - wanted).abs().sum(1), matches)


def class_losses(predictions: Predictions, matches: Matches) -> Tensor:
    """Binary cross-entropy of the matched cells' classes against the IoU at the object's class and 0 elsewhere; weighted, [B]."""
    logits = _matched(predictions.classes, matches)
    own = logits.gather(1, matches.classes[:, None])[:, 0]
    return matched_losses(F.softplus(logits).sum(1) - own * matches.overlaps, matches)


def objectness_losses(predictions: Predictions, matches: Matches) -> Tensor:
    """Binary cross-entropy of the objectness of matched (weighted) and background cells, summed over each image; [B]."""
    logits = predictions.objectness.float()
    missed = F.softplus(-logits[matches.images, matches.cells])
    return (F.softplus(logits) * matches.background).sum(1) + matched_losses(missed, matches)


def matched_losses(loss: Tensor, matches: Matches) -> Tensor:
    """Weighted losses of the matched cells, summed over each image; [B] from [P]."""
    return loss.new_zeros(len(matches.counts)).index_add(0, matches.images, loss * matches.weights)


def _matched(values: Tensor, matches: Matches) -> Tensor:
    return values[matches.images, matches.cells].float()


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of boxes [..., 4] with others that stand in the same places; [...], with a gradient."""
    (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) = boxes.unbind(-1), others.unbind(-1)
    width = (torch.minimum(right, other_right) - torch.maximum(left, other_left)).clamp(min=0)
    height = (torch.minimum(bottom, other_bottom) - torch.maximum(top, other_top)).clamp(min=0)
    shared = width * height
    return shared / ((right - left) * (bottom - top) + (other_right - other_left) * (other_bottom - other_top) - shared + _TINY)


TERMS = {"box": box_losses, "offset": offset_losses, "objectness": objectness_losses, "class": class_losses}


def training_losses(predictions: Predictions, targets: Sequence[Target]) -> dict[str, Tensor]:
    """Each term, [B]; their means are the sums over the batch per matched cell of the batch, as in the paper."""
    return batch_losses(predictions, match(predictions, targets))


def batch_losses(predictions: Predictions, matches: Matches) -> dict[str, Tensor]:
    """`training_losses` of predictions that are matched already."""
    share = len(matches.counts) / matches.counts.sum().clamp(min=1)
    return {name: losses(predictions, matches) * share for name, losses in TERMS.items()}


def image_losses(predictions: Predictions, targets: Sequence[Target]) -> Tensor:
    """The sum of all terms per matched cell of the image itself, [B]; of an image without objects, its whole objectness loss."""
    matches = match(predictions, targets)
    total = torch.stack([losses(predictions, matches) for losses in TERMS.values()]).sum(0)
    return total / matches.counts.clamp(min=1)


def expected_losses(predictions: Predictions, *, cells: int = 100) -> Tensor:
    """Objectness and class loss expected under the network's own belief, summed over the `cells` most foreground cells of each image; [B].

    Of one cell with objectness o and classes p: H(o) + o · Σ H(p), binary entropies in nats, since classes are learned where there is an
    object. Reads cells below every detection threshold, and so ranks images in which nothing is detected.
    """
    logits, index = predictions.objectness.float().topk(min(cells, predictions.objectness.shape[1]), dim=1)
    classes = predictions.classes.gather(1, index[..., None].expand(-1, -1, predictions.classes.shape[-1])).float()
    return (_entropy(logits) + logits.sigmoid() * _entropy(classes).sum(2)).sum(1)


def _entropy(logits: Tensor) -> Tensor:
    """Binary entropy of sigmoid(logits), in nats."""
    return F.softplus(logits) - logits * logits.sigmoid()
