"""What each format can hold, measured by writing and reading it; docs/formats.md shows this table.

Also: no pair of formats loses a box of the four real sets on the way, and geometry and round trips for arbitrary boxes.
"""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.detect import detect_format
from boxwise.data.formats.names import FORMATS, READERS
from boxwise.data.formats.shapes import around_points, around_rotated, around_runs, turned
from boxwise.data.images import write_image
from boxwise.records import ImageRecord, Split

DOC = Path(__file__).parents[3] / "docs" / "formats.md"
WIDTH, HEIGHT = 100, 80
REAL_IMAGES = int(os.environ.get("BOXWISE_ROUND_TRIP_IMAGES", "16"))  # of each real set


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set with everything that boxes can have."""
    root = tmp_path_factory.mktemp("rich")
    splits = (Split.TRAIN, Split.VAL, Split.TEST, None)
    records = []
    for number, split in enumerate(splits):
        name = f"sub/{number}.png"
        write_image(np.full((HEIGHT, WIDTH, 3), number, np.uint8), root / name)
        records.append(ImageRecord(name, root / name, WIDTH, HEIGHT, split, 10 + 7 * number))
    boxes = Boxes(
        np.array([[1.1, 2.7, 30.3, 40.9], [0, 0, WIDTH, HEIGHT]]),
        np.array([1, 0]),
        scores=np.array([0.25, 1 / 3]),
        difficult=np.array([True, False]),
        crowd=np.array([False, True]),
        ids=np.array([5, 900], object),
    )
    labels = {"sub/0.png": boxes, "sub/1.png": Boxes.empty(), "sub/2.png": boxes[[1]]}
    return Dataset(("zebra", "ant", "never used"), tuple(records), labels, class_ids=(90, 3, 17))


def _column(name: str) -> Callable[[Dataset, Dataset], bool]:
    def kept(read: Dataset, written: Dataset) -> bool:
        mine, theirs = (getattr(dataset.labels["sub/0.png"], name) for dataset in (read, written))
        return mine is not None and np.array_equal(mine, theirs)

    return kept


TRAITS: dict[str, Callable[[Dataset, Dataset], bool]] = {
    "boxes, to the last bit": lambda read, written: all(
        np.array_equal(read.labels[i].xyxy, boxes.xyxy) and np.array_equal(read.labels[i].labels, boxes.labels)
        for i, boxes in written.labels.items()
    ),
    "order of classes, and classes without a box": lambda read, written: read.classes == written.classes,
    "train, val and test": lambda read, written: (
        {i.image_id: i.split for i in read.images} == {i.image_id: i.split for i in written.images}
    ),
    "an image known to hold no object": lambda read, written: len(read.labels.get("sub/1.png", "no")) == 0,
    "an image that is not labelled": lambda read, written: "sub/3.png" not in read.labels and len(read.images) == 4,
    "scores": _column("scores"),
    "difficult": _column("difficult"),
    "crowd": _column("crowd"),
    "ids of boxes": _column("ids"),
    "numbers of classes": lambda read, written: read.class_ids == written.class_ids,
    "numbers of images": lambda read, written: [i.source_id for i in read.images] == [i.source_id for i in written.images],
}


def measured(rich: Dataset, root: Path) -> str:
    """The table in Markdown. Read as a growing study does, which takes nothing for granted."""
    read = {}
    for name, one in FORMATS.items():
        one.write(rich, root / name, copy_images=True)
        again = one.read(root / name, missing_is_empty=False)
        read[name] = replace(again, images=tuple(sorted(again.images, key=lambda image: image.image_id)))
    lines = [f"| | {' | '.join(FORMATS)} |", f"|---|{'---|' * len(FORMATS)}"]
    for trait, holds in TRAITS.items():
        lines.append(f"| {trait} | {' | '.join('yes' if holds(read[name], rich) else 'no' for name in FORMATS)} |")
    return "\n".join(lines)


def test_the_docs_show_what_is_measured(rich: Dataset, tmp_path: Path) -> None:
    table = measured(rich, tmp_path)
    shown = re.search(r"<!-- measured -->\n(.*?)\n<!-- /measured -->", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None and shown.group(1).strip() == table, f"docs/formats.md should show:\n{table}"


@pytest.mark.parametrize("name", ["fod", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bccd", "pothole", "coco256"))])
def test_no_pair_of_formats_loses_a_box_of_a_real_set(name: str, shared_data: Path, tmp_path: Path) -> None:
    root = _few(shared_data / name, tmp_path)
    whole = READERS[detect_format(root) or ""].read(root, verify=False)
    chosen = tuple(record for record in whole.images if record.image_id in whole.labels)[:REAL_IMAGES]
    start = replace(whole, images=chosen, labels={record.image_id: whole.labels[record.image_id] for record in chosen})
    assert sum(map(len, start.labels.values())) >= len(chosen) >= min(REAL_IMAGES, 16)
    folder = Path(*chosen[0].path.parts[: -len(Path(chosen[0].image_id).parts)])
    for first, second in permutations(FORMATS, 2):
        step = start
        for one in (first, second):
            place = tmp_path / f"{first}_{second}_{one}"
            FORMATS[one].write(step, place)
            step = FORMATS[one].read(place, folder, verify=False, missing_is_empty=False)
        assert not [finding for finding in step.findings if finding.quarantined], (first, second)
        assert step.classes == start.classes
        assert step.labels.keys() == start.labels.keys(), (first, second)
        for image_id, boxes in start.labels.items():
            assert np.array_equal(step.labels[image_id].labels, boxes.labels)
            assert np.allclose(step.labels[image_id].xyxy, boxes.xyxy, atol=1e-3), (first, second, image_id)


def _few(folder: Path, tmp_path: Path) -> Path:
    """The set with every label file that is needed; of fod's 3,791 images the first few."""
    if folder.name != "fod":
        return folder
    root = tmp_path / "few"
    for part in ("Annotations", "JPEGImages"):
        (root / part).mkdir(parents=True)
    for path in sorted((folder / "Annotations").iterdir())[: REAL_IMAGES + 4]:
        (root / "Annotations" / path.name).symlink_to(path)
        picture = next((folder / "JPEGImages").glob(f"{path.stem}.*"))
        (root / "JPEGImages" / picture.name).symlink_to(picture)
    return root


