from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from boxwise.boxes import Boxes
from boxwise.data.cleaning import check_target, write_cleaned
from boxwise.data.datasets import read_dataset
from boxwise.data.examination import examine, faint, near_duplicates, suspects
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.yolo import Yolo
from boxwise.data.images import write_image
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split


def _picture(path: Path, seed: int) -> Image.Image:
    """A scene of smooth blobs, 100 x 80."""
    rough = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    image = Image.fromarray(rough).resize((100, 80), Image.Resampling.BICUBIC)
    write_image(np.asarray(image), path)
    return image


def _dataset(root: Path, boxes: list[tuple[int, float, float, float, float]], classes: tuple[str, ...] = ("cat", "dog")) -> Dataset:
    _picture(root / "a.png", 1)
    columns = np.array(boxes, np.float32).reshape(-1, 5)
    labels = {"a.png": Boxes(columns[:, 1:], columns[:, 0].astype(np.int64))}
    return Dataset(classes, (ImageRecord("a.png", root / "a.png", 100, 80, Split.TRAIN),), labels)


def test_a_scene_seen_twice_in_two_splits_is_a_leak_and_others_are_none(tmp_path: Path) -> None:
    scenes = [_picture(tmp_path / f"{number}.png", number) for number in range(20)]
    ImageEnhance.Brightness(scenes[3]).enhance(1.1).save(tmp_path / "again.jpg", quality=70)
    records = [ImageRecord(f"{n}.png", tmp_path / f"{n}.png", 100, 80, Split.TRAIN if n < 15 else Split.TEST) for n in range(20)]
    again = ImageRecord("again.jpg", tmp_path / "again.jpg", 100, 80, Split.VAL)
    (leak,) = near_duplicates([*records, again])
    assert (leak.kind, leak.image_id, leak.twin) == (FindingKind.NEAR_DUPLICATE, "again.jpg", str(tmp_path / "3.png"))
    assert "again.jpg of val looks like 3.png of train" in leak.message
    same_split = ImageRecord("again.jpg", tmp_path / "again.jpg", 100, 80, Split.TRAIN)
    assert not near_duplicates([*records, same_split])


def test_images_that_show_hardly_anything_once_decoded_are_named(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "clear.png")
    Image.fromarray(rng.integers(0, 16, (40, 40, 3), np.uint8)).save(tmp_path / "dark.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    records = [ImageRecord(name, str(tmp_path / name), 40, 40) for name in ("clear.png", "dark.png", "broken.png")]
    (found,) = faint(records)
    assert found.image_id == "dark.png" and found.message == "dark.png: its pixels span 6% of the range from black to white once decoded."


def test_bare_ground_under_one_lamp_is_no_scene(tmp_path: Path) -> None:
    down, across = np.mgrid[-1:1:80j, -1:1:100j]
    lamp = 200 - 90 * (down**2 + across**2)
    for seed, name in enumerate(("a.png", "b.png")):
        grain = np.random.default_rng(seed).normal(0, 12, (80, 100))
        write_image(np.clip(lamp + grain, 0, 255).astype(np.uint8), tmp_path / name)
    records = [ImageRecord(n, tmp_path / n, 100, 80, s) for n, s in (("a.png", Split.TRAIN), ("b.png", Split.TEST))]
    assert not near_duplicates(records)


def test_flat_and_broken_pictures_are_like_nothing(tmp_path: Path) -> None:
    for name, grey in (("a.png", 10), ("b.png", 200)):
        write_image(np.full((80, 100, 3), grey, np.uint8), tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"no picture")
    splits = (Split.TRAIN, Split.TEST, Split.TEST)
    assert not near_duplicates([ImageRecord(n, tmp_path / n, 100, 80, s) for n, s in zip(("a.png", "b.png", "c.png"), splits, strict=True)])


@pytest.mark.parametrize(("boxes", "says"), [
    ([(0, 10, 10, 50, 50), (0, 10, 10, 51, 50)], "box 2 ('cat') lies where box 1, another of its class, lies (IoU 0.98)"),
    ([(0, 10, 10, 50, 50), (1, 10, 10, 50, 50)], "box 2 ('dog') lies where box 1, 'cat', lies (IoU 1.00)"),
    ([(0, 10, 10, 11, 50)], "is 1 x 40 pixels"),
    ([(0, 0, 0, 100, 80)], "covers the whole image"),
])  # fmt: skip
def test_labels_that_look_wrong(tmp_path: Path, boxes: list, says: str) -> None:
    (suspect,) = suspects(_dataset(tmp_path, boxes))
    assert suspect.kind is FindingKind.SUSPECT_LABEL and says in suspect.message and suspect.box is not None


def test_a_box_of_another_size_than_its_class(tmp_path: Path) -> None:
    usual = [(0, x, y, x + 4 + (x + y) % 3 / 10, y + 4) for x in range(0, 70, 12) for y in range(0, 50, 10)]
    (suspect,) = suspects(_dataset(tmp_path, [*usual, (0, 30, 0, 98, 70)]))
    assert f"box {len(usual) + 1} ('cat') is" in suspect.message and "times as large as its class" in suspect.message


def test_names_that_differ_in_spelling_alone(tmp_path: Path) -> None:
    (suspect,) = suspects(_dataset(tmp_path, [], ("traffic light", "Traffic-Light", "dog")))
    assert "'traffic light', 'Traffic-Light'" in suspect.message


def test_sound_labels_are_not_suspect(tmp_path: Path) -> None:
    assert not suspects(_dataset(tmp_path, [(0, 10, 10, 50, 50), (0, 30, 10, 70, 50), (1, 12, 12, 48, 48)]))


def test_counts(tmp_path: Path) -> None:
    found = examine(_dataset(tmp_path, [(0, 0, 0, 10, 10), (0, 0, 0, 40, 40), (1, 5, 5, 25, 25)]))
    assert (found.images, found.labelled, found.empty, found.boxes) == ({"train": 1}, 1, 0, 3)
    assert [(facts.name, facts.boxes, facts.images, facts.by_split, facts.median_side) for facts in found.classes] == [
        ("cat", 2, 1, {"train": 2}, 25.0), ("dog", 1, 1, {"train": 1}, 20.0)
    ]  # fmt: skip
    assert found.sizes == (80, 90, 100) and found.sides == (10, 20, 40)


def test_a_cleaned_copy_has_no_fault_left_and_the_source_is_untouched(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number, name in enumerate(("a", "b", "bad")):
        _picture(source / "images" / f"{name}.png", number)
    (source / "labels").mkdir()
    (source / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.25\n" * 2)
    (source / "labels" / "b.txt").write_text("0 0.5 0.5 0.2 0.25\n")
    (source / "labels" / "bad.txt").write_text("0 0.9 0.5 0.5 0.25\n")
    (source / "data.yaml").write_text("names: [cat]\n")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    dataset = read_dataset(source)
    assert len(dataset.findings) == 2
    again = Yolo().read(write_cleaned(dataset, source, tmp_path / "clean"))
    assert not again.findings and {image_id: len(boxes) for image_id, boxes in again.labels.items()} == {"a.png": 1, "b.png": 1}
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before
    rows = (tmp_path / "clean" / "findings.csv").read_text().splitlines()
    assert rows[0] == "kind,image,left out,message"
    assert sorted(row.split(",")[:3] for row in rows[1:]) == [["bad box", "bad.png", "True"], ["duplicate box", "a.png", "False"]]
    for target in (tmp_path / "clean", source / "inside"):
        with pytest.raises(BoxwiseError, match="expected a"):
            check_target(source, target)
