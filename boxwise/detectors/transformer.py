"""Transformer detectors (D-FINE, RT-DETRv2, RF-DETR) of the package transformers behind the Network contract, through one adapter.

The package's own criterion is run on one image's part of the outputs at a time, so that every image has a loss of its own. Knows nothing of
files, original sizes or optimisers.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_convert, clip_boxes_to_image, roi_align

from boxwise.data.coco_classes import known_classes
from boxwise.detectors import hub
from boxwise.detectors.backbones import IMAGENET_MEAN, IMAGENET_STD, BackboneWeights
from boxwise.detectors.copies import copied, shared
from boxwise.detectors.input import InputSpec, in_bytes
from boxwise.detectors.names import NEEDS_EXTRA, Sides, input_side, sides_of
from boxwise.detectors.network import Network, ParameterGroup, Postprocessing, RawBoxes, TrainingLosses
from boxwise.detectors.recipe import Recipe
from boxwise.detectors.targets import Target
from boxwise.errors import ConfigError

SILENT = -30.0  # the logit of a query that teaches nothing: its loss and its gradient are 0 to rounding


@dataclass(frozen=True)
class TransformerOutputs:
    """logits [B, Q, C] of independent sigmoids and boxes [B, Q, 4], (centre, size) from 0 to 1, of the last decoder layer.

    criterion: the arguments with which the package calls its criterion, by name; labels apart. deepest: the last level of the backbone,
    [B, channels, h, w], detached. pooled: its mean and the queries' mean logits, detached."""

    logits: Tensor
    boxes: Tensor
    criterion: dict[str, Any]
    deepest: Tensor
    pooled: Tensor


@dataclass(frozen=True)
class Family:
    """What differs between the families. config, model: their classes in the package. hub: the COCO release, a repository of the Hugging
    Face hub. normalised: whether pixels are normalised as ImageNet's. layers_first: whether what its decoder's layers say is [L, B, ...]
    rather than [B, L, ...]. encoder: the criterion's arguments for logits and boxes of the encoder."""

    config: str
    model: str
    hub: str
    normalised: bool
    layers_first: bool
    encoder: tuple[str, str]