sides = st.integers(0, 1 << 16).map(lambda number: number / (1 << 16))  # to a thousandth of a pixel; YOLO adds and halves what is smaller
corners = st.tuples(sides, sides, sides, sides, st.integers(0, 1)).map(
    lambda v: (*(min(v[0], v[2]) * WIDTH, min(v[1], v[3]) * HEIGHT, max(v[0], v[2]) * WIDTH, max(v[1], v[3]) * HEIGHT), v[4])
)


@pytest.fixture(scope="module")
def one_image(tmp_path_factory: pytest.TempPathFactory) -> ImageRecord:
    path = tmp_path_factory.mktemp("one") / "images" / "a.png"
    write_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), path)
    return ImageRecord("a.png", path, WIDTH, HEIGHT, Split.TRAIN)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25, deadline=None)
@given(rows=st.lists(corners, max_size=6))
def test_any_boxes_come_back_to_the_last_bit(name: str, rows: list, one_image: ImageRecord) -> None:
    columns = np.array(rows, np.float64).reshape(-1, 5)
    xyxy = columns[:, :4].astype(np.float32)
    wide = (xyxy[:, :2] < xyxy[:, 2:]).all(axis=1)
    boxes = Boxes(xyxy[wide], columns[wide, 4].astype(np.int64))
    dataset = Dataset(("a", "b"), (one_image,), {"a.png": boxes})
    with TemporaryDirectory() as folder:
        FORMATS[name].write(dataset, Path(folder))
        read = FORMATS[name].read(Path(folder), one_image.path.parent)
    said = {(label, row.tobytes()) for label, row in zip(boxes.labels.tolist(), boxes.xyxy, strict=True)}
    mine = read.labels["a.png"]
    assert {(label, row.tobytes()) for label, row in zip(mine.labels.tolist(), mine.xyxy, strict=True)} == said
    assert len(mine) == len(said)


@given(st.lists(corners, min_size=1, max_size=5), st.integers(1, 8))
def test_turning_keeps_areas_and_stays_inside(rows: list, orientation: int) -> None:
    xyxy = np.array(rows, np.float64)[:, :4]
    found = turned(xyxy, orientation, (WIDTH, HEIGHT))
    size = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    assert (found >= -1e-9).all() and (found <= np.array([*size, *size]) + 1e-9).all()
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (xyxy, found)]
    assert np.allclose(areas[0], areas[1])
    back = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    assert np.allclose(turned(found, back, size), xyxy)


@given(corners, st.floats(-720, 720))
def test_the_extent_of_a_turned_box_holds_its_centre_and_area(row: tuple, degrees: float) -> None:
    x1, y1, x2, y2 = row[:4]
    centre = ((x1 + x2) / 2, (y1 + y2) / 2)
    a, b, c, d = around_rotated((x1, y1, x2, y2), degrees, centre)
    assert np.allclose(((a + c) / 2, (b + d) / 2), centre)
    assert (c - a) * (d - b) >= (x2 - x1) * (y2 - y1) - 1e-6


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1))
def test_the_extent_of_points_holds_each_and_touches_four(points: list) -> None:
    x1, y1, x2, y2 = around_points(points)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    assert (x1, y1, x2, y2) == (min(xs), min(ys), max(xs), max(ys))


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=9))
def test_runs_have_the_extent_of_their_mask(columns: list) -> None:
    mask = np.array(columns, bool).T
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]])))
    counts = np.diff(np.concatenate([[0], edges])).tolist()
    found = around_runs(counts, mask.shape[0])
    if mask.any():
        rows, cols = np.nonzero(mask)
        assert found == (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
    else:
        assert np.isnan(found).all()
