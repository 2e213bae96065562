"""Whole detectors' weights: torchvision's own models stand for their releases, since there is no network here."""

import re
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import mobilenet_backbone, resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d
from torchvision_models import ssd300

from boxwise.config import DetectorConfig
from boxwise.data.coco_classes import COCO_CLASSES
from boxwise.detectors.detector import TorchDetector, build_detector, load_detector
from boxwise.detectors.names import DETECTORS, TRANSFORMERS
from boxwise.detectors.prediction import detect
from boxwise.detectors.pretrained import RELEASES, downloaded
from boxwise.errors import BoxwiseError

CPU = torch.device("cpu")
CLASSES = ("dent", "kitten", "cars", "Person")  # two of COCO's, under another form of the name
ROWS = {2: 3, 3: 1}  # of CLASSES, the ids of torchvision's COCO


@cache
def torchvision_model(name: str) -> nn.Module:
    """As torchvision builds it for its COCO weights, with random ones, wide awake: scores vary and boxes differ. No test changes it."""
    if name == "fasterrcnn_resnet50_fpn":
        model = detection.FasterRCNN(resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d), 91)
        overwrite_eps(model, 0.0)
    elif name == "fasterrcnn_mobilenet_v3_large_fpn":
        backbone = mobilenet_backbone(backbone_name="mobilenet_v3_large", weights=None, fpn=True, norm_layer=FrozenBatchNorm2d)
        anchors = detection.anchor_utils.AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
        model = detection.FasterRCNN(backbone, 91, rpn_anchor_generator=anchors)
    elif name == "ssd300_vgg16":
        model = ssd300(91)
    else:
        model = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for norm in (layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d | FrozenBatchNorm2d)):
            norm.running_mean.copy_(torch.randn(norm.running_mean.shape, generator=generator) * 0.1)
            norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=generator) + 0.5)
    return model.eval()


def built(name: str, file: Path, *, classes: tuple[str, ...] = CLASSES, **options) -> TorchDetector:
    config = DetectorConfig(name=name, weights=file, **options)
    return build_detector(name, classes, config, seed=0, device=CPU)


