"""SSD whose heads predict mixtures of Gaussians for boxes and class logits, so that one forward pass tells what is uncertain and why.

Builders turn the plain SSD networks into mixture ones. Knows nothing of pools, scores or optimisers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.ssd import SSDScoringHead

from boxwise.detectors import ssd_loss
from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.network import RawBoxes
from boxwise.detectors.ssd import SsdNetwork, SsdOutputs, ssd300_vgg16, ssdlite320_mobilenet_v2
from boxwise.detectors.ssd_loss import Matches
from boxwise.detectors.targets import Target
from boxwise.detectors.tiny_ssd import tiny_ssd

COMPONENTS = 4  # K, as in the paper
BOX_BALANCE = 2.0  # what the box loss is divided by, as in the paper
LEAST_VARIANCE = 0.01  # without a floor the likelihood of a box that is met exactly has no upper bound

LEAST_PROBABILITY = torch.finfo(torch.float32).tiny  # so that its logarithm is finite


@dataclass(frozen=True)
class Mixture:
    """K Gaussians for each of D values: weights [..., K, D or 1] before the softmax over K, means [..., K, D], spreads [..., K, D],
    variances before the sigmoid."""

    weights: Tensor
    means: Tensor
    spreads: Tensor

    @property
    def variances(self) -> Tensor:
        """σ², from LEAST_VARIANCE to 1."""
        return LEAST_VARIANCE + (1 - LEAST_VARIANCE) * self.spreads.sigmoid()

    def averaged(self, values: Tensor) -> Tensor:
        """Σ π · values; [..., D] from [..., K, D]."""
        return (self.weights.softmax(-2) * values).sum(-2)

    def aleatoric(self) -> Tensor:
        """Σ π σ²: how far the data themselves scatter; [..., D]."""
        return self.averaged(self.variances)

    def epistemic(self) -> Tensor:
        """Σ π (μ - Σ π μ)²: how far the components disagree; [..., D]."""
        return self.averaged((self.means - self.averaged(self.means)[..., None, :]) ** 2)

    def at(self, *index: Tensor | int) -> Mixture:
        return Mixture(self.weights[index], self.means[index], self.spreads[index])


@dataclass(frozen=True)
class MixtureOutputs(SsdOutputs):
    """deltas: Σ π μ of the boxes. logits: log Σ π softmax(μ) of the classes, so that their softmax is the mixture's own belief.

    boxes: one mixture a default box and coordinate, D = 4. classes: one a default box, D = C + 1, weights shared by the classes.
    """

    boxes: Mixture
    classes: Mixture


class MixtureSsdNetwork(SsdNetwork):
    """AL-MDN's detector: SSD with mixture density heads of K = 4 components (Choi et al., ICCV 2021, "Type-1" of its code).

    Box loss: negative log-likelihood of the mixture, each coordinate its own, halved. Class loss: Σ π cross-entropy(μ + σ ε), with
    ε ~ N(0, 1) drawn again every step; the hardest negatives are those of the drawn logits. `image_losses` has ε = 0.

    Deviations: σ² is a variance everywhere and floored at 0.01 (the code uses the same number as a standard deviation in the box loss and
    adds 0.3 to its normaliser); the log of the sum is taken in log space, not as log(sum + 1e-9), which has no gradient for boxes that
    are far off; a constant makes the box loss 0 at its least, so that no image's loss is negative. Ignored regions, weights of boxes and
    the negatives of an image without objects are those of SsdNetwork.
    Cost: one forward pass; the last convolution of every head has (12 K + K (2 C + 3)) / (C + 5) times the channels.
    """

    def _read(self, levels: list[Tensor]) -> MixtureOutputs:
        plain = super()._read(levels)
        boxes = _mixture(plain.deltas, weights=4, values=4)
        classes = _mixture(plain.logits, weights=1, values=self.class_count + 1)
        with torch.no_grad():  # the training differentiates the mixtures themselves
            deltas = boxes.averaged(boxes.means)
            logits = classes.averaged(classes.means.softmax(-1)).clamp(min=LEAST_PROBABILITY).log()
        return MixtureOutputs(deltas, logits, plain.pooled, plain.deepest, boxes, classes)

    def _matched_losses(self, outputs: SsdOutputs, matches: Matches) -> dict[str, Tensor]:
        """As those of SsdNetwork; draws the noise on the logits from torch's global generator."""
        boxes, classes = _mixtures(outputs)
        share = ssd_loss.share_of_matches(matches)
        entropies = class_entropies(classes, matches.classes, noise=torch.randn_like(classes.means))
        return {"box": box_losses(boxes, matches) * share, "class": ssd_loss.mined_losses(entropies, matches) * share}

    def image_losses(self, outputs: SsdOutputs, targets: Sequence[Target]) -> Tensor:
        boxes, classes = _mixtures(outputs)
        matches = ssd_loss.match(self.anchors, targets)
        total = box_losses(boxes, matches) + ssd_loss.mined_losses(class_entropies(classes, matches.classes), matches)
        return total / matches.counts.clamp(min=1)

    def mixture_uncertainties(self, outputs: SsdOutputs, found: Sequence[RawBoxes]) -> list[Tensor]:
        """See Network. As in the paper's code: of a class, the noise σ² on its logit and the disagreement about its probability, the box's
        own class alone; of a box, the largest of its four encoded offsets."""
        boxes, classes = _mixtures(outputs)
        return [_uncertainties(boxes.at(image), classes.at(image), raw) for image, raw in enumerate(found)]


