"""On PostgreSQL as on SQLite, and beside others: images in one order, names in any capitals, rows locked in one order."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from boxwise.boxes import Boxes
from boxwise.records import Annotation, ImageRecord, Phase, Query, QueryItem
from boxwise.store import BrowsingStore, Journal, LabellingStore, PoolStore, Store, Wanted
from boxwise.store.rows import append
from boxwise.store.schema import writing

NAMES = ["B.png", "a.png", "C.png", "_x.png", "10.png", "2.png", "b2.png", "A1.png", "Ärger/Übung.png", "ä.png"]


@pytest.fixture
def by_language(postgres_url):
    """The URL of an empty database that sorts as English dictionaries do, as most servers' databases do."""
    server = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS by_language WITH (FORCE)")
        try:
            connection.exec_driver_sql(
                "CREATE DATABASE by_language TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
            )
        except sa.exc.DBAPIError as error:
            pytest.skip(f"no database with a collation of a language: {error}")
    yield sa.engine.make_url(postgres_url).set(database="by_language")
    server.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("by_language")
    made = Store.create(url, {"classes": ["cat"]}, images=[ImageRecord(name, Path(f"/data/{name}"), 40, 30) for name in NAMES])
    yield made
    made.close()


def labelled(image_id):
    return Annotation(image_id, Boxes.empty(), (), True)


def test_images_come_in_the_order_of_their_bytes(store):
    assert store.pool_ids() == store.image_ids() == [record.image_id for record in store.images()] == sorted(NAMES)


@pytest.mark.parametrize(
    ("text", "found"),
    [("b", ["B.png", "b2.png", "Ärger/Übung.png"]), ("ÄRG", ["Ärger/Übung.png"]), ("übung", ["Ärger/Übung.png"]), ("%", [])],
)
def test_a_name_is_found_whatever_the_capitals(store, text, found):
    browsing = BrowsingStore(store)
    browsing.keep("pass", [])
    wanted = Wanted(text=text)
    assert browsing.ids(wanted, None, browsing.amounts(wanted), start=0, most=10) == found


def test_who_changes_many_images_waits_for_others_who_do_and_stops_none(store):
    journal, faults = Journal(store), []

    def change(names):
        try:
            journal.exclude(names, "blurred", round_index=0, who="ann")
            PoolStore(store).want(names, round_index=0, who="ann")
            journal.unlabel(names, rounds=1, round_index=0, who="ann")
        except Exception as error:
            faults.append(error)

    for _ in range(6):
        both = [threading.Thread(target=change, args=(names,)) for names in (NAMES, NAMES[::-1])]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert journal.include(NAMES[::-1], rounds=1, round_index=0, who="ann") == NAMES[::-1]
    assert not faults


def test_the_stamp_changes_with_an_answer_that_is_committed_after_one_of_a_higher_number(by_language):
    store = Store.create(by_language, {"classes": ["cat"]}, images=[ImageRecord(name, Path(name), 40, 30) for name in NAMES[:2]])
    with writing(store.engine) as connection:
        append(connection, labelled(NAMES[0]), (), 0, "ann", 1.0)
        store.annotate(labelled(NAMES[1]), (), round_index=0, annotator="bo", seconds=1.0)
        between = store.stamp()
    assert store.stamp() != between
    store.close()


def test_what_was_begun_or_put_off_goes_with_its_question_and_nothing_else_does(store):
    labelling = LabellingStore(store)
    for number in (0, 1):
        store.put("position", [number, Phase.SELECT.value])
        store.commit(number, Phase.SELECT, {}, then=(number, Phase.ANNOTATE), query=Query(number, (QueryItem("a.png", 0.0, {}),)))
    for number, image_id in ((0, "a.png"), (1, "a.png"), (1, "B.png")):
        labelling.save_draft(image_id, number, "ann", revision=1, document={})
        labelling.skip(image_id, number, "ann", "dark")
    store.reopen(0, Phase.TRAIN)
    assert labelling.draft("a.png", 1, "ann") is None and labelling.skipped(1).keys() == {"B.png"}
    assert labelling.draft("a.png", 0, "ann") and labelling.draft("B.png", 1, "ann") and labelling.skipped(0)
    store.reopen(0, Phase.SELECT)
    assert labelling.draft("a.png", 0, "ann") is None and not labelling.skipped(0)
