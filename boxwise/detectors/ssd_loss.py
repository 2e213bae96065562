"""The multibox loss as plain functions: match default boxes to targets, then one value an image.

Returns sums per image; how they are normalised over a batch or an image is the caller's choice.
Knows nothing of pixels, networks, modes or optimisers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.ops import box_iou

from boxwise.detectors.targets import Target

NEGATIVES_PER_POSITIVE = 3
CODER = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
_MATCHER = SSDMatcher(0.5)


@dataclass(frozen=True)
class Matches:
    """Which default boxes of a batch stand for an object, and which for background.

    classes: int64 [B, A], 0 where no object is matched. background: bool [B, A], where that may be taught as background.
    images, anchors: int64 [P], place of each of the P matched default boxes. deltas: float32 [P, 4], the encoded boxes to regress there.
    weights: float32 [P], how much each counts. counts: int64 [B], matched default boxes an image, of any weight.
    """

    classes: Tensor
    background: Tensor
    images: Tensor
    anchors: Tensor
    deltas: Tensor
    weights: Tensor
    counts: Tensor


def match(anchors: Tensor, targets: Sequence[Target]) -> Matches:
    """Match `anchors` float32 [A, 4] to the targets of B images: IoU ≥ 0.5, and every object its best default box."""
    boxes, labels, weights = (torch.cat(parts) for parts in zip(*((t.xyxy, t.classes, t.weights) for t in targets), strict=True))
    rows = anchors.new_full((len(targets), len(anchors)), -1, dtype=torch.int64)
    first = 0
    for image, overlap in enumerate(box_iou(boxes, anchors).split([len(t.classes) for t in targets])):
        if len(overlap):
            row = _MATCHER(overlap)
            rows[image] = torch.where(row >= 0, row + first, -1)
            first += len(overlap)
    images, places = torch.where(rows >= 0)
    row = rows[images, places]
    classes = torch.zeros_like(rows)
    classes[images, places] = labels[row]
    deltas = CODER.encode_single(boxes[row], anchors[places])
    return Matches(classes, _background(anchors, rows, targets), images, places, deltas, weights[row], (rows >= 0).sum(1))


def _background(anchors: Tensor, rows: Tensor, targets: Sequence[Target]) -> Tensor:
    """Default boxes without an object (row < 0) that may be taught as background; bool [B, A]."""
    background = rows < 0
    for image, target in enumerate(targets):
        if len(target.ignore):
            background[image] &= target.allows_background(anchors)
    return background


def taught(matches: Matches) -> Tensor:
    """The batch's matched default boxes; int64 scalar.

    An image that teaches background alone counts as one match, since it brings the background of one: else a batch of many such images
    would have several times the loss, and the gradient, of a batch with objects.
    """
    return torch.maximum(matches.counts, matches.background.any(1).to(matches.counts.dtype)).sum()


def share_of_matches(matches: Matches) -> Tensor:
    """What the sums over images are multiplied by so that their mean is one over the batch's matched default boxes; scalar."""
    return len(matches.counts) / taught(matches).clamp(min=1)


def box_losses(deltas: Tensor, matches: Matches) -> Tensor:
    """Weighted smooth-L1 of the matched default boxes, summed over each image; [B] from deltas [B, A, 4]."""
    loss = F.smooth_l1_loss(deltas[matches.images, matches.anchors].float(), matches.deltas, reduction="none").sum(1)
    return matched_losses(loss, matches)


def matched_losses(loss: Tensor, matches: Matches) -> Tensor:
    """Weighted losses of the matched default boxes, summed over each image; [B] from [P]."""
    return loss.new_zeros(len(matches.counts)).index_add(0, matches.images, loss * matches.weights)


def class_losses(logits: Tensor, matches: Matches, *, negative_floor: int = NEGATIVES_PER_POSITIVE) -> Tensor:
    """Cross-entropy of the matched (weighted) and the hardest background default boxes, three to one, summed over each image; [B].

    At least `negative_floor` background boxes count in every image that has them. The default changes nothing where there are objects
    and lets an image without any teach as much background as one match would; with 0 such images have no loss, as in torchvision.
    """
    entropy = F.cross_entropy(logits.float().flatten(0, 1), matches.classes.flatten(), reduction="none").view(matches.classes.shape)
    return mined_losses(entropy, matches, negative_floor=negative_floor)


def mined_losses(entropy: Tensor, matches: Matches, *, negative_floor: int = NEGATIVES_PER_POSITIVE) -> Tensor:
    """`class_losses` from the cross-entropy of every default box; [B] from [B, A]."""
    wanted = (NEGATIVES_PER_POSITIVE * matches.counts).clamp(min=negative_floor)
    negative = entropy.masked_fill(~matches.background, -torch.inf)
    hardest = negative.topk(min(int(wanted.max()), negative.shape[1]), dim=1).values
    rank = torch.arange(hardest.shape[1], device=hardest.device)
    taken = (rank < wanted[:, None]) & (hardest != -torch.inf)
    weights = torch.zeros_like(entropy)
    weights[matches.images, matches.anchors] = matches.weights
    return (entropy.where(matches.classes > 0, 0) * weights).sum(1) + hardest.where(taken, 0).sum(1)


def expected_losses(logits: Tensor, *, anchors: int = 100) -> Tensor:
    """Summed softmax entropy (nats) of the `anchors` least likely background boxes of each image; [B] from logits [B, A, C + 1].

    Reads anchors below every detection threshold, and so ranks images in which nothing is detected.
    """
    logp = logits.float().log_softmax(-1)
    background = logp[..., 0]
    index = background.topk(min(anchors, background.shape[1]), dim=1, largest=False).indices
    chosen = logp.gather(1, index[..., None].expand(-1, -1, logp.shape[-1]))
    return -(chosen.exp() * chosen).sum((1, 2))