class TransformerNetwork(Network):
    """A set predictor: Q queries, each a box and the probabilities of its classes; no boxes are suppressed (Carion et al., ECCV 2020).

    In incomplete images a query matched to no object teaches no background unless its box was verified as background. The criterion
    knows no weights of single boxes, so a training step draws which it sees: see `drawn_by_weight`.
    """

    recipe = Recipe(optimizer="adamw", lr=1e-4, weight_decay=1e-4, warmup_steps=50, augment="scale", clip_norm=0.1)
    suppresses = False
    class_rows: ClassVar[Mapping[str, int]] = {r"model\.(.*\.)?(class_embed|enc_score_head|enc_out_class_embed)(\.\d+)?\.(weight|bias)": 1}
    background_rows = 0
    own = r"architecture|.*\.denoising_class_embed\.weight"  # the latter serves training alone, and has a row for no class

    architecture: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, family: Family, *, class_count: int, imgsz: int) -> None:
        super().__init__()
        self.model, self.family, self.class_count = model, family, class_count
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if family.normalised else ((0.0,) * 3, (1.0,) * 3)
        self.input = InputSpec(imgsz, mean=in_bytes(mean), std=in_bytes(std))
        self.register_buffer("architecture", _written(model.config))  # so that the weights alone build the network again
        self.register_buffer("mean", torch.tensor(self.input.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.input.std).view(3, 1, 1), persistent=False)
        with torch.no_grad():
            probe = copied(self, shared).eval()(torch.zeros(1, 3, imgsz, imgsz, dtype=torch.uint8), torch.tensor([[imgsz, imgsz]]))
        self.loss_feature_count = probe.pooled.shape[1]

    def forward(self, pixels: Tensor, valid: Tensor) -> TransformerOutputs:
        return self._outputs(pixels, [])

    def _outputs(self, pixels: Tensor, labels: list[dict[str, Tensor]]) -> TransformerOutputs:
        """One forward pass; the package's call of its criterion is caught, with all that it would be given."""
        model: Any = self.model
        caught: dict[str, Any] = {}
        levels: list[Tensor] = []
        criterion = self._criterion()

        def catch(*arguments: Any, **named: Any) -> tuple[None, dict[str, Tensor], None]:
            caught.update(inspect.signature(criterion).bind(*arguments, **named).arguments)
            return None, {}, None

        hook = model.model.backbone.register_forward_hook(lambda module, given, found: levels.append(_last_level(found)))
        model.loss_function = catch
        try:
            found = model((pixels.float() - self.mean) / self.std, labels=labels)
        finally:
            hook.remove()
            del model._loss_function
        deepest = levels[-1].detach()
        pooled = torch.cat([deepest.float().mean((2, 3)), found.logits.detach().float().mean(1)], dim=1)
        for name in ("labels", "device"):
            caught.pop(name, None)
        return TransformerOutputs(found.logits, found.pred_boxes, caught, deepest, pooled)

    def training_step(self, pixels: Tensor, valid: Tensor, targets: Sequence[Target]) -> TrainingLosses:
        """In training the package makes denoising queries from the labels, so the forward pass has to see them.

        The sum over the batch per object of the batch, as in the papers; D-FINE's distillation, a mean over queries, is weighed likewise.
        """
        targets = [drawn_by_weight(target) for target in targets]
        labels = [self._label(target) for target in targets]
        outputs = self._outputs(pixels, labels)
        objects = sum(len(target.classes) for target in targets)
        return TrainingLosses(self._batch_losses(outputs, targets, labels), outputs.pooled, per=torch.tensor(objects, device=pixels.device))

    def training_losses(self, outputs: TransformerOutputs, targets: Sequence[Target]) -> dict[str, Tensor]:
        return self._batch_losses(outputs, targets, [self._label(target) for target in targets])

    def _batch_losses(self, outputs: TransformerOutputs, targets: Sequence[Target], labels: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        each = self._each(outputs, targets, labels)
        counts = torch.tensor([max(1, len(target.classes)) for target in targets], device=each.device)
        objects = max(1, sum(len(target.classes) for target in targets))
        return {"set": each * counts * (len(targets) / objects)}

    def image_losses(self, outputs: TransformerOutputs, targets: Sequence[Target]) -> Tensor:
        """The criterion on each image alone: of the last layer and all before it, per object; of an image without objects, over 1."""
        return self._each(outputs, targets, [self._label(target) for target in targets])

    def _each(self, outputs: TransformerOutputs, targets: Sequence[Target], labels: list[dict[str, Tensor]]) -> Tensor:
        return torch.stack([self._image_loss(outputs, *one) for one in zip(range(len(targets)), targets, labels, strict=True)])

    def _image_loss(self, outputs: TransformerOutputs, image: int, target: Target, label: dict[str, Tensor]) -> Tensor:
        given = {name: self._part(name, value, image) for name, value in outputs.criterion.items()}
        if not self.training and hasattr(given["config"], "group_detr"):  # the criterion takes itself to be in training always
            given["config"] = copy.copy(given["config"])
            given["config"].group_detr = 1
        if len(target.ignore):
            self._silence(given, target, label)
        further = given.pop("kwargs", {})
        loss: Tensor = self._criterion()(labels=[label], device=outputs.logits.device, **given, **further)[0]
        return loss

    def _criterion(self) -> Callable[..., Any]:
        return type(self.model).loss_function.fget(self.model)  # type: ignore[attr-defined]

    def _part(self, name: str, value: Any, image: int) -> Any:
        """An argument of the criterion for one image of the batch."""
        if name == "denoising_meta_values" and value is not None:
            return value | {"dn_positive_idx": value["dn_positive_idx"][image : image + 1]}
        if not isinstance(value, Tensor):
            return value
        layered = self.family.layers_first and name in ("outputs_class", "outputs_coord")
        return value[:, image : image + 1] if layered else value[image : image + 1]

    def _silence(self, given: dict[str, Any], target: Target, label: dict[str, Tensor]) -> None:
        """Take from the criterion's arguments the queries matched to no object where background may not be taught.

        Matched queries stay as they are, so the criterion makes the same matches: the others have only become more costly.
        """
        dn = given.get("denoising_meta_values")
        start = 0 if dn is None else dn["dn_num_split"][0]
        config = given["config"]
        pairs = [("logits", "pred_boxes", start), ("outputs_class", "outputs_coord", start), (*self.family.encoder, 0)]
        for logits, boxes, first in pairs:
            if given.get(logits) is None:
                continue
            queries = given[logits].clone()
            flat, places = queries.view(-1, *queries.shape[-2:]), given[boxes].reshape(-1, *given[boxes].shape[-2:])
            for layer in range(len(flat)):
                silent = self._silent(flat[layer, first:], places[layer, first:], target, label, config)
                flat[layer, first:] = flat[layer, first:].masked_fill(silent[:, None], SILENT)
            given[logits] = queries

    @torch.no_grad()
    def _silent(self, logits: Tensor, boxes: Tensor, target: Target, label: dict[str, Tensor], config: Any) -> Tensor:
        """Which queries teach nothing; bool [Q]."""
        silent = ~target.allows_background(self._in_pixels(boxes))
        found = {"logits": logits[None], "pred_boxes": boxes[None].clamp(0, 1)}
        if len(label["boxes"]):
            silent[self._matcher(config)(found, [label])[0][0].to(silent.device)] = False
        return silent

    def _matcher(self, config: Any) -> Callable[..., Any]:
        if hasattr(config, "group_detr"):
            from transformers.loss.loss_lw_detr import LwDetrHungarianMatcher

            matcher = LwDetrHungarianMatcher(class_cost=config.class_cost, bbox_cost=config.bbox_cost, giou_cost=config.giou_cost)
            return partial(matcher, group_detr=config.group_detr)
        from transformers.loss.loss_rt_detr import RTDetrHungarianMatcher

        return RTDetrHungarianMatcher(config)

    def _label(self, target: Target) -> dict[str, Tensor]:
        """A target as the package has it: classes from 0, boxes (centre, size) from 0 to 1."""
        return {"class_labels": target.classes - 1, "boxes": box_convert(target.xyxy, "xyxy", "cxcywh") / self.input.imgsz}

    def _in_pixels(self, boxes: Tensor) -> Tensor:
        return box_convert(boxes.float(), "cxcywh", "xyxy") * self.input.imgsz

    def parameter_groups(self) -> list[ParameterGroup]:
        """The backbone learns at a tenth of the rate, as in the papers."""
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                groups.setdefault((0.1 if ".backbone." in name else 1.0, parameter.ndim > 1), []).append(parameter)
        return [ParameterGroup(parameters, scale, decay) for (scale, decay), parameters in groups.items()]

    def expected_losses(self, outputs: TransformerOutputs, *, queries: int = 100) -> Tensor:
        """Binary entropies of the classes, in nats, summed over the queries that are surest of an object."""
        surest = outputs.logits.float().amax(-1).topk(min(queries, outputs.logits.shape[1]), dim=1).indices
        logits = outputs.logits.float().gather(1, surest[..., None].expand(-1, -1, outputs.logits.shape[-1]))
        return (F.softplus(logits) - logits * logits.sigmoid()).sum((1, 2))

    def embeddings(self, outputs: TransformerOutputs) -> Tensor:
        return _unit(outputs.deepest.float().mean((2, 3)))

    def box_features(self, outputs: TransformerOutputs, boxes: Sequence[Tensor]) -> list[Tensor]:
        """What ends the backbone averaged over each box."""
        scale = outputs.deepest.shape[-1] / self.input.imgsz
        pooled = roi_align(outputs.deepest.float(), list(boxes), 1, spatial_scale=scale, sampling_ratio=2, aligned=True)
        return list(_unit(pooled.flatten(1)).split([len(b) for b in boxes]))

    def loss_features(self, outputs: TransformerOutputs) -> Tensor:
        return outputs.pooled

    def raw_boxes(self, outputs: TransformerOutputs, valid: Tensor, post: Postprocessing) -> list[RawBoxes]:
        """Every query speaks for its most probable class alone."""
        found = []
        for logits, boxes, size in zip(outputs.logits, outputs.boxes, valid.tolist(), strict=True):
            probabilities = logits.float().sigmoid()
            scores, classes = probabilities.max(-1)
            rows = torch.where(scores > post.score_threshold)[0]
            xyxy = clip_boxes_to_image(self._in_pixels(boxes[rows]), (size[0], size[1]))
            found.append(RawBoxes(xyxy, classes[rows], scores[rows], probabilities[rows], rows))
        return found

    def detections(self, outputs: TransformerOutputs, valid: Tensor, post: Postprocessing) -> list[RawBoxes]:
        """The best queries by falling score: the training teaches one query an object, so there are no duplicates to drop."""
        return [
            raw[raw.scores.argsort(descending=True, stable=True)[: post.max_detections]] for raw in self.raw_boxes(outputs, valid, post)
        ]


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1, however short they were: an untrained backbone's are of 1e-17."""
    return F.normalize(rows / rows.abs().amax(1, keepdim=True).clamp(min=1e-30), dim=1)


def _last_level(found: Any) -> Tensor:
    """The last feature map among what a backbone of the package returns: (map, mask) or a list of these."""
    while not isinstance(found, Tensor):
        found = found[0] if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Tensor) else found[-1]
    return found


