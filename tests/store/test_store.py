"""The store's promises, on real SQLite and, where PostgreSQL is installed or BOXWISE_POSTGRES_URL is set, on real PostgreSQL."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from joining import join

from boxwise.boxes import Boxes
from boxwise.errors import ChangedError, StudyError, UnreachableError
from boxwise.records import Action, Annotation, ImageRecord, Phase, Query, QueryItem, Source, Split, Verdict
from boxwise.store import Journal, LabelledMeanwhileError, LabellingStore, OutBy, Stamp, Store, fault_by, out_by, rows
from boxwise.store.salvage import fault_in_database
from boxwise.store.schema import FACTS, writing


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.sqlite'}"
    return request.getfixturevalue("empty_postgres")


@pytest.fixture
def store(url):
    images = [ImageRecord(name, Path(f"/data/{name}"), 40, 30, split) for name, split in IMAGES]
    made = Store.create(url, {"classes": ["cat", "dog"]}, images=images)
    yield made
    made.close()


IMAGES = [("a.jpg", None), ("b.jpg", Split.TRAIN), ("c.jpg", Split.VAL), ("d.jpg", Split.TEST), ("e.jpg", None)]
BOX = Boxes(np.float32([[0.1, 0.2, 10.7, 20.3]]), [1], difficult=[True])


def labelled(image_id, boxes=BOX, complete=True):
    return Annotation(image_id, boxes, (Source.HUMAN,) * len(boxes), complete)


def ids(records):
    return [record.image_id for record in records]


def test_images_without_a_split_join_the_pool(store):
    assert ids(store.pool()) == ["a.jpg", "b.jpg", "e.jpg"]
    assert ids(store.images(Split.TEST)) == ["d.jpg"] and len(store.images()) == 5


def test_counts_are_those_of_the_lists(store):
    store.quarantine("e.jpg", "broken")
    assert store.pool_size() == len(store.pool()) == 2
    assert [store.image_count(split) for split in Split] == [len(store.images(split)) for split in Split]


def test_the_pool_is_counted_as_it_is_listed_whatever_policies_and_people_decide(store):
    for image_id in ("a.jpg", "b.jpg"):
        store.annotate(labelled(image_id), (), round_index=0, annotator="ann", seconds=1.0)
    store.commit(0, Phase.SELECT, {}, then=(0, Phase.ANNOTATE), pool={"a.jpg": True, "e.jpg": False})
    assert store.pool_ids() == ids(store.pool()) == ["a.jpg"] and store.pool_size() == 1
    store.quarantine("a.jpg", "broken")
    assert store.pool_size() == 0 and store.image_count() == 4


def test_records_come_in_the_order_in_which_they_are_asked_for(store):
    store.quarantine("a.jpg", "broken")
    assert ids(store.records(["d.jpg", "nowhere.jpg", "a.jpg"])) == ["d.jpg", "a.jpg"]
    assert ids(store.records(f"{name}.jpg" for name in "edcba" * 300)) == [f"{name}.jpg" for name in "edcba" * 300]


def test_some_images_are_any_of_the_usable_ones(store):
    join(store, (ImageRecord(f"{number:05}.jpg", f"/data/{number}.jpg", 0, 0) for number in range(12_000)))
    store.quarantine("00007.jpg", "broken")
    usable, drawn = set(ids(store.images())), [ids(store.some_images(100)) for _ in range(4)]
    assert all(set(some) <= usable and len(some) == len(set(some)) for some in drawn) and 0 < len(drawn[0]) <= 100
    assert len({image_id for some in drawn for image_id in some}) > 150


def test_an_image_that_joined_unopened_is_measured_once_it_is_read(store):
    join(store, [ImageRecord("f.jpg", "s3://bucket/f.jpg", 0, 0, source_id=7)])
    (record,) = store.records(["f.jpg"])
    assert not record.measured and record.split is Split.TRAIN and record.source_id == 7
    store.measured([ImageRecord("f.jpg", "s3://bucket/f.jpg", 40, 30, digest="abc", stamp="1:2")])
    (record,) = store.records(["f.jpg"])
    assert (record.width, record.height, record.digest, record.stamp, record.source_id) == (40, 30, "abc", "1:2", 7)


def test_an_image_id_twice_is_an_error(store):
    with pytest.raises(StudyError, match=r"in the study twice: [^{]*$"):
        join(store, [ImageRecord("a.jpg", Path("x"), 1, 1)])


def test_a_complete_annotation_leaves_the_pool_and_a_box_survives_exactly(store):
    store.annotate(
        labelled("a.jpg"), [Verdict(Action.ADD, xyxy=(0, 0, 1, 1), label=1, seconds=7)], round_index=0, annotator="ann", seconds=9
    )
    store.annotate(labelled("b.jpg", complete=False), [], round_index=0, annotator="ann", seconds=1)
    assert ids(store.pool()) == ["b.jpg", "e.jpg"] and store.pool_size() == 2
    assert store.annotations(Split.TRAIN)["a.jpg"].boxes.equals(BOX)


def test_the_latest_annotation_wins_and_history_stays(store):
    store.annotate(
        labelled("a.jpg"), [Verdict(Action.ADD, xyxy=(0, 0, 1, 1), label=1, difficult=True)], round_index=0, annotator="x", seconds=9
    )
    store.annotate(labelled("a.jpg", Boxes.empty()), [], round_index=1, annotator="y", seconds=2)
    assert len(store.annotations(Split.TRAIN)["a.jpg"].boxes) == 0
    history = store.history("a.jpg")
    assert [entry.annotator for entry in history] == ["x", "y"] and history[0].verdicts[0].difficult
    labour = store.labour(Split.TRAIN)
    assert (labour.images, labour.boxes, labour.seconds) == (1, 0, 11)


def test_a_region_that_is_ignored_counts_as_one_box(store):
    regions = Boxes([[0, 0, 5, 5]] * 3 + [[1, 1, 2, 2]] * 3, [0, 1, 2] * 2, crowd=[True] * 3 + [False] * 3)
    store.annotate(labelled("a.jpg", regions), [], round_index=0, annotator="x", seconds=9)
    store.annotate(labelled("b.jpg", BOX), [], round_index=0, annotator="x", seconds=2)
    labour = store.labour(Split.TRAIN)
    assert (labour.images, labour.boxes, labour.model_boxes, labour.by_hand) == (2, 4 + len(BOX), 0, (2, 4 + len(BOX)))


def test_labour_on_an_image_that_was_quarantined_later_stays_spent(store):
    store.annotate(labelled("a.jpg"), [], round_index=0, annotator="x", seconds=9)
    store.quarantine("a.jpg", "truncated")
    assert (store.labour(Split.TRAIN).images, store.labour(Split.TRAIN).seconds) == (0, 9)


def test_labels_of_an_unknown_image_are_refused(store):
    with pytest.raises(StudyError, match=r"'z\.jpg' is not in the study"):
        store.annotate(labelled("z.jpg"), [], round_index=0, annotator="x", seconds=0)


def test_a_step_is_committed_whole(store):
    query = Query(0, (QueryItem("a.jpg", 0.5, {"L_rec": 1.5}), QueryItem("b.jpg", 0.0, split=Split.VAL)))
    store.commit(0, Phase.SELECT, {"asked": np.int64(2), "nan": float("nan")}, then=(0, Phase.ANNOTATE), query=query)
    assert store.position == (0, Phase.ANNOTATE) and store.query(0) == query
    assert store.facts() == {0: {"select": {"asked": 2, "nan": None}}}
    assert ids(store.images(Split.VAL)) == ["b.jpg", "c.jpg"]
    with pytest.raises(ChangedError, match="select of round 0 was not kept"):  # the same step twice
        store.commit(0, Phase.SELECT, {}, then=(5, Phase.TRAIN), query=Query(9, query.items))
    assert store.position == (0, Phase.ANNOTATE) and store.query(9).items == ()


def test_what_the_disk_refuses_names_the_file_and_the_way_out(tmp_path):
    path = tmp_path / "study.sqlite"
    store = Store.create(f"sqlite:///{path}", {"classes": ["cat"]})
    with store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(UnreachableError, match=rf"^{path}: no space left. What was committed is safe: free some space and run again\.$"):
        store.put("much", "x" * 100_000)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=0")
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnreachableError, match=rf"^{path}: another process has written to it"):
            store.put("little", 1)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=1")
    with pytest.raises(UnreachableError, match=rf"^{path}: cannot be written: it is read-only here"):
        store.put("little", 1)
    assert store.get("much") is None and store.get("little") is None
    store.close()
    store.put("little", 1)


def test_a_database_that_cannot_be_opened_is_not_taken_for_a_damaged_one(tmp_path):
    (tmp_path / "study.sqlite").mkdir()
    with pytest.raises(UnreachableError, match=r"study\.sqlite: cannot be opened"):
        fault_in_database(tmp_path / "study.sqlite")


def test_what_waits_for_labels(store):
    items = tuple(QueryItem(name, 0.0) for name in ("a.jpg", "b.jpg", "e.jpg"))
    store.commit(0, Phase.SELECT, {}, then=(0, Phase.ANNOTATE), query=Query(0, items))
    store.annotate(labelled("a.jpg"), [], round_index=0, annotator="x", seconds=0)
    store.annotate(labelled("b.jpg", complete=False), [], round_index=0, annotator="x", seconds=0)
    store.quarantine("e.jpg", "truncated")
    assert store.unanswered(0).image_ids == ("b.jpg",)
    assert store.quarantined() == {"e.jpg": "truncated"} and "e.jpg" not in ids(store.images())


def test_a_store_opens_again_with_everything(store, url):
    store.annotate(labelled("a.jpg"), [], round_index=0, annotator="x", seconds=3)
    again = Store.open(url)
    assert again.get("classes") == ["cat", "dog"] and again.labour(Split.TRAIN).seconds == 3
    again.close()
    with pytest.raises(StudyError, match="a study already"):
        Store.create(url, {})


def test_many_writers_lose_nothing(store):
    def write(number):
        for _ in range(20):
            store.annotate(labelled(IMAGES[number][0]), [], round_index=0, annotator=str(number), seconds=1)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(store.history(name)) for name, _ in IMAGES) == 80


@pytest.mark.parametrize(("write", "kept"), [("put", "second"), ("put_among", ["first", "second"])])
def test_of_two_that_write_a_fact_for_the_first_time_neither_fails(store, url, write, kept):
    other, faults = Store.open(url), []

    def second():
        try:
            getattr(other, write)("fact", "second")
        except Exception as error:
            faults.append(error)

    with writing(store.engine) as connection:
        getattr(rows, write)(connection, "fact", "first")
        (waiting := threading.Thread(target=second)).start()
        waiting.join(0.3)  # until it has come to where the first has written
    waiting.join()
    other.put_among("others", "first")
    other.put_among("others", "first")
    assert not faults and store.get("fact") == kept and store.get("others") == ["first"]
    other.close()


def test_labels_are_stored_where_none_came_since_those_they_were_judged_against(store):
    rest = {"round_index": 0, "annotator": "imp", "seconds": 1.0}
    store.annotate(labelled("a.jpg"), [], instead_of=0, **rest)
    (number,) = (current.number for current in store.current(Split.TRAIN).values())
    store.annotate(labelled("a.jpg"), [], round_index=0, annotator="anna", seconds=5.0)
    for before in (0, number):
        with pytest.raises(LabelledMeanwhileError, match=r"a\.jpg was labelled meanwhile, by anna") as caught:
            store.annotate(labelled("a.jpg"), [], instead_of=before, **rest)
        assert caught.value.annotator == "anna"
    assert len(store.history("a.jpg")) == 2 and store.seconds(Split.TRAIN) == 6.0
    store.annotate(labelled("a.jpg"), [], instead_of=number + 1, **rest)
    assert len(store.history("a.jpg")) == 3
    with pytest.raises(StudyError, match=r"'z.jpg' is not in the study"):
        store.annotate(labelled("z.jpg"), [], instead_of=0, **rest)


READS = {
    "annotations": lambda store: store.annotations(Split.TRAIN),
    "annotations before a round": lambda store: store.annotations(Split.TRAIN, before=1),
    "labour": lambda store: store.labour(Split.TRAIN),
    "pool": lambda store: store.pool(),
    "waiting": lambda store: store.waiting(0),
}


def steps_of(read, folder, images):
    """How many thousand steps SQLite's machine takes for a read of a store in which every image is asked for and labelled."""
    names = [f"{number:05}.jpg" for number in range(images)]
    store = Store.create(f"sqlite:///{folder / f'{images}.sqlite'}", {}, images=[ImageRecord(name, Path(name), 40, 30) for name in names])
    asked = Query(0, tuple(QueryItem(name, 0.0) for name in names))
    store.commit(0, Phase.SELECT, {}, then=(0, Phase.ANNOTATE), query=asked)
    with writing(store.engine) as connection:
        rows.append_all(connection, map(labelled, names), round_index=0, annotator="x")
    counted = []
    store.close()  # connections are made anew, and counted
    sa.event.listen(store.engine, "connect", lambda connection, _: connection.set_progress_handler(lambda: counted.append(1), 1000))
    read(store)
    store.close()
    return len(counted)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.slow
