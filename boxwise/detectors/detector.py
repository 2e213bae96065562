"""Any Network as a Detector: views, and what is read off them, in original pixels and numpy; fit, save and load.

Builds networks by name. Knows nothing of studies, stores, scorers or where labels come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, TrainConfig
from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.base import FitReport, ImageBatch, View
from boxwise.detectors.fusion import for_inference
from boxwise.detectors.loss_prediction import LossHead
from boxwise.detectors.names import BOX_FEATURES, DETECTORS, DROPOUT, EXPECTED_LOSS, MIXTURE, SUPPORTS, words_for
from boxwise.detectors.network import Network, Postprocessing, RawBoxes
from boxwise.detectors.prediction import predict
from boxwise.detectors.pretrained import fill, source_of
from boxwise.detectors.start import start_of
from boxwise.detectors.targets import Target, target_of
from boxwise.detectors.training import fit_network
from boxwise.detectors.weights_file import read_weights, write_torch
from boxwise.errors import BoxwiseError, ConfigError, named
from boxwise.evaluation.average_precision import coco_metrics
from boxwise.files import sealing
from boxwise.records import ImageRecord, Sample

BOX_DIMENSIONS = 64  # E of box embeddings: a million images with ten boxes each take 1.3 GB in half precision


class Forward(Protocol):
    """A network's forward pass, however it is computed."""

    def __call__(self, pixels: Tensor, valid: Tensor) -> Any: ...

    def dropped(self, pixels: Tensor, valid: Tensor, *, passes: int, rate: float, seed: int) -> list[Any]: ...


