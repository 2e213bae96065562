"""What each format can hold, measured by writing and reading it; docs/formats.md shows this table.

Also: no pair of formats loses a box of the four real sets on the way, and geometry and round trips for arbitrary boxes.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest

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
    return Dataset(("zebra", "ant", "never used"), tuple(records), labels, class_ids=(90, 3, 17), incomplete=frozenset({"sub/2.png"}))


def _objects(boxes: Boxes) -> Boxes:
    """Those that are no crowds."""
    return boxes if boxes.crowd is None else boxes[~boxes.crowd]


def _column(name: str) -> Callable[[Dataset, Dataset], bool]:
    def kept(read: Dataset, written: Dataset) -> bool:
        mine, before = read.labels["sub/0.png"], written.labels["sub/0.png"]
        theirs = before if len(mine) == len(before) else _objects(before)
        return getattr(mine, name) is not None and np.array_equal(getattr(mine, name), getattr(theirs, name))

    return kept


TRAITS: dict[str, Callable[[Dataset, Dataset], bool]] = {
    "boxes, to the last bit": lambda read, written: all(
        np.array_equal(_objects(read.labels[i]).xyxy, _objects(boxes).xyxy)
        and np.array_equal(_objects(read.labels[i]).labels, _objects(boxes).labels)
        for i, boxes in written.labels.items()
    ),
    "order of classes, and classes without a box": lambda read, written: read.classes == written.classes,
    "train, val and test": lambda read, written: (
        {i.image_id: i.split for i in read.images} == {i.image_id: i.split for i in written.images}
    ),
    "an image known to hold no object": lambda read, written: len(read.labels.get("sub/1.png", "no")) == 0,
    "an image that is not labelled": lambda read, written: "sub/3.png" not in read.labels and len(read.images) == 4,
    "an image that is labelled in part": lambda read, written: read.incomplete == written.incomplete,
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


def test_what_each_format_says_it_holds_is_what_is_measured(rich: Dataset, tmp_path: Path) -> None:
    table = measured(rich, tmp_path)
    rows = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]] for row in table.splitlines()}
    named = {
        "scores": "scores",
        "difficult": "difficult",
        "crowd": "crowd",
        "ids of boxes": "ids",
        "an image that is labelled in part": "incomplete",
    }
    for column, one in enumerate(FORMATS.values()):
        assert one.holds == {name for row, name in named.items() if rows[row][column] == "yes"}, one.name


@pytest.mark.parametrize("name", ["fod", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bccd", "pothole", "coco256"))])
def test_no_pair_of_formats_loses_a_box_of_a_real_set(name: str, shared_data: Path, tmp_path: Path) -> None:
    root = _few(shared_data / name, tmp_path)
    whole = READERS[detect_format(root) or ""].read(root, verify=False)
    chosen = tuple(record for record in whole.images if record.image_id in whole.labels)[:REAL_IMAGES]
    start = replace(whole, images=chosen, labels={record.image_id: whole.labels[record.image_id] for record in chosen}, findings=())
    assert sum(map(len, start.labels.values())) >= len(chosen) >= min(REAL_IMAGES, 16)
    folder = Path(*Path(chosen[0].uri).parts[: -len(Path(chosen[0].image_id).parts)])
    farthest: dict[str, float] = {}
    for first, second in permutations(FORMATS, 2):
        step = start
        for one in (first, second):
            place = tmp_path / f"{first}_{second}_{one}"
            FORMATS[one].write(step, place)
            step = FORMATS[one].read(place, folder, verify=False, missing_is_empty=False)
            rmtree(place)
        assert not [finding for finding in step.findings if finding.quarantined], (first, second)
        assert step.classes == start.classes
        assert step.labels.keys() == start.labels.keys(), (first, second)
        for image_id, boxes in start.labels.items():
            assert np.array_equal(step.labels[image_id].labels, boxes.labels)
        farthest[f"{first} to {second}"] = max(
            float(np.abs(step.labels[i].xyxy - boxes.xyxy).max(initial=0)) for i, boxes in start.labels.items()
        )
    print(f"\n| {name} | {len(chosen)} | {sum(map(len, start.labels.values()))} | {len(farthest)} | {max(farthest.values()):.2g} |")
    assert max(farthest.values()) <= 1e-3, farthest


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


CASES = 400  # seeds a property; the name of the case, and so its seed, is in the message of one that fails


@contextmanager
def case(seed: int) -> Iterator[np.random.Generator]:
    """The generator of one case; its seed is named where the block fails."""
    try:
        yield np.random.default_rng(seed)
    except Exception as error:
        error.add_note(f"the case of seed {seed}")
        raise


def some_sides(rng: np.random.Generator, count: int) -> np.ndarray:
    """Numbers from 0 to 1, whole 65,536ths: anywhere, at an end, beside one, or equal to another; YOLO adds and halves what is smaller."""
    kinds = rng.integers(0, 4, count)
    anywhere = rng.integers(0, (1 << 16) + 1, count)
    at_end = rng.integers(0, 2, count) << 16
    beside = np.abs(at_end - rng.integers(1, 4, count))
    return np.choose(kinds, (anywhere, at_end, beside, np.roll(anywhere, 1))) / (1 << 16)


def some_rows(rng: np.random.Generator, least: int, most: int) -> np.ndarray:
    """float64 [N, 5]: corners inside the picture, sorted, some without area, some equal; and a class, 0 or 1."""
    count = int(rng.integers(least, most + 1))
    sides = some_sides(rng, 4 * count).reshape(count, 4)
    low, high = np.minimum(sides[:, :2], sides[:, 2:]), np.maximum(sides[:, :2], sides[:, 2:])
    rows = np.column_stack([np.concatenate([low, high], axis=1) * [WIDTH, HEIGHT, WIDTH, HEIGHT], rng.integers(0, 2, count)])
    return np.concatenate([rows, rows[:1]]) if count and rng.random() < 0.2 else rows


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRecord, ...]:
    folder = tmp_path_factory.mktemp("cases") / "images"
    names = [f"{seed}.png" for seed in range(CASES)]
    for number, name in enumerate(names):
        write_image(np.full((HEIGHT, WIDTH), number % 256, np.uint8), folder / name)
    return tuple(ImageRecord(name, folder / name, WIDTH, HEIGHT, Split.TRAIN) for name in names)


@pytest.mark.parametrize("name", FORMATS)
def test_any_boxes_come_back_to_the_last_bit(name: str, pictures: tuple[ImageRecord, ...], tmp_path: Path) -> None:
    labels = {}
    for seed, record in enumerate(pictures):
        rows = some_rows(np.random.default_rng(seed), 0, 6)
        xyxy = rows[:, :4].astype(np.float32)
        wide = (xyxy[:, :2] < xyxy[:, 2:]).all(axis=1)
        labels[record.image_id] = Boxes(xyxy[wide], rows[wide, 4].astype(np.int64))
    assert min(map(len, labels.values())) == 0 and sum(map(len, labels.values())) > 2 * CASES
    FORMATS[name].write(Dataset(("a", "b"), pictures, labels), tmp_path)
    read = FORMATS[name].read(tmp_path, Path(pictures[0].uri).parent, verify=False)
    for seed, record in enumerate(pictures):
        with case(seed):
            written, mine = _said(labels[record.image_id]), _said(read.labels[record.image_id])
            assert mine == written and len(read.labels[record.image_id]) == len(written)


def _said(boxes: Boxes) -> set[tuple[int, bytes]]:
    return {(label, row.tobytes()) for label, row in zip(boxes.labels.tolist(), boxes.xyxy, strict=True)}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_keeps_areas_and_stays_inside(orientation: int) -> None:
    for seed in range(CASES):
        with case(seed) as rng:
            xyxy = some_rows(rng, 1, 5)[:, :4]
            found = turned(xyxy, orientation, (WIDTH, HEIGHT))
            size = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
            assert (found >= -1e-9).all() and (found <= np.array([*size, *size]) + 1e-9).all()
            areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (xyxy, found)]
            assert np.allclose(areas[0], areas[1])
            back = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
            assert np.allclose(turned(found, back, size), xyxy)


def test_the_extent_of_a_turned_box_holds_its_centre_and_area() -> None:
    for seed in range(CASES):
        with case(seed) as rng:
            x1, y1, x2, y2 = some_rows(rng, 1, 1)[0, :4]
            degrees = float(rng.choice([rng.uniform(-720, 720), 90 * rng.integers(-8, 9), 45 * rng.integers(-16, 17), 1e-9]))
            centre = ((x1 + x2) / 2, (y1 + y2) / 2)
            a, b, c, d = around_rotated((x1, y1, x2, y2), degrees, centre)
            assert np.allclose(((a + c) / 2, (b + d) / 2), centre)
            assert (c - a) * (d - b) >= (x2 - x1) * (y2 - y1) - 1e-6


def test_the_extent_of_points_holds_each_and_touches_four() -> None:
    for seed in range(CASES):
        with case(seed) as rng:
            count = int(rng.integers(1, 12))
            kinds = rng.integers(0, 4, (count, 2))
            anywhere = rng.uniform(-1e6, 1e6, (count, 2))
            points = np.choose(kinds, (anywhere, np.zeros_like(anywhere), anywhere * 1e-300, anywhere[::-1]))
            assert around_points(points.tolist()) == (*points.min(axis=0), *points.max(axis=0))


def test_runs_have_the_extent_of_their_mask() -> None:
    for seed in range(CASES):
        with case(seed) as rng:
            height, width = rng.integers(1, 10, 2)
            mask = rng.random((height, width)) < rng.choice([0, 0.05, 0.3, 0.8, 1])
            edges = np.flatnonzero(np.diff(np.concatenate([[False], mask.ravel(order="F"), [False]])))
            found = around_runs(np.diff(np.concatenate([[0], edges])).tolist(), int(height))
            if mask.any():
                rows, cols = np.nonzero(mask)
                assert found == (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
            else:
                assert np.isnan(found).all()
