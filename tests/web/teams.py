"""Studies that people label together, in round 0: nothing is trained for them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from boxwise.boxes import Boxes
from boxwise.config import load_config
from boxwise.records import Action, Verdict
from boxwise.store import LabellingStore
from boxwise.study import Study
from boxwise.web.answers import Answer
from boxwise.web.queue import LabelQueue

BOX = Verdict(Action.ADD, xyxy=(1.0, 2.0, 30.0, 40.0), label=3, seconds=4.5)
NEAR = replace(BOX, xyxy=(1.0, 2.0, 30.0, 38.0))
OTHER = replace(BOX, xyxy=(1.0, 2.0, 31.0, 40.0), label=5)


@pytest.fixture
def team_study(hidden, tiny_overrides, tmp_path) -> Callable[..., Study]:  # type: ignore[no-untyped-def]
    """A function from overrides of the config to a study whose round 0 has been asked."""

    def make(*overrides: str, store: str | None = None) -> Study:
        config = load_config(None, (*tiny_overrides, *overrides)).model_copy(update={"store": store})
        study = Study.create(tmp_path / "team", replace(hidden[1], findings=()), config=config)
        study.ask()
        return study

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def on_each(request, team_study):  # type: ignore[no-untyped-def]
    """As `team_study`, on SQLite and on PostgreSQL."""
    store = request.getfixturevalue("empty_postgres") if request.param == "postgresql" else None
    return lambda *overrides: team_study(*overrides, store=store)


def server_of(study: Study, **options) -> LabelQueue:  # type: ignore[no-untyped-def]
    """A further server's queue on the study's database."""
    own = Study.open(study.folder)
    return LabelQueue(own, LabellingStore(own.store), **options)


def answer(queue: LabelQueue, name: str, image_id: str, *verdicts: Verdict, seconds: float = 10.0) -> bool:
    """Open the image and hand it in; whether that came late."""
    task = queue.open(image_id, name)
    key = f"{name} on {image_id} after {len(queue.study.history(image_id))}"
    began = {"judges": task.begun_on, "begun_on": task.begun_on, "question": task.question}
    return queue.answer(Answer(key, name, image_id, task.round, verdicts, True, seconds, **began))


def boxes(*verdicts: Verdict) -> Boxes:
    """The boxes that verdicts draw."""
    import numpy as np

    return Boxes(np.array([v.xyxy for v in verdicts], np.float32).reshape(-1, 4), np.array([v.label for v in verdicts], np.int64))
