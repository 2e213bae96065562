"""What a detector begins with is checked before any work, and without torch."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.config import DetectorConfig, TrainConfig, load_config
from boxwise.detectors.detector import build_detector
from boxwise.detectors.names import DETECTORS, TRANSFORMERS, input_side
from boxwise.detectors.pretrained import RELEASES
from boxwise.detectors.start import _MARKS, check_pieces, check_start
from boxwise.detectors.yolox import model
from boxwise.errors import BoxwiseError, ConfigError
from boxwise.records import ImageRecord, Sample
from boxwise.registry import settled
from boxwise.rounds import check


def release_of(name: str) -> dict[str, torch.Tensor]:
    """Tensors of the names and shapes of a YOLOX's release."""
    return getattr(model, name)(80).state_dict()


class TestReleases:
    def test_each_has_a_mark_that_no_other_has(self):
        assert _MARKS.keys() == RELEASES.keys() and len(set(_MARKS.values())) == len(_MARKS)

    @pytest.mark.parametrize("name", ["yolox_nano", "yolox_tiny", "yolox_s", "yolox_m"])
    def test_of_yolox_it_is_a_tensor_of_the_network(self, name):
        tensor, shape = _MARKS[name]
        assert release_of(name)[tensor].shape == shape

    @pytest.mark.parametrize(
        ("name", "builder"),
        [
            ("ssd300_vgg16", "ssd300_vgg16"),
            ("ssdlite320_mobilenet_v3", "ssdlite320_mobilenet_v3_large"),
            ("fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn"),
            ("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn"),
        ],
    )
    def test_of_torchvisions_it_is_a_tensor_of_theirs(self, name, builder, tmp_path):
        from torchvision.models import detection

        with torch.device("meta"):
            theirs = getattr(detection, builder)(weights=None, weights_backbone=None).state_dict()
        assert {other for other, (tensor, shape) in _MARKS.items() if tensor in theirs and theirs[tensor].shape == shape} == {name}


