"""The labelling queue: nobody gets another's image, an answer counts once, a late one is history, and what was saved is there again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from teams import team_study  # noqa: F401 (a fixture)

from boxwise.artifacts.box_tables import read_proposals
from boxwise.errors import BoxwiseError
from boxwise.records import Action, Phase, Source, Split, Verdict
from boxwise.store import LabellingStore
from boxwise.study import Study
from boxwise.web.answers import Answer, QuarantinedError, TakenError, UnknownImageError
from boxwise.web.queue import LabelQueue
from boxwise.web.tasks import Task, task_to_json

BOX = Verdict(Action.ADD, xyxy=(1.0, 2.0, 30.0, 40.0), label=3, seconds=4.5)


class Clock:
    """A time that the test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def queue_of(waiting_study):
    def make(mode="review"):
        study = waiting_study(mode)
        return LabelQueue(study, LabellingStore(study.store), lease_seconds=60, clock=Clock())

    return make


def answer_to(task, *, annotator="anna", key="key-number-1", verdicts=(), seconds=12.5):
    began = {"begun_on": task.begun_on, "question": task.question}
    return Answer(key, annotator, task.record.image_id, task.round, verdicts, True, seconds, **began)


def first_task(queue, wanted):
    """The first task that `wanted` holds of; those before it are answered with nothing."""
    while not wanted(task := queue.next("anna")):
        queue.answer(answer_to(task, key=f"key-of-{task.rank}"))
    return task


