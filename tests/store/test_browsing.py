"""Looking through images, on real SQLite and PostgreSQL: what is found is what a list of all images says, and no more of it is read."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
import sqlalchemy as sa
from joining import join

from boxwise.boxes import Boxes
from boxwise.errors import StudyError
from boxwise.records import Annotation, ImageRecord, Phase, Query, QueryItem, Source, Split
from boxwise.store import Amounts, BrowsingStore, ScoredImage, Store, Wanted, labels_text

IMAGES, SCORED = 60, 40
SPLITS = {50: Split.VAL, 51: Split.VAL, 52: Split.TEST}
LABELLED = {0: ("ann", [2]), 1: ("ann", [0, 2]), 2: ("ben", []), 41: ("ben", [1]), 50: ("ann", [12])}
FLAGGED, ASKED = (1, 3, 45), (4, 5, 42)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("empty_postgres")
    made = Store.create(url, {"classes": ["a"]}, images=[ImageRecord(name(i), f"/data/{i}", 40, 30, SPLITS.get(i)) for i in range(IMAGES)])
    yield made
    made.close()


@pytest.fixture
def study(store):
    """Two rounds: a first that asked for what is labelled, and a second that waits for answers."""
    for number, asked in enumerate((LABELLED, ASKED)):
        query = Query(number, tuple(QueryItem(name(i), 1.0) for i in asked if i not in SPLITS))
        store.put("position", [number, Phase.SELECT.value])
        store.commit(number, Phase.SELECT, {}, then=(number, Phase.ANNOTATE), query=query)
        if number == 0:
            for i, (who, labels) in LABELLED.items():
                boxes = Boxes(np.float32([[0, 0, 9, 9]] * len(labels)).reshape(-1, 4), labels)
                annotation = Annotation(name(i), boxes, (Source.HUMAN,) * len(labels), complete=True)
                store.annotate(annotation, (), round_index=0, annotator=who, seconds=1.0)
    for i in FLAGGED:
        store.quarantine(name(i), "broken")
    browsing = BrowsingStore(store)
    browsing.keep({"pass": 1}, sorted(map(scored, range(SCORED)), key=lambda one: (one.score is None, -(one.score or 0), one.image_id)))
    return browsing


def name(i):
    return f"Camera_{i % 3}/frame_{i:05}.jpg"


def scored(i):
    return ScoredImage(
        name(i), None if i % 7 == 0 else round((i * 37 % 50) / 50, 2), i / SCORED, 1 - i / SCORED, labels_text([i % 3, 12][: i % 3])
    )


def as_listed(i):
    """State, round, person, labels and score of an image, by the lists above."""
    usable, one = i not in FLAGGED, scored(i) if i < SCORED else None
    who, labels = LABELLED.get(i, ("", None)) if usable else ("", None)
    split = SPLITS.get(i, Split.TRAIN)
    state = "asked" if i in ASKED else "labelled" if labels is not None else "pool" if split is Split.TRAIN else split.value
    asked = 1 if i in ASKED else 0 if i in LABELLED and i not in SPLITS else None
    seen = {int(label) for label in one.labels.split(",") if label} if one else set()
    return {
        "state": state if usable else "flagged",
        "round": 0 if asked is None and who else asked,
        "person": who,
        "labels": set(labels) if labels is not None else seen,
        "score": one.score if one else None,
        "place": (one.x, one.y) if one else None,
    }


def fits(i, wanted):
    one, score = as_listed(i), as_listed(i)["score"]
    return (
        wanted.text.lower() in name(i).lower()
        and (wanted.label is None or wanted.label in one["labels"])
        and wanted.person in ("", one["person"])
        and wanted.round in (None, one["round"])
        and wanted.state in ("", one["state"])
        and (wanted.low is None or (score is not None and score >= wanted.low))
        and (wanted.high is None or (score is not None and score <= wanted.high))
        and (wanted.region is None or (one["place"] is not None and inside(one["place"], wanted.region)))
    )


def inside(place, region):
    return region[0] <= place[0] <= region[2] and region[1] <= place[1] <= region[3]


def expected(wanted, among=range(IMAGES)):
    order = sorted(among, key=lambda i: (i >= SCORED, as_listed(i)["score"] is None, -(as_listed(i)["score"] or 0), name(i)))
    return [name(i) for i in order if fits(i, wanted)]


def found(browsing, wanted, only=None, page=7):
    """All that is found, page by page."""
    amounts = browsing.amounts(wanted, only)
    pages = [browsing.ids(wanted, only, amounts, start=start, most=page) for start in range(0, max(1, sum(amounts)), page)]
    assert all(len(some) == page for some in pages[:-1])
    return [image_id for some in pages for image_id in some]


SEARCHES = [
    Wanted(),
    Wanted(text="CAMERA_1/"),
    Wanted(text="100%"),
    Wanted(text="_"),
    *(Wanted(label=label) for label in (0, 1, 2, 12)),
    *(Wanted(state=state) for state in ("pool", "asked", "labelled", "val", "test", "flagged")),
    *(Wanted(person=person) for person in ("ann", "ben", "nobody")),
    *(Wanted(round=number) for number in (0, 1, 2)),
    Wanted(low=0.5),
    Wanted(low=0.2, high=0.6, state="pool"),
    Wanted(region=(0.1, 0.0, 0.6, 0.8)),
    Wanted(text="frame_0000", label=2, person="ann", round=0, state="labelled"),
]


@pytest.mark.slow
def test_every_search_finds_what_a_list_of_all_images_says_in_its_order(study):
    for wanted in SEARCHES:
        assert found(study, wanted) == expected(wanted), wanted
    some = [name(i) for i in (0, 4, 41, 59)]
    assert found(study, Wanted(), some, page=2) == [i for i in expected(Wanted()) if i in some]


def test_no_search_reads_a_table_once_for_each_image(study, store):
    if store.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL knows how many rows its tables have")
    asked = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
    for wanted in SEARCHES:
        study.ids(wanted, None, Amounts(SCORED, IMAGES - SCORED), start=0, most=IMAGES)
        study.amounts(wanted)
    searches = [one for one in asked if "scored" in one[0]]
    assert len(searches) >= 2 * len(SEARCHES)
    with store.engine.connect() as connection:
        for statement, parameters in searches:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            assert not [step for step in plan if step.startswith("SCAN") and step.endswith("LEFT-JOIN")], (statement, parameters)


def test_images_are_shown_as_they_are_and_unknown_ones_passed_over(study):
    shown = study.images([name(i) for i in reversed(range(IMAGES))] + ["nowhere.jpg"])
    assert [image.record.image_id for image in shown] == [name(i) for i in reversed(range(IMAGES))]
    for i, image in zip(reversed(range(IMAGES)), shown, strict=True):
        listed = as_listed(i)
        assert (image.state, image.round, image.person, set(image.labels), image.score) == tuple(
            listed[key] for key in ("state", "round", "person", "labels", "score")
        )
    assert study.states([name(4), name(3), "nowhere.jpg"]) == {name(4): "asked", name(3): "flagged"}


def test_what_can_be_filtered_by(study):
    assert study.people() == ["ann", "ben"] and study.rounds() == [0, 1]


def test_the_map_draws_every_so_manieth_by_score(study):
    order = expected(Wanted(), range(SCORED))
    for most, step in ((SCORED, 1), (20, 2), (39, 2), (7, 6)):
        count, points = study.points(most)
        assert count == SCORED and [point.image_id for point in points] == order[::step] and len(points) <= most
    assert {(point.x, point.y, point.state) for point in study.points(SCORED)[1]} == {
        (*as_listed(i)["place"], as_listed(i)["state"]) for i in range(SCORED)
    }


def test_another_pass_takes_the_place_of_the_one_before_whole_or_not_at_all(study):
    def broken():
        yield scored(0)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        study.keep({"pass": 2}, broken())
    assert study.source() == {"pass": 1} and study.amounts(Wanted()) == (SCORED, IMAGES - SCORED)
    study.keep({"pass": 2}, [scored(8), scored(7)])
    assert study.source() == {"pass": 2} and study.ids(Wanted(), None, study.amounts(Wanted()), start=0, most=2) == [name(8), name(7)]
    study.keep({"pass": 2}, [])  # another server was faster
    assert study.amounts(Wanted()).scored == 2


def test_before_the_first_pass_images_are_found_by_name(store):
    browsing = BrowsingStore(store)
    assert browsing.source() is None
    browsing.keep({"pass": None}, ())
    assert found(browsing, Wanted()) == sorted(map(name, range(IMAGES))) and browsing.points(5) == (0, [])


def test_labels_of_an_image_that_is_not_there_are_refused_whole(store):
    labels = [Annotation(image_id, Boxes.empty(), (), complete=True) for image_id in (name(0), "nowhere.jpg")]
    with pytest.raises(StudyError, match=r"image 'nowhere\.jpg' is not in the study"):
        join(store, labels=labels)
    assert store.annotations(Split.TRAIN) == {}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(tmp_path):
    def peak(images):
        records = [ImageRecord(f"{i:06}.jpg", f"/data/{i}", 40, 30) for i in range(images)]
        store = Store.create(f"sqlite:///{tmp_path / f'{images}.sqlite'}", {"classes": ["a"]}, images=records)
        browsing = BrowsingStore(store)
        browsing.keep({}, (ScoredImage(f"{i:06}.jpg", 1 / (1 + i), 0.5, 0.5, ",0,") for i in range(images)))
        tracemalloc.start()
        for wanted, start in product((Wanted(), Wanted(text="5"), Wanted(label=0), Wanted(state="pool")), (0, images // 8)):
            amounts = browsing.amounts(wanted)
            assert browsing.images(browsing.ids(wanted, None, amounts, start=start, most=48))
        assert browsing.points(500)[0] == images and browsing.people() == []
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        store.close()
        return most

    small, large = peak(2_000), peak(16_000)
    assert large < 1.5 * small
