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
from torchvision.ops import box_area, box_iou

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
    counts: int64 [B], matched cells an image, whatever their weights. background: bool [B, A], unmatched cells that may be taught as
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


@torch.no_grad()
def match(predictions: Predictions, targets: Sequence[Target]) -> Matches:
    """Match the cells of B images to their targets by SimOTA, under the network's present predictions."""
    each = [_match(predictions, image, target) for image, target in enumerate(targets)]
    counts = torch.tensor([len(rows) for rows, _, _ in each], device=predictions.objectness.device)
    cells, objects, overlaps = (torch.cat(parts) for parts in zip(*each, strict=True))
    images = torch.arange(len(targets), device=counts.device).repeat_interleave(counts)
    first = torch.tensor([0, *(len(target.classes) for target in targets)], device=counts.device).cumsum(0)
    objects = objects + first[images]
    xyxy, classes, weights = (torch.cat(parts)[objects] for parts in zip(*((t.xyxy, t.classes, t.weights) for t in targets), strict=True))
    background = _background(predictions, targets)
    background[images, cells] = False
    return Matches(images, cells, xyxy, classes - 1, overlaps, weights, counts, background)


def _match(predictions: Predictions, image: int, target: Target) -> tuple[Tensor, Tensor, Tensor]:
    """(matched cells, the object of each, the IoU of each with it) of one image."""
    cells, near = candidates(predictions.cells, target.xyxy)
    overlaps = box_iou(target.xyxy, predictions.cells[cells].decode(predictions.boxes[image, cells].float()))
    costs = class_costs(predictions.objectness[image, cells], predictions.classes[image, cells], target.classes - 1)
    costs = costs - OVERLAP_COST * (overlaps + _TINY).log() + FAR_COST * ~near
    matched, objects = simota(costs, overlaps)
    return cells[matched], objects, overlaps[objects, matched]


def candidates(cells: Cells, xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Which cells may stand for any of the objects [N, 4]: those whose centres lie in one or within RADIUS of its centre; int64 [F].

    And whether both holds for each object; bool [N, F].
    """
    centers, reach = cells.centers, RADIUS * cells.strides
    inside = torch.minimum(centers - xyxy[:, None, :2], xyxy[:, None, 2:] - centers).amin(2) > 0
    close = (centers - (xyxy[:, None, :2] + xyxy[:, None, 2:]) / 2).abs().amax(2) < reach
    chosen = torch.where((inside | close).any(0))[0]
    return chosen, (inside & close)[:, chosen]


def class_costs(objectness: Tensor, classes: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of √(objectness × class), summed over classes, if each cell stood for each object; [N, F].

    From logits [F] and [F, C] and labels int64 [N].
    """
    log_p = (F.logsigmoid(objectness.float())[:, None] + F.logsigmoid(classes.float())) / 2
    log_not_p = torch.log1p(-log_p.exp()).clamp(min=-100)
    return (log_not_p - log_p.clamp(min=-100))[:, labels].T - log_not_p.sum(1)


def simota(costs: Tensor, overlaps: Tensor) -> tuple[Tensor, Tensor]:
    """Every object's cheapest cells, as many as its ten largest overlaps add up to; a cell that several want goes to the cheapest for it.

    From costs and overlaps [N, F]; returns (cells, the object of each), int64 [P] both.
    """
    most = min(MOST_CELLS, costs.shape[1])
    wanted = overlaps.topk(most, dim=1).values.sum(1).int().clamp(min=1)
    cheapest = costs.topk(most, dim=1, largest=False).indices
    taken = torch.arange(most, device=costs.device) < wanted[:, None]
    claims = torch.zeros_like(costs, dtype=torch.bool).scatter(1, cheapest, taken)
    claimants = claims.sum(0)
    cells = torch.where(claimants > 0)[0]
    if not len(cells):
        return cells, cells
    objects = torch.where(claimants > 1, costs.argmin(0), claims.int().argmax(0))
    return cells, objects[cells]


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
    overlaps = _aligned_iou(cells.decode(_matched(predictions.boxes, matches)), matches.xyxy)
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


def _aligned_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU of each box with the other in its place; [P] from [P, 4] twice."""
    sides = (torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])).clamp(min=0)
    shared = sides[:, 0] * sides[:, 1]
    return shared / (box_area(boxes) + box_area(others) - shared + _TINY)


TERMS = {"box": box_losses, "offset": offset_losses, "objectness": objectness_losses, "class": class_losses}


def training_losses(predictions: Predictions, targets: Sequence[Target]) -> dict[str, Tensor]:
    """Each term, [B]; their means are the sums over the batch per matched cell of the batch, as in the paper."""
    matches = match(predictions, targets)
    share = len(targets) / matches.counts.sum().clamp(min=1)
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
