"""Two lines of Python: `boxwise.load(STUDY).predict(images)`."""

import io
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import boxwise
from boxwise.data.images import read_image
from boxwise.detectors.checkpoints import read_checkpoint
from boxwise.errors import BoxwiseError, ImageError, StudyError
from boxwise.evaluation.in_words import ap_in_words
from boxwise.evaluation.operating_point import best_f1
from boxwise.inference import THRESHOLD
from boxwise.records import Split
from boxwise.study import Study

PIXELS = np.zeros((50, 60, 3), np.uint8)


@pytest.fixture
def study(waiting_study) -> Study:
    return waiting_study("full")


@pytest.fixture
def paths(study) -> list:
    return [record.uri for record in study.store.images()[:5]]


def test_paths_pillow_images_and_arrays_give_the_same_columns(study, paths):
    model = boxwise.load(study.folder, device="cpu")
    found = model.predict(paths, threshold=0.2, batch=2)
    assert [each.image for each in found] == [str(path) for path in paths]
    assert sum(map(len, found)) > 0
    others = [
        model.predict([str(path) for path in paths], threshold=0.2),
        model.predict([Image.open(path) for path in paths], threshold=0.2),
        model.predict([read_image(path) for path in paths], threshold=0.2),
    ]
    for other in others:
        for mine, theirs in zip(found, other, strict=True):
            assert (theirs.width, theirs.height) == (mine.width, mine.height)
            np.testing.assert_allclose(mine.xyxy, theirs.xyxy, atol=0.5)
            np.testing.assert_array_equal(mine.labels, theirs.labels)
    first = found[0]
    assert first.xyxy.dtype == first.scores.dtype == np.float32 and first.labels.dtype == np.int64
    assert first.names == [study.classes[label] for label in first.labels]
    assert others[2][1].image == "image 1"


def test_one_image_and_grey_pictures(study, paths):
    model = boxwise.load(study.folder, device="cpu")
    assert len(model.predict(paths[0])) == len(model.predict(read_image(paths[0]))) == 1
    grey = np.asarray(Image.open(paths[0]).convert("L"))
    as_rgb = np.repeat(grey[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(model.predict(grey, threshold=0)[0].xyxy, model.predict(as_rgb, threshold=0)[0].xyxy)
    assert model.predict([]) == []


def test_a_pillow_image_is_turned_upright_as_its_file_would_be(study, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 60), "white").save(tmp_path / "a.jpg", exif=exif)
    (found,) = boxwise.load(study.folder, device="cpu").predict(Image.open(tmp_path / "a.jpg"))
    assert (found.width, found.height) == (60, 90)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 4, 4), np.float32), r"image 1: expected an array uint8 \[height, width, 3\] of RGB, found float32 \[3, 4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), r"image 1: expected an array"),
        ("gone.jpg", r"gone\.jpg: expected .* found no such file"),
    ],
)
def test_what_cannot_be_read_is_refused_or_reported_and_left_out(study, paths, image, message):
    model = boxwise.load(study.folder, device="cpu")
    with pytest.raises(ImageError, match=message):
        model.predict([paths[0], image, paths[1]])
    reported: list[tuple[str, str]] = []
    found = model.predict([paths[0], image, paths[1]], on_unreadable=lambda name, text: reported.append((name, text)))
    assert [each.image for each in found] == [str(paths[0]), str(paths[1])]
    assert len(reported) == 1 and reported[0][0] in reported[0][1]