class TorchDetector:
    """A Network, a loss-prediction head and thresholds, kept on one device in channels-last order. See the Detector protocol."""

    def __init__(
        self, network: Network, loss_head: LossHead, classes: Sequence[str], config: DetectorConfig, *, device: torch.device
    ) -> None:
        self.network = _placed(network, device).eval()
        self.loss_head = loss_head.to(device).eval()
        self.classes = tuple(classes)
        self.input = network.input
        self.config = config
        self.device = device
        self.known: frozenset[int] = frozenset()  # classes whose objects its first weights find already
        self._post = Postprocessing(config.score_threshold, config.nms_iou, config.max_detections)
        self._inference: Forward | None = None  # what views are made with, a fused copy of the network; None after every change of weights
        self._raw: WeakKeyDictionary[View, list[RawBoxes]] = WeakKeyDictionary()
        self._found: WeakKeyDictionary[View, list[Boxes]] = WeakKeyDictionary()  # a scorer and the pool pass both ask for detections

    def fit(
        self,
        train: Sequence[Sample],
        val: Sequence[Sample],
        config: TrainConfig,
        *,
        seed: int,
        workers: int = 0,
        checkpoint: Path | None = None,
        progress: Callable[[int, int, dict[str, float]], None] | None = None,
    ) -> FitReport:
        report = fit_network(
            self.network,
            self.loss_head,
            train,
            val,
            config,
            evaluate=(lambda: self._average_precision(val, batch=config.batch, workers=workers)) if val else None,
            seed=seed,
            device=self.device,
            workers=workers,
            checkpoint=checkpoint,
            progress=progress,
        )
        self.network.eval()
        self.loss_head.eval()
        self._inference = None
        return report

    def _average_precision(self, samples: Sequence[Sample], *, batch: int, workers: int) -> float:
        """COCO AP of the current weights; unreadable images count for nothing, and it is 0 where there is nothing to find."""
        self._inference = None
        found, _ = predict(self, [sample.image for sample in samples], batch=batch, workers=workers)
        truths = {sample.image.image_id: sample.boxes for sample in samples if sample.image.image_id in found}
        ap = coco_metrics(found, truths, self.classes, details=False).ap
        return 0.0 if math.isnan(ap) else ap

    def infer_with(self, forward: Forward) -> None:
        """Make views with `forward` until the weights change; it gives what the network gives, to rounding."""
        self._inference = forward

    @property
    def runs_on(self) -> str:
        """What makes its views: a kind of torch device, or another runtime."""
        return getattr(self._inference, "provider", self.device.type)

    def view(self, batch: ImageBatch) -> View:
        if self._inference is None:
            self._inference = for_inference(self.network)
        with torch.inference_mode():
            return View(batch, self._inference(batch.pixels.to(self.device), batch.valid.to(self.device)))

    def dropout_views(self, batch: ImageBatch, *, passes: int, rate: float, seed: int) -> list[View]:
        self._require(DROPOUT)
        if self._inference is None:
            self._inference = for_inference(self.network)
        pixels, valid = batch.pixels.to(self.device), batch.valid.to(self.device)
        with torch.inference_mode():
            return [View(batch, outputs) for outputs in self._inference.dropped(pixels, valid, passes=passes, rate=rate, seed=seed)]

    def detections(self, view: View) -> list[Boxes]:
        if view not in self._found:
            self._found[view] = self._detections(view)
        return list(self._found[view])

    def _detections(self, view: View) -> list[Boxes]:
        images = zip(self._raw_boxes(view), view.batch.records, view.batch.valid.tolist(), strict=True)
        return [_in_original_pixels(boxes, record, height, width) for boxes, record, (height, width) in images]

    def _raw_boxes(self, view: View) -> list[RawBoxes]:
        if view not in self._raw:
            with torch.inference_mode():
                self._raw[view] = self.network.detections(view.outputs, view.batch.valid, self._post)
        return self._raw[view]

    def supports(self, view: View) -> list[NDArray[np.int64]]:
        self._require(SUPPORTS)
        raw, valid = self._raw_boxes(view), view.batch.valid
        with torch.inference_mode():
            each = [counts.cpu().numpy() for counts in self.network.supports(view.outputs, valid, self._post, raw)]
        images = zip(each, raw, view.batch.records, valid.tolist(), strict=True)
        return [counts[_solid(_scaled_back(boxes, record, height, width))] for counts, boxes, record, (height, width) in images]

    def mixture_uncertainties(self, view: View) -> list[NDArray[np.float32]]:
        self._require(MIXTURE)
        raw = self._raw_boxes(view)
        with torch.inference_mode():
            each = [_array(values) for values in self.network.mixture_uncertainties(view.outputs, raw)]
        images = zip(each, raw, view.batch.records, view.batch.valid.tolist(), strict=True)
        return [values[_solid(_scaled_back(boxes, record, height, width))] for values, boxes, record, (height, width) in images]

    def losses(self, view: View, targets: Sequence[Boxes]) -> NDArray[np.float32]:
        with _evaluating(self.network):
            return _array(self.network.image_losses(view.outputs, self._targets(view.batch, targets)))

    def expected_losses(self, view: View) -> NDArray[np.float32]:
        self._require(EXPECTED_LOSS)
        with _evaluating(self.network):
            return _array(self.network.expected_losses(view.outputs))

    def learned_losses(self, view: View) -> NDArray[np.float32]:
        with _evaluating(self.loss_head):
            return _array(self.loss_head(self.network.loss_features(view.outputs)))

    def embeddings(self, view: View) -> NDArray[np.float32]:
        with torch.inference_mode():
            return _array(self.network.embeddings(view.outputs))

    def box_embeddings(self, view: View, boxes: Sequence[Boxes] | None = None) -> list[NDArray[np.float32]]:
        """Random projections of the network's box features to BOX_DIMENSIONS, which keep angles nearly (Johnson & Lindenstrauss, 1984)."""
        self._require(BOX_FEATURES)
        wanted = self.detections(view) if boxes is None else boxes
        regions = [self._in_input_pixels(b, image) for b, image in zip(wanted, _sizes(view.batch), strict=True)]
        with torch.inference_mode(), _evaluating(self.network):
            features = self.network.box_features(view.outputs, regions)
            return [_array(F.normalize(each @ _projection(each.shape[1]).to(each), dim=1)) for each in features]

    def _in_input_pixels(self, boxes: Boxes, scale: tuple[float, float]) -> Tensor:
        return torch.from_numpy(boxes.xyxy * np.array(scale * 2, np.float32)).to(self.device)

    def _require(self, capability: str) -> None:
        if capability not in self.network.capabilities():
            able = ", ".join(name for name, entry in DETECTORS.items() if capability in entry.capabilities)
            raise ConfigError(f"{self.config.name} cannot be asked for {words_for([capability])}. Detectors that can: {able}.")

    def _targets(self, batch: ImageBatch, boxes: Sequence[Boxes]) -> list[Target]:
        """Complete targets without crowds: in a training these are ignored regions, but a loss that only measures has nothing to spare."""
        objects = [b if b.crowd is None else b[~b.crowd] for b in boxes]
        images = zip(objects, batch.records, batch.valid.tolist(), strict=True)
        return [target_of(Sample(record, b), height, width).to(self.device) for b, record, (height, width) in images]

    def save(self, path: Path) -> None:
        with sealing(path) as aside:
            write_torch(self._contents(), aside)

    def _contents(self) -> dict[str, Any]:
        return {
            "boxwise": "detector",
            "name": self.config.name,
            "classes": list(self.classes),
            "imgsz": self.input.imgsz,
            "config": self.config.model_dump(mode="json"),
            "network": self.network.state_dict(),
            "loss_head": self.loss_head.state_dict(),
        }

    def load(self, path: Path) -> None:
        self._take(read_weights(path), path)

    def _take(self, contents: Mapping[str, Any], path: Path) -> None:
        for key, own in (("name", self.config.name), ("classes", list(self.classes)), ("imgsz", self.input.imgsz)):
            if contents[key] != own:
                raise BoxwiseError(f"{path}: weights of another detector: expected {key} {own!r}, found {contents[key]!r}.")
        try:
            self.network.load_state_dict(contents["network"])
            self.loss_head.load_state_dict(contents["loss_head"])
            self._inference = None
        except RuntimeError as error:
            raise BoxwiseError(f"{path}: the weights do not fit {self.config.name}: {error}") from None

    def __reduce__(self) -> tuple[Callable[..., TorchDetector], tuple[dict[str, Any]]]:
        """Pickled as what `save` writes; it is then on the device that its tensors are read to."""
        return pickled, (self._contents(),)

    def go_on_from(self, path: Path, called: Callable[[Sequence[str]], Mapping[str, str]]) -> None:
        """Take the weights of the same detector over other classes: of the class head, the rows of the classes that stay.

        called: the file's classes → what each is called now. Raises BoxwiseError as `load` does.
        """
        contents = read_weights(path)
        names = called(contents["classes"])
        rows = tuple(names.get(name, f"{name} (removed)") for name in contents["classes"])
        if rows == self.classes:
            self._take({**contents, "classes": list(self.classes)}, path)
            return
        source = source_of(self.config.name, path)
        fill(self.network, replace(source, rows=rows), self.classes, self.config.name)
        self.loss_head.load_state_dict(contents["loss_head"])
        self._inference = None


