"""A study of a list of images, in SQLite and PostgreSQL: none is opened before it is asked about; and what is said of very many files."""

import shutil

import pytest

from boxwise.data.digits import make_digits
from boxwise.labelstudio.backend import Backend
from boxwise.records import Action, Verdict
from boxwise.study import Study, upkeep

SETTINGS = ("budget.initial=12", "budget.validation=0", "detector.name=tiny_ssd", "detector.pretrained=false")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    make_digits(folder, seed=3, images=12, imgsz=48)
    return sorted((folder / "JPEGImages").glob("*.png"))


@pytest.fixture
def listed(scenes, tmp_path):
    """A list of ten images, one that is not there and one that is broken."""
    (tmp_path / "images").mkdir()
    for path in scenes[:10]:
        shutil.copyfile(path, tmp_path / "images" / path.name)
    (tmp_path / "images/broken.png").write_bytes(scenes[0].read_bytes()[:200])
    names = [path.name for path in scenes[:10]] + ["broken.png", "gone.png"]
    (tmp_path / "list.txt").write_text("".join(f"images/{name}\n" for name in names))
    return tmp_path / "list.txt"


@pytest.fixture(params=["sqlite", "postgresql"])
def study(request, boxwise, listed):
    store = [f"store={request.getfixturevalue('empty_postgres')}"] if request.param == "postgresql" else []
    code, out, err = boxwise("init", listed.parent / "study", "--images", listed, "--classes", "cat,dog", *SETTINGS, *store)
    assert code == 0, err
    assert "12 images, 0 of them labelled" in out and "none was opened" in err
    return listed.parent / "study"


def test_images_are_opened_when_they_are_asked_about(study, boxwise):
    assert not any(record.measured or record.digest for record in Study.open(study).images())
    code, out, _ = boxwise("query", study)
    assert code == 0 and "10 images to label" in out and "utility" not in out  # all are drawn at random
    opened = Study.open(study)
    assert {(record.width, record.height) for record in opened.images()} == {(48, 48)}
    assert all(record.digest and record.stamp for record in opened.images())
    assert set(opened.quarantined()) == {"images/broken.png", "images/gone.png"}
    assert "no such file" in opened.quarantined()["images/gone.png"]
    _, out, err = boxwise("status", study)
    assert "10 images in the pool" in out and "2 quarantined" in out and "not in the study" not in err


def test_nothing_goes_out_of_use_where_no_image_can_be_read(study, boxwise):
    (study.parent / "images").rename(study.parent / "elsewhere")
    code, _, err = boxwise("query", study)
    assert code == 2 and "Nothing was taken out of use" in err and "boxwise relocate" in err
    assert Study.open(study).quarantined() == {}
    (study.parent / "elsewhere").rename(study.parent / "images")
    assert boxwise("query", study)[0] == 0


def test_an_image_that_nobody_asked_about_is_opened_when_it_is_labelled_or_shown(study, scenes):
    opened = Study.open(study)
    *_, first, second = (f"images/{path.name}" for path in scenes[:10])
    opened.tell(first, [Verdict(Action.ADD, xyxy=(1, 2, 9, 8), label=1)], annotator="ann", seconds=3.0)
    assert opened.store.records([first])[0].measured and not opened.store.records([second])[0].measured
    assert opened.record(second).width == 48
    third = opened.store.records([f"images/{scenes[0].name}"])[0]
    assert not third.measured and Backend(opened)._image_of({"data": {"image": f"https://host/{scenes[0].name}"}}).width == 48
    assert all(record.measured for record in opened.dataset().images)


def test_a_longer_list_brings_what_is_new(study, boxwise, scenes, listed):
    shutil.copyfile(scenes[10], study.parent / "images" / scenes[10].name)
    addresses = [study.parent / line for line in listed.read_text().split()] + [study.parent / "images" / scenes[10].name]
    (study.parent / "longer.csv").write_text("path\n" + "".join(f"{address}\n" for address in addresses))
    code, out, _ = boxwise("add", study, "--images", study.parent / "longer.csv")
    assert code == 0 and "1 image joined, 0 of them labelled; 12 were in the study already." in out


def test_of_very_many_files_some_are_looked_at_and_doctor_looks_at_all(study, boxwise, monkeypatch):
    boxwise("query", study)
    monkeypatch.setattr(upkeep, "_FEW", 5)
    monkeypatch.setattr(upkeep, "_SAMPLE", 1000)
    for path in (study.parent / "images").glob("scene*"):
        path.unlink()
    _, _, err = boxwise("status", study)
    assert "of 10 image files were looked at, drawn at random" in err and "Missing: " in err
    code, out, _ = boxwise("doctor", study)
    assert code == 1 and "10 missing" in out
