"""Looking through a study's images: what is found, the map, acts on many at once, and wishes that the next query follows."""

from dataclasses import replace

import numpy as np
import pytest
from joining import join
from teams import team_study  # noqa: F401 (a fixture)

from boxwise.artifacts.scored_pool import read_scored_pool, read_scores, write_scored_pool
from boxwise.evaluation.projection import principal_plane
from boxwise.records import Phase, Split
from boxwise.store import Journal, LabellingStore
from boxwise.study import Study
from boxwise.web.dashboard import Dashboard
from boxwise.web.pool import PAGE, PoolView, Wanted
from boxwise.web.queue import LabelQueue


@pytest.fixture
def study(waiting_study):
    return waiting_study("full")


@pytest.fixture
def scored(study):
    """The study with a score of its own for each image of the last pass: without a scorer there is none."""
    pool = read_scored_pool(study.files(0))
    values = np.random.default_rng(0).permutation(len(pool.scores.values)).astype(np.float64)
    write_scored_pool(study.files(0), replace(pool, scores=replace(pool.scores, values=values)))
    return study


@pytest.fixture
def view(study):
    return PoolView(LabelQueue(study, LabellingStore(study.store)), Dashboard(study))


def names(found):
    return [item["image_id"] for item in found["items"]]


class TestFound:
    def test_everything_is_found_page_by_page_the_highest_score_first(self, scored, view):
        study = scored
        every = {record.image_id for split in Split for record in study.images(split)}
        found = view.found(Wanted())
        pages = [name for page in range(found["pages"]) for name in names(view.found(Wanted(), page=page))]
        assert found["total"] == len(every) == len(pages) and set(pages) == every and len(found["items"]) <= PAGE
        scores = [item["score"] for item in found["items"] if item["score"] is not None]
        assert len(set(scores)) > 10 and scores == sorted(scores, reverse=True)

    def test_a_study_without_a_scorer_shows_no_score(self, view):
        items = view.found(Wanted())["items"]
        assert items and all(item["score"] is None for item in items)

    def test_filters_say_what_store_and_files_say(self, scored, view):
        study = scored
        labelled = study.annotations(Split.TRAIN)
        asked = set(study.unanswered().image_ids)
        assert set(names(view.found(Wanted(state="asked")))) == asked
        by = view.found(Wanted(person="simulated"))["items"]
        assert {item["image_id"] for item in by} == {i for i, who in study.labelled_by().items() if who.annotator == "simulated"}
        label = next(iter(labelled.values())).boxes.labels[0]
        having = {i for i, a in labelled.items() if label in a.boxes.labels}
        assert having <= set(view.found(Wanted(label=int(label)))["ids"])
        scores = read_scores(study.files(0).scores)
        middle = float(np.median(scores.values))
        above = {i for i, value in zip(scores.image_ids, scores.values, strict=True) if value >= middle}
        assert set(view.found(Wanted(low=middle))["ids"]) == above
        one = sorted(above)[0]
        assert names(view.found(Wanted(text=one.upper()))) == [one]

    def test_images_that_join_while_the_page_is_served_are_found(self, study, view):
        before = view.found(Wanted())["total"]
        join(study.store, [replace(study.images(Split.TRAIN)[0], image_id="later.png")])
        assert view.found(Wanted())["total"] == before + 1 and names(view.found(Wanted(text="later"))) == ["later.png"]

    def test_a_region_of_the_map_finds_the_images_that_lie_in_it(self, study, view):
        plane = view.map()
        assert plane["round"] == 0 and plane["all"] == len(plane["points"]) > 10 and 0 < plane["explained"] <= 1
        points = np.array(plane["points"])[:, :2]
        inside = ((points >= 0.25) & (points <= 0.75)).all(axis=1).sum()
        assert view.found(Wanted(region=(0.25, 0.25, 0.75, 0.75)))["total"] == inside < len(points)


def test_a_search_makes_no_figures_and_reads_no_labels_where_no_model_doubts_any(team_study, monkeypatch):  # noqa: F811
    study = team_study("budget.initial=2")
    view = PoolView(LabelQueue(study, study.labelling), Dashboard(study))
    monkeypatch.setattr(Dashboard, "figures", None)
    monkeypatch.setattr(Study, "annotations", None)
    assert view.found(Wanted())["total"] and view.map()["all"] == 0


