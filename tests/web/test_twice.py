"""A share of the images is labelled by two people, each alone: over two servers on SQLite and PostgreSQL, and in a real browser."""

import pytest
from driving import HOST, boxes_in_list, drag, enter, hand_in, record_of, serving, shown_image
from teams import BOX, NEAR, OTHER, answer, on_each, server_of, team_study  # noqa: F401 (fixtures)

from boxwise.records import Phase, Role
from boxwise.web.answers import Answer, OverError
from boxwise.web.dashboard import Dashboard, dashboard
from boxwise.web.pool import PoolView, Wanted
from boxwise.web.tasks import Task, task_to_json

TOKEN = "a-token-of-some-length"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_the_second_gets_the_image_without_the_firsts_answer(on_each):  # noqa: F811
    study = on_each("labelling.double=1", "budget.initial=2")
    here, there = server_of(study), server_of(study)
    first, second = study.ask().image_ids
    assert here.next("anna").record.image_id == first
    assert answer(here, "anna", first, BOX) is False and study.waiting(0) == {first, second} and study.waiting_count(0) == 2
    assert here.next("anna").record.image_id == second  # never the same again
    task = there.next("ben")
    assert task.record.image_id == first and task_to_json(task)["labels"] is None and task_to_json(task)["boxes"] == []
    assert there.is_secret(first) and not answer(there, "ben", first, NEAR)
    assert study.waiting(0) == {second} and study.waiting_count(0) == 1 and not here.is_secret(first)
    assert study.annotation(first).boxes.xyxy.tolist() == [[1, 2, 30, 38]]
    assert answer(here, "anna", second) is False and here.next("anna") == "others" and there.next("ben").record.image_id == second