def build_detector(name: str, classes: Sequence[str], config: DetectorConfig, *, seed: int, device: torch.device) -> TorchDetector:
    """The detector `name` over `classes` with first weights drawn from `seed`, or from where `config` says; nothing global changes.

    See `start.start_of` and `pretrained.fill`. Raises ConfigError for an unknown name or an imgsz that it cannot take, BoxwiseError for
    missing or wrong weights.
    """
    if not classes:
        raise ConfigError("A detector needs at least one class, found none.")
    config = config.model_copy(update={"name": name})
    start = start_of(config)
    if start not in ("coco", "file"):
        weights = BackboneWeights(start == "imagenet", config.backbone_weights)
        return _build(name, classes, config.model_copy(update={"pretrained": start}), weights, seed=seed, device=device)
    source = source_of(name, config.weights)
    settled = config.model_copy(update={"pretrained": source.pretrained})
    detector = _build(name, classes, settled, _deferred(settled, source.state), seed=seed, device=device)
    detector.known = fill(detector.network, source, classes, name)
    return detector


def load_detector(path: Path | str, *, device: torch.device) -> TorchDetector:
    """The detector that `save` wrote at `path`, built from that file alone."""
    path = Path(path)
    return _detector_of(read_weights(path), path, device)


def pickled(contents: dict[str, Any]) -> TorchDetector:
    """The detector that was pickled as the contents of its file."""
    return _detector_of(contents, Path("a pickled detector"), next(iter(contents["network"].values())).device)


