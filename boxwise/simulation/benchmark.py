"""A benchmark: data sets × detectors × arms × seeds, one simulation for each data set and detector.

Returns the panels for the report. Everything resumes where it was, cell by cell, because a simulation does.
Knows nothing of how a cell is run or shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from boxwise import registry
from boxwise.config import Section, StudyConfig, apply_overrides, dump_config, mapping_of, override_keys, parse_config
from boxwise.config.faults import sentences_of
from boxwise.data.datasets import read_dataset
from boxwise.data.digits import make_digits
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.detect import detect_format, unwrapped
from boxwise.data.formats.names import FORMATS
from boxwise.data.splits import PUBLISHED_SPLITS, with_few_val, with_splits
from boxwise.errors import BoxwiseError, ConfigError, StudyError, unknown
from boxwise.files import replacing
from boxwise.results.facts import Cell
from boxwise.results.grid import Panel
from boxwise.rounds import check
from boxwise.simulation.beginnings import check_beginnings
from boxwise.simulation.folder import holds_simulation
from boxwise.simulation.simulate import Message, Plan, check_baseline, check_plan, read_simulation, run_cells
from boxwise.simulation.twins import without_twins
from boxwise.workers.cluster import Cluster

INDEX = "panels.json"
_DIGITS_SEED = 7
_NOTHING = Dataset((), (), {})
OnEvent = Callable[[str, Message], None]  # panel, message
OnPlans = Callable[[Sequence[Plan]], None]
OnCheck = Callable[[Panel], None]  # a panel with the cells that are finished
OnPanel = Callable[[Path, Sequence[Cell], Sequence[Panel]], None]  # a panel's folder, all its cells, all panels so far
Progress = Callable[[int, int], None]


class DataSource(Section):
    """One data set of a grid: digit scenes made on the spot, or a folder that the grid or the user names."""

    digits: int | None = Field(None, ge=20, description="compose so many digit scenes; no folder is needed")
    path: Path | None = None
    format: str | None = Field(None, description="voc, coco, yolo, cvat, voc0712 or coco2017; guessed when not given")
    val: int | None = Field(None, ge=1, description="so many of its val images stay, drawn once and for all; the others join the pool")
    overrides: tuple[str, ...] = Field((), description="key=value, over the grid's config and below a detector's")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.format is not None and self.format not in {**FORMATS, **PUBLISHED_SPLITS}:
            raise ValueError(unknown("format", self.format, [*FORMATS, *PUBLISHED_SPLITS]))
        if self.digits is not None and (self.path is not None or self.format is not None):
            raise ValueError("digits are made on the spot, and path and format are of a folder: give one or the other")
        return self

    @property
    def ready(self) -> bool:
        """Whether it is known where the images come from."""
        return self.digits is not None or self.path is not None


class Preset(Section):
    """A grid: every data set with every detector, every arm and seed. detectors: name in the results → config overrides.

    arms: "all" is every arm that has a name, but those in `without`; of arms with one config in a panel the first is run there. checks:
    arms that show whether training has converged and labels matter, which are run first, beside the baseline, with the first
    `check_seeds` seeds.
    """

    name: str
    about: str = ""
    data: dict[str, DataSource] = Field(default_factory=dict)
    detectors: dict[str, tuple[str, ...]] = Field(min_length=1)
    arms: tuple[str, ...] = Field(min_length=1)
    without: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    check_seeds: int = Field(2, ge=1)
    seeds: int = Field(6, ge=1)
    baseline: str = "random"
    config: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _all(cls, values: dict[str, Any]) -> dict[str, Any]:
        without = values.get("without")
        if values.get("arms") == "all":
            left_out = without if isinstance(without, list) else []  # anything else is refused by its type
            return values | {"arms": [arm for arm in registry.ARMS if arm not in left_out]}
        if without:
            raise ValueError("`without` goes with `arms: all` only: take what is not wanted off the list of arms.")
        return values

    @field_validator("data", "detectors")
    @classmethod
    def _name_folders(cls, named: dict[str, Any]) -> dict[str, Any]:
        for name in named:
            if not name.strip() or name.startswith(".") or "/" in name or "\\" in name:
                raise ValueError(f"expected a name without / and \\ that begins with no dot, found {name!r}")
        return named

    @field_validator("without")
    @classmethod
    def _known(cls, without: tuple[str, ...]) -> tuple[str, ...]:
        for name in without:
            if name not in registry.ARMS:
                raise ValueError(unknown("arm", name, registry.ARMS))
        return without

    def with_folders(self, folders: Sequence[Path]) -> Preset:
        """The grid on the user's folders: one serves the data set whose path it is or whose name it has, or a fixed layout, or is added.

        Data sets that no folder was given for are left out. Raises BoxwiseError when none is left, or a folder is not there.
        """
        data = dict(self.data)
        named = {source.path.resolve(): name for name, source in data.items() if source.path}
        for folder in folders:
            if not folder.is_dir():
                found = "a file" if folder.exists() else "nothing there"
                raise BoxwiseError(f"{folder}: expected a folder with a data set, found {found}.")
            name = named.get(folder.resolve()) or _slot(data, folder.resolve().name)
            data[name] = data.get(name, DataSource()).model_copy(update={"path": folder})
        ready = {name: source for name, source in data.items() if source.ready}
        if not ready:
            wanted = ", ".join(f"{name} ({source.format or 'any format'})" for name, source in data.items()) or "any labelled data set"
            raise BoxwiseError(f"preset {self.name!r} needs data: give --data DIR once for each of {wanted}.")
        return self.model_copy(update={"data": ready})


def preset_names() -> list[str]:
    """The presets that boxwise brings along."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in (files("boxwise.simulation") / "presets").iterdir() if entry.name.endswith(".yaml")
    )


