"""The verb that compares strategies over many data sets: benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.cli.cluster import OnRay, check_on, cluster_on
from boxwise.cli.simulations import Overrides, compared_with, note_idle, note_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxwise.results.facts import Cell
    from boxwise.results.grid import Panel
    from boxwise.simulation.benchmark import Preset
    from boxwise.simulation.simulate import Message, Plan

app = typer.Typer()


@app.command()
def benchmark(
    overrides: Overrides = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="small, photos, real, evidence, development, survey, cooperation, confirmation, full, voc or coco.", show_default="small"
        ),
    ] = None,
    grid: Annotated[Path | None, typer.Option(help="A grid of your own in YAML, laid out as a preset, instead of one.")] = None,
    data: Annotated[list[Path] | None, typer.Option(help="A labelled data set; once for each.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; the same folder resumes. Default: runs/PRESET.")] = None,
    arms: Annotated[str | None, typer.Option(help="Comma-separated, instead of the preset's.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Paired repetitions, instead of the preset's.")] = None,
    baseline: Annotated[str | None, typer.Option(help="The arm the others are compared with, instead of the preset's.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cells side by side.")] = 1,
    plan: Annotated[bool, typer.Option("--plan", help="Say what is left to do and how long it takes here, and stop.")] = False,
    on: OnRay = None,
) -> None:
    """Compare strategies over data sets and detectors.

    Curves, savings, ranks and what choosing costs. Stop and resume at will.
    """
    from boxwise.cli.console import Watch, reading, say
    from boxwise.cli.simulations import write_simulation_report
    from boxwise.errors import ConfigError
    from boxwise.simulation.benchmark import benchmark as run
    from boxwise.simulation.benchmark import load_grid, load_preset

    check_on(on, without={"--jobs": jobs > 1})
    if grid and preset:
        raise ConfigError(f"--preset {preset} and --grid {grid}: each is a whole grid; give one.")
    note_names(overrides or ())
    chosen = _narrowed(load_grid(grid) if grid else load_preset(preset or "small"), arms, seeds, baseline).with_folders(data or [])
    out = out or Path("runs") / chosen.name
    if plan:
        _say_plan(chosen, out, overrides or ())
        return

    def done(folder: Path, cells: Sequence[Cell], panels: Sequence[Panel]) -> None:
        write_simulation_report(folder, cells, baseline=chosen.baseline)
        say(f"Report: {write_benchmark_report(out, panels, baseline=chosen.baseline)}")

    def check(panel: Panel) -> None:
        _say_checks([panel], chosen.baseline)

    left = _Left(overrides or ())
    with cluster_on(on) as cluster, Watch() as watch:

        def event(panel: str, message: Message) -> None:
            watch.event(message[2], f"{panel} {message[0]} seed {message[1]} ")
            left.event(panel, message)

        run(
            chosen,
            out,
            overrides=overrides or (),
            jobs=jobs,
            cluster=cluster,
            on_plans=left.begin,
            on_event=event,
            on_check=check,
            on_panel=done,
            progress=reading,
        )


class _Left:
    """Says at first which of the overrides nothing reads, and after each training how many are done and how long the others take."""

    def __init__(self, overrides: Sequence[str]) -> None:
        self._overrides = overrides

    def begin(self, plans: Sequence[Plan]) -> None:
        from boxwise.cli.simulations import say_what_is_elsewhere
        from boxwise.simulation.outlook import Countdown, outlooks

        note_idle(plans, self._overrides)
        _note_twins(plans)
        for folder in dict.fromkeys(plan.folder for plan in plans):
            say_what_is_elsewhere(folder)
        left = zip(plans, outlooks(plans), strict=True)
        self._left = Countdown({(plan.folder.name, *key): each for plan, progress in left for key, each in progress.trainings.items()})

    def event(self, panel: str, message: Message) -> None:
        from boxwise.cli.console import say, span
        from boxwise.records import Phase

        who, seed, event = message
        reached = self._left.finish((panel, who, seed, event.round)) if event.finished and event.phase is Phase.TRAIN else None
        if reached is not None:
            say(f"{reached[0]} of {reached[1]} trainings, about {span(reached[2])} left")


def _say_plan(preset: Preset, out: Path, overrides: Sequence[str]) -> None:
    """The cells and trainings that are left of each panel, and what they take here one after the other."""
    from boxwise.cli.console import reading, say, span, table
    from boxwise.simulation.benchmark import parts_of, plans_of
    from boxwise.simulation.outlook import outlooks, seconds_of

    plans = [part for plan in plans_of(preset, out, overrides=overrides, progress=reading).values() for part in parts_of(plan, preset)]
    note_idle(plans, overrides)
    _note_twins(plans)
    left = list(zip(plans, outlooks(plans), strict=True))
    spans = list(seconds_of(left))
    rows = [
        (plan.folder.name, ", ".join(plan.arms), f"{progress.unfinished} of {progress.cells}", len(progress.trainings), span(seconds))
        for (plan, progress), seconds in zip(left, spans, strict=True)
    ]
    table("What is left", ("panel", "arms", "cells", "trainings", "at most"), rows)
    say(
        f"At most {span(sum(spans))} of training detectors, one after the other, as busy as this machine is. "
        "Training VAEs and looking at pool and test come on top."
    )


def _note_twins(plans: Sequence[Plan]) -> None:
    """Which arms are left out, as one config under another name."""
    from boxwise.cli.console import note
    from boxwise.simulation.twins import note_on_twins

    if message := note_on_twins(list({plan.folder: plan for plan in plans}.values())):
        note(message)


def _narrowed(preset: Preset, arms: str | None, seeds: int | None, baseline: str | None) -> Preset:
    """The preset with the user's arms, which need no checks beside them, number of seeds and baseline."""
    chosen = {"arms": tuple(arm.strip() for arm in arms.split(",")), "checks": ()} if arms else {}
    given = {**chosen, "seeds": seeds, "baseline": baseline}
    return preset.model_copy(update={name: value for name, value in given.items() if value is not None})


