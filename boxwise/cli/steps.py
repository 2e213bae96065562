"""The verbs that do one step of a round alone: train, score, evaluate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.cli.cluster import inspect_shard
from boxwise.cli.settings import take_edits
from boxwise.cli.studies import StudyFolder, say_what_is_asked, watching
from boxwise.cli.upkeep import check_files
from boxwise.errors import quoted
from boxwise.runtime import of_torchrun

if TYPE_CHECKING:
    from boxwise.records import Phase
    from boxwise.rounds import Event
    from boxwise.study import Study

app = typer.Typer()


@app.command()
def train(study: StudyFolder) -> None:
    """Do the training step alone (also under torchrun)."""
    from boxwise.records import Phase

    _single(study, Phase.TRAIN)


@app.command()
def score(
    study: StudyFolder,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Inspect share I of N of the pool alone, beside processes that do the others.")
    ] = None,
) -> None:
    """Do the scoring step alone: the pool pass.

    With --shard, only inspect a share of the pool; without, inspect what no shard has inspected, and join all of it.
    """
    from boxwise.records import Phase

    if shard is None:
        _single(study, Phase.SCORE)
    else:
        inspect_shard(study, shard)


@app.command()
def evaluate(study: StudyFolder) -> None:
    """Do the evaluation step alone, or again with the labels of now.

    The rounds before are then judged by them, too, from what they detected.
    """
    from boxwise.records import Phase

    _single(study, Phase.EVALUATE)


def _single(folder: Path, wanted: Phase) -> None:
    """Go on to `wanted` and do it, or do it again; the short steps before TRAIN are done on the way."""
    from boxwise.cli.console import say, step_line
    from boxwise.records import Phase
    from boxwise.study import Study
    from boxwise.study.outdated import rounds_to_judge

    rank, world = of_torchrun("RANK"), of_torchrun("WORLD_SIZE")
    opened = Study.open(folder)
    if rank == 0:
        take_edits(opened)
        check_files(opened)
    if wanted is Phase.TRAIN and rank > 0:
        opened.train_along()
        return
    with watching(opened) as (on_event, on_step):
        others = rounds_to_judge(opened) if wanted is Phase.EVALUATE and world == 1 else []
        again = opened.repeat(wanted, on_event=on_event) if world == 1 else None
        for other in others:
            say(step_line(opened, other, wanted))
        if again is not None and wanted is Phase.EVALUATE:
            on_step(again, wanted)
            return
        asks = _advance_to(opened, wanted, on_event, on_step)
    if asks:
        say_what_is_asked(opened)


def _advance_to(opened: Study, wanted: Phase, on_event: Callable[[Event], None], on_step: Callable[[int, Phase], None]) -> bool:
    """Do the steps up to `wanted`; True where labels are needed before it."""
    from boxwise.errors import StudyError
    from boxwise.records import Phase

    while True:
        number, phase = opened.position
        short = wanted is Phase.TRAIN and phase in (Phase.SELECT, Phase.ANNOTATE, Phase.AUDIT, Phase.COMPOSE)
        if phase is not wanted and not short:
            asked_by_scores = wanted is Phase.SCORE and phase is Phase.ANNOTATE and number > 0 and _is_ranked(opened, number)
            why = f" Round {number}'s questions were chosen by its scores." if asked_by_scores else ""
            if of_torchrun("WORLD_SIZE") > 1:
                why += f" Under torchrun no training is done again: `boxwise train {quoted(opened.folder)}` alone does."
            raise StudyError(
                f"{opened.folder}: the next step is {phase.value} of round {number}, not {wanted.value}.{why} "
                f"See `boxwise status {quoted(opened.folder)}`."
            )
        if opened.step(on_event=on_event) is phase:
            return wanted is Phase.TRAIN and phase is Phase.ANNOTATE
        on_step(number, phase)
        if phase is wanted:
            return False


def _is_ranked(opened: Study, number: int) -> bool:
    """Whether a round's questions were chosen by what a pool pass has found, not at random."""
    return any(item.ranked for item in opened.query(number).items)
