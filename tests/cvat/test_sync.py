"""A study's way through CVAT and back, over HTTP: two rounds, corrections, kills in between, and what cannot be taken."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event

import numpy as np
import pytest
from answering import TOKEN, answering
from labelstudio_scenario import CLASSES, FIRST, PROPOSED, SIZES, second_round

from boxwise.annotation.class_change import class_change
from boxwise.cvat.client import Client, CvatError
from boxwise.cvat.memory import MEMORY
from boxwise.cvat.pull import pull
from boxwise.cvat.push import push
from boxwise.errors import BoxwiseError, UnreachableError
from boxwise.records import Action, Phase, Query, QueryItem, Split
from boxwise.store import Store
from boxwise.study import Study


def test_the_first_round_there_and_back(study, server, client):
    cvat = server[1]
    made = push(study, client)
    assert (made.round, made.made, made.there, made.findings) == (0, 3, 0, ()) and client.version() == "2.40.1"
    again = push(study, client)
    assert (again.made, again.there, again.url) == (0, 3, made.url) and cvat.uploads == 3
    (task,) = cvat.tasks.values()
    assert [frame["name"] for frame in task["frames"]] == ["000000_c.tif", "000001_ü 1.png", "000002_a.png"]
    assert list(task["labels"]) == list(CLASSES) and pull(study, client).unfinished == 3
    cvat.person("round 00", 0, [(CLASSES[0], [1, 2, 30, 40])])
    pulled = pull(study, client)
    assert (pulled.taken, pulled.known, pulled.unfinished, pulled.waiting) == (3, 0, 0, 0)
    labels = study.annotations(Split.TRAIN)
    assert labels["c.tif"].boxes.xyxy.tolist() == [[1, 2, 30, 40]] and labels["c.tif"].boxes.labels.tolist() == [0]
    assert all(labels[name].complete for name in FIRST) and len(labels["a.png"].boxes) == 0
    assert [entry.annotator for entry in study.history("c.tif")] == ["anna"]
    assert (pull(study, client).taken, pull(study, client).known) == (0, 3)
    cvat.person("round 00", 0, [(CLASSES[1], [1, 2, 30, 40])])
    assert pull(study, client).taken == 1 and len(study.history("c.tif")) == 2
    assert study.annotation("c.tif").boxes.labels.tolist() == [1]


def test_the_models_boxes_are_corrected_and_what_was_done_to_each_is_known(study, server, client):
    cvat = server[1]
    second_round(study)
    assert push(study, client).made == 4
    (task,) = cvat.tasks.values()
    shapes = [shape for shape in task["shapes"] if shape["frame"] == 0]
    assert np.abs(np.array([shape["points"] for shape in shapes]) - PROPOSED["d.png"].boxes.xyxy).max() < 0.01
    names = {number: name for name, number in task["labels"].items()}
    kept = [(names[shape["label_id"]], shape["points"]) for shape in shapes[:2]]
    moved = (CLASSES[2], [6, 41, 26, 61])
    cvat.person("round 01", 0, [*kept, moved, (CLASSES[0], [60, 5, 75, 20])])
    assert pull(study, client).taken == 4
    (entry,) = study.history("d.png")
    acts = {verdict.box_id: verdict.action for verdict in entry.verdicts}
    assert acts == {"r1-4": Action.KEEP, "r1-2": Action.MOVE, "": Action.ADD, "r1-9": Action.DELETE}
    cost = study.config.cost
    assert study.seconds(Split.TRAIN) > cost.verify + cost.correct + cost.draw + cost.delete


def test_a_pull_ends_where_the_study_cannot_be_written_to(study, server, client, monkeypatch):
    push(study, client)
    server[1].person("round 00", 0, [(CLASSES[0], [1, 2, 30, 40])])
    tried = []

    def refuse(*given, **more):
        tried.append(given)
        raise UnreachableError("study.sqlite: no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "annotate", refuse)
        with pytest.raises(UnreachableError):
            pull(study, client)
    assert len(tried) == 1 and pull(study, client).taken == 3


@pytest.mark.parametrize(("further", "said"), [({"rotation": 30}, "turned by 30 degrees"), ({"type": "polygon"}, "has a polygon")])
def test_what_is_no_upright_box_is_named_and_its_image_waits(study, server, client, further, said):
    push(study, client)
    server[1].person("round 00", 0, [(CLASSES[0], [1, 2, 30, 40])], **further)
    pulled = pull(study, client)
    assert (pulled.taken, len(pulled.findings), pulled.waiting) == (2, 1, 1)
    assert said in pulled.findings[0] and "c.tif" in pulled.findings[0]
    server[1].person("round 00", 0, [(CLASSES[0], [1, 2, 30, 40])])
    assert (pull(study, client).taken, pull(study, client).waiting) == (1, 0)


def test_a_track_is_named_too(study, server, client):
    push(study, client)
    (task,) = server[1].tasks.values()
    server[1].person("round 00", 0, [])
    task["tracks"] = [{"id": 1, "frame": 1, "label_id": task["labels"][CLASSES[0]], "shapes": [], "attributes": []}]
    pulled = pull(study, client)
    assert pulled.taken == 2 and "has a track" in pulled.findings[0]


@pytest.mark.parametrize("call", ["PUT annotations", "POST data"])
def test_a_push_that_broke_is_made_anew_and_leaves_one_task(study, server, client, call):
    cvat = server[1]
    cvat.breaks_at = call
    with pytest.raises(CvatError, match=rf"{call.split()[0]} /api/tasks/.*500"):
        push(study, client)
    cvat.breaks_at = ""
    assert push(study, client).made == 3 and len(cvat.tasks) == 1


def begins_round_1(study, *image_ids):
    """Round 0 is over, and round 1 asks about these images."""
    study.store.commit(0, Phase.ANNOTATE, {}, then=(1, Phase.SELECT))
    study.store.commit(1, Phase.SELECT, {}, then=(1, Phase.ANNOTATE), query=Query(1, tuple(QueryItem(name, 0.0) for name in image_ids)))


def test_a_push_in_the_middle_of_a_pull_is_remembered(study, server, client, monkeypatch):
    cvat = server[1]
    push(study, client)
    cvat.person("round 00", 0, DRAWN)
    monkeypatch.setattr(client, "annotations", once(client.annotations, lambda: (begins_round_1(study, "d.png"), push(study, client))))
    assert pull(study, client).taken == 3
    memory = study.recall(MEMORY)
    assert memory["tasks"].keys() == {"0", "1"} and len(memory["pulled"]) == 3
    cvat.person("round 01", 0, DRAWN, who="ben")
    assert (push(study, client).made, pull(study, client).taken) == (0, 1)
    assert labelled(study)["d.png"] == [[1, 2, 30, 40]] and len(cvat.tasks) == 2


def once(really, before):
    """A call that is preceded by another one, the first time."""
    befores = [before]

    def call(*given):
        if befores:
            befores.pop()()
        return really(*given)

    return call


def test_two_pushes_side_by_side_make_one_task(study, server, client, monkeypatch):
    second, upload = Event(), client.upload

    def slowly(*given):
        second.wait(1)  # would be set by another push that comes as far as this
        second.set()
        upload(*given)

    monkeypatch.setattr(client, "upload", slowly)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda each: push(each, client), [study, Study.open(study.folder)]))
    assert sorted((each.made, each.there) for each in made) == [(0, 3), (3, 0)] and made[0].url == made[1].url
    assert len(server[1].tasks) == 1 and len(study.recall(MEMORY)["tasks"]["0"]) == 1


def forgotten(study):
    """As by a push that was killed at its end, or by an earlier version that overwrote what another process remembered."""
    study.remember(MEMORY, study.recall(MEMORY) | {"tasks": {}})


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("boxes", [[], [(CLASSES[0], [1, 2, 30, 40])]])
def test_a_task_with_which_people_have_begun_is_never_deleted_but_taken_over(study, server, client, boxes, complete):
    cvat = server[1]
    made = push(study, client)
    cvat.person("round 00", 0, boxes, complete=complete)
    cvat.jobs_of("round 00")[0]["state"] = "completed" if complete else "in progress"
    forgotten(study)
    again = push(study, client)
    assert (again.url, again.made, again.there, again.findings, len(cvat.tasks)) == (made.url, 0, 3, (), 1)
    assert pull(study, client).taken == (3 if complete else 0)


def test_a_task_with_which_people_have_begun_and_that_is_of_another_question_is_left_alone_and_named(study, server, client):
    cvat = server[1]
    second_round(study)
    made = push(study, client)
    cvat.person("round 01", 0, DRAWN)
    before = dict(cvat.tasks)
    forgotten(study)
    asked_anew(study, remove=[CLASSES[2]])
    again = push(study, client)
    assert again.made == 2 and again.url != made.url and before.items() <= cvat.tasks.items() and len(cvat.tasks) == 2
    (said,) = again.findings
    assert said.startswith(f"{made.url}: is called as the task of this round and has annotations, the model's or somebody's")
    assert (push(study, client).url, pull(study, client).taken) == (again.url, 0)


def test_tokens_addresses_and_order_of_commands(study, server):
    url = server[0]
    with Client(url, TOKEN) as client, pytest.raises(BoxwiseError, match="Next: boxwise cvat push"):
        pull(study, client)
    with Client(f"{url}/tasks/5", "wrong") as client, pytest.raises(CvatError, match="refuses the token") as error:
        client.version()
    assert "wrong" not in str(error.value).replace(url, "")
    with pytest.raises(CvatError, match="expected a URL"):
        Client("localhost:8080", TOKEN)
    with Client("http://127.0.0.1:9", TOKEN) as client, pytest.raises(CvatError, match="no CVAT answers"):
        client.version()
    with answering(status=503) as (broken, _), Client(broken, TOKEN) as client, pytest.raises(CvatError, match="HTTP 503"):
        client.version()


def test_sizes_there_must_be_those_of_the_study(study, server, client):
    push(study, client)
    (task,) = server[1].tasks.values()
    task["frames"][0]["width"] += 1
    server[1].person("round 00", 0, [])
    pulled = pull(study, client)
    assert pulled.taken == 2 and f"Expected {SIZES[2][0]} x {SIZES[2][1]}" in pulled.findings[0]


ANEW = ("b/ü 1.png", "d.png")  # of the four images of round 1 the last alone is among them
DRAWN = [(CLASSES[0], [1, 2, 30, 40])]


def asked_anew(study, **change):
    """The classes change, which withdraws the question of round 1; training again would leave this one behind."""
    study.change_classes(class_change(study.classes, **change))
    for phase, following in pairwise((Phase.TRAIN, Phase.EVALUATE, Phase.SCORE)):
        study.store.commit(0, phase, {}, then=(0, following))
    study.store.commit(0, Phase.SCORE, {}, then=(1, Phase.SELECT))
    study.files(1).proposals.unlink()
    query = Query(1, tuple(QueryItem(name, 0.0) for name in ANEW))
    study.store.commit(1, Phase.SELECT, {}, then=(1, Phase.ANNOTATE), query=query)


def labelled(study):
    """Image → the boxes of its labels."""
    return {image_id: annotation.boxes.xyxy.tolist() for image_id, annotation in study.annotations(Split.TRAIN).items()}


def test_a_question_asked_anew_gets_a_task_of_its_own_and_no_box_of_another_image(study, server, client):
    cvat = server[1]
    second_round(study)
    first = push(study, client)
    asked_anew(study, add=["fish"])
    cvat.breaks_at = "PUT annotations"
    with pytest.raises(CvatError):
        push(study, client)
    cvat.breaks_at = ""
    made = push(study, client)
    assert (made.round, made.made, made.there) == (1, 2, 0) and made.url != first.url
    assert len(made.findings) == 1 and made.findings[0].startswith(f"{first.url}: the question of this task was withdrawn")
    assert [task["name"] for task in cvat.tasks.values()] == [
        "boxwise: pets, round 01 (01234567)",
        "boxwise: pets, round 01, asked anew (01234567)",
    ]
    again = push(study, client)
    assert (again.url, again.made, again.there, again.findings) == (made.url, 0, 2, ()) and pull(study, client).unfinished == 2
    cvat.person("round 01 (", 0, DRAWN)
    pulled = pull(study, client)
    assert (pulled.taken, pulled.waiting, pulled.unfinished) == (0, 2, 1) and labelled(study) == {}
    assert [finding.split(" ")[0] for finding in pulled.findings] == ["d.png", "e.png", "f.png", "g.png"]
    assert "has no class fish to label with" in pulled.findings[0] and "round 1 does not ask about it any more" in pulled.findings[1]
    cvat.person("asked anew", 0, DRAWN)
    cvat.person("asked anew", 1, [("fish", [3, 3, 33, 33])])
    pulled = pull(study, client)
    assert (pulled.taken, pulled.waiting, pulled.unfinished) == (2, 0, 0)
    assert labelled(study) == {"b/ü 1.png": [[1, 2, 30, 40]], "d.png": [[3, 3, 33, 33]]}


def test_of_a_withdrawn_task_the_images_count_that_are_asked_about_again_until_the_new_task_has_them(study, server, client):
    cvat = server[1]
    second_round(study)
    push(study, client)
    asked_anew(study, remove=[CLASSES[2]])
    cvat.person("round 01 (", 0, DRAWN)
    pulled = pull(study, client)  # before the new task is made
    assert (pulled.taken, len(pulled.findings), pulled.waiting) == (1, 3, 1) and labelled(study) == {"d.png": [[1, 2, 30, 40]]}
    assert push(study, client).made == 1
    cvat.person("asked anew", 0, [])
    assert (pull(study, client).taken, pull(study, client).known) == (1, 2)


def test_what_the_new_task_says_of_an_image_counts_more_than_the_withdrawn_one(study, server, client):
    cvat = server[1]
    second_round(study)
    push(study, client)
    asked_anew(study, remove=[CLASSES[2]])
    push(study, client)
    cvat.person("asked anew", 1, [(CLASSES[1], [3, 3, 33, 33])])
    assert pull(study, client).taken == 2
    cvat.person("round 01 (", 0, DRAWN)
    assert pull(study, client).taken == 0 and labelled(study)["d.png"] == [[3, 3, 33, 33]]


def test_what_another_says_in_the_new_task_counts_after_the_withdrawn_one_was_taken_in(study, server, client):
    cvat = server[1]
    second_round(study)
    push(study, client)
    asked_anew(study, remove=[CLASSES[2]])
    cvat.person("round 01 (", 0, DRAWN)
    push(study, client)
    assert pull(study, client).taken == 1  # before anybody has completed the new one
    cvat.person("asked anew", 1, [(CLASSES[1], [3, 3, 33, 33])], who="rita")
    assert pull(study, client).late == () and labelled(study)["d.png"] == [[3, 3, 33, 33]]


def as_earlier_versions_kept_it(study):
    """Of each round the number of its task alone."""
    memory = study.recall(MEMORY)
    study.remember(MEMORY, memory | {"tasks": {name: tasks[-1]["task"] for name, tasks in memory["tasks"].items()}})


def test_a_task_of_an_earlier_version_is_known_and_pulled(study, server, client):
    made = push(study, client)
    as_earlier_versions_kept_it(study)
    again = push(study, client)
    assert (again.url, again.made, again.there) == (made.url, 0, 3)
    server[1].person("round 00", 0, DRAWN)
    assert (pull(study, client).taken, pull(study, client).known) == (3, 3)
    assert labelled(study)["c.tif"] == [[1, 2, 30, 40]]


def test_of_a_task_of_an_earlier_version_nothing_is_taken_for_another_image(study, server, client):
    second_round(study)
    push(study, client)
    as_earlier_versions_kept_it(study)
    asked_anew(study, remove=[CLASSES[2]])
    server[1].person("round 01", 0, DRAWN)
    pulled = pull(study, client)
    assert (pulled.taken, labelled(study)) == (0, {}) and "000001_e.png (CVAT task" in pulled.findings[1]
    assert push(study, client).made == 2 and len(study.recall(MEMORY)["tasks"]["1"]) == 2


def test_a_class_that_a_task_lacks_is_added_there_before_its_answers_count(study, server, client):
    push(study, client)
    study.change_classes(class_change(study.classes, add=["fish"]))
    (said,) = push(study, client).findings
    assert "has no class fish. Add it to the labels" in said
    server[1].person("round 00", 0, DRAWN)
    assert (pull(study, client).taken, labelled(study)) == (0, {})
    (task,) = server[1].tasks.values()
    task["labels"]["fish"] = server[1].number()
    assert (push(study, client).findings, pull(study, client).taken) == ((), 3)


def test_a_task_of_the_same_number_on_another_server_is_not_met(study, server, client):
    push(study, client)
    with answering() as (url, other), Client(url, TOKEN) as elsewhere:
        other.create({"name": "of somebody else", "segment_size": 20, "labels": [{"name": name} for name in CLASSES]})
        assert list(other.tasks) == list(server[1].tasks)
        with pytest.raises(BoxwiseError, match="no task for it on"):
            pull(study, elsewhere)
        assert push(study, elsewhere).made == 3 and len(other.tasks) == 2
        other.person("round 00", 0, [(CLASSES[0], [1, 2, 30, 40])])
        assert pull(study, elsewhere).taken == 3
    server[1].person("round 00", 0, [(CLASSES[1], [1, 2, 30, 40])])
    assert pull(study, client).taken == 3 and study.annotation("c.tif").boxes.labels.tolist() == [1]


def test_a_server_that_is_known_by_another_address_has_the_study_s_task(study, server, client):
    push(study, client)
    with Client(server[0].replace("127.0.0.1", "localhost"), TOKEN) as same:
        assert push(study, same).made == 0 and len(server[1].tasks) == 1


@pytest.mark.parametrize("name", ["model", "given"])
def test_a_person_there_may_be_called_as_labels_of_no_person_are(study, server, client, name):
    push(study, client)
    server[1].person("round 00", 0, [(CLASSES[0], [1, 2, 30, 40])], who=name)
    pull(study, client)
    assert [entry.annotator for entry in study.history("c.tif")] == [f"CVAT user {name}"]
    assert study.people().keys() == {f"CVAT user {name}"}
