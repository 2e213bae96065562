"""What is done in CVAT to an answer that was taken in before, over HTTP: by its annotator, by who took the job over, after a review."""

import pytest
from labelstudio_scenario import CLASSES, made_study

from boxwise.cli.servers import say_pulled
from boxwise.cvat.memory import MEMORY
from boxwise.cvat.pull import pull
from boxwise.cvat.push import push
from boxwise.records import Phase, Query, QueryItem

FIRST, SECOND = [(CLASSES[0], [1, 2, 30, 40])], [(CLASSES[1], [1, 2, 60, 40])]


def labels(study, image_id="c.tif"):
    return study.annotation(image_id).boxes.labels.tolist()


@pytest.mark.parametrize("before", ["anna", None])
def test_who_takes_the_job_over_corrects_what_was_drawn_in_it(study, server, client, before):
    push(study, client)
    server[1].person("round 00", 0, FIRST, who=before)
    assert pull(study, client).taken == 3
    server[1].person("round 00", 0, SECOND, who="rita")
    pulled = pull(study, client)
    assert (pulled.taken, pulled.known, pulled.late) == (1, 2, ()) and labels(study) == [1]
    assert [(entry.annotator, entry.late) for entry in study.history("c.tif")] == [(before or "CVAT", False), ("rita", False)]
    assert [entry.annotator for entry in study.history("a.png")] == [before or "CVAT"]  # rita has changed nothing there


def test_what_is_put_back_as_it_was_counts_as_well(study, server, client):
    push(study, client)
    for turn, boxes in enumerate([FIRST, SECOND, FIRST, SECOND]):
        server[1].person("round 00", 0, boxes)
        assert (pull(study, client).taken, labels(study)) == (1 if turn else 3, [turn % 2])


def test_a_pull_that_was_killed_before_it_remembered_takes_nothing_in_twice(study, server, client):
    push(study, client)
    server[1].person("round 00", 0, FIRST)
    memory = study.recall(MEMORY)
    pull(study, client)
    study.remember(MEMORY, memory)
    pull(study, client)
    assert len(study.history("c.tif")) == 1
    study.remember(MEMORY, memory)  # and meanwhile another has taken the job over
    server[1].person("round 00", 0, SECOND, who="rita")
    pull(study, client)
    assert labels(study) == [1]


def test_what_earlier_versions_took_in_is_corrected_as_well(study, server, client):
    push(study, client)
    server[1].person("round 00", 0, FIRST)
    pull(study, client)
    memory = study.recall(MEMORY)
    study.remember(MEMORY, memory | {"pulled": {place: known["state"] for place, known in memory["pulled"].items()}})
    assert pull(study, client).known == 3
    server[1].person("round 00", 0, SECOND, who="rita")
    assert pull(study, client).taken == 1 and labels(study) == [1]


def test_an_answer_after_another_person_s_elsewhere_is_late_and_named(study, server, client, capsys):
    push(study, client)
    study.tell("c.tif", [], annotator="elsewhere")
    server[1].person("round 00", 0, FIRST)
    pulled = pull(study, client)
    assert (pulled.taken, pulled.late, labels(study)) == (2, ("c.tif",), [])
    say_pulled(pulled, study.folder, server="CVAT")
    said = capsys.readouterr()
    assert "2 answers taken in, 0 known already, 1 too late, 0 not taken." in said.out
    assert "after another person's answer, so kept in the history and not counted: c.tif" in said.err
    server[1].person("round 00", 0, SECOND, who="rita")
    assert (pull(study, client).late, labels(study)) == (("c.tif",), [])


def test_an_image_that_is_asked_twice_is_named_at_push_and_waits_for_its_second_person(tmp_path, server, client):
    study = made_study(tmp_path, twice=["c.tif"])
    (said,) = push(study, client).findings
    assert said.startswith("1 image is for two people, each alone, and CVAT asks one: c.tif.") and "boxwise label" in said
    assert push(study, client).findings == (said,)
    server[1].person("round 00", 0, FIRST)
    assert (pull(study, client).waiting, pull(study, client).known) == (1, 3)
    server[1].person("round 00", 0, SECOND, who="rita")
    assert (pull(study, client).waiting, labels(study)) == (1, [1])  # rita has seen anna's, so these are not two answers
    study.tell("c.tif", [], annotator="bob")
    assert study.unanswered().image_ids == () and push(study, client).findings == ()


def sent_back(study, image_id, remark="the second one is missing"):
    (answer,) = study.reviews.answers(image_id)
    assert study.reviews.send_back(image_id, answer.number, remark, who="lead", round_index=0, seconds=1.0)