def _detector_of(contents: Mapping[str, Any], path: Path, device: torch.device) -> TorchDetector:
    config = DetectorConfig.model_validate(contents["config"])
    weights = _deferred(config, contents["network"])
    detector = _build(contents["name"], contents["classes"], config, weights, seed=0, device=device)
    detector._take(contents, path)
    return detector


def _deferred(config: DetectorConfig, state: Mapping[str, Tensor]) -> BackboneWeights:
    """How the detector of a settled config is built if all its weights, `state`, are loaded next."""
    pretrained = config.pretrained != "none" or config.backbone_weights is not None
    return BackboneWeights(pretrained, deferred=True, coco=config.pretrained == "coco", state=state)


def _build(
    name: str, classes: Sequence[str], config: DetectorConfig, weights: BackboneWeights, *, seed: int, device: torch.device
) -> TorchDetector:
    build = named("detector", DETECTORS, name).build()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also reseed the GPUs
        network: Network = build(len(classes), config.imgsz, weights)
        loss_head = LossHead(network.loss_feature_count)
    settled = config.model_copy(update={"name": name, "imgsz": network.input.imgsz})
    return TorchDetector(network, loss_head, classes, settled, device=device)


def _placed(network: Network, device: torch.device) -> Network:
    """On `device` in channels-last order, in which convolutions are faster on CPU and on tensor cores."""
    network.to(device)
    network.to(memory_format=torch.channels_last)
    return network


def _sizes(batch: ImageBatch) -> list[tuple[float, float]]:
    """Input pixels an original pixel, across and down, of each image."""
    pairs = zip(batch.records, batch.valid.tolist(), strict=True)
    return [(width / record.width, height / record.height) for record, (height, width) in pairs]


@cache
def _projection(features: int) -> Tensor:
    """The same Gaussian matrix for every detector of as many features: [F, BOX_DIMENSIONS]."""
    generator = torch.Generator().manual_seed(features)
    return torch.randn(features, BOX_DIMENSIONS, generator=generator)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode without gradients inside, the former mode restored after."""
    training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(training)


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()


def _in_original_pixels(raw: RawBoxes, record: ImageRecord, height: int, width: int) -> Boxes:
    """Detections scaled back and held inside the image; boxes that lie on its edge without area are left out."""
    xyxy = _scaled_back(raw, record, height, width)
    boxes = Boxes(xyxy, raw.classes.cpu().numpy(), _array(raw.scores), _array(raw.probabilities))
    return boxes[_solid(xyxy)]


def _scaled_back(raw: RawBoxes, record: ImageRecord, height: int, width: int) -> NDArray[np.float32]:
    scale = np.array([record.width / width, record.height / height] * 2, dtype=np.float32)
    limit = np.array([record.width, record.height] * 2, dtype=np.float32)
    return np.clip(_array(raw.xyxy) * scale, 0, limit)


def _solid(xyxy: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.all(xyxy[:, 2:] > xyxy[:, :2], axis=1)