class TestLeases:
    def test_the_most_valuable_first_and_everyone_another(self, queue_of):
        queue = queue_of()
        asked = list(queue.study.ask().image_ids)
        assert queue.next("anna").record.image_id == asked[0] and queue.next("ben").record.image_id == asked[1]
        assert queue.next("anna").record.image_id == asked[0]  # a reload comes back to the same
        assert queue.next("anna", keep=[asked[0]]).record.image_id == asked[2]

    def test_two_tabs_of_one_person_have_different_images(self, queue_of):
        queue = queue_of()
        first, second = (queue.next("anna", tab=tab).record.image_id for tab in ("1", "2"))
        assert first != second and queue.next("anna", tab="1").record.image_id == first
        with pytest.raises(TakenError, match="anna is labelling it"):
            queue.open(first, "anna", tab="2")
        assert queue.renew([first, second], "anna", tab="1")[1] == [second]
        queue.release([first, second], "anna", tab="2")
        assert queue.open(second, "anna", tab="1").record.image_id == second
        queue.clock.now += 61
        assert queue.open(first, "anna", tab="2").record.image_id == first and queue.renew([first], "anna", tab="1")[1] == [first]

    def test_tabs_that_ask_at_once_never_get_the_same(self, queue_of):
        queue = queue_of("full")
        with ThreadPoolExecutor(5) as at_once:
            tasks = list(at_once.map(lambda tab: queue.next("anna", tab=str(tab)), range(5)))
        assert len({task.record.image_id for task in tasks}) == 5

    def test_after_a_restart_an_image_waits_for_the_tab_that_asks_for_it(self, queue_of):
        queue = queue_of()
        first = queue.next("anna", tab="1").record.image_id
        restarted = LabelQueue(queue.study, queue.labelling, lease_seconds=60, clock=queue.clock)
        assert restarted.next("anna", tab="2").record.image_id != first
        assert restarted.renew([first], "anna", tab="1")[1] == []
        with pytest.raises(TakenError):
            restarted.open(first, "anna", tab="2")

    def test_an_expired_lease_goes_to_the_next(self, queue_of):
        queue = queue_of()
        first = queue.next("anna").record.image_id
        queue.clock.now += 59
        assert queue.next("ben").record.image_id != first
        queue.clock.now += 2
        assert queue.next("carl").record.image_id == first
        until, lost = queue.renew([first], "anna")
        assert lost == [first] and until == queue.clock.now + 60

    def test_a_lease_given_under_a_clock_that_was_a_day_ahead_holds_no_image_for_a_day(self, queue_of):
        queue = queue_of()
        queue.clock.now += 24 * 3600
        first = queue.next("anna", tab="1").record.image_id
        queue.clock.now -= 24 * 3600
        assert queue.open(first, "ben").record.image_id == first
        queue.release([first], "ben")
        queue.clock.now += 24 * 3600
        assert queue.open(first, "anna", tab="1").record.image_id == first
        queue.clock.now -= 24 * 3600
        assert queue.next("anna", tab="2").record.image_id == first

    def test_a_server_whose_clock_is_a_little_behind_takes_nothing_from_anybody(self, queue_of):
        queue = queue_of()
        first = queue.next("anna").record.image_id
        queue.clock.now -= 30
        assert queue.next("ben").record.image_id != first
        with pytest.raises(TakenError):
            queue.open(first, "ben")

    def test_a_renewed_lease_stays(self, queue_of):
        queue = queue_of()
        first = queue.next("anna").record.image_id
        for _ in range(5):
            queue.clock.now += 50
            assert queue.renew([first], "anna")[1] == []
        assert queue.next("ben").record.image_id != first

    def test_who_wakes_to_an_image_that_somebody_has_answered_is_told_so(self, queue_of):
        queue = queue_of()
        task = queue.next("anna")
        queue.clock.now += 1000  # a laptop's lid was closed
        assert queue.renew([task.record.image_id], "anna")[1] == []  # nobody has touched it: it is in hand again
        queue.clock.now += 1000
        queue.answer(answer_to(queue.open(task.record.image_id, "ben"), annotator="ben", key="key-of-ben", verdicts=[BOX]))
        assert queue.renew([task.record.image_id], "anna")[1] == [task.record.image_id]
        assert queue.answer(answer_to(task, key="key-of-anna")) is True
        assert queue.study.store.annotation(task.record.image_id).boxes.xyxy[0].tolist() == list(BOX.xyxy)

    def test_who_pauses_on_a_colleagues_labels_has_lost_nothing_until_there_are_newer_ones(self, queue_of):
        queue = queue_of()
        image_id = queue.next("anna").record.image_id
        queue.answer(answer_to(queue.open(image_id, "anna"), key="key-of-anna"))
        begun_on = {image_id: queue.open(image_id, "rita").begun_on}
        queue.clock.now += 1000
        assert queue.renew([image_id], "rita", begun_on=begun_on)[1] == []
        with pytest.raises(TakenError, match="rita is labelling it"):
            queue.open(image_id, "ben")
        queue.clock.now += 1000
        queue.answer(answer_to(queue.open(image_id, "ben"), annotator="ben", key="key-of-ben", verdicts=[BOX]))
        assert queue.renew([image_id], "rita", begun_on=begun_on)[1] == [image_id]

    def test_an_image_in_other_hands_cannot_be_opened(self, queue_of):
        queue = queue_of()
        first = queue.next("anna").record.image_id
        with pytest.raises(TakenError, match="anna is labelling it"):
            queue.open(first, "ben")
        queue.labelling.release([first], "anna")
        assert queue.open(first, "ben").record.image_id == first

    def test_a_closed_tab_gives_back_all_but_what_it_keeps(self, queue_of):
        queue = queue_of()
        worked, idle = (queue.next("anna", tab="1", keep=keep).record.image_id for keep in ((), queue.study.ask().image_ids[:1]))
        other = queue.next("anna", tab="2").record.image_id
        queue.close_tab("anna", tab="1", keep=[worked])
        assert set(queue.labelling.leases(at=queue.clock())) == {worked, other}
        assert queue.next("ben").record.image_id == idle

    def test_what_a_closed_page_asked_for_is_nobodys(self, queue_of):
        queue = queue_of()
        queue.close_tab("anna", tab="1", visit="first")  # overtakes the request
        assert queue.next("anna", tab="1", visit="first") == "leased" and not queue.labelling.leases(at=1000.0)

        def closed_meanwhile():
            queue.clock = Clock()
            queue.close_tab("anna", tab="1", visit="second")
            return queue.clock()

        queue.clock = closed_meanwhile
        assert queue.next("anna", tab="1", visit="second") == "leased" and not queue.labelling.leases(at=1000.0)
        assert isinstance(queue.next("anna", tab="1", visit="third"), Task)  # the tab was loaded anew

    def test_what_a_page_loaded_anew_has_stays_when_the_one_before_says_late_that_it_was_closed(self, queue_of):
        queue = queue_of()
        names = [queue.next("anna", tab="1", keep=queue.study.ask().image_ids[:n], visit="first").record.image_id for n in (0, 1, 2)]
        assert queue.next("anna", tab="1", visit="second").record.image_id == names[0]
        queue.open(names[1], "anna", tab="1", visit="second")
        queue.renew(names[:2], "anna", tab="1")
        queue.close_tab("anna", tab="1", visit="first")
        assert queue.next("anna", tab="1", visit="first") == "leased"  # later still
        assert set(queue.labelling.leases(at=queue.clock())) == set(names[:2])
        queue.close_tab("anna", tab="1", visit="second")
        assert not queue.labelling.leases(at=queue.clock())

    def test_when_all_are_taken_it_says_so(self, queue_of):
        queue = queue_of()
        while isinstance(task := queue.next(f"annotator {len(queue.labelling.leases(at=0))}"), Task):
            pass
        assert task == "leased" and queue.next("anna", keep=queue.study.ask().image_ids) == "answered"


