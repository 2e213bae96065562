"""A study's detector is used where its images are not: on a folder of photographs, and as one file."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from boxwise.cli import models


@pytest.fixture
def study(waiting_study):
    return waiting_study("full")


def test_predict_takes_a_study_and_the_threshold_of_best_f1(boxwise, study, tmp_path):
    images = Path(study.store.images()[0].uri).parent
    code, out, err = boxwise("predict", study.folder, images, "--out", tmp_path / "drawn", "--device", "cpu")
    assert code == 0, err
    assert f"round 0 of {study.folder}" in out and ("F1 on val is best" in out or "no best F1 is known" in out)
    assert len(list((tmp_path / "drawn").glob("*.jpg"))) == len(list(images.iterdir()))
    fewer = json.loads((tmp_path / "drawn" / "predictions.json").read_text())["annotations"]
    code, out, _ = boxwise("predict", study.folder, images, "--out", tmp_path / "all", "--conf", "0.01", "--round", "0", "--device", "cpu")
    assert code == 0 and "(as given)" in out
    assert len(json.loads((tmp_path / "all" / "predictions.json").read_text())["annotations"]) > len(fewer)


def test_predict_without_images_takes_the_unlabelled_ones(boxwise, study, tmp_path):
    code, out, err = boxwise("predict", study.folder, "--out", tmp_path / "drawn", "--device", "cpu")
    assert code == 0 and f"in {len(study.pool())} images" in out, err
    code, _, err = boxwise("predict", study.files(0).weights, "--out", tmp_path / "drawn")
    assert code == 2 and "weights hold no images" in err


def test_predict_says_the_size_of_images_that_were_never_opened(boxwise, study, tmp_path):
    study.store.measured(replace(record, width=0, height=0) for record in study.pool())
    code, out, err = boxwise("predict", study.folder, "--out", tmp_path / "drawn", "--device", "cpu")
    assert code == 0 and f"in {len(study.pool())} images" in out, err
    images = json.loads((tmp_path / "drawn" / "predictions.json").read_text())["images"]
    assert {(image["width"], image["height"]) for image in images} == {Image.open(study.pool()[0].uri).size}


def test_predict_gives_each_image_a_picture_of_its_own(boxwise, study, tmp_path):
    first, second, third = (Image.open(record.uri) for record in study.images()[:3])
    (tmp_path / "in").mkdir()
    first.save(tmp_path / "in" / "a.jpg")
    second.resize((50, 40)).save(tmp_path / "in" / "a.png")
    third.save(tmp_path / "in" / "b.png")
    code, _, err = boxwise("predict", study.folder, tmp_path / "in", "--out", tmp_path / "drawn", "--device", "cpu")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "drawn").glob("*.jpg")} == {"a.jpg.jpg", "a.png.jpg", "b.jpg"}
    assert Image.open(tmp_path / "drawn" / "a.png.jpg").size == (50, 40)


def test_predictions_say_where_below_the_folder_an_image_is(boxwise, study, tmp_path):
    for place, record in zip(("in/a/x.png", "in/b/x.png", "in/y.png"), study.images(), strict=False):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.open(record.uri).save(tmp_path / place)
    code, _, err = boxwise("predict", study.folder, tmp_path / "in", "--out", tmp_path / "drawn", "--device", "cpu")
    assert code == 0, err
    images = json.loads((tmp_path / "drawn" / "predictions.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["a/x.png", "b/x.png", "y.png"]
    assert all((tmp_path / "drawn" / name).is_file() for name in ("a/x.jpg", "b/x.jpg", "y.jpg"))


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        (["one"], ["a/x.png", "z.png"]),
        (["one", "two"], ["one/a/x.png", "one/z.png", "two/a/x.png"]),
        (["one/a", "two/a", "one/z.png"], ["one/a/x.png", "two/a/x.png", "one/z.png"]),
        (["one/a", "one/z.png"], ["x.png", "z.png"]),
        (["one/z.png", "one", "two/../one"], ["z.png", "a/x.png"]),
        (["one/z.png", "one/a/x.png", "two/a/x.png"], ["one/z.png", "one/a/x.png", "two/a/x.png"]),
    ],
)
def test_an_image_is_called_by_its_path_and_once(tmp_path, monkeypatch, given, ids):
    monkeypatch.chdir(tmp_path)
    for place in ("one/a/x.png", "one/z.png", "two/a/x.png"):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(place)
    assert [record.image_id for record in models._named(given)] == ids
    absolute = [str(tmp_path / path) for path in given]
    assert [record.image_id for record in models._named(absolute)] == ids


def test_images_of_two_remote_folders_are_called_by_what_sets_them_apart():
    named = models._named(["s3://one/set/x.png", "s3://two/set/x.png", "https://host/x.png?key=secret"])
    assert [record.image_id for record in named] == ["s3/one/set/x.png", "s3/two/set/x.png", "https/host/x.png"]


def test_predict_writes_over_no_image_that_it_looks_at(boxwise, study, tmp_path):
    (tmp_path / "in").mkdir()
    Image.open(study.images()[0].uri).save(tmp_path / "in" / "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    before = (tmp_path / "in" / "a.jpg").read_bytes()
    for out in (tmp_path / "in", tmp_path / "link", tmp_path / "x" / ".." / "in"):
        code, _, err = boxwise("predict", study.folder, tmp_path / "in", "--out", out, "--device", "no such device")
        assert code == 2 and "a.jpg: expected a place for what was detected, found one of the images" in err  # before a model is loaded
    assert (tmp_path / "in" / "a.jpg").read_bytes() == before and [path.name for path in (tmp_path / "in").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("name", ["a.jpg", "predictions.json"])
def test_predict_writes_over_nothing_that_it_did_not_write(boxwise, study, tmp_path, name):
    """Photographs that lie in --out and are not looked at, the study's own among them."""
    for folder, record in zip(("in", "out"), study.images(), strict=False):
        (tmp_path / folder).mkdir()
        Image.open(record.uri).save(tmp_path / folder / "a.jpg")
    (tmp_path / "out" / "a.jpg").rename(tmp_path / "out" / name)
    before = (tmp_path / "out" / name).read_bytes()
    code, _, err = boxwise("predict", study.folder, tmp_path / "in", "--out", tmp_path / "out", "--device", "no such device")
    assert code == 2 and f"{name}: expected no file, or one that `boxwise predict` wrote" in err, err  # before a model is loaded
    assert (tmp_path / "out" / name).read_bytes() == before and [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_predict_removes_what_an_earlier_call_drew_and_nothing_else(boxwise, study, tmp_path):
    out, paths = tmp_path / "out", [tmp_path / f"{name}.png" for name in "abc"]
    for path, record in zip(paths, study.images(), strict=False):
        Image.open(record.uri).save(path)
    for given, drawn in ((paths[:2], {"a.jpg", "b.jpg"}), (paths[1:], {"b.jpg", "c.jpg"})):
        code, _, err = boxwise("predict", study.folder, *given, "--out", out, "--device", "cpu")
        assert code == 0 and {path.name for path in out.glob("*.jpg")} == drawn, err
    (out / "mine.jpg").write_text("mine")
    (out / "c.jpg").write_text("changed")
    assert boxwise("predict", study.folder, paths[1], "--out", out, "--device", "cpu")[0] == 0
    assert {path.name for path in out.glob("*.jpg")} == {"b.jpg", "c.jpg", "mine.jpg"}


def test_predict_can_be_repeated_after_a_kill(boxwise, study, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(self, written):
        raise Killed

    call = ("predict", study.folder, "--out", tmp_path / "out", "--device", "cpu")
    with monkeypatch.context() as patch:
        patch.setattr("boxwise.data.earlier_writes.Earlier.followed_by", killed)
        with pytest.raises(Killed):
            boxwise(*call)
    assert list((tmp_path / "out").glob("*.jpg"))
    code, _, err = boxwise(*call)
    assert code == 0, err
    assert "*" not in (tmp_path / "out" / ".written_predictions.txt").read_text()


def test_predictions_of_a_folder_without_a_record_are_not_written_over(boxwise, study, tmp_path):
    call = ("predict", study.folder, "--out", tmp_path / "out", "--device", "cpu")
    assert boxwise(*call)[0] == 0
    (tmp_path / "out" / ".written_predictions.txt").unlink()
    files = [path for path in (tmp_path / "out").iterdir() if path.is_file()]
    code, _, err = boxwise(*call)
    assert code == 2 and f"found {len(files)} others. Remove them" in err, err
    for path in files:
        path.unlink()
    assert boxwise(*call)[0] == 0


def test_predict_writes_nothing_where_no_image_can_be_read(boxwise, study, tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    code, out, err = boxwise("predict", study.folder, tmp_path / "a.jpg", "--out", tmp_path / "out", "--device", "cpu")
    assert code == 2 and "nothing was written, since none of 1 image could be read" in err and "F1" not in out + err
    assert not (tmp_path / "out").exists()


def test_what_is_found_on_an_image_is_kept_where_its_picture_cannot_be_written(boxwise, study, tmp_path):
    (tmp_path / "drawn" / "b.jpg").mkdir(parents=True)
    for name, record in zip(("a", "b", "c"), study.images()[:3], strict=True):
        Image.open(record.uri).save(tmp_path / f"{name}.jpg")
    images = [tmp_path / f"{name}.jpg" for name in ("a", "b", "c")]
    code, _, err = boxwise("predict", study.folder, *images, "--out", tmp_path / "drawn", "--device", "cpu")
    assert code == 0 and "drawn/b.jpg" in err and (tmp_path / "drawn" / "c.jpg").is_file()
    assert len(json.loads((tmp_path / "drawn" / "predictions.json").read_text())["images"]) == 3


def test_names_of_many_images_are_compared_about_once_each(tmp_path, monkeypatch):
    compared = []

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            compared.append(1)
            return str.__eq__(self, other)

    files = [str(tmp_path / f"{number // 900}" / f"{number % 900}.png") for number in range(1000)]
    monkeypatch.setattr("boxwise.data.addresses.name_of", lambda file: Name(Path(file).name))
    ids = [record.image_id for record in models._named(files)]
    assert len(set(ids)) == 1000 and ids[500] == "0/500.png" and ids[950] == "1/50.png"
    assert len(compared) < 10_000


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("model.onnx", ("--round", "4"), "round 4 has not been trained and evaluated"),
        ("model.bin", (), "expected a file that ends in .onnx, .torchscript"),
        ("model.bin", ("--round", "4"), "expected a file that ends in .onnx, .torchscript"),  # said before a model is looked for
    ],
)
def test_export_model_says_what_it_cannot_do(boxwise, study, tmp_path, name, arguments, message):
    code, _, err = boxwise("export-model", study.folder, tmp_path / name, *arguments)
    assert code == 2 and message in err.replace("\n", " ")
    assert not (tmp_path / name).exists()


def test_export_model_writes_the_best_round_and_says_how_close_it_is(boxwise, study, tmp_path):
    code, out, err = boxwise("export-model", study.folder, tmp_path / "model.torchscript", "--conf", "0.4")
    assert code == 0, err
    assert f"round 0 of {study.folder}" in out and "Checked against the detector: boxes differ by at most" in out
    assert (tmp_path / "model.torchscript").stat().st_size > 100_000


def test_export_to_onnx_says_what_to_install(boxwise, study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, err = boxwise("export-model", study.folder, tmp_path / "model.onnx")
    assert code == 2 and "pip install 'boxwise[onnx]'" in err
    assert not (tmp_path / "model.onnx").exists()