def write_benchmark_report(out: Path, panels: Sequence[Panel], *, baseline: str | None) -> Path:
    """results.csv, results.parquet, summary.csv and report.html of the panels; also prints where arms rank and what failed.

    baseline: None for the one that the results there were compared with.
    """
    from boxwise.cli.console import say, table
    from boxwise.report.grid_page import headline, write_grid_report
    from boxwise.results.grid import overall, standings, write_grid
    from boxwise.results.set_aside import ended_early
    from boxwise.runtime import environment

    baseline = compared_with(out, [cell for panel in panels for cell in panel.cells], baseline)
    write_grid(panels, out, baseline=baseline)
    rows, _ = overall(panels, baseline=baseline)
    ranks = [(row.arm, row.role, row.rank, f"{row.ahead}/{row.sets}", row.test.text, row.p_holm) for row in rows]
    table("Ranks", ("arm", "role", "mean rank", "ahead in sets", "sign test", "p, Holm"), ranks)
    found = {panel.name: standings(panel, baseline=baseline) for panel in panels}
    say(headline(rows, found, baseline))
    for name, of_panel in found.items():
        for text in ended_early([standing.result for standing in of_panel]):
            say(f"{name}: {text}")
    _say_checks(panels, baseline)
    title = f"Benchmark {out.resolve().name}"
    return write_grid_report(panels, out / "report.html", title=title, environment=environment(), baseline=baseline)


def _say_checks(panels: Sequence[Panel], baseline: str) -> None:
    """Whether training has converged and labels matter, as far as the arms show it."""
    from boxwise.cli.console import say
    from boxwise.results.grid import sanity

    for passed, text in (check for panel in panels for check in sanity(panel, baseline=baseline)):
        say(text if passed is not False else f"WARNING: not as it should be: {text}")