class TestAnswers:
    def test_an_answer_is_stored_with_its_verdicts_and_its_time(self, queue_of):
        queue = queue_of()
        task = queue.next("anna")
        assert queue.answer(answer_to(task, verdicts=[BOX])) is False
        entry = queue.study.store.history(task.record.image_id)[-1]
        who, annotation, verdicts = entry.annotator, entry.annotation, entry.verdicts
        assert who == "anna" and verdicts == (BOX,) and annotation.complete
        assert annotation.sources[0] is Source.HUMAN and annotation.by_model.sum() == (
            task.proposals.certain.sum() if task.proposals else 0
        )
        assert task.record.image_id not in queue.study.ask().image_ids and not queue.labelling.leases(at=queue.clock.now)

    def test_measured_seconds_replace_the_assumed(self, queue_of):
        queue = queue_of()
        task = next(
            t
            for t in iter(lambda: queue.next("anna"), None)
            if t.item.split is Split.TRAIN or queue.answer(answer_to(t, key=f"key-{t.rank}"))
        )
        before = queue.study.store.labour(Split.TRAIN).seconds
        queue.answer(answer_to(task, verdicts=[BOX], seconds=12.5))
        assert queue.study.store.labour(Split.TRAIN).seconds == pytest.approx(before + 12.5)

    def test_the_same_key_twice_is_one_answer(self, queue_of):
        queue = queue_of()
        task = queue.next("anna")
        for _ in range(3):
            assert queue.answer(answer_to(task, verdicts=[BOX])) is False
        assert len(queue.study.store.history(task.record.image_id)) == 1

    def test_a_late_answer_is_history_and_not_the_labels(self, queue_of):
        queue = queue_of()
        task = queue.next("anna")
        queue.clock.now += 61
        again = queue.open(task.record.image_id, "ben")
        assert queue.answer(answer_to(again, annotator="ben", key="key-of-ben", verdicts=[BOX])) is False
        assert queue.answer(answer_to(task, key="key-of-anna")) is True
        assert queue.answer(answer_to(task, key="key-of-anna")) is True
        history = queue.study.store.history(task.record.image_id)
        assert [entry.annotator for entry in history] == ["ben", "anna"]
        split = task.item.split
        assert queue.study.store.annotations(split)[task.record.image_id].boxes.equals(history[0].annotation.boxes)

    def test_an_expired_lease_that_nobody_took_is_no_fault(self, queue_of):
        queue = queue_of()
        task = queue.next("anna")
        queue.clock.now += 1000
        assert queue.answer(answer_to(task)) is False

    def test_one_may_correct_oneself(self, queue_of):
        queue = queue_of()
        task = queue.next("anna")
        queue.answer(answer_to(task, verdicts=[BOX]))
        again = queue.open(task.record.image_id, "anna")
        (drawn, *_) = task_to_json(again)["labels"]
        assert (drawn["xyxy"], drawn["label"], drawn["source"]) == ([1.0, 2.0, 30.0, 40.0], 3, "human")
        assert queue.answer(answer_to(again, key="key-number-2")) is False
        kept = queue.study.store.annotations(task.item.split)[task.record.image_id]
        assert not any(source is Source.HUMAN for source in kept.sources)

    def test_labels_of_an_earlier_round_are_shown_as_settled_and_corrected_one_by_one(self, queue_of):
        queue = queue_of()
        image_id, labels = next((i, a) for i, a in queue.study.store.annotations(Split.TRAIN).items() if len(a.boxes) > 1)
        task = queue.open(image_id, "anna")
        shown = task_to_json(task)["boxes"]
        assert task.item is None and [box["state"] for box in shown] == ["settled"] * len(labels.boxes)
        gone = Verdict(Action.DELETE, shown[0]["id"])
        assert queue.answer(answer_to(task, verdicts=[gone])) is False
        kept = queue.study.store.annotations(Split.TRAIN)[image_id]
        assert len(kept.boxes) == len(labels.boxes) - 1 and kept.rejected.tolist() == labels.boxes.xyxy[:1].tolist()

    def test_answers_by_box_leave_the_image_incomplete_whatever_the_page_says(self, queue_of):
        queue = queue_of("trust")
        task = first_task(queue, lambda task: task.item.box_ids)
        assert not task.whole
        queue.answer(answer_to(task, verdicts=[Verdict(Action.KEEP, box_id) for box_id in task.item.box_ids]))
        kept = queue.study.store.annotations(Split.TRAIN)[task.record.image_id]
        assert not kept.complete and kept.sources.count(Source.HUMAN) == len(task.item.box_ids)

    @pytest.mark.parametrize("reopened", [False, True], ids=["the same server", "a server started since"])
    def test_a_correction_by_box_that_comes_when_the_round_is_over_leaves_the_image_incomplete(self, queue_of, reopened):
        queue = queue_of("trust")
        task = first_task(queue, lambda task: task.item.box_ids)
        answer = answer_to(task, verdicts=[Verdict(Action.KEEP, box_id) for box_id in task.item.box_ids])
        queue.answer(answer)
        queue.study.store.put("position", [2, "select"])
        if reopened:
            study = Study.open(queue.study.folder)
            queue = LabelQueue(study, LabellingStore(study.store), clock=queue.clock)
        assert queue.answer(replace(answer, key="key-of-correction")) is False
        kept = queue.study.store.annotation(task.record.image_id)
        assert not kept.complete and kept.round == 1 and task.record.image_id in {record.image_id for record in queue.study.store.pool()}

    def test_what_an_earlier_round_showed_is_read_once_for_all_its_late_answers(self, queue_of, monkeypatch):
        queue = queue_of("trust")
        tasks = [queue.open(image_id, "anna") for image_id in queue.study.proposals()]
        queue.study.store.put("position", [2, "select"])
        study = Study.open(queue.study.folder)
        queue, read = LabelQueue(study, LabellingStore(study.store)), []
        monkeypatch.setattr("boxwise.artifacts.box_tables.read_proposals", lambda *given: read.append(1) or read_proposals(*given))
        for task in tasks:
            queue.answer(answer_to(task, key=f"key-of-{task.rank}"))
        assert len(tasks) > 1 and len(read) == 1

    def test_an_unknown_image(self, queue_of):
        with pytest.raises(BoxwiseError, match="no such image"):
            queue_of().open("../../etc/passwd", "anna")

    def test_when_the_batch_is_done_the_study_goes_on(self, queue_of):
        queue = queue_of()
        while isinstance(task := queue.next("anna"), Task):
            queue.answer(answer_to(task, key=f"key-of-{task.rank}"))
        assert task == "answered" and queue.study.step() is not Phase.ANNOTATE and queue.next("anna") == "training"