def test_a_dead_link_in_a_folder_is_an_image_that_cannot_be_read(study, paths, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").symlink_to(paths[0])
    (tmp_path / "in" / "dead.jpg").symlink_to(tmp_path / "gone.jpg")
    model = boxwise.load(study.folder, device="cpu")
    with pytest.raises(ImageError, match=r"dead\.jpg"):
        model.predict(tmp_path / "in")
    reported: list[tuple[str, str]] = []
    (found,) = model.predict(tmp_path / "in", on_unreadable=lambda name, text: reported.append((name, text)))
    assert found.image.endswith("a.jpg") and [name for name, _ in reported] == [str(tmp_path / "in" / "dead.jpg")]


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ([], {"batch": -1}, "batch: expected a number of images, 1 or more, found -1"),
        ([], {"batch": 0}, "found 0"),
        ([], {"batch": 1.5}, "found 1.5"),
        ([], {"threshold": float("nan")}, "threshold: expected a score from 0 to 1, found nan"),
        ([], {"threshold": 2}, "found 2"),
        ([], {"threshold": "0.5"}, "found '0.5'"),
        (None, {}, "image 0: expected a path, a Pillow image or an array uint8 .* found a NoneType"),
        (b"abc", {}, "found a bytes"),
        ([PIXELS, 3], {}, "image 1: expected a path.* found a int"),
        (torch.zeros(3, 8, 8), {}, "found a torch.Tensor"),
        ("", {}, "image 0: expected a path, found an empty one"),
    ],
)
def test_what_predict_cannot_do_is_refused_before_any_image(study, images, options, message):
    with pytest.raises(BoxwiseError, match=message):
        boxwise.load(study.folder, device="cpu").predict(images, **options)


@pytest.mark.parametrize("device", ["onnx", "onnx:cuda"])
def test_what_scores_a_pool_alone_does_not_predict(study, device):
    with pytest.raises(BoxwiseError, match=f"device='{device}': expected auto or a device of torch's"):
        boxwise.load(study.folder, device=device)


def test_no_path_is_not_the_folder_where_one_is(study, monkeypatch):
    monkeypatch.chdir(study.folder)
    with pytest.raises(BoxwiseError, match="found no path"):
        boxwise.load("")


def test_numbers_of_numpy_are_numbers(study):
    (found,) = boxwise.load(study.folder, device="cpu").predict(PIXELS, threshold=np.float32(0.5), batch=np.int64(2))
    assert (found.width, found.height) == (60, 50)


def test_a_pillow_image_without_pixels_is_left_out(study):
    reported: list[str] = []
    model = boxwise.load(study.folder, device="cpu")
    found = model.predict([Image.new("RGB", (0, 5)), PIXELS], on_unreadable=lambda name, text: reported.append(text))
    assert reported == ["image 0: expected an image, found one of 0 x 5 pixels."] and [each.image for each in found] == ["image 1"]


def test_a_file_that_is_no_weights_is_refused_and_a_file_has_no_rounds(study, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"hi")
    with pytest.raises(BoxwiseError, match=r"photo\.jpg: expected .* found a file torch cannot read"):
        boxwise.load(tmp_path / "photo.jpg")
    with pytest.raises(BoxwiseError, match=r"none\.pt: no such file"):
        boxwise.load(tmp_path / "none.pt")
    with pytest.raises(BoxwiseError, match=r"weights\.pt: a weights file is of one round"):
        boxwise.load(study.files(0).weights, round_index=5)


@pytest.mark.parametrize(("name", "runs"), [("model.onnx", "ONNX Runtime"), ("model.torchscript", "torch.jit.load")])
def test_an_exported_model_is_called_what_it_is(tmp_path, name, runs):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BoxwiseError, match=rf"found a model that `export-model` wrote\. Give the study or .*weights\.pt, or .* {runs}\."):
        boxwise.load(tmp_path / name)


@pytest.mark.filterwarnings("error")
def test_a_foreign_file_brings_no_advice_of_torch_to_let_it_run_code(tmp_path):
    with warnings.catch_warnings(action="ignore"):
        torch.jit.script(torch.nn.ReLU()).save(tmp_path / "script.pt")
    torch.save({"a": Path()}, tmp_path / "code.pt")
    for name in ("script.pt", "code.pt"):
        with pytest.raises(BoxwiseError, match=r"found a file torch cannot read\.$"):
            boxwise.load(tmp_path / name)
        with pytest.raises(StudyError, match=r"checkpoint: damaged, or another program's\. Delete it to train from the start\.$"):
            read_checkpoint(tmp_path / name, {})