def _written(config: Any) -> Tensor:
    """An architecture without its classes, as JSON in uint8 [n]."""
    values = {key: value for key, value in config.to_dict().items() if key not in _OF_CLASSES}
    return torch.frombuffer(bytearray(json.dumps(values, sort_keys=True).encode()), dtype=torch.uint8)


_OF_CLASSES = ("id2label", "label2id", "num_labels", "_name_or_path", "transformers_version", "architectures")
_RT = ("enc_topk_logits", "enc_topk_bboxes")


def drawn_by_weight(target: Target) -> Target:
    """`target` with each box an object with a chance of its weight, and else an ignored region, where no background is taught.

    So a box counts in that share of the steps. Draws from torch's generator where a weight is below 1.
    """
    if bool((target.weights >= 1).all()):
        return target
    taught = torch.rand(len(target.weights)).to(target.weights) < target.weights
    objects = {name: getattr(target, name)[taught] for name in ("xyxy", "classes")}
    ignore = torch.cat([target.ignore, target.xyxy[~taught]])
    return replace(target, **objects, weights=torch.ones_like(target.weights[taught]), ignore=ignore)


FAMILIES = {
    "dfine_s": Family("DFineConfig", "DFineForObjectDetection", "ustc-community/dfine-small-coco", False, False, _RT),
    "rtdetr_v2_r18": Family("RTDetrV2Config", "RTDetrV2ForObjectDetection", "PekingU/rtdetr_v2_r18vd", False, False, _RT),
    "rf_detr_base": Family(
        "RfDetrConfig", "RfDetrForObjectDetection", "Roboflow/rf-detr-base", True, True, ("enc_outputs_class", "enc_outputs_coord")
    ),
}