class TestDrafts:
    def test_a_draft_comes_back_after_a_reload_and_goes_when_handed_in(self, queue_of):
        queue = queue_of()
        task = queue.next("anna")
        name = task.record.image_id
        assert queue.labelling.save_draft(name, 1, "anna", revision=1, document={"boxes": [1]}) == 1
        assert queue.labelling.save_draft(name, 1, "anna", revision=3, document={"boxes": [1, 2]}) == 3
        assert queue.labelling.save_draft(name, 1, "anna", revision=2, document={"boxes": []}) == 3  # overtaken on the way
        again = Study.open(queue.study.folder)
        reopened = LabelQueue(again, LabellingStore(again.store), clock=queue.clock)
        draft = reopened.open(name, "anna").draft
        assert draft.revision == 3 and draft.document == {"boxes": [1, 2]}
        queue.answer(answer_to(task))
        assert queue.labelling.draft(name, 1, "anna") is None

    def test_a_draft_is_its_makers_alone(self, queue_of):
        queue = queue_of()
        name = queue.next("anna").record.image_id
        queue.labelling.save_draft(name, 1, "anna", revision=1, document={})
        queue.clock.now += 61
        assert queue.open(name, "ben").draft is None


class TestSkips:
    def test_what_was_drawn_is_there_when_a_skipped_image_comes_back_and_over_when_it_is_flagged(self, queue_of):
        queue = queue_of()
        name = queue.next("anna").record.image_id
        queue.save_draft(name, 1, "anna", revision=1, document={"boxes": []})
        queue.skip(name, 1, "anna", "too dark")
        assert queue.open(name, "anna").draft.revision == 1
        queue.flag(name, "anna", "not a photo")
        assert queue.labelling.drafters(1) == {}

    def test_a_skipped_image_comes_last_and_others_may_have_it(self, queue_of):
        queue = queue_of()
        name = queue.next("anna").record.image_id
        queue.skip(name, 1, "anna", "too dark")
        assert queue.next("anna").record.image_id != name and queue.next("ben").record.image_id == name
        queue.labelling.release([name], "ben")
        others = [i for i in queue.study.ask().image_ids if i != name]
        assert queue.next("anna", keep=others).record.image_id == name
        assert queue.labelling.skipped(1) == {name: {"anna": "too dark"}}
        queue.skip(name, 1, "anna", "too dark")
        queue.skip(name, 1, "anna", "still too dark")
        assert [event.body["reason"] for event in queue.study.events(name)] == ["too dark", "still too dark"]

    def test_a_flagged_image_is_quarantined_with_the_reason_and_who_gave_it(self, queue_of):
        queue = queue_of()
        name = queue.next("anna").record.image_id
        queue.flag(name, "anna", "not a photo")
        assert queue.study.quarantined()[name] == "flagged by anna: not a photo" and name not in queue.study.ask().image_ids
        assert next(row for row in queue.listing() if row["image_id"] == name)["state"] == "flagged"

    def test_why_an_image_was_flagged_stays_in_its_history_when_the_flag_is_taken_back(self, queue_of, boxwise):
        queue = queue_of()
        name, study = queue.next("anna").record.image_id, queue.study
        for reason in ("blurred", "blurred", "too dark"):  # sent again, as where the reply was lost; then while it is in force
            queue.flag(name, "anna", reason)
        queue.unflag(name, "ben")
        queue.flag(name, "ben", "no photo")
        study.include([name], who="lea")
        told = [(event.kind, event.who, event.round, event.body.get("why")) for event in study.events(name)]
        assert told == [
            ("excluded", "anna", 1, "flagged by anna: blurred"), ("included", "ben", 1, None),
            ("excluded", "ben", 1, "flagged by ben: no photo"), ("included", "lea", 1, None),
        ]  # fmt: skip
        lines = boxwise("history", study.folder, name)[1].splitlines()
        said = [line.partition("  ")[2] for line in lines if "flagged" in line or "included" in line]
        assert said == [
            "flagged by anna: blurred, round 1", "included by ben, round 1",
            "flagged by ben: no photo, round 1", "included by lea, round 1",
        ]  # fmt: skip

    @pytest.mark.parametrize("restarted", [False, True])
    def test_a_flagged_image_is_handed_out_to_nobody_and_what_was_on_its_way_is_taken(self, queue_of, restarted):
        queue = queue_of()
        task = next(t for i in queue.study.proposals() if (t := queue.open(i, "anna")))
        name = task.record.image_id
        queue.flag(name, "ben", "not a photo")
        if restarted:
            queue = LabelQueue(queue.study, queue.labelling, clock=queue.clock)
        with pytest.raises(QuarantinedError, match=f"{name} is out of use and not labelled any more: flagged by ben: not a photo"):
            queue.open(name, "anna")
        assert queue.answer(answer_to(task, verdicts=[BOX])) is False
        queue.skip(name, 1, "anna", "too dark")
        queue.flag(name, "anna", "not a photo either")
        assert queue.study.quarantined()[name] == "flagged by ben: not a photo"
        assert len(queue.study.store.history(name)) == 1 and name not in queue.study.store.annotations(Split.TRAIN)

    def test_a_correction_of_an_image_flagged_meanwhile_is_history(self, queue_of):
        queue = queue_of()
        name = next(i for i, a in queue.study.store.annotations(Split.TRAIN).items() if len(a.boxes))
        task = queue.open(name, "anna")
        queue.flag(name, "ben", "not a photo")
        gone = Verdict(Action.DELETE, task_to_json(task)["boxes"][0]["id"])
        assert queue.answer(answer_to(task, verdicts=[gone])) is False and len(queue.study.store.history(name)) == 2


