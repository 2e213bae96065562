"""What commands do past one process: a shard of the pool pass, and the option `--on` of those that a Ray cluster can take work from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.errors import quoted

if TYPE_CHECKING:
    from boxwise.config import StudyConfig
    from boxwise.workers.base import Workers
    from boxwise.workers.cluster import Cluster

OnRay = Annotated[
    str | None,
    typer.Option(metavar="ray[=HOST:PORT]", help="Spread the work over a Ray cluster; without an address, over this machine's processors."),
]


def inspect_shard(folder: Path, shard: str) -> None:
    """Do one share of the pass that comes next, and say what is to do when all are done."""
    from boxwise.cli.console import Watch, say
    from boxwise.rounds.parts import Shard
    from boxwise.study import Study

    with Watch() as watch:
        end = Study.open(folder).inspect_shard(Shard.parse(shard), on_event=watch.event)
    say(f"shard {shard}: " + (f"nothing to inspect: {end}." if end else f"inspected. When all are: boxwise score {quoted(folder)}"))


def check_on(on: str | None, *, without: dict[str, bool]) -> None:
    """ConfigError for an `--on` that names no cluster, or that is given beside an option that it does not go with."""
    from boxwise.errors import ConfigError
    from boxwise.workers.cluster import address_of

    if on is not None:
        address_of(on)
        for option, given in without.items():
            if given:
                raise ConfigError(f"--on and {option}: give one of them. {option} is of this machine alone.")


@contextmanager
def cluster_on(on: str | None) -> Iterator[Cluster | None]:
    """The cluster that `--on` names, while the block runs; None without the option."""
    from boxwise.workers.cluster import address_of, ray_cluster

    if on is None:
        yield None
    else:
        with ray_cluster(address_of(on)) as cluster:
            yield cluster


@contextmanager
def workers_on(on: str | None, config: StudyConfig) -> Iterator[Workers | None]:
    """Its workers for a study of such a config."""
    with cluster_on(on) as cluster:
        yield None if cluster is None else cluster.workers(device=config.device, threads=config.threads)