def _package(name: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(NEEDS_EXTRA.format(name=name, package=error.name)) from None
    return transformers


def _build(class_count: int, imgsz: int | None, weights: BackboneWeights, *, name: str) -> TransformerNetwork:
    """Of the architecture of the weights that are loaded next, or, at random, of the package's default for the family."""
    family, package = FAMILIES[name], _package(name)
    architecture = {} if weights.state is None else json.loads(bytes(weights.state["architecture"].tolist()))
    config = getattr(package, family.config).from_dict({**architecture, "num_labels": class_count})
    size = input_side(name, imgsz, _sides(config))
    return TransformerNetwork(getattr(package, family.model)(config), family, class_count=class_count, imgsz=size)


def _sides(config: Any) -> Sides:
    sides = sides_of(config.to_dict())
    assert sides is not None  # of the package's own config, which has all of it
    return sides


dfine_s, rtdetr_v2_r18, rf_detr_base = (partial(_build, name=name) for name in FAMILIES)


def released(name: str, folder: Path | None = None) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of a COCO release, by their names in the network, and what each row of its class head is for.

    From `folder`, which the package's save_pretrained wrote, or from the hub. Raises BoxwiseError when it cannot be had.
    """
    family, package = FAMILIES[name], _package(name)
    ways_out = f"Ways out: detector.weights=FOLDER with a copy of {family.hub}, or detector.pretrained=none."
    with hub.loading(str(folder or family.hub), name, ways_out=ways_out):
        model = hub.whole(getattr(package, family.model), folder or family.hub)
    names = [model.config.id2label[index] for index in range(model.config.num_labels)]
    of_coco = known_classes(names)
    rows = tuple(of_coco.get(index, label) for index, label in enumerate(names))
    return {f"model.{key}": value for key, value in model.state_dict().items()} | {"architecture": _written(model.config)}, rows
