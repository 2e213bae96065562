"""The verbs that make and advance a study: init, run, import, export, report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxwise.cli.cluster import OnRay, check_on, workers_on
from boxwise.cli.labelling import LOOPBACK, Browser, Host, Port, Token, Urls, label_and_train, stopping_cleanly
from boxwise.cli.looking import next_command, why_done
from boxwise.cli.options import as_overrides, check_used
from boxwise.cli.reading import (
    FormatName,
    Images,
    LabelsIn,
    Missing,
    Pixels,
    Untouched,
    VocOrigin,
    coordinates,
    kept_from_a_query,
    left_as_they_are,
    not_read_there,
    say_findings,
    say_what_would_be_taken,
    taken_as_saved,
    understood,
    with_boxes,
)
from boxwise.cli.settings import note_ahead, note_idle, take_edits
from boxwise.cli.training_process import ending_with_parent
from boxwise.cli.upkeep import check_files, note_files, note_outdated
from boxwise.cli.wizard import Answers, class_names, completed
from boxwise.cli.writing import Incomplete, KeepIds, Unlabeled, write_chosen
from boxwise.errors import plural, quoted
from boxwise.runtime import of_torchrun

if TYPE_CHECKING:
    from boxwise.records import Phase
    from boxwise.rounds import Event
    from boxwise.study import Study
    from boxwise.workers.base import Workers

app = typer.Typer()
_WORTH_A_WORD = 60.0  # seconds of work from which `run` says how long it will take
StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Config overrides, such as train.epochs=30.")]


@app.command()
def init(
    study: StudyFolder,
    overrides: Overrides = None,
    images: Images = None,
    labels: Annotated[Path | None, typer.Option(help="Labels that exist already: a VOC, COCO, YOLO or CVAT data set.")] = None,
    format: FormatName = None,
    labels_in: LabelsIn = Pixels.UPRIGHT,
    voc_origin: VocOrigin = 0,
    classes: Annotated[str | None, typer.Option(help="Class names, comma separated, in order; needed without labels.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML config file.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="laptop, gpu, classic-ssd or modern: a config to begin with, instead of --config.")
    ] = None,
    policy: Annotated[str | None, typer.Option(help="What each round trains on: all_labeled, v1, topk_ratio, ceal...")] = None,
    ask: Annotated[str | None, typer.Option(help="What a person is asked: full, review, trust or boxes.")] = None,
) -> None:
    """Make a study of a folder of images. Labels that exist already count."""
    from boxwise.cli.console import note, reading, say
    from boxwise.config import load_config, preset_file
    from boxwise.data import image_store
    from boxwise.data.addresses import given, is_local
    from boxwise.data.datasets import read_pool
    from boxwise.data.formats.class_names import names_text
    from boxwise.errors import ConfigError, StudyError
    from boxwise.registry import check
    from boxwise.study import Study
    from boxwise.study.config_file import check_new_folder

    check_new_folder(study)
    Study.check_free(study)
    if classes is not None:
        class_names(classes)  # before anything is asked
    chosen = as_overrides({"--policy": ("policy.name", policy), "--ask": ("ask.mode", ask)}, overrides or ())
    options = Answers(images and given(images), labels, classes, preset)
    data = completed(options, overrides=overrides or (), config=config, format_name=format)
    preset = data.preset
    if preset and config:
        raise ConfigError(f"--preset {preset} and --config {config}: each is a whole config; give one, and single keys as key=value.")
    settings = load_config(preset_file(preset) if preset else config, [*data.settings, *(overrides or ()), *chosen])
    check(settings)  # before any image is read
    image_store.use(settings.images)
    if data.images is not None:
        image_store.check(data.images)
    names = None if data.classes is None else class_names(data.classes)
    if names is None and data.labels is None and data.images is not None and (not is_local(data.images) or Path(data.images).exists()):
        raise StudyError(f"{study}: no class names. Give labels to read them from, or --classes cat,dog.")
    meant = coordinates(labels_in, voc_origin)
    dataset = read_pool(data.images, data.labels, format_name=format, classes=names, coordinates=meant, progress=reading)
    if data.labels is not None and not dataset.classes:
        first = f" {dataset.findings[0].message}" if dataset.findings else ""
        so, instead = ("", "leave it out") if names else (", so no class names either", "--classes")
        raise StudyError(f"{data.labels}: no labels were found there{so}. Give another --labels, or {instead}.{first}")
    made = Study.create(study, dataset, config=settings)
    quarantined = made.quarantined()
    say(
        f"{study}: {plural(len(dataset.images), 'image')}, {len(dataset.labels)} of them labelled; classes: {names_text(made.classes)}; "
        f"detector: {made.config.detector.name}."
    )
    if quarantined:
        note(f"{plural(len(quarantined), 'image', 'is')} quarantined; `boxwise doctor {quoted(study)}` lists them.")
    say_findings([finding for finding in dataset.findings if not finding.quarantined], made.folder)
    for remark in dataset.notes:
        note(f"Note: {remark}")
    note_idle(made, overrides or ())
    if settings.store and settings.store != made.config.store:
        note("The password is not kept: give it in PGPASSWORD, or in the file that PGPASSFILE names, from now on.")
    say(f"Next: boxwise run {quoted(study)}")


@app.command()
def run(
    study: StudyFolder,
    rounds: Annotated[int | None, typer.Option(help="Rounds in all; may grow beyond the config's.")] = None,
    label: Annotated[bool, typer.Option("--label", help="Label in the browser; train as soon as a batch is labelled.")] = False,
    host: Host = LOOPBACK,
    port: Port = None,
    browser: Browser = True,
    token: Token = None,
    url: Urls = None,
    on: OnRay = None,
    served: Annotated[bool, typer.Option("--served", hidden=True, help="Started by --label: its page asks for the labels.")] = False,
) -> None:
    """Advance until labels are needed or the budget is spent. Run it again to resume; Ctrl-C and SIGTERM lose nothing.

    With --label it goes on round after round: the page asks for labels and training starts as soon as the batch is labelled.
    """
    with ending_with_parent() if served else stopping_cleanly():
        from boxwise.study import Study
        from boxwise.study.config_file import CONFIG_FILE
        from boxwise.web.progress import leaving_trouble

        check_on(on, without={"--label": label})
        if not label:
            of_the_page = {
                "--host": host != LOOPBACK,
                "--port": port is not None,
                "--token": token is not None,
                "--url": url is not None and "BOXWISE_URL" not in os.environ,
                "--no-browser": not browser,
            }
            check_used(of_the_page, why="without --label, which serves a page to label on.")
        # To a page of its own, the process that serves it says what is wrong.
        telling = leaving_trouble if not (label or served) and (study / CONFIG_FILE).is_file() else nullcontext
        with telling(study):
            opened = Study.open(study)
            take_edits(opened)
            check_files(opened)
        if rounds is not None:
            opened.extend(rounds)
        if label:
            label_and_train(opened, host=host, port=port, browser=browser, token=token, urls=url or ())
        else:
            with telling(study), workers_on(on, opened.config) as workers:
                _advance(opened, served=served, workers=workers)


def _advance(opened: Study, *, served: bool, workers: Workers | None) -> None:
    """Advance until labels are needed or the study is done, and say what is to do then, unless the labelling page says it."""
    from boxwise.cli.console import rounds_table, say
    from boxwise.records import Phase

    _say_how_long(opened)
    with watching(opened) as (on_event, on_step):
        end = opened.run(on_event=on_event, on_step=on_step, workers=workers)
    if end is not Phase.ANNOTATE:
        rounds_table(opened.rounds(), opened.config.cost, opened.outdated().sentences)
        say(f"The study is done: {why_done(opened)}. Report: {_write_report(opened)}")
    elif not served:
        say_what_is_asked(opened)


@contextmanager
def watching(opened: Study) -> Iterator[tuple[Callable[[Event], None], Callable[[int, Phase], None]]]:
    """(what to do with events, what to do after each step): show them here, and leave them for the labelling page."""
    from boxwise.cli.console import RunLog, Watch, logs_json, say, step_line
    from boxwise.web.progress import ProgressFile

    with Watch() as watch, ProgressFile(opened.folder) as progress, RunLog(opened.folder / "run.log", as_json=logs_json()) as log:

        def on_event(event: Event) -> None:
            watch.event(event)
            progress.event(event)
            log.event(event)

        def on_step(number: int, phase: Phase) -> None:
            progress.step_done()
            line = step_line(opened, number, phase)
            say(line)
            log.line(line, round=number, step=phase.value, finished=True)
            _after_step(opened, number, phase)

        yield on_event, on_step


def _say_how_long(opened: Study) -> None:
    """Before hours of work begin, how many they are; nothing for the processes of a distributed training and for seconds."""
    from boxwise.cli.console import note, span

    note_ahead(opened)
    expected = None if of_torchrun("WORLD_SIZE") > 1 else opened.expected_duration()
    if expected is not None and expected.all_rounds > _WORTH_A_WORD:
        note(
            f"This round takes at most {span(expected.this_round)}, all rounds left {span(expected.all_rounds)} without the time people "
            f"take: {expected.training:.1f} images/s training, {expected.predicting:.1f} predicting, measured on a few steps. "
            f"Progress is in {opened.folder / 'run.log'} too."
        )


def _after_step(opened: Study, number: int, phase: Phase) -> None:
    from boxwise.records import Phase
    from boxwise.report.tensorboard import write_events
    from boxwise.results.cells import cell_of

    if phase is Phase.EVALUATE:
        write_events(opened.folder / "tensorboard", cell_of(opened))
        _write_report(opened)


def say_what_is_asked(opened: Study) -> None:
    from boxwise.cli.console import say

    typed, query = quoted(opened.folder), opened.ask()
    say(
        f"Round {query.round} waits for labels of {plural(len(query.items), 'image')}.\n"
        f"  label them: boxwise label {typed}\n"
        f"  see them:   boxwise query {typed} --out {quoted(opened.folder / 'to_label')}\n"
        f"  hand in:    boxwise import {typed} LABELS --format voc|coco|yolo|cvat\n"
        f"  then:       boxwise run {typed}"
    )


def _write_report(opened: Study) -> Path:
    from boxwise.report.html import write_report
    from boxwise.results.cells import cell_of
    from boxwise.results.files import write_results
    from boxwise.runtime import environment

    cell = cell_of(opened)
    write_results([cell], opened.folder / "results.csv")
    title, out, remarks = f"Study {opened.folder.name}", len(opened.quarantined()), opened.outdated().sentences
    return write_report([cell], opened.folder / "report.html", title=title, environment=environment(), quarantined=out, remarks=remarks)


@app.command("import")
def import_labels(
    study: StudyFolder,
    path: Annotated[Path, typer.Argument(help="The labels: a folder or a file in any format that boxwise reads.")],
    format: FormatName = None,
    labels_in: LabelsIn = Pixels.UPRIGHT,
    voc_origin: VocOrigin = 0,
    annotator: Annotated[str, typer.Option(help="Who labelled; kept with every label.")] = "human",
    missing: Annotated[
        Missing | None,
        typer.Option(help="What an image without any box is: labelled, or not labelled yet.", show_default="as the format says"),
    ] = None,
    as_written: Annotated[
        Untouched,
        typer.Option(
            "--untouched", help="accept: images exactly as `boxwise query` wrote them are right as they are; wait: not looked at yet."
        ),
    ] = Untouched.WAIT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be taken, and take nothing.")] = False,
) -> None:
    """Take in labels. They are on the disk when this returns; the same labels again change nothing."""
    from boxwise.cli.console import note, reading, say
    from boxwise.data.datasets import read_labels_for
    from boxwise.data.formats.detect import detected, unwrapped
    from boxwise.errors import BoxwiseError
    from boxwise.records import Phase
    from boxwise.report.coming_back import take_in, untouched
    from boxwise.report.to_correct import Written
    from boxwise.study import Study

    opened = Study.open(study)
    meant = coordinates(labels_in, voc_origin)
    classes, since, out = opened.classes, opened.moment(), opened.quarantined()
    images = [*opened.images(), *opened.records(out)]
    reading_options: dict[str, Any] = {"listed_is_empty": missing is Missing.EMPTY, "renumbered": opened.renumbered(), "out_of_use": out}
    dataset = read_labels_for(images, path, format_name=format, classes=classes, **reading_options, coordinates=meant, progress=reading)
    say_findings(dataset.findings, None if dry_run else opened.folder)
    root = path if format else unwrapped(path)
    format, others = detected(root, format)
    written = Written.beside(root)
    for remark in (*dataset.notes, *not_read_there(path, [name for name in others if not written.is_all_of(name)])):
        note(f"Note: {remark}")
    if not dataset.labels:
        raise BoxwiseError(f"{path}: labels none of the {plural(opened.image_count(), 'image')} in use, so nothing was taken.")
    given = with_boxes(dataset.labels) if missing is Missing.UNLABELED else dataset.labels
    asked = set((opened.open_query() if dry_run else opened.ensure_asked()).image_ids)
    news = opened.news_in(given, annotator=annotator, incomplete=dataset.incomplete, classes=classes, since=since)
    same = set[str]() if as_written is Untouched.ACCEPT else untouched(opened, dataset, given.keys())
    saved, faulty = written.saved(same, format), list[Path]()
    left, news = (same - saved) & news.acts.keys(), news.without(same - saved)
    if dry_run:
        say_what_would_be_taken(opened, news, annotator)
        if opened.position[0] > 0 and opened.position[1] is Phase.SELECT:
            note("The next query is not selected yet. An import selects it first, and may then find other images new.")
    else:
        news = opened.take(news, annotator=annotator, incomplete=dataset.incomplete)
        faulty = take_in(opened, root, format, dataset.findings, left=news.left)
        changed = f" ({len(news.replaced)} of them changed)" if news.replaced else ""
        say(f"{plural(len(news.acts), 'image')} labelled{changed}, {news.known} known already, {plural(len(dataset.findings), 'finding')}.")
    taken = {image_id: boxes for image_id, boxes in dataset.labels.items() if image_id not in left | news.left}
    remarks = (
        *understood(taken, news.acts.keys(), asked, missing),
        *taken_as_saved(saved & news.acts.keys()),
        *left_as_they_are(left, news.meanwhile, news.gone),
        *kept_from_a_query(faulty),
    )
    for remark in remarks:
        note(remark)
    if not dry_run:
        note_outdated(opened)
        waiting = opened.unanswered().items
        say(f"{plural(len(waiting), 'image', 'still waits')} for labels." if waiting else f"Next: boxwise run {quoted(study)}")


@app.command()
def export(
    study: StudyFolder,
    path: Annotated[Path, typer.Argument(help="Folder to write (or FILE.json for COCO, FILE.xml for CVAT).")],
    format: Annotated[str, typer.Option("--format", help="voc, coco, yolo or cvat.")] = "coco",
    predictions: Annotated[bool, typer.Option(help="The model's boxes on the unlabelled pool instead of the labels.")] = False,
    copy_images: Annotated[bool, typer.Option(help="Copy the images along.")] = False,
    unlabeled: Unlabeled = False,
    incomplete: Incomplete = False,
    keep_ids: KeepIds = False,
) -> None:
    """Write the labels as a data set.

    Of the images whose labels are complete; the options add others. With --predictions: the model's boxes on the pool.
    """
    from boxwise.data.formats.names import FORMATS
    from boxwise.errors import StudyError, named
    from boxwise.report.queries import pool_predictions
    from boxwise.study import Study

    opened = Study.open(study)
    dataset = pool_predictions(opened) if predictions else opened.dataset(labeled_only=not unlabeled)
    writer = named("format", FORMATS, format)
    open_ones = 0 if predictions else opened.image_count() - len(dataset.labels)
    if not (dataset.labels or predictions or unlabeled):
        raise StudyError(
            f"{study}: no image is labelled yet, so nothing was written. Next: {next_command(opened, bool(opened.unanswered().items))}"
        )
    options = {"copy_images": copy_images, "unlabeled": unlabeled, "incomplete": incomplete, "keep_ids": keep_ids}
    if not (wrote := write_chosen(dataset, writer, path, left_out=open_ones, **options)):
        raise StudyError(f"{study}: no image is left to write, so {path} was not written.")
    note_files(opened, among=wrote)


@app.command()
def report(
    path: Annotated[Path, typer.Argument(help="A study's, a simulation's or a benchmark's folder.")],
    baseline: Annotated[str | None, typer.Option(help="The arm that the others are compared with.", show_default="as before")] = None,
) -> None:
    """Write the report and results again, from what is stored.

    Of a study, a simulation, or a whole benchmark.
    """
    from boxwise.cli.benchmarks import write_benchmark_report
    from boxwise.cli.console import say
    from boxwise.cli.simulations import write_simulation_report
    from boxwise.errors import StudyError
    from boxwise.results.finished import FINISHED_FILE
    from boxwise.simulation.benchmark import INDEX, read_benchmark
    from boxwise.simulation.folder import holds_simulation
    from boxwise.simulation.simulate import read_simulation
    from boxwise.study import Study

    if (path / INDEX).exists():
        written = write_benchmark_report(path, read_benchmark(path), baseline=baseline)
    elif holds_simulation(path):
        written = write_simulation_report(path, read_simulation(path), baseline=baseline)
    elif panels := [found.parent.name for found in sorted(path.glob(f"*/{FINISHED_FILE}"))]:
        raise StudyError(
            f"{path}: holds finished cells of {plural(len(panels), 'panel')} ({', '.join(panels)}) and no benchmark yet. Run "
            f"`boxwise benchmark` with all of its --data and --out {quoted(path)}: what is left is run, and the tables are written."
        )
    else:
        opened = Study.open(path)
        check_used({"--baseline": baseline is not None}, why=f"on {path}, which is a study alone.")
        written = _write_report(opened)
    say(str(written))