def test_the_listing_tells_who_does_what(queue_of):
    queue = queue_of()
    mine, other = queue.next("anna"), queue.next("ben")
    queue.answer(answer_to(mine))
    states = {row["image_id"]: (row["state"], row["by"]) for row in queue.listing()}
    assert states[mine.record.image_id] == ("answered", None) and states[other.record.image_id] == ("leased", "ben")
    assert [state for state, _ in states.values()].count("waiting") == 3


def test_without_scores_only_the_random_draw_for_val_has_no_utility(queue_of):
    queue = queue_of("full")  # chosen by k_center, with one image for val
    splits = {item.image_id: item.split for item in queue.study.ask().items}
    listed = {row["image_id"]: row["utility"] for row in queue.listing()}
    handed = {image_id: task_to_json(queue.open(image_id, "anna")) for image_id in splits}
    assert {i for i, utility in listed.items() if utility is None} == {i for i, split in splits.items() if split is Split.VAL} != set()
    assert listed == {image_id: task["utility"] for image_id, task in handed.items()}
    assert all(listed[i] > 0 for i, split in splits.items() if split is Split.TRAIN) and not any(task["terms"] for task in handed.values())


def test_on_postgresql_too(waiting_study, empty_postgres, hidden, tmp_path):
    local = waiting_study("full")
    config = local.config.model_copy(update={"store": empty_postgres})
    study = Study.create(tmp_path / "on_server", replace(hidden[1], findings=()), config=config)
    queue = LabelQueue(study, LabellingStore(study.store), clock=Clock())
    study.ask()
    task = queue.next("anna")
    assert queue.next("ben").record.image_id != task.record.image_id
    assert queue.answer(answer_to(task, verdicts=[BOX])) is False and queue.answer(answer_to(task, verdicts=[BOX])) is False
    assert len(study.store.history(task.record.image_id)) == 1
    with pytest.raises(UnknownImageError):
        queue.record("a\0")
    study.store.close()


def test_the_listing_reads_what_is_suggested_once(team_study, monkeypatch):  # noqa: F811
    study, read = team_study("budget.initial=4"), []
    monkeypatch.setattr(Study, "proposals", lambda self: read.append(self) or {})
    assert len(LabelQueue(study, study.labelling).listing()) == 4 and read == [study]
