"""A whole study labelled through the page: `boxwise run --label` asks and trains, a script that knows the answers draws in a browser."""

import csv
import re
from dataclasses import replace
from time import monotonic, sleep

import numpy as np
import processes
import pytest
from driving import drag, enter, press_class, record_of, saved, seen

from boxwise.cli import main
from boxwise.config import load_config
from boxwise.data.datasets import read_dataset
from boxwise.records import Action, Phase, Source, Split
from boxwise.study import Study

pytestmark = pytest.mark.slow

PATIENCE = 300_000  # milliseconds; a training lies between two images
POOL, VAL = 24, 6
MOST = 8  # objects on an image: a browser draws a box in half a second
PIXELS = 2.0  # a mouse on a screen is no finer


@pytest.fixture
def truth(request, digits):
    """A small data set of which everything is known: photos of blood cells where they are there, digit scenes elsewhere."""
    try:
        found = read_dataset(request.getfixturevalue("shared_data") / "bccd")
    except pytest.skip.Exception:
        found = digits
    labelled = [record for record in found.images if 1 <= len(found.labels[record.image_id]) <= MOST]
    kept = [[r for r in labelled if r.split is split][:count] for split, count in ((Split.TRAIN, POOL), (Split.VAL, VAL))]
    return replace(found, images=tuple(record for part in kept for record in part))


@pytest.fixture
def study(truth, tiny_overrides, tmp_path):
    """The study of those images, without the labels of the pool."""
    overrides = ("ask.mode=full", "budget.initial=4", "budget.per_round=3", "budget.rounds=1", "device=cpu")
    known = {record.image_id: truth.labels[record.image_id] for record in truth.images if record.split is Split.VAL}
    config = load_config(None, (*tiny_overrides, *overrides))
    made = Study.create(tmp_path / "study", replace(truth, labels=known), config=config)
    made.ask()
    return made


@pytest.fixture
def served(study, tmp_path):
    """(the command on the study as a process, the link it prints, what it prints)."""
    log = tmp_path / "log.txt"
    log.write_text("")
    process = processes.start("-m", "boxwise", "run", study.folder, "--label", "--no-browser", "--port", 0, out=log, err=log)
    end = monotonic() + PATIENCE / 1000
    while not (link := re.search(r"Label here: (http://\S+)", log.read_text())):
        assert process.is_alive() and monotonic() < end, log.read_text()
        sleep(0.1)
    yield process, link[1], log
    process.terminate()
    process.join()


def next_image(page, done):
    """The next image that the page shows; None when it says that the study is done."""
    found = page.wait_for_function(
        """done => {
            const waiting = document.querySelector("#waiting"), name = document.querySelector("#image-name").textContent;
            if (!waiting.hidden) return waiting.dataset.reason === "done" ? "done" : null;
            return name && !done.includes(name) ? name : null;
        }""",
        arg=done,
        timeout=PATIENCE,
        polling=100,  # a browser that is asked at each of its frames draws sixty a second, which takes a core from the training
    ).json_value()
    return None if found == "done" else found


def label(page, record, boxes, classes):
    """Draw every box with the mouse, give it its class by the keyboard, and hand the image in."""
    for (x1, y1, x2, y2), k in zip(boxes.xyxy.tolist(), boxes.labels.tolist(), strict=True):
        drag(page, record, (x1, y1), (x2, y2))
        press_class(page, k, classes[k])
    assert page.locator("#boxes [role=option]").count() == len(boxes)
    saved(page)
    seen(page)  # an image with one object is labelled sooner than it may be handed in
    page.keyboard.press("Space")


def in_order(boxes):
    order = np.lexsort((*boxes.xyxy.T.round(-1), boxes.labels))
    return boxes.labels[order], boxes.xyxy[order]


def test_two_rounds_drawn_in_the_browser_end_with_a_report(study, truth, served, browsing, monkeypatch):
    process, link, log = served
    page = browsing().new_page()
    page.goto(link)
    enter(page, "anna")
    done, started = [], monotonic()
    while (image_id := next_image(page, done)) is not None:
        label(page, record_of(study, image_id), truth.labels[image_id], truth.classes)
        done.append(image_id)
    wall = monotonic() - started
    assert page.locator("#waiting-title").inner_text() == "The study is finished"
    process.join(PATIENCE / 1000)
    assert process.exitcode == 0, log.read_text()

    assert study.store.position == (1, Phase.DONE)
    assert done == [*study.store.query(0).image_ids, *study.store.query(1).image_ids] and len(done) == 7
    for image_id in done:
        (entry,) = study.store.history(image_id)
        who, annotation, verdicts = entry.annotator, entry.annotation, entry.verdicts
        labels, xyxy = in_order(annotation.boxes)
        wanted_labels, wanted = in_order(truth.labels[image_id])
        assert who == "anna" and annotation.complete and set(annotation.sources) == {Source.HUMAN}
        assert labels.tolist() == wanted_labels.tolist()
        assert np.abs(xyxy - wanted).max() <= PIXELS
        assert all(verdict.action is Action.ADD and verdict.seconds > 0 for verdict in verdicts)

    seconds = study.store.people()["anna"].seconds
    cost = study.config.cost
    assumed = sum(cost.look + cost.draw * len(truth.labels[image_id]) for image_id in done)
    assert 0 < seconds <= wall and seconds < assumed / 2
    monkeypatch.setattr("sys.argv", ["boxwise", "report", str(study.folder)])
    for name in ("report.html", "results.csv"):
        (study.folder / name).unlink()
    with pytest.raises(SystemExit):
        main()
    with (study.folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["round"]), int(row["images"])) for row in rows] == [(0, 4), (1, 7)]
    assert float(rows[-1]["seconds"]) == pytest.approx(seconds, abs=0.01)
    page_text = (study.folder / "report.html").read_text()
    assert len(page_text) > 10_000 and f"Study {study.folder.name}" in page_text