def test_reading_grows_with_the_images_and_not_with_their_square(read, tmp_path):
    few, many = (steps_of(read, tmp_path, images) for images in (500, 2000))
    assert few > 0 and many < 8 * few  # four times the images; by the square it would be sixteen times


def test_a_quarantined_image_keeps_its_record_its_labels_and_the_first_reason(store):
    store.annotate(labelled("a.jpg"), [], round_index=0, annotator="x", seconds=1)
    store.quarantine("a.jpg", "truncated")
    store.quarantine("a.jpg", "flagged by ben: dark")
    assert store.quarantined() == {"a.jpg": "truncated"}
    assert store.record("a.jpg").uri == "/data/a.jpg" and store.record("z.jpg") is None
    assert store.annotation("a.jpg").boxes.equals(BOX) and "a.jpg" not in store.annotations(Split.TRAIN)


@pytest.mark.parametrize("how", OutBy)
def test_a_reason_says_how_a_person_took_an_image_out_of_use(how):
    assert out_by(fault_by(how, "ben", "dark")) is how and fault_by(how, "ben", "dark") in ("excluded by ben: dark", "flagged by ben: dark")
    assert out_by(f"/photos/{how} ben.png: truncated") is None and out_by("truncated") is None


def test_why_an_image_was_out_of_use_stays_in_its_history(store):
    journal = Journal(store)
    store.quarantine("a.jpg", "truncated")
    store.quarantine("a.jpg", "flagged by ben: dark")
    journal.include(["a.jpg"], rounds=1, round_index=0, who="lea")
    store.commit(0, Phase.SELECT, {}, then=(1, Phase.ANNOTATE))
    store.quarantine("a.jpg", "flagged by ben: dark", who="ben")
    store.quarantine("z.jpg", "no such image of the study")
    assert [(event.round, event.who, event.kind, event.image_id, event.body) for event in journal.events()] == [
        (0, "boxwise", "excluded", "a.jpg", {"why": "truncated"}),
        (0, "lea", "included", "a.jpg", {}),
        (1, "ben", "excluded", "a.jpg", {"why": "flagged by ben: dark"}),
    ]
    assert [event.who for event in journal.events(kind="included")] == ["lea"]