def test_a_pillow_image_that_is_cut_off_is_one_error(study, tmp_path):
    stream = io.BytesIO()
    Image.effect_noise((80, 80), 50).save(stream, "jpeg")
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[:900])
    with pytest.raises(ImageError, match="image 0: expected an image that decodes"):
        boxwise.load(study.folder, device="cpu").predict([Image.open(tmp_path / "cut.jpg")])


def test_the_threshold_is_that_of_best_f1_on_val_and_travels_with_the_weights(study, tmp_path):
    facts = study.round(0).evaluate
    weights = study.files(0).weights.rename(tmp_path / "taken_away.pt")
    model = boxwise.load(weights, device="cpu")
    val = {record.image_id: record for record in study.store.images(Split.VAL)}
    truths = {image_id: label.boxes for image_id, label in study.store.annotations(Split.VAL).items() if label.round == 0}
    found = {image_id: model.predict(val[image_id].uri, threshold=0)[0].boxes for image_id in truths}
    expected = best_f1(found, truths)
    assert facts.operating_point == (expected and expected.to_json())
    assert model.point == expected
    assert model.origin == f"{weights} (val {ap_in_words(facts.val)})"
    assert model.threshold == (THRESHOLD if expected is None else expected.threshold)


def _set_ap(study: Study, aps: dict[int, float | None], monkeypatch) -> None:
    """As if rounds of these APs on val had been evaluated."""
    facts = {number: {"evaluate": {"val": None if ap is None else {"ap": ap, "ap50": ap, "images": 12}}} for number, ap in aps.items()}
    monkeypatch.setattr(type(study.store), "facts", lambda self: facts)
    for number in aps:
        files = study.files(number)
        files.path.mkdir(exist_ok=True)
        files.weights.write_bytes(study.files(0).weights.read_bytes())


@pytest.mark.parametrize(
    ("aps", "chosen"),
    [
        ({0: 0.1, 1: 0.4, 2: 0.3}, r"round 1 .*val AP 0\.400, AP50 0\.400 on 12 images"),
        ({0: 0.2, 1: 0.2}, "round 1 "),
        ({0: None, 1: None}, "round 1 .*no val to choose by"),
    ],
)
def test_the_best_round_on_val_is_loaded_the_last_among_equals(study, aps, chosen, monkeypatch):
    _set_ap(study, aps, monkeypatch)
    assert re.match(chosen, boxwise.load(study.folder, device="cpu").origin)


def test_a_round_by_its_number_and_rounds_that_are_not_there(study, tmp_path):
    assert boxwise.load(study.folder, round_index=0, device="cpu").origin.startswith("round 0 of")
    with pytest.raises(StudyError, match=r"round 7 has not been trained and evaluated\. Those that have: 0"):
        boxwise.load(study.folder, round_index=7)
    with pytest.raises(BoxwiseError, match="no boxwise study here"):
        boxwise.load(tmp_path)


def test_an_untrained_study_says_what_is_next(digits, tiny_overrides, tmp_path):
    from boxwise.config import load_config

    Study.create(tmp_path / "new", digits, config=load_config(None, tiny_overrides))
    with pytest.raises(StudyError, match=r"no round has been trained and evaluated yet\. Next: boxwise run"):
        boxwise.load(tmp_path / "new")


def test_to_supervision_hands_the_columns_over(study, paths):
    supervision = pytest.importorskip("supervision", reason="the package supervision is not installed")
    (found,) = boxwise.load(study.folder, device="cpu").predict(paths[0], threshold=0)
    columns = found.to_supervision()
    assert isinstance(columns, supervision.Detections) and len(columns) == len(found)
    np.testing.assert_array_equal(columns.xyxy, found.xyxy)
    np.testing.assert_array_equal(columns.confidence, found.scores)
    assert columns.data["class_name"].tolist() == found.names


def test_to_supervision_says_what_to_install(study, paths, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(BoxwiseError, match="pip install supervision"):
        boxwise.load(study.folder, device="cpu").predict(paths[0])[0].to_supervision()