def _mixtures(outputs: SsdOutputs) -> tuple[Mixture, Mixture]:
    assert isinstance(outputs, MixtureOutputs)
    return outputs.boxes, outputs.classes


def _mixture(raw: Tensor, *, weights: int, values: int) -> Mixture:
    """The mixture that a head speaks of; raw [B, A, K (weights + 2 values)]."""
    return Mixture(*raw.float().unflatten(-1, (COMPONENTS, -1)).split([weights, values, values], dim=-1))


def box_losses(boxes: Mixture, matches: Matches) -> Tensor:
    """Negative log-likelihood of the matched default boxes, 0 at its least, halved, weighted and summed over each image; [B]."""
    matched = boxes.at(matches.images, matches.anchors)
    variances = matched.variances
    scaled = (matches.deltas[:, None] - matched.means) ** 2 / variances + (variances / LEAST_VARIANCE).log()
    loss = -(matched.weights.log_softmax(1) - scaled / 2).logsumexp(1).sum(1)
    return ssd_loss.matched_losses(loss / BOX_BALANCE, matches)


def class_entropies(classes: Mixture, labels: Tensor, *, noise: Tensor | None = None) -> Tensor:
    """Σ π cross-entropy(μ + σ · noise) of every default box against `labels` int64 [B, A]; [B, A], noise [B, A, K, C + 1] or none."""
    logits = classes.means if noise is None else classes.means + classes.variances.sqrt() * noise
    flat = logits.flatten(0, 2)
    each = F.cross_entropy(flat, labels[..., None].expand(logits.shape[:3]).flatten(), reduction="none").view(logits.shape[:3])
    return (classes.weights[..., 0].softmax(-1) * each).sum(-1)


def _uncertainties(boxes: Mixture, classes: Mixture, found: RawBoxes) -> Tensor:
    """The four of one image's detections, [n, 4]; boxes and classes: its mixtures, [A, K, ·]."""
    assert found.anchors is not None
    boxes, classes = boxes.at(found.anchors), classes.at(found.anchors)
    believed = replace(classes, means=classes.means.softmax(-1))
    own = (found.classes + 1)[:, None]
    columns = (believed.aleatoric().gather(1, own)[:, 0], believed.epistemic().gather(1, own)[:, 0])
    return torch.stack([*columns, boxes.aleatoric().amax(1), boxes.epistemic().amax(1)], dim=1)


def tiny_ssd_mixture(class_count: int, imgsz: int | None, weights: BackboneWeights) -> SsdNetwork:
    """`tiny_ssd` with mixture heads."""
    return _widened(tiny_ssd(class_count, imgsz, weights, kind=MixtureSsdNetwork))


def ssdlite320_mobilenet_v2_mixture(class_count: int, imgsz: int | None, weights: BackboneWeights) -> SsdNetwork:
    """`ssdlite320_mobilenet_v2` with mixture heads."""
    return _widened(ssdlite320_mobilenet_v2(class_count, imgsz, weights, kind=MixtureSsdNetwork))


def ssd300_vgg16_mixture(class_count: int, imgsz: int | None, weights: BackboneWeights) -> SsdNetwork:
    """`ssd300_vgg16` with mixture heads, the detector of the paper."""
    return _widened(ssd300_vgg16(class_count, imgsz, weights, kind=MixtureSsdNetwork))


def _widened(network: SsdNetwork) -> SsdNetwork:
    """`network` with heads as wide as mixtures need them."""
    _widen(network.get_submodule("head.regression_head"), COMPONENTS * 3 * 4)
    _widen(network.get_submodule("head.classification_head"), COMPONENTS * (1 + 2 * (network.class_count + 1)))
    return network


def _widen(head: SSDScoringHead, columns: int) -> None:
    """Exchange the last convolution of every level for one of `columns` outputs a default box."""
    factor = columns / head.num_columns
    for index, block in enumerate(head.module_list):
        if isinstance(block, nn.Sequential):  # of a lite head
            block[len(block) - 1] = _wider(block[-1], factor)
        else:
            head.module_list[index] = _wider(block, factor)
    head.num_columns = columns


def _wider(plain: nn.Module, factor: float) -> nn.Conv2d:
    """A convolution of `factor` times the outputs of the same size, drawn as widely as the plain one."""
    assert isinstance(plain, nn.Conv2d)
    side = plain.kernel_size[0]
    wide = nn.Conv2d(plain.in_channels, round(plain.out_channels * factor), side, padding=side // 2)
    assert wide.bias is not None
    nn.init.normal_(wide.weight, std=float(plain.weight.detach().std()))
    nn.init.zeros_(wide.bias)
    return wide