class TestFiles:
    def saved(self, path: Path, state: dict) -> Path:
        torch.save(state, path)
        return path

    def test_the_right_ones_pass(self, tmp_path):
        file = self.saved(tmp_path / "nano.pth", {"model": release_of("yolox_nano"), "epoch": 300})
        check_start(DetectorConfig(name="yolox_nano", weights=file))
        own = self.saved(tmp_path / "weights.pt", {"boxwise": "detector", "name": "tiny_ssd", "network": {}})
        check_start(DetectorConfig(name="tiny_ssd", weights=own))

    @pytest.mark.parametrize(
        ("name", "found"),
        [("yolox_s", "found yolox_nano"), ("ssd300_vgg16", "found yolox_nano"), ("ssdlite320_mobilenet_v2", "found yolox_nano")],
    )
    def test_another_detectors_release_is_named(self, tmp_path, name, found):
        file = self.saved(tmp_path / "nano.pth", release_of("yolox_nano"))
        with pytest.raises(BoxwiseError, match=rf"nano\.pth: expected weights of a {name}, {found}\. Give a copy"):
            check_start(DetectorConfig(name=name, weights=file))

    def test_another_detectors_saved_weights_and_other_networks_are_named(self, tmp_path):
        own = self.saved(tmp_path / "weights.pt", {"boxwise": "detector", "name": "tiny_ssd", "network": {}})
        other = self.saved(tmp_path / "other.pth", {"conv.weight": torch.zeros(3)})
        for file, found in ((own, "tiny_ssd"), (other, "something else")):
            with pytest.raises(BoxwiseError, match=f"expected weights of a yolox_nano, found {found}"):
                check_start(DetectorConfig(name="yolox_nano", weights=file))

    def test_a_folder_of_another_transformer_is_named(self, tmp_path):
        pytest.importorskip("transformers", reason="the extra hf is not installed")
        save_file = pytest.importorskip("safetensors.torch").save_file
        config = DetectorConfig(name="dfine_s", weights=tmp_path)
        with pytest.raises(BoxwiseError, match=r"weights of a dfine_s, found a folder without config\.json and model\.safetensors\."):
            check_start(config)
        save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors")
        for kind, found in (("rt_detr_v2", "rtdetr_v2_r18"), ("bert", "a model of type bert"), (None, "a model of type None")):
            (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
            with pytest.raises(BoxwiseError, match=rf"weights of a dfine_s, found {found}\. Give .*, a folder with config\.json and"):
                check_start(config)
        (tmp_path / "config.json").write_text('{"model_type": "d_fine"}')
        check_start(config)
        with pytest.raises(ConfigError, match=r"model\.safetensors: expected the folder that holds it and a config\.json, found a file"):
            check_start(DetectorConfig(name="dfine_s", weights=tmp_path / "model.safetensors"))

    def test_a_backbone_that_is_no_file_of_weights_is_noticed(self, tmp_path):
        (tmp_path / "a.pth").write_text("<html>")
        for file in (tmp_path / "a.pth", tmp_path / "gone.pth"):
            with pytest.raises(BoxwiseError, match="expected weights of the backbone of ssdlite320_mobilenet_v2"):
                check_start(DetectorConfig(name="ssdlite320_mobilenet_v2", backbone_weights=file))


class TestInputSides:
    @pytest.mark.parametrize("name", DETECTORS)
    def test_the_usual_one_fits_and_another_is_one_message(self, name):
        entry = DETECTORS[name]
        assert input_side(name, None) == entry.imgsz
        with pytest.raises(ConfigError, match=rf"detector\.imgsz: {name} takes .*, found {entry.imgsz + 1}\."):
            input_side(name, entry.imgsz + 1)

    def test_it_is_checked_before_any_work(self):
        with pytest.raises(ConfigError, match=r"yolox_nano takes a multiple of 32 from 64 to 2048, found 100"):
            check_start(DetectorConfig(name="yolox_nano", imgsz=100))

    @pytest.mark.parametrize("name", TRANSFORMERS)
    def test_those_of_transformers_are_what_the_architecture_says(self, name):
        transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")
        from boxwise.detectors.transformer import FAMILIES, _sides

        stated, found = DETECTORS[name].sides, _sides(getattr(transformers, FAMILIES[name].config)())
        assert (stated.least, stated.multiple) == (found.least, found.multiple)

    @pytest.mark.parametrize(("name", "side"), [("dfine_s", 100), ("rtdetr_v2_r18", 100), ("rf_detr_base", 96)])
    def test_those_of_a_folder_are_read_off_it_before_any_work(self, name, side):
        pytest.importorskip("transformers", reason="the extra hf is not installed")
        from small_transformers import IMGSZ, small_transformer

        folder = small_transformer(name)
        check_start(DetectorConfig(name=name, imgsz=IMGSZ[name], weights=folder))  # 20 queries need fewer cells than a release's 300
        with pytest.raises(ConfigError, match=rf"detector\.imgsz: {name} takes a multiple of .* to 2048, found {side}\."):
            check_start(DetectorConfig(name=name, imgsz=side, weights=folder))

    @pytest.mark.parametrize("name", ["dfine_s", "rtdetr_v2_r18"])
    def test_one_with_fewer_cells_than_queries_is_refused(self, name):
        with pytest.raises(ConfigError, match=f"{name} takes a multiple of 32 from 128 to 2048, found 96"):
            input_side(name, 96)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_missing_package_is_said_at_once(name, monkeypatch):
    monkeypatch.setattr("boxwise.detectors.start.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=rf"detector {name} needs the package transformers: pip install 'boxwise\[hf\]'"):
        check_start(DetectorConfig(name=name))


class TestPieces:
    @pytest.mark.parametrize(("batch", "accumulate"), [(1, 1), (4, 4)])
    def test_one_image_at_once_is_refused_where_batchnorm_sees_one_place_of_it(self, batch, accumulate):
        config = TrainConfig(batch=batch, accumulate=accumulate)
        with pytest.raises(ConfigError, match=rf"train\.batch={batch} in train\.accumulate={accumulate} pieces is 1 image at once"):
            check_pieces("ssdlite320_mobilenet_v2", config)
        check_pieces("tiny_ssd", config)
        check_pieces("ssdlite320_mobilenet_v2", TrainConfig(batch=2 * batch, accumulate=accumulate))

    def test_it_is_refused_before_there_is_a_study(self):
        config = load_config(None, ("detector.name=ssdlite320_mobilenet_v3", "detector.pretrained=none", "train.batch=1"))
        with pytest.raises(ConfigError, match=r"train\.batch=1"):
            check(settled(config), ("a",))

    @pytest.mark.slow
    @pytest.mark.parametrize("name", [name for name in DETECTORS if name not in TRANSFORMERS])
    def test_each_detector_trains_on_as_few_images_as_it_says(self, name, tmp_path):
        entry = DETECTORS[name]
        Image.effect_noise((80, 60), 90).convert("RGB").save(tmp_path / "a.png")
        sample = Sample(ImageRecord("a.png", str(tmp_path / "a.png"), 80, 60), Boxes([[5, 5, 40, 40]], [0]))
        config = DetectorConfig(name=name, imgsz=entry.sides.least, pretrained="none")
        detector = build_detector(name, ("a",), config, seed=0, device=torch.device("cpu"))
        steps = {"min_steps": 1, "max_steps": 1}
        detector.fit([sample], [], TrainConfig(batch=entry.together, **steps), seed=0)
        if entry.together > 1:
            with pytest.raises(ConfigError, match="too few for this detector's BatchNorm"):
                detector.fit([sample], [], TrainConfig(batch=1, **steps), seed=0)
