"""Files that were found unfit when images joined are known from whatever folder a study is opened."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from boxwise.data.datasets import read_pool
from boxwise.data.images import write_image
from boxwise.study import Study


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study of one photo and a broken one, made where they lie and opened from elsewhere."""
    write_image(np.zeros((8, 8, 3), np.uint8), tmp_path / "photos/sub/a.png")
    (tmp_path / "photos/sub/broken.jpg").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    Study.create(Path("study"), read_pool("photos", None, classes=("bee",)))
    (tmp_path / "photos/more.jpg").write_bytes(b"x")
    Study.open("study").add(read_pool("photos", None, classes=("bee",)))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Study.open(tmp_path / "study")


def test_they_are_not_new(made: Study) -> None:
    assert set(made.quarantined()) == {"sub/broken.jpg", "more.jpg"}
    assert made.look().new == ()


def test_of_one_image_the_same_is_said_as_of_all(made: Study) -> None:
    for reason in ("", "blurred"):
        if reason:
            made.quarantine("sub/a.png", reason)
        faults = made.quarantined()
        assert len(faults) == 2 + bool(reason) and {name: made.fault(name) for name in faults} == faults
    assert made.fault("sub/a.png") == "blurred" and made.fault("unknown.png") is None


def test_nor_where_an_earlier_version_kept_their_places_as_typed(made: Study, tmp_path: Path) -> None:
    kept = [[kind, str(Path(place).relative_to(tmp_path)), *rest] for kind, place, *rest in made.store.get("findings")]
    assert kept[0][1] == "photos/sub/broken.jpg"
    made.store.put("findings", kept)
    assert made.look().new == ()
    shutil.copy(tmp_path / "photos/sub/a.png", tmp_path / "photos/new.png")
    assert made.look().new == (tmp_path / "photos/new.png",)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file systems refuse such names")
def test_nor_are_those_whose_name_no_database_takes(tmp_path: Path) -> None:
    for name in ("a.png", "n\udce9.png", "two\nlines.png"):
        write_image(np.zeros((8, 8, 3), np.uint8), tmp_path / "photos/sub" / name)
    study = Study.create(tmp_path / "study", read_pool(tmp_path / "photos", None, classes=("bee",)))
    assert [record.image_id for record in study.store.images()] == ["sub/a.png"]
    assert study.look().new == ()