def test_the_stamp_changes_with_every_label_step_quarantine_and_event(store):
    seen = [store.stamp(), store.stamp()]
    store.annotate(labelled("a.jpg"), [], round_index=0, annotator="x", seconds=1)
    seen.append(store.stamp())
    store.quarantine("b.jpg", "truncated")
    seen.append(store.stamp())
    store.commit(0, Phase.SELECT, {}, then=(0, Phase.ANNOTATE))
    seen.append(store.stamp())
    store.annotate(labelled("a.jpg"), [], round_index=0, annotator="x", seconds=1, key="key-number-1")
    seen.append(store.stamp())
    assert LabellingStore(store).withdraw("key-number-1", "a.jpg", 0, "x")
    seen.append(store.stamp())
    LabellingStore(store).spend("b.jpg", 0, "x", 60.0, key="key-number-2")
    seen.append(store.stamp())
    assert seen[0] == seen[1] == Stamp((0, Phase.SELECT), 0, 0, 0, None, 0) and len(set(seen)) == 7


def test_the_stamp_changes_with_a_step_that_is_written_anew_by_a_clock_that_was_ahead_before(store):
    for number in (0, 1):
        store.commit(number, Phase.SELECT, {}, then=(number + 1, Phase.SELECT))
    with store.engine.begin() as connection:
        connection.execute(FACTS.update().where(FACTS.c.round == 1).values(at="2999-01-01T00:00:00.000+00:00"))
    before = store.stamp()
    assert before == store.stamp()
    store.amend(0, Phase.SELECT, {"asked": 2})
    assert store.stamp() != before