def test_what_the_first_has_said_is_found_nowhere_before_the_second_has_answered(on_each):  # noqa: F811
    study = on_each("labelling.double=1", "budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    view = PoolView(queue, Dashboard(queue.study))
    answer(queue, "anna", image_id, OTHER)
    (item,) = view.found(Wanted(state="asked"))["items"]
    assert (item["image_id"], item["person"], item["labels"]) == (image_id, "", [])
    assert image_id not in view.found(Wanted(label=OTHER.label))["ids"] and "anna" not in view.choices()["people"]
    assert not view.found(Wanted(person="anna"))["total"] and queue.study.secret() == {image_id}
    assert not any(one["labelled"] for one in dashboard(queue.study)["balance"])
    answer(queue, "ben", image_id, OTHER)
    (item,) = view.found(Wanted(person="ben"))["items"]
    assert (item["image_id"], item["state"], item["labels"]) == (image_id, "labelled", [OTHER.label])
    assert image_id in view.found(Wanted(label=OTHER.label))["ids"] and not queue.study.secret()


def test_nothing_is_secret_once_the_round_has_gone_on(on_each):  # noqa: F811
    study = on_each("labelling.double=1", "budget.initial=2")
    queue, (first, second) = server_of(study), study.ask().image_ids
    view = PoolView(queue, Dashboard(queue.study))
    answer(queue, "anna", first, OTHER)
    [answer(queue, name, second, BOX) for name in ("anna", "ben")]
    queue.flag(first, "lea", "blurred")
    study.step()
    assert study.position[1] is not Phase.ANNOTATE
    queue.unflag(first, "cleo")  # its one answer counts now
    assert not queue.is_secret(first) and not queue.study.secret() and len(queue.open(first, "ben").labels.boxes) == 1
    (item,) = (one for one in view.found(Wanted(person="anna"))["items"] if one["image_id"] == first)
    assert (item["state"], item["labels"]) == ("labelled", [OTHER.label])


def test_whoever_answered_first_sees_their_own_answer_again(on_each):  # noqa: F811
    study = on_each("labelling.double=1", "budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    assert len(queue.open(image_id, "anna").labels.boxes) == 1
    queue.release([image_id], "anna")
    assert queue.open(image_id, "ben").labels is None


def test_a_second_answer_is_not_late_for_a_lapse_and_a_third_is(on_each):  # noqa: F811
    study, clock = on_each("labelling.double=1", "budget.initial=1"), Clock()
    here, there = server_of(study, clock=clock, lease_seconds=60), server_of(study, clock=clock, lease_seconds=60)
    (image_id,) = study.ask().image_ids
    here.open(image_id, "ben"), answer_without_lease(there, "carl", image_id)
    clock.now += 61  # ben's lease is over, and carl has answered
    assert here.renew([image_id], "ben")[1] == []
    clock.now += 61
    assert answer_without_lease(here, "ben", image_id) is False and study.waiting(0) == frozenset()
    assert answer_without_lease(there, "anna", image_id) is True
    assert [entry.late for entry in study.history(image_id)] == [False, False, True]


def answer_without_lease(queue, name, image_id):
    return queue.answer(Answer(f"key of {name}", name, image_id, 0, (BOX,), True, 1.0))


def handed_in(queue, task, *verdicts):
    """An answer of anna's to what she has before her."""
    began = {"begun_on": task.begun_on, "question": task.question}
    return queue.answer(Answer("key of her next", "anna", task.record.image_id, task.round, verdicts, True, 1.0, **began))


@pytest.mark.parametrize("whose", ["zoe", "ben"])
def test_labels_that_came_after_both_had_answered_are_not_replaced_unseen(on_each, whose):  # noqa: F811
    study = on_each("labelling.double=1", "budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    [answer(queue, name, image_id, BOX) for name in ("anna", "ben")]
    task = queue.open(image_id, "anna")
    study.tell(image_id, [OTHER], annotator=whose)  # as an import does
    with pytest.raises(OverError, match="its labels were changed meanwhile"):
        handed_in(queue, task, NEAR)
    assert study.annotation(image_id).boxes.xyxy.tolist() == [list(OTHER.xyxy)]


def test_what_the_other_says_meanwhile_is_nothing_that_an_answer_waits_for(on_each):  # noqa: F811
    study = on_each("labelling.double=1", "budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    study.tell(image_id, [OTHER], annotator="ben")
    task = queue.open(image_id, "anna")
    study.tell(image_id, [BOX], annotator="ben")  # corrects himself
    assert handed_in(queue, task, NEAR) is False and study.waiting(0) == frozenset()


def test_a_withdrawn_answer_is_asked_for_again(on_each):  # noqa: F811
    study = on_each("labelling.double=1", "budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    answer(queue, "ben", image_id, BOX)
    queue.withdraw(f"ben on {image_id} after 1", image_id, 0, "ben")
    assert study.waiting(0) == {image_id} and queue.next("anna") == "others" and isinstance(queue.next("ben"), Task)


def test_the_round_goes_on_when_both_have_answered(team_study):  # noqa: F811
    study = team_study("labelling.double=1", "budget.initial=1")
    queue, (image_id,) = server_of(study), study.ask().image_ids
    answer(queue, "anna", image_id, BOX)
    assert study.step() is Phase.ANNOTATE and study.position == (0, Phase.ANNOTATE)
    answer(queue, "ben", image_id, BOX)
    assert study.step() is not Phase.ANNOTATE


@pytest.mark.parametrize(("share", "fewest", "most"), [("0", 0, 0), ("0.5", 10, 10), ("0.33", 6, 7), ("1", 20, 20)])
def test_the_share_is_drawn_and_drawn_again_the_same(team_study, share, fewest, most):  # noqa: F811
    study = team_study(f"labelling.double={share}", "budget.initial=20")
    twice = [item.image_id for item in study.query(0).items if item.twice]
    assert fewest <= len(twice) <= most and len(study.query(0).items) == 20
    study.go_back(0, Phase.SELECT)
    study.ask()
    assert [item.image_id for item in study.query(0).items if item.twice] == twice


def test_how_far_people_agree(on_each):  # noqa: F811
    study = on_each("labelling.double=1", "budget.initial=3")
    queue, (first, second, third) = server_of(study), study.ask().image_ids
    answer(queue, "ben", first, BOX)
    answer(queue, "anna", first, NEAR)
    answer(queue, "anna", second, BOX)
    answer(queue, "carl", second, OTHER, BOX)
    answer(queue, "anna", third, BOX)  # by one alone: it says nothing yet
    found = study.agreement()
    assert (found.every.images, found.every.boxes, found.every.matched, found.every.same_class) == (2, 5, 0.8, 1.0)
    assert found.by_pair.keys() == {("anna", "ben"), ("anna", "carl")} and found.by_person["anna"].images == 2
    assert found.by_pair["anna", "ben"].iou == pytest.approx(36 / 38)
    assert {name: one.boxes for name, one in found.by_class.items()} == {study.classes[3]: 4, study.classes[5]: 1}
    answer(queue, "ben", first, OTHER)  # a correction after both have answered is no answer of one alone
    assert study.agreement() == found


def test_a_simulated_annotator_is_one_person(hidden, tiny_overrides):
    from boxwise.config import load_config
    from boxwise.errors import ConfigError
    from boxwise.rounds import check

    with pytest.raises(ConfigError, match=r"labelling\.double=0"):
        check(load_config(None, (*tiny_overrides, "labelling.double=0.1")), hidden[1].classes, simulated=True)


def test_in_the_browser_two_people_label_one_image_and_the_lead_sees_how_far_they_agree(team_study, browsing):  # noqa: F811
    study = team_study("labelling.double=1", "budget.initial=1")
    (image_id,) = study.ask().image_ids
    with serving(study, token=TOKEN) as port:
        for name in ("anna", "ben"):
            page = browsing().new_page()
            page.goto(f"http://{HOST}:{port}/?token={TOKEN}")
            enter(page, name)
            assert shown_image(page) == image_id and boxes_in_list(page).count() == 0
            drag(page, record_of(study, image_id), (10, 10), (50, 50 if name == "anna" else 60))
            if name == "anna":
                page.keyboard.press("Space")
                page.get_by_text("The rest is for others").wait_for()
            else:
                hand_in(page)
        lead = browsing().new_page()
        lead.goto(f"http://{HOST}:{port}/dashboard?person={study.team.invite('lea', Role.LEAD, who='lea')}")
        lead.locator("#team table").nth(1).wait_for()
        assert "anna – ben" in lead.locator("#team").inner_text() and "100.0%" in lead.locator("#team").inner_text()
        reviewer = browsing().new_page()
        reviewer.goto(f"http://{HOST}:{port}/dashboard?person={study.team.invite('rita', Role.REVIEWER, who='lea')}")
        reviewer.locator("#people p").wait_for()
        assert reviewer.locator("#team-section").is_hidden()
        assert reviewer.evaluate("fetch('/api/team').then((reply) => reply.status)") == 403
