"""What the page that looks through the pool takes of a very large study: processor seconds and peak memory of each of its requests.

    python benchmarks/million.py FOLDER --strategies ""
    python benchmarks/pool_page.py FOLDER/study

The study is one that benchmarks/million.py has made, with a pass over the pool that nobody made; detections, two an image, are made up here
where there are none.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from boxwise.artifacts.detections_file import ROWS, SCHEMA
from boxwise.artifacts.round_folder import RoundFolder
from boxwise.artifacts.scored_pool import read_score_column
from boxwise.files import sealing
from boxwise.store import LabellingStore
from boxwise.study import Study
from boxwise.web.dashboard import Dashboard
from boxwise.web.pool import PoolView, Wanted
from boxwise.web.queue import LabelQueue

SEEN = 2  # detections an image
SEARCHES = (
    Wanted(),
    Wanted(text="frame_0050"),
    Wanted(label=1),
    Wanted(state="pool"),
    Wanted(low=0.5),
    Wanted(region=(0.2, 0.2, 0.5, 0.5)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    study = Study.open(parser.parse_args().study)
    if not study.files(0).detections.exists():
        make_detections(study.files(0), len(study.classes))
    print("| request | CPU s | peak MB so far |\n|---|---|---|")
    dashboard = Dashboard(study)
    view = PoolView(LabelQueue(study, LabellingStore(study.store)), dashboard)
    _taken("the dashboard", dashboard.figures)
    _taken("the map, with the pass copied into the database", view.map)
    _taken("the map again", view.map)
    _taken("what can be filtered by", view.choices)
    for wanted in SEARCHES:
        found = _taken(f"{_words(wanted)}: the first page", partial(view.found, wanted))
        middle = found["pages"] // 2
        _taken(f"{_words(wanted)}: page {middle:,} of {found['pages']:,}", partial(view.found, wanted, page=middle))


def make_detections(files: RoundFolder, classes: int) -> None:
    """`SEEN` boxes on each image of the pass."""
    ids, _ = read_score_column(files.scores)
    rng = np.random.default_rng(0)
    with sealing(files.detections) as path, pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=["image_id"]) as writer:
        for first in range(0, len(ids), ROWS):
            some = ids[first : first + ROWS]
            boxes = SEEN * len(some)
            columns = (
                np.zeros(4 * boxes, np.float32),
                rng.integers(0, classes, boxes),
                rng.random(boxes, np.float32),
                np.zeros(boxes, np.float32),
            )
            lists = [_lists(values, len(some)) for values in columns]
            writer.write_table(pa.Table.from_arrays([some, *lists, pa.array(np.ones(len(some), np.int32))], schema=SCHEMA))


def _lists(values: np.ndarray, images: int) -> pa.ListArray:
    return pa.ListArray.from_arrays(np.arange(0, len(values) + 1, len(values) // images, dtype=np.int32), pa.array(values))


def _taken(name: str, act: Callable[[], Any]) -> Any:
    began = process_time()
    answer = act()
    print(f"| {name} | {process_time() - began:.2f} | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:,.0f} |", flush=True)
    return answer


def _words(wanted: Wanted) -> str:
    given = {name: value for name, value in vars(wanted).items() if value not in (None, "")}
    return ", ".join(f"{name} {value}" for name, value in given.items()) or "no filter"


if __name__ == "__main__":
    main()
