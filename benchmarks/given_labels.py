"""A study's database made of images that come with labels: processor seconds for the images alone and with their labels, and reading them.

    python benchmarks/given_labels.py FOLDER [--images 100000] [--store URL]

Each image has five boxes. The database is made twice in FOLDER, or in an empty PostgreSQL database.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from boxwise.boxes import Boxes
from boxwise.records import Annotation, ImageRecord, Source, Split
from boxwise.store import Store, file_url

BOXES, CLASSES = 5, 20


def main() -> None:
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    images = [ImageRecord(f"{i:08}.jpg", f"/data/{i:08}.jpg", 640, 480, Split.TRAIN, i, f"{i:016x}", "1 2") for i in range(options.images)]
    given = _labels(images)
    alone = _seconds("images alone", lambda: _made(options, images, []))
    both = _seconds("images and labels", lambda: _made(options, images, given))
    print(f"the labels: {both - alone:.1f} CPU-s")
    store = Store.open(_url(options))
    _seconds("reading the images", store.images)
    _seconds("reading the labels", lambda: store.annotations(Split.TRAIN))


def _made(options: argparse.Namespace, images: list[ImageRecord], given: list[Annotation]) -> None:
    (options.folder / "given.sqlite").unlink(missing_ok=True)
    # The same folder twice: what is there counts as a creation that was not finished, and is replaced.
    Store.create(_url(options), {"made_in": str(options.folder)}, images=images, given=given).close()


def _labels(images: list[ImageRecord]) -> list[Annotation]:
    rng = np.random.default_rng(0)
    corners = rng.random((len(images), BOXES, 4), np.float32) * 100 + np.array([0, 0, 200, 200], np.float32)
    labels = rng.integers(0, CLASSES, (len(images), BOXES))
    sources = (Source.HUMAN,) * BOXES
    return [Annotation(r.image_id, Boxes(corners[i], labels[i]), sources, complete=True) for i, r in enumerate(images)]


def _seconds(name: str, act: Callable[[], Any]) -> float:
    began = process_time()
    act()
    taken = process_time() - began
    print(f"{name}: {taken:.1f} CPU-s", flush=True)
    return taken


def _url(options: argparse.Namespace) -> Any:
    return options.store or file_url(options.folder / "given.sqlite")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--store", help="URL of an empty PostgreSQL database, instead of SQLite")
    return parser.parse_args()


if __name__ == "__main__":
    main()