def test_a_withdrawn_answer_is_history_and_what_was_before_it_counts_again(store):
    store.commit(0, Phase.SELECT, {}, then=(0, Phase.ANNOTATE))
    store.annotate(labelled("a.jpg"), [], round_index=0, annotator="x", seconds=1)
    before = store.annotation("a.jpg")
    store.annotate(labelled("a.jpg"), [], round_index=0, annotator="x", seconds=2, key="key-number-1")
    assert not LabellingStore(store).withdraw("key-number-1", "a.jpg", 0, "somebody else") and not LabellingStore(store).withdraw(
        "key-number-1", "b.jpg", 0, "x"
    )
    assert not LabellingStore(store).withdraw("key-number-1", "a.jpg", 1, "x") and not LabellingStore(store).withdraw(
        "no such key", "a.jpg", 0, "x"
    )
    assert LabellingStore(store).withdraw("key-number-1", "a.jpg", 0, "x") and LabellingStore(store).withdraw(
        "key-number-1", "a.jpg", 0, "x"
    )  # again: no harm
    assert store.annotation("a.jpg").boxes.equals(before.boxes) and len(store.history("a.jpg")) == 2
    assert store.seconds(Split.TRAIN) == 3 and LabellingStore(store).answer("key-number-1").late


def test_an_answer_with_a_newer_one_over_it_cannot_be_withdrawn(store):
    store.commit(0, Phase.SELECT, {}, then=(0, Phase.ANNOTATE))
    for key in ("key-number-1", "key-number-2"):
        store.annotate(labelled("a.jpg"), [], round_index=0, annotator="x", seconds=1, key=key)
    assert not LabellingStore(store).withdraw("key-number-1", "a.jpg", 0, "x") and LabellingStore(store).withdraw(
        "key-number-2", "a.jpg", 0, "x"
    )
    store.commit(0, Phase.ANNOTATE, {}, then=(0, Phase.AUDIT))
    assert not LabellingStore(store).withdraw("key-number-1", "a.jpg", 0, "x")