def test_what_a_review_sends_back_is_open_again_in_cvat_with_the_remark(study, server, client, capsys):
    cvat = server[1]
    push(study, client)
    cvat.person("round 00", 0, FIRST)
    pull(study, client)
    sent_back(study, "c.tif")
    pulled = pull(study, client)
    assert pulled.findings == () and pulled.waiting == 1
    (said,) = pulled.sent_back
    say_pulled(pulled, study.folder, server="CVAT")
    assert said in capsys.readouterr().err
    assert said.startswith('c.tif: lead sent it back to anna: "the second one is missing".') and "boxwise cvat push" in said
    (said,) = push(study, client).findings
    (task,) = cvat.tasks.values()
    (job,) = task["jobs"]
    assert job["state"] == "in progress" and f"/tasks/{task['id']}/jobs/{job['id']}" in said
    assert [(issue["job"], issue["frame"], issue["message"]) for issue in cvat.issues] == [(job["id"], 0, "the second one is missing")]
    assert push(study, client).findings == (said,) and len(cvat.issues) == 1
    assert pull(study, client).unfinished == 1  # the others of the job have their labels
    cvat.person("round 00", 0, [*FIRST, (CLASSES[1], [5, 5, 20, 20])], who="bob")
    pulled = pull(study, client)
    assert (pulled.taken, pulled.known, pulled.waiting, pulled.sent_back) == (1, 2, 0, ()) and labels(study) == [0, 1]
    assert push(study, client).findings == ()


def test_who_completes_it_again_as_it_is_stays_with_the_answer(study, server, client):
    push(study, client)
    server[1].person("round 00", 0, FIRST)
    pull(study, client)
    sent_back(study, "c.tif")
    assert pull(study, client).taken == 0  # nobody has opened it again
    push(study, client)
    server[1].person("round 00", 0, FIRST)
    assert (pull(study, client).taken, labels(study)) == (1, [0])


def test_a_pull_that_read_the_job_before_a_push_opened_it_again_takes_nothing_for_a_new_answer(study, server, client, monkeypatch):
    push(study, client)
    server[1].person("round 00", 0, FIRST)
    pull(study, client)
    sent_back(study, "c.tif")
    really = client.annotations

    def and_then_push(number):
        found = really(number)
        push(study, client)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(client, "annotations", and_then_push)
        pulled = pull(study, client)
    assert (pulled.taken, pulled.known, len(pulled.sent_back)) == (0, 3, 1) and len(study.history("c.tif")) == 1
    assert pull(study, client).waiting == 1
    server[1].person("round 00", 0, FIRST)
    assert pull(study, client).taken == 1


@pytest.mark.parametrize("decided", [False, True])
def test_who_takes_the_job_over_corrects_it_also_after_the_second_person_but_not_after_a_decision(tmp_path, server, client, decided):
    study = made_study(tmp_path, twice=["c.tif"])
    push(study, client)
    server[1].person("round 00", 0, FIRST)
    pull(study, client)
    study.tell("c.tif", [], annotator="bob", key="page")
    if decided:
        number = study.reviews.answers("c.tif")[1].number
        assert study.reviews.take("c.tif", number, who="lead", round_index=0, seconds=1.0)
    server[1].person("round 00", 0, SECOND, who="rita")
    assert pull(study, client).late == (("c.tif",) if decided else ()) and labels(study) == ([] if decided else [1])
    counting = [entry.annotator for entry in study.history("c.tif") if not entry.late]
    assert counting == (["anna", "bob", "lead"] if decided else ["bob", "rita"])


def test_what_is_sent_back_of_another_place_s_answer_is_neither_named_nor_opened(study, server, client):
    push(study, client)
    study.tell("c.tif", [], annotator="elsewhere", key="page")
    server[1].person("round 00", 0, FIRST)
    assert pull(study, client).late == ("c.tif",)
    sent_back(study, "c.tif")
    assert pull(study, client).sent_back == () and push(study, client).findings == () and server[1].issues == []
    server[1].person("round 00", 0, FIRST)  # nobody has opened it again, so this is no new answer
    assert pull(study, client).taken == 0 and study.annotation("c.tif") is None


def test_an_answer_of_a_later_round_that_is_sent_back_opens_no_job_of_an_earlier_one(study, server, client):
    push(study, client)
    server[1].person("round 00", 0, FIRST)
    pull(study, client)
    study.store.commit(0, Phase.ANNOTATE, {}, then=(1, Phase.SELECT))
    query = Query(1, (QueryItem("c.tif", 1.0, {}),))
    study.store.commit(1, Phase.SELECT, {}, then=(1, Phase.ANNOTATE), query=query)
    study.tell("c.tif", [], annotator="bob", round_index=1, key="page")
    sent_back(study, "c.tif")
    push(study, client)
    assert server[1].issues == [] and [job["state"] for job in server[1].jobs_of("round 00")] == ["completed"]


def test_a_task_is_looked_at_once_however_much_of_it_was_sent_back(study, server, client, monkeypatch):
    push(study, client)
    server[1].person("round 00", 0, FIRST)
    pull(study, client)
    asked = []
    monkeypatch.setattr(client, "frames", lambda number, really=client.frames: asked.append(number) or really(number))
    counts = []
    for image_id in study.query(0).image_ids:
        sent_back(study, image_id)
        asked.clear()
        assert len(pull(study, client).sent_back) == len(counts) + 1
        counts.append(len(asked))
    assert counts == [counts[0]] * 3
