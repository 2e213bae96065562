"""Two servers of the page on one study, as behind a load balancer, and ten people at once: nothing lost, nothing stored twice."""

import re
from contextlib import ExitStack, contextmanager
from threading import Thread
from time import monotonic, sleep

import httpx
import numpy as np
import processes
import pytest

from boxwise.config import load_config
from boxwise.data.formats.base import Dataset
from boxwise.data.images import write_image
from boxwise.records import ImageRecord
from boxwise.study import Study

pytestmark = pytest.mark.slow
IMAGES, PEOPLE, SIDE = 60, 10, 32
PATIENCE = 300.0


@pytest.fixture(params=["postgresql", "sqlite"])
def study(request, tmp_path):
    """The folder of a study that asks about all of its images."""
    store = [f"store={request.getfixturevalue('empty_postgres')}"] if request.param == "postgresql" else []
    settings = ["detector.name=tiny_ssd", "detector.pretrained=false", f"budget.initial={IMAGES}", "budget.validation=0", *store]
    records = []
    for number in range(IMAGES):
        path = tmp_path / "images" / f"{number:03}.png"
        write_image(np.full((SIDE, SIDE, 3), number, np.uint8), path)
        records.append(ImageRecord(path.name, path, SIDE, SIDE))
    made = Study.create(tmp_path / "study", Dataset(("thing",), tuple(records), {}), config=load_config(None, settings))
    made.ask()
    made.store.close()
    return made.folder


@contextmanager
def served(folder, log):
    """The address of a `boxwise label` of its own, which writes to `log`."""
    log.write_text("")
    process = processes.start("-m", "boxwise", "label", folder, "--no-browser", "--port", 0, out=log, err=log)
    try:
        end = monotonic() + PATIENCE
        while not (found := re.search(r"(http://\S+:\d+)\S*\s", log.read_text())):
            assert process.is_alive() and monotonic() < end, log.read_text()
            sleep(0.05)
        yield found[1]
    finally:
        process.terminate()
        process.join()


class Person(Thread):
    """Labels until nothing waits; every request goes to another of the servers than the one before, an answer in four to both."""

    def __init__(self, number, links):
        super().__init__(name=f"person {number}")
        self.rng, self.turn = np.random.default_rng(number), number
        self.clients = [httpx.Client(base_url=link, timeout=PATIENCE) for link in links]
        self.acknowledged, self.refused = {}, []

    def run(self):
        while True:
            found = self._sent("POST", "/api/next", {"annotator": self.name, "keep": []}).json()
            if found["task"] is not None:
                self._label(found["task"])
            elif found["reason"] == "answered":
                return
            else:
                sleep(0.2)

    def _label(self, task):
        where = {"annotator": self.name, "image_id": task["image_id"], "round": task["round"]}
        boxes = [
            [x, y, x + 5.0, y + 7.0] for x, y in self.rng.integers(0, SIDE - 8, (int(self.rng.integers(0, 4)), 2)).astype(float).tolist()
        ]
        self._sent("PUT", "/api/drafts", where | {"revision": 1, "document": {"boxes": boxes}})
        verdicts = [{"action": "add", "xyxy": box, "label": 0, "seconds": 1.0} for box in boxes]
        answer = where | {"key": f"{self.name} {task['image_id']}", "verdicts": verdicts, "complete": True, "seconds": 2.0}
        for _ in range(1 + (self.rng.random() < 0.25)):
            if self._sent("POST", "/api/answers", answer).status_code == 200:
                self.acknowledged[task["image_id"]] = boxes

    def _sent(self, method, path, body):
        self.turn += 1
        reply = self.clients[self.turn % 2].request(method, path, json=body)
        if reply.status_code != 200:
            self.refused.append((path, reply.status_code, reply.text))
        return reply


def test_ten_people_on_two_servers_lose_nothing_and_store_nothing_twice(study, tmp_path):
    with ExitStack() as servers:
        links = [servers.enter_context(served(study, tmp_path / f"log {number}")) for number in range(2)]
        people = [Person(number, links) for number in range(PEOPLE)]
        for person in people:
            person.start()
        for person in people:
            person.join(PATIENCE)
    assert [fault for person in people for fault in person.refused] == []
    answered = [image_id for person in people for image_id in person.acknowledged]
    assert sorted(answered) == [f"{number:03}.png" for number in range(IMAGES)]  # each by one person
    store = Study.open(study).store
    for person in people:
        for image_id, boxes in person.acknowledged.items():
            (entry,) = store.history(image_id)
            assert entry.annotator == person.name and not entry.late and len(entry.verdicts) == len(boxes)
            assert entry.annotation.boxes.xyxy.tolist() == boxes
    assert store.unanswered(0).items == () and sum(person.images for person in store.people().values()) == IMAGES