def test_what_is_no_store(tmp_path):
    file = tmp_path / "study.sqlite"
    file.write_text("this is no database, only text that happens to lie here")
    with pytest.raises(StudyError, match="not a boxwise study"):
        Store.open(f"sqlite:///{file}")


def test_each_study_has_an_id_of_its_own(tmp_path):
    ids = {Store.create(f"sqlite:///{tmp_path / name}", {}).get("id") for name in ("a", "b")}
    assert len(ids) == 2 and None not in ids


def test_what_an_answer_replaces_is_found_by_its_key_and_not_by_a_look_at_all_answers(store):
    store.annotate(labelled("a.jpg"), (), round_index=0, annotator="anna", seconds=1.0, key="place:1:x")
    store.annotate(labelled("e.jpg"), (), round_index=0, annotator="anna", seconds=1.0, key="place:10:x")
    said = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda *event: said.append(event[2:4]))
    rest = {"round_index": 0, "annotator": "bob", "seconds": 1.0}
    assert store.annotate(labelled("e.jpg"), (), key="page", **rest) is True
    assert not [text for text, _ in said if "FROM answers" in text]
    assert store.annotate(labelled("e.jpg"), (), key="place:1:y", replaces=("place:1:",), **rest) is True
    assert store.annotate(labelled("a.jpg"), (), key="place:1:z", replaces=("other:", "place:1:"), **rest) is False
    if store.engine.dialect.name == "sqlite":
        with store.engine.connect() as connection:
            asked = [(text, values) for text, values in said if text.startswith("SELECT") and "answers" in text]
            plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all() for text, values in asked]
        assert plans and not [step for plan in plans for step in plan if "SCAN" in step[-1]]