class TestActs:
    def test_wishes_come_first_in_the_next_query_and_stay_in_the_history(self, study, view, hidden):
        pool = [item["image_id"] for item in view.found(Wanted(state="pool"))["items"]]
        wanted, taken_back = [pool[-1], pool[-2]], pool[-3]
        assert view.act("ask", [*wanted, taken_back], "anna", "") == {"done": 3, "refused": []}
        assert view.act("unask", [taken_back], "ben", "")["done"] == 1
        assert set(view.found(Wanted(state="wanted"))["ids"]) == set(wanted) and study.wanted() == tuple(wanted)
        while study.position != (2, Phase.ANNOTATE):
            if study.position[1] is Phase.ANNOTATE:
                study.answer(hidden[0])
            study.step()
        asked = {split: [item.image_id for item in study.query(2).items if item.split is split] for split in (Split.TRAIN, Split.VAL)}
        first = [image_id for image_id in wanted if image_id not in asked[Split.VAL]]  # val is drawn at random before, from all there is
        assert asked[Split.TRAIN][: len(first)] == first and len(first) >= 1 and len(asked[Split.TRAIN]) == 4
        assert study.round(2).select.by_people == len(first) and study.wanted() == ()
        events = [(event.who, event.kind, event.round) for event in Journal(study.store).events(taken_back)]
        assert events == [("anna", "wanted", 2), ("ben", "unwanted", 2)]

    def test_only_images_of_the_pool_can_be_wanted(self, study, view):
        labelled = next(iter(study.annotations(Split.TRAIN)))
        done = view.act("ask", [labelled, "nowhere.png"], "anna", "")
        assert done["done"] == 0 and {one["image_id"] for one in done["refused"]} == {labelled, "nowhere.png"}

    def test_images_of_val_and_of_the_test_are_not_in_the_pool_and_never_asked_about(self, study, view):
        record = study.images(Split.TRAIN)[0]
        join(study.store, [replace(record, image_id=f"{split.value}.png", split=split) for split in (Split.VAL, Split.TEST)])
        assert names(view.found(Wanted(state="val"))) == ["val.png"] and names(view.found(Wanted(state="test"))) == ["test.png"]
        train = {record.image_id for record in study.images(Split.TRAIN)}
        assert set(view.found(Wanted(state="pool"))["ids"]) <= train
        assert view.act("ask", ["val.png", "test.png"], "anna", "")["done"] == 0
        study.want(["val.png", "test.png"], who="anna")
        assert study.wanted() == ()

    def test_many_are_skipped_flagged_and_unflagged_at_once_and_what_cannot_be_is_named(self, study, view):
        asked = list(study.unanswered().image_ids)
        other = view.found(Wanted(state="pool"))["ids"][0]
        done = view.act("skip", [asked[0], other], "anna", "too dark")
        assert done["done"] == 1 and [one["image_id"] for one in done["refused"]] == [other]
        assert study.labelling.skipped(1)[asked[0]] == {"anna": "too dark"}
        assert view.act("flag", [asked[1], other], "anna", "blurred")["done"] == 2
        assert {asked[1], other} <= study.quarantined().keys() and set(view.found(Wanted(state="flagged"))["ids"]) >= {asked[1], other}
        assert view.act("unflag", [other], "anna", "")["done"] == 1 and other not in study.quarantined()


def test_the_plane_shows_the_directions_of_most_variance():
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((200, 2)) * [8, 3]
    turned = np.linalg.qr(rng.standard_normal((16, 16)))[0][:, :2]
    embeddings = (flat @ turned.T + 0.01 * rng.standard_normal((200, 16)) + 5).astype(np.float32)
    plane = principal_plane(lambda: np.split(embeddings, [30, 31]))
    assert plane.explained > 0.99 and plane.points.min() == pytest.approx(0) and plane.points.max() == pytest.approx(1)
    for axis in range(2):
        assert abs(np.corrcoef(plane.points[:, axis], flat[:, axis])[0, 1]) > 0.99
    alone = principal_plane(lambda: [np.ones((1, 4), np.float32)])
    assert alone.points.tolist() == [[0.5, 0.5]] and alone.explained == 0 and len(principal_plane(list).points) == 0
