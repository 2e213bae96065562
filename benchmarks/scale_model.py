"""What a round over a very large pool costs, computed from constants that were measured one by one: the table of docs/scale.md.

    python benchmarks/scale_model.py [--nodes 1,4,16,64] [--cores 16] [--passing 36] [--picture 0.15] [--dim 320]

Each constant says what measured it. The model is a sum of products: what grows with the images, what is shared by the nodes, what one
process does alone. benchmarks/two_processes.py holds it against runs of 1 and 2 processes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

IMAGES = (1_000_000, 10_000_000, 100_000_000)
HOUR, GB = 3600.0, 1e9


@dataclass(frozen=True)
class Constants:
    """Seconds are of one core, bytes are of one image, unless said otherwise."""

    passing: float = 1 / 36  # the pool pass of YOLOX-nano at 416 px by ONNX Runtime: benchmarks/onnx_scoring.py
    write_part: float = 0.06e-3  # benchmarks/pool_parts.py
    read_part: float = 0.07e-3  # benchmarks/pool_parts.py
    join: float = 0.19e-3  # benchmarks/pool_parts.py
    start: float = 10.0  # a process until it inspects: taken, not measured; benchmarks/two_processes.py prints it for a machine
    init: float = 0.035e-3  # of a list, with SQLite: benchmarks/million.py
    records: float = 0.008e-3  # an image's record from the store, read once by each process: benchmarks/given_labels.py
    select: float = 0.013e-3  # a query of 1,000 by k-center, reading the pass included: benchmarks/million.py
    picture_bytes: float = 0.15e6  # a JPEG of COCO's size, read once a pass
    part_bytes: float = 2.2e3  # benchmarks/pool_parts.py
    row_bytes: float = 172.0  # of the store, SQLite: benchmarks/million.py
    dim: int = 320  # numbers of embedding, float32


@dataclass(frozen=True)
class Cost:
    """Of one round over `images` on `nodes` of `cores` each. Hours are of the clock, unless they are core-hours."""

    images: int
    nodes: int
    cores: int
    of: Constants

    @property
    def core_hours(self) -> float:
        """All work of the pass, wherever it is done."""
        return self.images * (self.of.passing + self.of.write_part) / HOUR

    @property
    def shared(self) -> float:
        """What more nodes make shorter."""
        return self.core_hours / (self.nodes * self.cores)

    @property
    def alone(self) -> float:
        """What one process does: list the pool, read and join the parts, choose."""
        return (self.images * (self.of.records + self.of.read_part + self.of.join + self.of.select) + self.of.start) / HOUR

    @property
    def wall(self) -> float:
        return self.shared + self.alone

    @property
    def efficiency(self) -> float:
        """Time of one core / (cores · time of all): what part of the machines works."""
        return (self.core_hours + self.alone) / (self.nodes * self.cores * self.wall)

    @property
    def most_cores(self) -> float:
        """With so many, what one process does alone takes as long as all the rest: more hardly help."""
        return self.core_hours / self.alone

    @property
    def memory(self) -> float:
        """Of the joining process: embeddings, scores, ids; GB."""
        return self.images * (4 * self.of.dim + 300) / GB

    @property
    def row(self) -> tuple[str, ...]:
        gigabytes = [_amount(self.images * each / GB) for each in (self.of.picture_bytes, self.of.part_bytes, self.of.row_bytes)]
        times = [_span(hours) for hours in (self.images * self.of.init / HOUR, self.shared, self.alone, self.wall)]
        shares = (f"{self.core_hours:,.1f}", f"{self.efficiency:.0%}", f"{self.most_cores:,.0f}")
        return f"{self.images:,}", str(self.nodes), *gigabytes, *times, *shares, f"{self.memory:,.1f} GB"


HEAD = (
    *("images and rows of the store", "nodes", "pictures read", "parts written", "store", "init, once", "the pass, shared"),
    *("alone: list, join, choose", "wall", "core-hours of the pass", "efficiency", "cores that halve it", "memory of the join"),
)


def predicted(images: int, processes: int, passing: float, start: float, alone: float) -> float:
    """Wall seconds of a pass by `processes` of one core each on one machine: starts side by side, share of the images, one join."""
    return start + images * passing / processes + images * alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=lambda text: [int(word) for word in text.split(",")], default=[1, 4, 16, 64])
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument(
        "--passing", type=float, default=36, help="images a second of a core; with --cores 1 that of a GPU, and core-hours are GPU-hours"
    )
    parser.add_argument("--picture", type=float, default=0.15, help="MB of an image's file")
    parser.add_argument("--dim", type=int, default=320)
    options = parser.parse_args()
    constants = Constants(passing=1 / options.passing, picture_bytes=1e6 * options.picture, dim=options.dim)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for images in IMAGES:
        for nodes in options.nodes:
            print(f"| {' | '.join(Cost(images, nodes, options.cores, constants).row)} |")


def _amount(gigabytes: float) -> str:
    return f"{gigabytes / 1000:,.1f} TB" if gigabytes >= 1000 else f"{gigabytes:,.1f} GB"


def _span(hours: float) -> str:
    return f"{60 * hours:,.0f} min" if hours < 2 else f"{hours:,.1f} h"


if __name__ == "__main__":
    main()