def images(side: int) -> Tensor:
    return torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("ssdlite320_mobilenet_v3", (0.5,) * 3, (0.5,) * 3),
        pytest.param("ssd300_vgg16", (0.48235, 0.45882, 0.40784), (1 / 255,) * 3, marks=pytest.mark.slow),
    ],
)
def test_single_shot_releases_give_torchvisions_own_outputs_for_the_known_classes(name, mean, std, tmp_path):
    theirs = torchvision_model(name)
    torch.save(theirs.state_dict(), tmp_path / "release.pth")
    detector = built(name, tmp_path / "release.pth")
    assert detector.known == set(ROWS) and detector.config.pretrained == "coco"
    pixels = images(detector.input.imgsz)
    normalised = (pixels / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        heads = theirs.head(list(theirs.backbone(normalised).values()))
        mine = detector.network(pixels, torch.tensor([pixels.shape[2:]]))
    torch.testing.assert_close(mine.deltas, heads["bbox_regression"], rtol=1e-3, atol=1e-3)
    rows = {0: 0} | {index + 1: row for index, row in ROWS.items()}
    torch.testing.assert_close(mine.logits[..., list(rows)], heads["cls_logits"][..., list(rows.values())], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", [pytest.param("fasterrcnn_resnet50_fpn", marks=pytest.mark.slow), "fasterrcnn_mobilenet_v3_large_fpn"])
@pytest.mark.parametrize("old_names", [False, True])
def test_two_stage_releases_give_torchvisions_own_outputs_for_the_known_classes(name, old_names, tmp_path):
    theirs = torchvision_model(name)
    state = theirs.state_dict()
    if old_names:  # the files are older than the modules that hold a convolution now
        state = {re.sub(r"(_blocks\.\d)\.0\.", r"\1.", key).replace("head.conv.0.0.", "head.conv."): value for key, value in state.items()}
        assert state.keys() != theirs.state_dict().keys()
    torch.save(state, tmp_path / "release.pth")
    detector = built(name, tmp_path / "release.pth", imgsz=128)
    pixels = images(128)
    normalised = (pixels / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    boxes = [torch.tensor([[5.0, 5.0, 60.0, 70.0], [30.0, 20.0, 120.0, 90.0]])]
    with torch.no_grad():
        features = theirs.backbone(normalised)
        objectness, _ = theirs.rpn.head(list(features.values()))
        pooled = theirs.roi_heads.box_head(detector.network.roi_heads.box_roi_pool(features, boxes, [(128, 128)]))
        logits, deltas = theirs.roi_heads.box_predictor(pooled)
        mine = detector.network(pixels, torch.tensor([[128, 128]]))
        regions = detector.network._classify(mine, boxes)[0]
    torch.testing.assert_close(
        mine.objectness[0].sort().values, torch.cat([o.flatten() for o in objectness]).sort().values, rtol=1e-3, atol=1e-3
    )
    rows = {0: 0} | {index + 1: row for index, row in ROWS.items()}
    torch.testing.assert_close(regions.logits[:, list(rows)], logits[:, list(rows.values())], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(regions.deltas[:, list(rows)], deltas.unflatten(1, (-1, 4))[:, list(rows.values())], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_real_yolox_weights_find_the_known_classes_before_any_training(shared_weights, shared_data):
    """Of a few photographs, under another name and in another order: cars and people are found where COCO's own rows find them."""
    classes = ("dent", "pedestrian", "cars")
    detector = built("yolox_nano", shared_weights / "yolox_nano_coco.pth", classes=classes)
    whole = built("yolox_nano", shared_weights / "yolox_nano_coco.pth", classes=COCO_CLASSES)
    assert (detector.known, whole.known) == ({1, 2}, set(range(80)))
    paths = sorted((shared_data / "coco256" / "images" / "val").rglob("*.jpg"))[:12]
    of_coco = {"person": 1, "car": 2}
    found = 0
    refuse = lambda name, message: pytest.fail(message)  # noqa: E731
    for (_, mine), (_, theirs) in zip(*(detect(each, paths, on_unreadable=refuse) for each in (detector, whole)), strict=True):
        mine, theirs = mine.at_least(0.4), theirs.at_least(0.4)
        kept = [row for row, label in enumerate(theirs.labels) if COCO_CLASSES[label] in of_coco]
        assert mine.labels.tolist() == [of_coco[COCO_CLASSES[label]] for label in theirs.labels[kept]]
        np.testing.assert_allclose(mine.xyxy, theirs.xyxy[kept], atol=0.1)
        found += len(mine)
    assert found >= 10


def test_every_name_with_a_coco_release_has_one():
    assert {name for name, entry in DETECTORS.items() if "coco" in entry.starts} == {*RELEASES, *TRANSFORMERS}
    for release in RELEASES.values():
        assert release.url.startswith("https://") and len(release.sha256) in (8, 64)
        assert len(release.rows) in (80, 91)


class TestFilesThatBoxwiseSaved:
    def saved(self, folder: Path, classes: tuple[str, ...] = ("cat", "dent")) -> TorchDetector:
        config = DetectorConfig(name="tiny_ssd", imgsz=64, pretrained="none")
        detector = build_detector("tiny_ssd", classes, config, seed=3, device=CPU)
        detector.save(folder / "weights.pt")
        return detector

    def test_another_studys_weights_carry_the_classes_of_the_same_name_over(self, tmp_path):
        old = self.saved(tmp_path)
        new = built("tiny_ssd", tmp_path / "weights.pt", classes=("dent", "Cat", "dog"), imgsz=64)
        assert new.known == {0, 1}
        pixels = images(64)
        with torch.no_grad():
            before, after = (d.network(pixels, torch.tensor([[64, 64]])).logits for d in (old, new))
        torch.testing.assert_close(after[..., [0, 2, 1]], before)  # background, cat, dent
        assert new.config.pretrained == "none"

    def test_the_same_seed_draws_the_same_new_rows(self, tmp_path):
        self.saved(tmp_path)
        one, two = (built("tiny_ssd", tmp_path / "weights.pt", classes=("dog", "cat"), imgsz=64) for _ in range(2))
        for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True):
            assert torch.equal(a, b)

    def test_a_detector_that_began_so_is_saved_and_loaded_by_its_own_file_alone(self, tmp_path):
        self.saved(tmp_path)
        new = built("tiny_ssd", tmp_path / "weights.pt", imgsz=64)
        new.save(tmp_path / "new.pt")
        (tmp_path / "weights.pt").unlink()
        loaded = load_detector(tmp_path / "new.pt", device=CPU)
        for a, b in zip(new.network.parameters(), loaded.network.parameters(), strict=True):
            assert torch.equal(a, b)

    def test_another_detectors_weights_are_refused(self, tmp_path):
        self.saved(tmp_path)
        with pytest.raises(
            BoxwiseError, match=r"weights\.pt: weights of another detector: expected ssdlite320_mobilenet_v3, found tiny_ssd"
        ):
            built("ssdlite320_mobilenet_v3", tmp_path / "weights.pt")


@cache
def _release(**options) -> dict[str, Tensor]:
    """No test changes it."""
    return detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, **options).state_dict()


def _truncated(file: Path) -> None:
    torch.save(_release(), file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


_OTHER_SHAPE = {"backbone.features.0.0.0.weight": torch.zeros(8, 3, 3, 3)}
WRONG = {
    "another family": (lambda file: torch.save({"head.stems.0.conv.weight": torch.zeros(2)}, file), "missing.*unexpected"),
    "other shapes": (
        lambda file: torch.save(_release() | _OTHER_SHAPE, file),
        r"1 of another shape \(extractor\.features\.0\.0\.0\.weight\)",
    ),
    "other classes": (lambda file: torch.save(_release(num_classes=5), file), "its class head has 5 rows, expected 91"),
    "truncated": (_truncated, "found a file torch cannot read"),
    "not weights": (lambda file: file.write_text("<html>Not found</html>"), "found a file torch cannot read"),
    "something else of torch": (lambda file: torch.save({"epoch": 3}, file), "found a dict that is no state dict of tensors"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_one_message_that_names_it(kind, tmp_path):
    make, message = WRONG[kind]
    make(tmp_path / "wrong.pth")
    with pytest.raises(BoxwiseError, match=rf"wrong\.pth: .*{message}"):
        built("ssdlite320_mobilenet_v3", tmp_path / "wrong.pth")


def test_a_network_without_a_release_takes_only_what_boxwise_saved(tmp_path):
    torch.save(_release(), tmp_path / "release.pth")
    with pytest.raises(BoxwiseError, match=r"release\.pth: expected weights of a tiny_ssd that boxwise saved.*no COCO release"):
        built("tiny_ssd", tmp_path / "release.pth")


class TestDownloads:
    @pytest.fixture(autouse=True)
    def _cache(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))

    def test_offline_is_one_message_with_the_ways_out(self, monkeypatch):
        for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, "http://127.0.0.1:9")
        config = DetectorConfig(name="ssdlite320_mobilenet_v3", pretrained="coco")
        with pytest.raises(BoxwiseError) as caught:
            build_detector(config.name, CLASSES, config, seed=0, device=CPU)
        for part in (
            "ssdlite320_mobilenet_v3_large_coco-a79551df.pth: cannot be downloaded",
            "detector.weights=FILE",
            "pretrained=imagenet",
            "pretrained=none",
        ):
            assert part in str(caught.value)
        assert not list(RELEASES[config.name].file.parent.glob("*"))

    def test_a_download_is_checked_and_kept(self, tmp_path):
        """A file URL is a download without a network."""
        (tmp_path / "served.pth").write_bytes(b"some weights")
        sound = replace(RELEASES["yolox_nano"], url=(tmp_path / "served.pth").as_uri(), sha256=sha256(b"some weights").hexdigest())
        with pytest.raises(BoxwiseError, match="invalid hash value"):
            downloaded(replace(sound, sha256="0" * 64))
        assert not sound.file.exists()
        assert downloaded(sound).read_bytes() == b"some weights"
        (tmp_path / "served.pth").unlink()
        assert downloaded(sound) == sound.file


def test_the_log_says_which_classes_are_known(tmp_path, caplog):
    torch.save(_release(), tmp_path / "release.pth")
    with caplog.at_level("INFO", logger="boxwise"):
        built("ssdlite320_mobilenet_v3", tmp_path / "release.pth")
    assert "release.pth: knows cars (as car), Person (as person); new to it: dent, kitten" in caplog.text
