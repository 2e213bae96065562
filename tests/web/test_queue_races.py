"""Between looking which images wait and taking one, others go on working: nobody gets an image that was answered meanwhile."""

import socket
from threading import Thread

import pytest

from boxwise.store import LabellingStore
from boxwise.web.answers import Answer
from boxwise.web.queue import LabelQueue
from boxwise.web.server import listen
from boxwise.web.tasks import Task


class Interrupted(LabellingStore):
    """Something happens right before the leases are read."""

    meanwhile = None

    def leases(self, *, at):
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return super().leases(at=at)


def test_an_image_answered_between_the_look_and_the_grasp_is_not_handed_out(waiting_study):
    study = waiting_study("full")
    labelling = Interrupted(study.store)
    queue = LabelQueue(study, labelling)
    first, second = list(study.ask().image_ids)[:2]
    anna = queue.next("anna")
    assert anna.record.image_id == first
    labelling.meanwhile = lambda: queue.answer(Answer("key-of-anna", "anna", first, anna.round, (), True, 1.0))
    assert queue.next("ben").record.image_id == second
    assert first not in labelling.leases(at=0)


def test_an_image_flagged_between_the_look_and_the_grasp_is_not_handed_out(waiting_study):
    study = waiting_study("full")
    labelling = Interrupted(study.store)
    queue = LabelQueue(study, labelling)
    first, second = list(study.ask().image_ids)[:2]
    labelling.meanwhile = lambda: queue.flag(first, "anna", "not a photo")
    assert queue.next("ben").record.image_id == second
    assert first not in labelling.leases(at=0)


@pytest.mark.parametrize("people", [8])
def test_many_at_once_answer_every_image_once(waiting_study, people):
    study = waiting_study("full")
    queue = LabelQueue(study, LabellingStore(study.store))
    asked, answered = list(study.ask().image_ids), []

    def work(name):
        while isinstance(task := queue.next(name), Task):
            answered.append(task.record.image_id)
            queue.answer(Answer(f"key-{name}-{task.rank}", name, task.record.image_id, task.round, (), True, 1.0))

    threads = [Thread(target=work, args=(f"person {number}",)) for number in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answered) == sorted(asked)
    assert all(len(study.store.history(image_id)) == 1 for image_id in asked)


def test_replies_are_sent_at_once():
    address = listen("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", address.port)):
        accepted, _ = address.socket.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    address.socket.close()