def load_preset(name: str) -> Preset:
    """A preset of boxwise's own. Raises ConfigError that lists the known names."""
    if name not in preset_names():
        raise ConfigError(unknown("preset", name, preset_names()))
    return _parse((files("boxwise.simulation") / "presets" / f"{name}.yaml").read_text(encoding="utf-8"), name, name)


def load_grid(path: Path) -> Preset:
    """A grid of the user's own, in the layout of the presets. Raises ConfigError naming the file and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a grid file in YAML, found: {error}.") from None
    return _parse(text, path.stem, str(path))


def benchmark(
    preset: Preset,
    out: Path,
    *,
    overrides: Sequence[str] = (),
    jobs: int = 1,
    cluster: Cluster | None = None,
    on_plans: OnPlans | None = None,
    on_event: OnEvent | None = None,
    on_check: OnCheck | None = None,
    on_panel: OnPanel | None = None,
    progress: Progress | None = None,
) -> list[Panel]:
    """Run every cell of the grid that is not finished, below `out`; returns all panels that lie there.

    overrides: config of every cell, above the grid's own. jobs: cells side by side; on one GPU each process simply takes its share of it.
    cluster: where the cells run instead.
    on_plans: called with all that will be run one after the other, before anything is. on_check: when the checks of a panel are done,
    before its other cells. on_panel: when a panel is done. Raises BoxwiseError before any training for an unknown arm, detector, key or
    baseline, for a data set that cannot be read, is too small, or is not the one that the folder holds cells of, and for weights that an
    unfinished cell begins with and that cannot be had.
    """
    plans = plans_of(preset, out, overrides=overrides, progress=progress)
    parts = [part for plan in plans.values() for part in parts_of(plan, preset)]
    check_beginnings(parts, cluster)
    if on_plans is not None:
        on_plans(parts)
    cells: dict[Path, list[Cell]] = {}
    for (name, detector), plan in plans.items():
        _list_panel(out, plan.folder.name, name, detector)
        tell = None if on_event is None else _on_panel_event(on_event, plan.folder.name)
        for part in parts_of(plan, preset):
            run_cells(part, jobs=jobs, cluster=cluster, on_event=tell)
            if part is not plan and on_check is not None:
                on_check(Panel(name, detector, [cell for cell in read_simulation(plan.folder) if cell.finished]))
        cells = _read_cells(out, known=cells)
        if on_panel is not None:
            on_panel(plan.folder, cells[plan.folder], _panels(out, cells))
    return _panels(out, cells)


def plans_of(preset: Preset, out: Path, *, overrides: Sequence[str] = (), progress: Progress | None = None) -> dict[tuple[str, str], Plan]:
    """The simulation of each data set and detector, with its data, as `benchmark` runs it; raises as that does."""
    return _with_data(_plans(preset, out, overrides), preset, out, progress)


def parts_of(plan: Plan, preset: Preset) -> list[Plan]:
    """What is run one after the other: the checks of a panel, if there are any, and all its arms; for a check that is left out its twin."""
    if not preset.checks:
        return [plan]
    arms = tuple(dict.fromkeys((preset.baseline, *(plan.left_out.get(arm, arm) for arm in preset.checks))))
    return [replace(plan, arms=arms, seeds=plan.seeds[: preset.check_seeds]), plan]


def read_benchmark(out: Path) -> list[Panel]:
    """The panels below `out` with their finished cells. Raises BoxwiseError when there is no benchmark."""
    return _panels(out, _read_cells(out, known={}))


def _index(out: Path) -> dict[Path, tuple[str, str]]:
    """Folder of each panel that lies there → its data set and detector. Raises BoxwiseError when there is no benchmark."""
    path = out / INDEX
    if not path.is_file():
        raise BoxwiseError(f"{out}: no benchmark here (no {INDEX}).")
    index = json.loads(path.read_text(encoding="utf-8"))
    return {out / folder: (data, detector) for folder, (data, detector) in index.items() if holds_simulation(out / folder)}


def _read_cells(out: Path, *, known: Mapping[Path, Sequence[Cell]]) -> dict[Path, list[Cell]]:
    """Folder of each panel → its cells, finished or not; finished ones that are known are not read again."""
    return {folder: read_simulation(folder, known=known.get(folder, ())) for folder in _index(out)}


def _panels(out: Path, cells: Mapping[Path, Sequence[Cell]]) -> list[Panel]:
    return [Panel(*names, [cell for cell in cells[folder] if cell.finished]) for folder, names in _index(out).items()]


def read_source(source: DataSource, made: Path, *, progress: Progress | None = None) -> Dataset:
    """The data set of a source; digit scenes are composed at `made` unless they lie there."""
    if source.digits is not None:
        if not (made / "ImageSets").exists():
            make_digits(made, seed=_DIGITS_SEED, images=source.digits)
        return read_dataset(made, format_name="voc", progress=progress)
    assert source.path is not None  # with_folders has seen to it
    if source.format in PUBLISHED_SPLITS:
        return PUBLISHED_SPLITS[source.format](source.path, progress=progress)
    return read_dataset(source.path, format_name=source.format, progress=progress)


def _digits_folder(source: DataSource, name: str, data: Path) -> Path:
    """Where so many scenes lie, or are to lie; those in a folder without the number in its name go on being used."""
    plain = data / name
    made = sum(1 for _ in (plain / "JPEGImages").glob("*.png")) if (plain / "ImageSets").exists() else 0
    return plain if made == source.digits else data / f"{name}_{source.digits}"


def _with_data(plans: Mapping[tuple[str, str], Plan], preset: Preset, out: Path, progress: Progress | None) -> dict[tuple[str, str], Plan]:
    """The plans with their data sets, each read once; every fault of any of them is found here."""
    for source in preset.data.values():
        _check_path(source)
    read = {name: _read_with_splits(source, name, out / "data", progress) for name, source in preset.data.items()}
    ready = {(name, detector): replace(plan, dataset=read[name]) for (name, detector), plan in plans.items()}
    for plan in ready.values():
        first = parts_of(plan, preset)[0].arms
        check_plan(replace(plan, arms=(*plan.arms, *(arm for arm in first if arm not in plan.arms))))
    return ready


def _check_path(source: DataSource) -> None:
    """BoxwiseError for a path with nothing there, or with images alone."""
    if source.digits is None and source.path is not None and detect_format(unwrapped(source.path)) is None and source.format is None:
        raise BoxwiseError(f"{source.path}: expected a labelled data set, found no labels of a format that is known.")


def _read_with_splits(source: DataSource, name: str, data: Path, progress: Progress | None) -> Dataset:
    dataset = read_source(source, _digits_folder(source, name, data), progress=progress)
    try:
        whole = with_splits(dataset)
        return whole if source.val is None else with_few_val(whole, source.val)
    except StudyError as error:
        raise StudyError(f"data set {name!r} ({source.path}): {error}") from None


def _slot(data: Mapping[str, DataSource], folder: str) -> str:
    """The name under which a folder joins the grid."""
    by_name = next((name for name in data if name.lower() == folder.lower()), folder)
    open_layouts = [name for name, source in data.items() if source.format in PUBLISHED_SPLITS and not source.ready]
    name = open_layouts[0] if by_name not in data and len(open_layouts) == 1 else by_name
    if name in data and data[name].ready:
        raise BoxwiseError(f"two data sets are called {name!r}: rename a folder, or list both in a grid file.")
    return name


def _plans(preset: Preset, out: Path, overrides: Sequence[str]) -> dict[tuple[str, str], Plan]:
    """A plan without its data for each data set and detector, and without arms that have the config of another there.

    Every config of every arm is seen to be valid, and the baseline an arm.
    """
    wanted = tuple(dict.fromkeys((*preset.arms, *preset.checks)))
    plans: dict[tuple[str, str], Plan] = {}
    for name, source in preset.data.items():
        for detector, own in preset.detectors.items():
            config = _config(preset, (*source.overrides, *own, *overrides))
            plan = Plan(_NOTHING, config, preset.arms, tuple(range(preset.seeds)), out / f"{name}_{detector}")
            if same := next((names for names, other in plans.items() if other.folder == plan.folder), None):
                raise ConfigError(
                    f"{plan.folder}: would hold both {name!r} and {detector!r} and {same[0]!r} and {same[1]!r}; give one another name."
                )
            for arm in wanted:
                cell = plan.cell_config(arm, 0)
                blind = cell.ask.model_copy(update={"certain_of": {}})  # it names classes, which are known once the data are read
                check(cell.model_copy(update={"ask": blind}), (), simulated=True)
            check_baseline(plan.folder, preset.arms, preset.baseline)
            left_out = without_twins(replace(plan, arms=wanted), baseline=preset.baseline).left_out
            plans[name, detector] = replace(plan, arms=tuple(arm for arm in preset.arms if arm not in left_out), left_out=left_out)
    return plans


def _config(preset: Preset, overrides: Sequence[str]) -> StudyConfig:
    registry.check_shared([*preset.config, *override_keys(overrides)])
    values = yaml.safe_load(dump_config(parse_config(preset.config, preset.name)))
    apply_overrides(values, overrides)
    return parse_config(values, preset.name)


def _parse(text: str, name: str, origin: str) -> Preset:
    values = mapping_of(text, origin, "with detectors and arms")
    if not values:
        raise ConfigError(f"{origin}: expected a mapping with detectors and arms, found an empty file.")
    try:
        return Preset.model_validate({"name": name} | values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{origin}: {sentence}" for sentence in sentences_of(error.errors(), Preset))) from None


def _on_panel_event(on_event: OnEvent, panel: str) -> Callable[[Message], None]:
    return lambda message: on_event(panel, message)


def _list_panel(out: Path, folder: str, data: str, detector: str) -> None:
    """Which folder is which panel, for `read_benchmark`; panels of earlier calls stay listed."""
    path = out / INDEX
    index = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with replacing(path) as aside:
        aside.write_text(json.dumps(index | {folder: [data, detector]}, indent=1), encoding="utf-8")
