"""The verbs that need no person: demo and simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.cli.cluster import OnRay, check_on, cluster_on
from boxwise.cli.options import as_overrides
from boxwise.cli.reading import FormatName, LabelsIn, Pixels, VocOrigin, coordinates
from boxwise.errors import plural, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from boxwise.config import StudyConfig
    from boxwise.results.facts import Cell
    from boxwise.simulation.simulate import Plan

app = typer.Typer()
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Config overrides, such as train.epochs=30.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for data and results.")] = Path("runs/demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions with other initial sets.")] = 2,
    jobs: Annotated[int, typer.Option(min=1, help="Cells side by side.")] = 2,
) -> None:
    """Dual score against random on embedded digit scenes. A few minutes on two cores, no network."""
    from boxwise.cli.console import say
    from boxwise.data.datasets import read_dataset
    from boxwise.data.digits import make_digits
    from boxwise.simulation.demo import DEMO, IMAGES, SEED
    from boxwise.simulation.simulate import Plan

    data = out / "digits"
    if not (data / "ImageSets").exists():
        say(f"Composing {IMAGES} scenes of handwritten digits in {data} ...")
        make_digits(data, seed=SEED, images=IMAGES)
    plan = Plan(read_dataset(data, format_name="voc"), DEMO, ("dual", "random"), tuple(range(seeds)), out)
    _simulate(plan, jobs=jobs, baseline="random")


@app.command()
def simulate(
    data: Annotated[Path, typer.Option(help="A labelled data set.")],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder for the results; the same folder resumes.")] = Path("runs/simulation"),
    format: FormatName = None,
    labels_in: LabelsIn = Pixels.UPRIGHT,
    voc_origin: VocOrigin = 0,
    arms: Annotated[
        str, typer.Option(help="Comma-separated: names joined by +, such as facility_location+review, or NAME+key=value.")
    ] = "facility_location,random",
    seeds: Annotated[int, typer.Option(min=1, help="How many paired repetitions.")] = 6,
    initial: Annotated[str | None, typer.Option(help="Images labelled in round 0: a count or a share such as 5%.")] = None,
    budget: Annotated[str | None, typer.Option(help="Images labelled each later round, likewise.")] = None,
    rounds: Annotated[int | None, typer.Option(min=0, help="Rounds after round 0.")] = None,
    policy: Annotated[str | None, typer.Option(help="What each round trains on: all_labeled, v1, topk_ratio, ceal...")] = None,
    ask: Annotated[str | None, typer.Option(help="What a person is asked: full, review, trust or boxes.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cells side by side.")] = 1,
    on: OnRay = None,
    baseline: Annotated[str, typer.Option(help="The arm the others are compared with.")] = "random",
    config: Annotated[Path | None, typer.Option(help="YAML config file.")] = None,
) -> None:
    """Compare strategies on labelled data. A simulated annotator answers; arms are paired by seed; curves come with intervals."""
    from boxwise.cli.console import note, reading
    from boxwise.config import load_config, override_keys
    from boxwise.data.datasets import read_dataset
    from boxwise.registry import arm_overrides, check, check_shared

    check_on(on, without={"--jobs": jobs > 1})
    check_shared(override_keys(overrides or ()))
    given = {
        "--initial": ("budget.initial", initial),
        "--budget": ("budget.per_round", budget),
        "--rounds": ("budget.rounds", rounds),
        "--policy": ("policy.name", policy),
        "--ask": ("ask.mode", ask),
    }
    settings = load_config(config, [*(overrides or ()), *as_overrides(given, overrides or ())])
    check(settings, simulated=True, scores=True)  # before any image is read; arms name strategy and scorer, so that pair is no matter
    note_names(overrides or ())
    _note_own(settings, config)
    from boxwise.simulation.simulate import Plan, check_baseline

    chosen = tuple(arm.strip() for arm in arms.split(","))
    for arm in chosen:
        arm_overrides(arm)  # names what is wrong with it, before any image is read
    check_baseline(out, chosen, baseline)
    dataset = read_dataset(data, format_name=format, coordinates=coordinates(labels_in, voc_origin), progress=reading)
    if dataset.findings:
        note(f"{data}: {plural(len(dataset.findings), 'finding')}; `boxwise doctor {quoted(data)}` lists them.")
    plan = Plan(dataset, settings, chosen, tuple(range(seeds)), out)
    note_idle([plan], overrides or ())
    _simulate(plan, jobs=jobs, on=on, baseline=baseline)


def note_names(overrides: Iterable[str]) -> None:
    """Say of a strategy and a scorer that are named beside the arms that they change nothing."""
    from boxwise.cli.console import note
    from boxwise.config import override_keys

    for key in override_keys(overrides):
        if key in ("strategy.name", "scorer.name"):
            note(f"Note: {key} has no effect beside the arms, each of which names its own: --arms NAME, or ARM+{key}=…")


def note_idle(plans: Sequence[Plan], overrides: Sequence[str]) -> None:
    """Say which of the overrides nothing reads in any arm of any of the plans."""
    from boxwise.cli.console import note
    from boxwise.data.splits import with_splits
    from boxwise.errors import ConfigError
    from boxwise.records import Split
    from boxwise.registry import without_effect_in_any

    try:
        configs = [[plan.cell_config(arm, plan.seeds[0]) for arm in plan.arms] for plan in plans]
    except ConfigError:  # which check_plan refuses by the arm's name
        return
    val = [sum(record.split is Split.VAL for record in with_splits(plan.dataset).images) for plan in plans]
    cells = [(config, count) for of_plan, count in zip(configs, val, strict=True) for config in of_plan]
    for idle in without_effect_in_any(cells, overrides):
        note(f"Note: {idle}")


def _note_own(settings: StudyConfig, config: Path | None) -> None:
    """Say what of a whole config is left out, because every cell has its own."""
    from boxwise.cli.console import note
    from boxwise.config import StudyConfig
    from boxwise.registry import EACH_CELL

    for key, why in EACH_CELL.items():
        if getattr(settings, key) != getattr(StudyConfig(), key):
            note(f"Note: {config}: {key} is left out: {why}.")


def _simulate(plan: Plan, *, jobs: int, on: str | None = None, baseline: str) -> None:
    from boxwise.cli.console import Watch, note, say
    from boxwise.report.tensorboard import write_events
    from boxwise.simulation.simulate import read_simulation, simulate
    from boxwise.simulation.twins import note_on_twins, without_twins

    plan = without_twins(plan, baseline=baseline)
    if message := note_on_twins([plan]):
        note(message)
    say_what_is_elsewhere(plan.folder)
    with cluster_on(on) as cluster, Watch() as watch:
        cells = simulate(
            plan, jobs=jobs, cluster=cluster, on_event=lambda message: watch.event(message[2], f"{message[0]} seed {message[1]} ")
        )
    for cell in cells:
        write_events(plan.folder / "tensorboard" / cell.folder.name, cell)
    cells = read_simulation(plan.folder, known=cells)
    say(f"Report: {write_simulation_report(plan.folder, cells, baseline=baseline)}")


def say_what_is_elsewhere(folder: Path) -> None:
    """Which cells of a simulation are not run, since they are finished without their studies being there."""
    from boxwise.cli.console import note
    from boxwise.results.finished import FINISHED_FILE, without_study

    if cells := without_study(folder):
        count = plural(len(cells), "cell")
        note(f"{folder / FINISHED_FILE}: {count} finished elsewhere, not run again and shown without pictures.")


def compared_with(folder: Path, cells: Iterable[Cell], baseline: str | None) -> str:
    """The baseline that is given, else that of the results in the folder, else random; ConfigError where no cell is of that arm."""
    from boxwise.results.files import last_baseline
    from boxwise.simulation.folder import cells_there
    from boxwise.simulation.simulate import check_baseline

    found = baseline or last_baseline(folder) or "random"
    begun = [arm for panel in folder.glob("*/") for arm in cells_there(panel)]  # of a benchmark, also those that no cell is finished of
    check_baseline(folder, [*(cell.arm for cell in cells), *begun], found)
    return found


def write_simulation_report(folder: Path, cells: Sequence[Cell], *, baseline: str | None) -> Path:
    """results.csv, results.json, curves.png and report.html of all cells of a simulation's folder; also prints the result table.

    baseline: None for the one that the results there were compared with.
    """
    from boxwise.cli.console import results_table
    from boxwise.report.comparison import save_curves
    from boxwise.report.html import write_report
    from boxwise.results.files import write_results
    from boxwise.results.tables import arm_results
    from boxwise.runtime import environment

    baseline = compared_with(folder, cells, baseline)
    write_results(cells, folder / "results.csv", baseline=baseline)
    save_curves(cells, folder / "curves.png", baseline=baseline)
    results_table(arm_results(cells, baseline=baseline, split="test"))
    return write_report(cells, folder / "report.html", title=f"Simulation {folder.name}", environment=environment(), baseline=baseline)
