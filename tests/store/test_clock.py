"""Machines whose clocks differ share a study in PostgreSQL: its server's clock counts. In SQLite the machine's own does."""

from time import monotonic, sleep, time

import numpy as np
import pytest

from boxwise.data.images import write_image
from boxwise.records import Action, Role, Verdict
from boxwise.store import LabellingStore, Store
from boxwise.study import Study
from boxwise.study.team import Team
from boxwise.web.queue import LabelQueue

AHEAD = 100.0  # seconds


@pytest.fixture
def ahead(monkeypatch):
    """A function that sets this machine's clock so many seconds ahead of the true time."""
    return lambda seconds: monkeypatch.setattr("boxwise.store.clock.time", lambda: time() + seconds)


@pytest.fixture
def study(empty_postgres, boxwise, tmp_path):
    """A study of four images in PostgreSQL, all of which are asked for."""
    return begun(boxwise, tmp_path, f"store={empty_postgres}")


def begun(boxwise, folder, *settings):
    for number in range(4):
        write_image(np.full((32, 32, 3), 40 * number, np.uint8), folder / "images" / f"{number}.png")
    settings = ("detector.name=tiny_ssd", "detector.pretrained=false", "budget.initial=4", "budget.validation=0", *settings)
    code, _, err = boxwise("init", folder / "study", "--images", folder / "images", "--classes", "cat,dog", *settings)
    assert code == 0 and boxwise("run", folder / "study")[0] == 0, err
    return folder / "study"


def label(folder, image_id, *, by, label=0):
    opened = Study.open(folder)
    opened.tell(image_id, [Verdict(Action.ADD, xyxy=(1, 2, 9, 8), label=label)], annotator=by, seconds=1.0)
    opened.store.close()


def test_the_server_s_time_counts_whatever_a_machine_s_clock_says(empty_postgres, ahead, tmp_path):
    served, own = (Store.create(url, {"classes": ["cat"]}) for url in (empty_postgres, f"sqlite:///{tmp_path / 'own.sqlite'}"))
    for seconds in (0.0, AHEAD, -AHEAD):
        ahead(seconds)
        assert served.clock() == pytest.approx(time(), abs=1)  # the server is on this machine
        assert own.clock() == pytest.approx(time() + seconds, abs=1)
    served.close()
    own.close()


def test_a_machine_that_has_slept_asks_the_server_again(empty_postgres, monkeypatch):
    store = Store.create(empty_postgres, {"classes": ["cat"]})
    before, woken = store.clock(), monotonic()
    monkeypatch.setattr("boxwise.store.clock.monotonic", lambda: woken)  # which stands still in sleep
    monkeypatch.setattr("boxwise.store.clock.time", lambda: time() + 3600)
    sleep(0.3)
    assert before + 0.2 < store.clock() < before + 60  # what the way to the server and back takes is not known to the last millisecond
    store.close()


def test_images_labelled_through_a_machine_that_is_ahead_lack_the_class_that_came_after(study, boxwise, ahead):
    label(study, "0.png", by="anna")
    ahead(AHEAD)
    label(study, "1.png", by="cora")
    ahead(0.0)
    code, _, err = boxwise("classes", study, "--add", "cow")
    assert code == 0 and "2 images were labelled before there was a class cow" in err
    assert Study.open(study).to_review() == {"cow": ["0.png", "1.png"]}


def test_an_image_in_hand_is_in_hand_for_every_machine(study, boxwise, ahead):
    opened = Study.open(study)
    labelling = LabellingStore(opened.store)
    now = opened.store.clock()
    assert labelling.lease("0.png", "anna", at=now, until=now + 60) is None
    ahead(AHEAD)
    code, _, err = boxwise("classes", study, "--add", "cow")
    assert code == 2 and "1 image is in the hands of anna" in err


def test_a_link_ends_at_the_same_moment_on_every_machine(empty_postgres, ahead):
    store = Store.create(empty_postgres, {"classes": ["cat"]})
    team = Team(store)
    token = team.invite("anna", Role.LEAD, who="ben", days=1 / 24 / 60)
    ahead(AHEAD)
    assert team.member(token).name == "anna"
    store.close()


def test_the_history_ends_with_the_labels_that_count_though_a_clock_was_set_back(boxwise, ahead, tmp_path):
    folder = begun(boxwise, tmp_path)
    ahead(AHEAD)
    label(folder, "0.png", by="cora", label=1)
    ahead(0.0)
    label(folder, "0.png", by="anna")
    _, said, _ = boxwise("history", folder, "0.png")
    *_, cora, anna, now = said.splitlines()
    assert "by cora" in cora and "by anna" in anna and now == "Now: 1 cat."


def test_who_has_an_image_is_known_to_every_server(study, ahead):
    first, second = (LabelQueue(opened := Study.open(study), opened.labelling) for _ in range(2))
    name = first.next("anna").record.image_id
    ahead(AHEAD)
    assert second.next("cora").record.image_id != name
    assert [item["by"] for item in second.listing() if item["image_id"] == name] == ["anna"]
