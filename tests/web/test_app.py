"""The routes over a real server: what the page sends and gets, and every way in that must stay shut."""

import io
import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Semaphore

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from boxwise.annotation.class_change import class_change
from boxwise.errors import quoted
from boxwise.records import Action, Split
from boxwise.store import Draft, Journal, LabellingStore, Person
from boxwise.study import Study
from boxwise.web.app import create_app
from boxwise.web.page_files import PageFiles
from boxwise.web.page_routes import STATIC
from boxwise.web.progress import write_trouble
from boxwise.web.queue import LabelQueue
from boxwise.web.reasons import Reason
from boxwise.web.server import Server, listen

TOKEN = "a-token-of-some-length"


def moved(queue, record):
    """Let an image of the study lie elsewhere."""
    Journal(queue.study.store).move([record], round_index=0, who="ann", body={})


@pytest.fixture
def queue(waiting_study):
    study = waiting_study("review")
    return LabelQueue(study, LabellingStore(study.store))


@contextmanager
def serving(queue, *, token=None, trains=False):
    """The address of a real server of the study's page."""
    address = listen("127.0.0.1", 0)
    with Server(create_app(queue, hosts={"127.0.0.1"}, token=token, trains=trains), address):
        yield f"http://127.0.0.1:{address.port}"


@pytest.fixture
def page(queue):
    """A client on loopback, where no token is asked for."""
    with serving(queue) as address, httpx.Client(base_url=address) as client:
        yield client


@pytest.fixture
def guarded(queue):
    """The address of a page that asks for a token."""
    with serving(queue, token=TOKEN) as address:
        yield address


def next_task(page, **more):
    return page.post("/api/next", json={"annotator": "anna", **more}).json()["task"]


def answer_to(task, **more):
    body = {"annotator": "anna", "image_id": task["image_id"], "round": task["round"], "key": "key-number-1"}
    return body | {"verdicts": [], "complete": True, "seconds": 3.5} | more


class TestLabelling:
    def test_the_study_introduces_itself(self, page, queue):
        about = page.get("/api/study").json()
        assert [entry["name"] for entry in about["classes"]] == list(queue.study.classes)
        assert all(re.fullmatch("#[0-9a-fA-F]{6}", entry["color"]) for entry in about["classes"])
        assert (about["asked"], about["waiting"], about["round"], about["phase"], about["mode"]) == (5, 5, 1, "annotate", "review")

    def test_a_task_has_all_that_the_page_needs(self, page, queue):
        task = next(t for n in range(5) if (t := next_task(page, keep=list(queue.study.ask().image_ids[:n])))["split"] == "train")
        record = next(record for record in queue.study.store.images() if record.image_id == task["image_id"])
        assert (task["width"], task["height"], task["whole"], task["draft"]) == (record.width, record.height, True, None)
        proposals = queue.study.proposals()[task["image_id"]]
        assert [box["id"] for box in task["boxes"]] == [str(i) for i in proposals.boxes.ids]
        assert [box["state"] == "certain" for box in task["boxes"]] == proposals.certain.tolist()
        assert [box["question"] for box in task["boxes"]] == (~proposals.certain).tolist()
        assert task["boxes"][0]["score"] == pytest.approx(float(proposals.boxes.scores[0]))
        assert page.get(task["url"]).headers["content-type"] == "image/png"

    def test_an_answer_is_in_the_store_when_the_reply_comes(self, page, queue):
        task = next_task(page)
        drawn = {"action": "add", "xyxy": [1, 2, 30, 40], "label": 3, "seconds": 2.5}
        reply = page.post("/api/answers", json=answer_to(task, verdicts=[drawn]))
        assert reply.json() == {"late": False, "waiting": 4}
        entry = queue.study.store.history(task["image_id"])[-1]
        annotation, (verdict,) = entry.annotation, entry.verdicts
        assert verdict.action is Action.ADD and verdict.seconds == 2.5 and annotation.complete
        assert page.post("/api/answers", json=answer_to(task, verdicts=[drawn])).json() == {"late": False, "waiting": 4}
        assert len(queue.study.store.history(task["image_id"])) == 1

    def test_two_people_and_a_conflict(self, page):
        task = next_task(page)
        reply = page.post("/api/open", json={"annotator": "ben", "image_id": task["image_id"]})
        assert reply.status_code == 409 and reply.json()["by"] == "anna"
        assert page.post("/api/release", json={"annotator": "anna", "image_ids": [task["image_id"]]}).status_code == 200
        assert page.post("/api/open", json={"annotator": "ben", "image_id": task["image_id"]}).status_code == 200
        assert page.post("/api/renew", json={"annotator": "anna", "image_ids": [task["image_id"]]}).json()["lost"] == [task["image_id"]]

    def test_a_closed_page_gives_back_what_it_does_not_keep(self, page, queue):
        names = [next_task(page, keep=[])["image_id"]]
        names.append(next_task(page, keep=names)["image_id"])
        assert page.post("/api/close", json={"annotator": "anna", "keep": names[1:], "visit": "first"}).status_code == 200
        assert next_task(page, visit="first", keep=names) is None  # sent before, and overtaken
        assert set(queue.labelling.leases(at=queue.clock())) == {names[1]}

    def test_drafts_skips_and_flags(self, page, queue):
        task = next_task(page)
        where = {"annotator": "anna", "image_id": task["image_id"], "round": task["round"]}
        assert page.put("/api/drafts", json=where | {"revision": 4, "document": {"a": 1}}).json() == {"revision": 4}
        assert next_task(page)["draft"] == {"revision": 4, "document": {"a": 1}}
        assert page.post("/api/skips", json=where | {"reason": "dark"}).json() == {"waiting": 5}
        assert next_task(page)["image_id"] != task["image_id"]
        assert page.post("/api/skips", json=where | {"reason": "dark", "flag": True}).json() == {"waiting": 4}
        states = {item["image_id"]: item["state"] for item in page.get("/api/queue").json()["items"]}
        assert states[task["image_id"]] == "flagged"

    def test_what_a_skip_and_a_flag_took_counts_once(self, page, queue):
        task, study = next_task(page), queue.study
        spent = study.seconds(Split(task["split"]))
        where = {"annotator": "anna", "image_id": task["image_id"], "round": task["round"]}
        draft = {"revision": 4, "document": {"seconds": 60.25, "boxes": [{"key": "a", "seconds": 7}]}}
        assert page.put("/api/drafts", json=where | draft).json() == {"revision": 4}
        where["reason"] = "dark"
        for sent in ({"key": "key-number-1", "seconds": 60.5}, {"key": "key-number-2", "seconds": 4, "flag": True}):
            for _ in range(2):  # as where the reply was lost
                assert page.post("/api/skips", json=where | sent).status_code == 200
                kept = queue.labelling.draft(task["image_id"], task["round"], "anna")
                assert "flag" in sent or kept == Draft(5, {"seconds": 0, "boxes": [{"key": "a", "seconds": 0}]})
        assert study.seconds(Split(task["split"])) == spent + 64.5 and study.people()["anna"] == Person(0, 64.5)
        assert [(one.images, one.seconds) for one in study.team_table() if one.name == "anna"] == [(0, 64.5)]
        assert page.post("/api/answers", json=answer_to(next_task(page)) | {"seconds": 5}).status_code == 200
        assert study.people()["anna"] == Person(1, 69.5)

    def test_a_flag_sent_again_after_a_restart_is_taken_and_the_image_is_not_opened(self, page, queue):
        task = next_task(page)
        flag = {"annotator": "anna", "image_id": task["image_id"], "round": task["round"], "reason": "dark", "flag": True}
        assert page.post("/api/skips", json=flag).json() == {"waiting": 4}
        with serving(LabelQueue(queue.study, queue.labelling)) as address, httpx.Client(base_url=address) as restarted:
            assert restarted.post("/api/skips", json=flag).json() == {"waiting": 4}
            assert restarted.post("/api/answers", json=answer_to(task)).json() == {"late": False, "waiting": 4}
            assert restarted.get(f"/thumbnails/{task['image_id']}").status_code == 200
            refused = restarted.post("/api/open", json={"annotator": "anna", "image_id": task["image_id"]})
            assert refused.status_code == 400 and "out of use and not labelled any more: flagged by anna: dark" in refused.json()["error"]

    def test_while_the_studys_database_is_away_an_answer_is_to_be_sent_again(self, page, queue):
        task = next_task(page)
        here, away = queue.study.folder / "study.sqlite", queue.study.folder / "away"
        here.rename(away)
        for _ in range(2):
            reply = page.post("/api/answers", json=answer_to(task))
            assert reply.status_code == 503 and "expected the study's database, found no such file" in reply.json()["error"]
        assert not here.exists()
        away.rename(here)
        assert page.post("/api/answers", json=answer_to(task)).json() == {"late": False, "waiting": 4}

    def test_when_nothing_is_left_the_reason_is_given(self, page, queue):
        for number in range(5):
            page.post("/api/answers", json=answer_to(next_task(page), key=f"key-number-{number}"))
        assert page.post("/api/next", json={"annotator": "anna"}).json() == {"task": None, "reason": "answered"}
        progress = page.get("/api/progress").json()
        assert (progress["waiting"], progress["answered"], progress["done"], progress["training"]) == (0, 5, False, None)
        assert progress["goes_on_by"] == f"boxwise run {quoted(queue.study.folder.resolve())}"

    def test_what_the_study_goes_on_by_works_in_any_folder_and_is_needed_where_training_has_stopped(self, waiting_study, monkeypatch):
        folder = (made := waiting_study("full").folder).rename(made.with_name("my birds"))
        monkeypatch.chdir(folder.parent)
        study = Study.open(Path(folder.name))
        command = f"boxwise run {quoted(folder.resolve())}"
        with serving(LabelQueue(study, LabellingStore(study.store)), trains=True) as address, httpx.Client(base_url=address) as page:
            assert page.get("/api/progress").json()["goes_on_by"] is None
            write_trouble(folder, "no space left")
            assert [page.get(f"/api/{name}").json()["goes_on_by"] for name in ("progress", "dashboard")] == [command, command]


class TestMistakes:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"verdicts": [{"action": "keep", "box_id": "r9-7"}]}, "no such proposal"),
            ({"verdicts": [{"action": "add", "xyxy": [5, 5, 5, 9], "label": 0}]}, "expected finite x1 < x2"),
            ({"verdicts": [{"action": "add", "xyxy": [1, 1, 5, 9], "label": 99}]}, "label 99, expected 0 to 9"),
            ({"image_id": "../../../etc/passwd"}, "no such image"),
            ({"verdicts": [{"action": "explode"}]}, "verdicts.0.action"),
            ({"seconds": -1}, "seconds"),
            ({"key": "short"}, "key"),
            ({"annotator": "  "}, "annotator"),
            ({"annotator": "an\x00na"}, "annotator"),
            ({"round": 2}, "round 2, expected at most 1"),
            ({"round": 10**30}, "round"),
            ({"verdicts": [{"action": "add", "xyxy": [10, 10, 97, 50], "label": 0}]}, "reaches out of the image"),
            ({"verdicts": [{"action": "add", "xyxy": [-1, 10, 50, 50], "label": 0}]}, "reaches out of the image"),
            ({"verdicts": [{"action": "add", "xyxy": [1e300, 1, 1e301, 9], "label": 0}]}, "reaches out of the image"),
            ({"verdicts": [{"action": "add", "xyxy": [10, 10, 10.4, 50], "label": 0}]}, "sides of 1 pixel or more"),
            ({"verdicts": [{"action": "add", "xyxy": [10, 10, 20, 50], "label": 10**30}]}, "label"),
            ({"verdicts": [{"action": "add", "xyxy": [10, 10, 20, 50], "label": 0, "seconds": 1e9}]}, "seconds"),
        ],
    )
    def test_a_wrong_answer_is_refused_with_one_sentence_and_nothing_is_stored(self, page, queue, change, message):
        task = next_task(page)
        reply = page.post("/api/answers", json=answer_to(task) | change)
        assert 400 <= reply.status_code < 500 and message in reply.json()["error"]
        assert queue.study.store.history(task["image_id"]) == [] and len(queue.study.ask().items) == 5

    def test_numbers_that_json_has_not(self, page, queue):
        body = b'{"annotator":"anna","image_id":"x","round":1,"key":"12345678","verdicts":[],"complete":true,"seconds":Infinity}'
        assert page.post("/api/answers", content=body, headers={"content-type": "application/json"}).status_code == 422

    def test_the_key_of_another_answer(self, page, queue):
        first, second = next_task(page), next_task(page, annotator="ben")
        assert page.post("/api/answers", json=answer_to(first)).status_code == 200
        reply = page.post("/api/answers", json=answer_to(second, annotator="ben"))
        assert reply.status_code == 409 and "key of another answer" in reply.json()["error"]
        assert queue.study.store.history(second["image_id"]) == []

    @pytest.mark.parametrize(
        "document",
        [b'{"seconds": NaN}', b'{"a": "\\ud800"}', b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
        ids=["nan", "half", "deep"],
    )
    def test_a_draft_that_could_not_be_read_again_is_refused_and_the_image_stays_open_to_all(self, page, queue, document):
        task = next_task(page)
        where = f'"annotator": "anna", "image_id": "{task["image_id"]}", "round": 1, "revision": 1, "document": '.encode()
        reply = page.put("/api/drafts", content=b"{" + where + document + b"}", headers={"content-type": "application/json"})
        assert 400 <= reply.status_code < 500 and str(Reason(reply.json()["code"], *reply.json()["values"])) == reply.json()["error"]
        assert next_task(page)["draft"] is None

    @pytest.mark.parametrize(("change", "status"), [({"round": 2}, 422), ({"revision": 2**31}, 422), ({"image_id": "none.png"}, 404)])
    def test_a_draft_of_nothing_that_is_there(self, page, queue, change, status):
        body = {"annotator": "anna", "image_id": next_task(page)["image_id"], "round": 1, "revision": 1, "document": {}}
        assert page.put("/api/drafts", json=body | change).status_code == status

    def test_a_name_that_no_person_may_have(self, page):
        reply = page.post("/api/next", json={"annotator": "model"})
        assert reply.status_code == 422 and reply.json()["error"].startswith("annotator: name 'model': kept for labels")

    @pytest.mark.parametrize("path", ["/images/a%00b", "/thumbnails/%ff", "/tiles/x/0/a.png", "/tiles/0/0/none.png"])
    def test_addresses_of_no_image(self, page, path):
        assert page.get(path).status_code in (404, 422)

    @pytest.mark.parametrize(
        "wanted",
        [f"pool/images?label={10**23}", f"pool/images?round={10**23}", f"pool/images?round=-{10**23}", f"pool/images?text={'a' * 60_000}"]
        + [f"pool/images?{name}=a%00" for name in ("text", "person")]
        + ["review?annotator=a%00", "review?of=a%00", "doubts/a%00", f"pool/images?round={2**31}"],
    )
    def test_what_no_database_can_be_asked_for(self, page, wanted):
        assert page.get(f"/api/{wanted}").status_code == 422

    def test_an_answer_that_is_stored_is_no_other_when_its_class_is_gone(self, page, queue):
        task, study = next_task(page), queue.study
        box = {"action": "add", "xyxy": [1, 1, 20, 20], "label": 0}
        body = answer_to(task, verdicts=[box], classes=list(study.classes))
        assert page.post("/api/answers", json=body).json() == {"late": False, "waiting": 4}
        study.change_classes(class_change(study.classes, remove=[study.classes[0]]))
        again = page.post("/api/answers", json=body)
        assert again.status_code == 200 and again.json()["late"] is False
        assert page.post("/api/answers", json=body | {"key": "key-number-2"}).json()["code"] == "class_is_gone"

    def test_the_dashboard_follows_the_seconds_of_skips_and_the_classes(self, page, queue):
        task, study = next_task(page), queue.study
        before = page.get("/api/dashboard").json()["labour"]["seconds"]
        skip = {"annotator": "anna", "image_id": task["image_id"], "round": task["round"], "reason": "dark"}
        page.post("/api/skips", json=skip | {"key": "key-number-1", "seconds": 100})
        labour = page.get("/api/dashboard").json()["labour"]
        assert labour["seconds"] == before + 100 and {one["name"]: one["seconds"] for one in labour["people"]}["anna"] == 100
        study.change_classes(class_change(study.classes, rename={study.classes[0]: "anew"}))
        assert page.get("/api/dashboard").json()["classes"][0]["name"] == "anew"


class TestTakingBack:
    def test_an_answer_taken_back_waits_again_in_the_same_hands(self, page, queue):
        task = next_task(page)
        page.post("/api/answers", json=answer_to(task))
        back = {"annotator": "anna", "image_id": task["image_id"], "round": task["round"], "key": "key-number-1"}
        assert page.post("/api/withdrawals", json=back).json() == {"waiting": 5}
        assert page.post("/api/withdrawals", json=back).json() == {"waiting": 5}
        assert page.post("/api/open", json={"annotator": "ben", "image_id": task["image_id"]}).status_code == 409
        assert page.post("/api/answers", json=answer_to(task, key="key-number-2")).json() == {"late": False, "waiting": 4}
        assert len(queue.study.store.history(task["image_id"])) == 2

    def test_nobody_takes_back_anothers_answer_nor_one_of_a_round_that_is_over(self, page, queue):
        task = next_task(page)
        page.post("/api/answers", json=answer_to(task))
        back = {"annotator": "ben", "image_id": task["image_id"], "round": task["round"], "key": "key-number-1"}
        assert page.post("/api/withdrawals", json=back).status_code == 409
        queue.study.store.put("position", [1, "train"])
        reply = page.post("/api/withdrawals", json=back | {"annotator": "anna"})
        assert reply.status_code == 409 and "cannot be taken back any more" in reply.json()["error"]

    def test_what_is_open_elsewhere_is_not_taken_back_and_the_answer_stands(self, page, queue):
        task = next_task(page, tab="first")
        page.post("/api/answers", json=answer_to(task, tab="first"))
        back = {"annotator": "anna", "tab": "second", "image_id": task["image_id"], "round": task["round"], "key": "key-number-1"}
        for name, tab in (("anna", "first"), ("ben", "")):
            opened = {"annotator": name, "tab": tab, "image_id": task["image_id"]}
            assert page.post("/api/open", json=opened).status_code == 200
            reply = page.post("/api/withdrawals", json=back)
            assert reply.status_code == 409 and reply.json()["by"] == name
            assert queue.study.annotation(task["image_id"]) is not None and page.get("/api/progress").json()["waiting"] == 4
            page.post("/api/release", json={"annotator": name, "tab": tab, "image_ids": [task["image_id"]]})
        assert page.post("/api/withdrawals", json=back).json() == {"waiting": 5}

    def test_what_cannot_be_taken_back_is_in_the_hands_that_it_was_in(self, page, queue):
        task = next_task(page)
        page.post("/api/answers", json=answer_to(task))
        back = {"annotator": "anna", "tab": "", "image_id": task["image_id"], "round": task["round"], "key": "key-of-no-answer"}
        for opened in (False, True):
            if opened:
                page.post("/api/open", json={"annotator": "anna", "image_id": task["image_id"]})
            assert page.post("/api/withdrawals", json=back).status_code == 409
            assert (task["image_id"] in queue.labelling.leases(at=queue.clock())) == opened

    def test_a_skip_is_over_when_it_is_taken_back_or_the_image_handed_in(self, page, queue):
        first = next_task(page)
        skip = {"annotator": "anna", "image_id": first["image_id"], "round": first["round"], "reason": "dark"}
        assert page.post("/api/skips", json=skip).json() == {"waiting": 5} and next_task(page)["image_id"] != first["image_id"]
        assert page.get("/api/dashboard").json()["skipped"] == [{"image_id": first["image_id"], "by": "anna", "reason": "dark"}]
        back = {"annotator": "anna", "image_id": first["image_id"]}
        assert page.post("/api/unskips", json=back | {"annotator": "ben"}).json() == {"waiting": 5}
        assert page.get("/api/dashboard").json()["skipped_count"] == 1  # what one put off is not another's to take back
        assert page.post("/api/unskips", json=back).json() == {"waiting": 5} and next_task(page)["image_id"] == first["image_id"]
        assert page.get("/api/dashboard").json()["skipped"] == []
        page.post("/api/skips", json=skip)
        page.post("/api/answers", json=answer_to(first))
        assert page.get("/api/dashboard").json()["skipped_count"] == 0
        assert [event.kind for event in queue.study.events(first["image_id"])] == ["skipped", "skipped"]

    def test_a_flag_is_taken_back_and_a_fault_of_the_file_stays(self, page, queue):
        task = next_task(page)
        flag = {"annotator": "anna", "image_id": task["image_id"], "round": task["round"], "reason": "dark", "flag": True}
        assert page.post("/api/skips", json=flag).json() == {"waiting": 4}
        back = {"annotator": "ben", "image_id": task["image_id"]}
        assert page.post("/api/unflags", json=back).json() == {"waiting": 5}
        assert next_task(page)["image_id"] == task["image_id"]
        queue.study.store.quarantine(task["image_id"], "truncated")
        assert page.post("/api/unflags", json=back).status_code == 400 and queue.study.quarantined() == {task["image_id"]: "truncated"}


class TestPictures:
    def test_kept_by_the_browser_until_the_file_changes(self, page, queue):
        record = queue.study.store.images()[0]
        first = page.get(f"/images/{record.image_id}")
        assert first.content == Path(record.uri).read_bytes()
        again = page.get(f"/images/{record.image_id}", headers={"if-none-match": first.headers["etag"]})
        assert again.status_code == 304 and not again.content
        small = page.get(f"/thumbnails/{record.image_id}")
        assert small.headers["content-type"] == "image/jpeg" and max(Image.open(io.BytesIO(small.content)).size) <= 320

    def test_a_large_image_comes_reduced_and_its_tiles_are_its_own_pixels(self, page, queue, tmp_path):
        record = queue.study.store.images()[0]
        large = tmp_path / "large.png"
        pixels = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8).repeat(100, 0).repeat(100, 1)  # 4,100 x 3,000
        Image.fromarray(pixels).save(large)
        moved(queue, replace(record, uri=str(large), width=4100, height=3000))
        task = page.post("/api/open", json={"annotator": "anna", "image_id": record.image_id}).json()["task"]
        assert (task["url"], task["tiles"]) == (f"/previews/{record.image_id}", 1024)
        preview = Image.open(io.BytesIO(page.get(task["url"]).content))
        assert preview.format == "JPEG" and preview.size == (2048, 1499)
        tile = Image.open(io.BytesIO(page.get(f"/tiles/4/2/{record.image_id}").content))
        assert tile.size == (4, 952) and np.abs(np.asarray(tile).astype(int) - pixels[2048:, 4096:]).mean() < 3
        assert page.get(f"/tiles/5/0/{record.image_id}").status_code == 400
        assert len(list((queue.study.folder / ".pictures").iterdir())) == 5 * 3 + 1

    @pytest.mark.parametrize("path", ["../config.yaml", "..%2f..%2fconfig.yaml", "%2fetc%2fpasswd", "....//config.yaml", "study.sqlite"])
    @pytest.mark.parametrize("route", ["images", "thumbnails", "static"])
    def test_no_path_outside_the_study_is_reachable(self, page, queue, path, route):
        reply = page.get(f"/{route}/{path}")
        assert reply.status_code in (404, 405) and b"seed" not in reply.content and b"root:" not in reply.content

    def test_an_image_that_cannot_be_read_is_an_error_not_a_crash(self, page, queue, monkeypatch, tmp_path):
        record = queue.study.store.images()[0]
        broken = tmp_path / "broken.png"
        broken.write_bytes(b"no image")
        moved(queue, replace(record, uri=str(broken)))
        assert page.get(f"/thumbnails/{record.image_id}").status_code == 400


class TestPageFiles:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "main.js").write_text("first")
        return tmp_path

    @pytest.fixture
    def files(self, folder):
        return TestClient(PageFiles(folder))

    def test_they_are_those_of_the_folder(self, page):
        for file in STATIC.iterdir():
            reply = page.get(f"/static/{file.name}")
            assert reply.content == file.read_bytes() and reply.headers["content-length"] == str(file.stat().st_size)
            assert reply.headers["content-type"].startswith({"js": "text/javascript", "css": "text/css"}.get(file.suffix[1:], "text/html"))

    def test_a_browser_that_has_one_asks_whether_it_still_is_this(self, files):
        known = files.get("/main.js").headers
        for asked in ({"if-none-match": known["etag"]}, {"if-modified-since": known["last-modified"]}):
            reply = files.get("/main.js", headers=asked)
            assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", known["etag"])
        assert files.get("/main.js", headers={"if-none-match": '"another"'}).text == "first"

    def test_a_browser_asks_for_each_again_after_an_upgrade(self, page):
        for path in ("", "dashboard", "pool", "review", "guidelines", *(f"static/{file.name}" for file in STATIC.iterdir())):
            assert page.get(f"/{path}").headers["cache-control"] == "no-cache", path

    def test_one_that_is_changed_is_read_again(self, files, folder):
        known = files.get("/main.js").headers["etag"]
        (folder / "main.js").write_text("other")
        os.utime(folder / "main.js", (1e9, 1e9))  # as large as before
        reply = files.get("/main.js", headers={"if-none-match": known})
        assert (reply.status_code, reply.text) == (200, "other") and reply.headers["etag"] != known
        (folder / "late.js").write_text("late")
        assert files.get("/late.js").text == "late"

    def test_what_is_asked_in_another_way_or_is_not_there(self, page):
        whole = page.get("/static/main.js")
        part = page.get("/static/main.js", headers={"range": "bytes=0-9"})
        assert (part.status_code, part.content) == (206, whole.content[:10])
        head = page.head("/static/main.js")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", whole.headers["content-length"])
        assert page.post("/static/main.js", json={}).status_code == 405
        assert {page.get(f"/static/{path}").status_code for path in ("none.js", "", "%00", "x" * 300)} == {404}

    def test_one_that_is_gone(self, files, folder):
        assert files.get("/main.js").status_code == 200
        (folder / "main.js").unlink()
        with pytest.raises(HTTPException, match="404"):
            files.get("/main.js")

    def test_they_come_while_all_threads_are_at_work(self, page, queue, monkeypatch):
        begun, done = Semaphore(0), Event()

        def listing():
            begun.release()
            done.wait(60)
            return []

        monkeypatch.setattr(queue, "listing", listing)
        with ThreadPoolExecutor(40) as others:
            asked = [others.submit(page.get, "/api/queue", timeout=60) for _ in range(40)]
            try:
                assert all(begun.acquire(timeout=30) for _ in asked)
                assert page.get("/static/main.js", timeout=20).status_code == 200
            finally:
                done.set()


def test_applications_of_one_process_share_their_routes_and_nothing_else(queue, waiting_study):
    other = LabelQueue(study := waiting_study("full"), LabellingStore(study.store))
    apps = [create_app(one, hosts={"testserver"}, trains=one is other) for one in (queue, other)]
    assert len(apps[0].routes) > 40 and all(one is same for one, same in zip(*(app.routes for app in apps), strict=True))
    first, second = (TestClient(app) for app in apps)
    assert [one.get("/api/study").json()["mode"] for one in (first, second)] == ["review", "full"]
    assert [one.get("/api/progress").json()["goes_on_by"] is None for one in (first, second)] == [False, True]
    taken = first.post("/api/next", json={"annotator": "anna"}).json()["task"]["image_id"]
    assert set(queue.labelling.leases(at=queue.clock())) == {taken} and not other.labelling.leases(at=other.clock())


class TestDoors:
    def test_another_host_name_is_refused(self, page):
        assert page.get("/api/study", headers={"host": "rebound.example:8123"}).status_code == 400

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"origin": "http://elsewhere.example"}, 403),
            ({"origin": "null"}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"sec-fetch-site": "same-site"}, 403),
            ({"content-type": "text/plain"}, 415),
            ({"content-type": "application/x-www-form-urlencoded"}, 415),
            ({"origin": "here", "sec-fetch-site": "same-origin"}, 200),
        ],
    )
    def test_changes_come_from_this_page_alone(self, page, headers, status):
        headers = {"content-type": "application/json"} | headers
        if headers.get("origin") == "here":
            headers["origin"] = str(page.base_url).rstrip("/")
        assert page.post("/api/next", content=b'{"annotator": "anna"}', headers=headers).status_code == status

    def test_a_large_body_is_cut_off_also_when_it_does_not_say_its_size(self, page):
        where = {"annotator": "anna", "image_id": "x", "round": 1, "revision": 1}
        assert page.put("/api/drafts", json=where | {"document": {"a": "x" * 2_000_000}}).status_code == 413

        def pieces():
            yield b'{"annotator": "'
            for _ in range(16):
                yield b"x" * 65536

        assert page.post("/api/next", content=pieces(), headers={"content-type": "application/json"}).status_code == 413

    def test_without_the_token_nothing_is_answered(self, queue, guarded):
        for path in ("/", "/dashboard", "/api/study", "/static/main.js", f"/images/{queue.study.ask().image_ids[0]}", "/?token=wrong"):
            assert httpx.get(guarded + path).status_code == 401
        assert httpx.post(f"{guarded}/api/next?token={TOKEN}", json={"annotator": "anna"}).status_code == 401

    def test_the_link_sets_a_cookie_and_leaves_the_token_in_no_history(self, guarded):
        with httpx.Client(base_url=guarded) as client:
            reply = client.get(f"/dashboard?a=1&token={TOKEN}")
            assert reply.status_code == 303 and reply.headers["location"] == "/dashboard?a=1"
            assert {"httponly", "samesite=lax"} <= {part.strip().lower() for part in reply.headers["set-cookie"].split(";")}
            assert client.get("/api/study").status_code == 200
        assert httpx.get(f"{guarded}/api/study", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200

    def test_whoever_comes_without_the_token_gets_a_page_that_says_so(self, guarded):
        reply = httpx.get(guarded, headers={"accept": "text/html,*/*"})
        assert reply.status_code == 401 and reply.headers["content-type"].startswith("text/html")
        assert "Open this page with its link" in reply.text and TOKEN not in reply.text

    def test_two_studies_on_one_host_do_not_sign_each_other_out(self, queue):
        with serving(queue, token=TOKEN) as one, serving(queue, token=TOKEN + "2") as other, httpx.Client() as browser:
            for address, token in ((one, TOKEN), (other, TOKEN + "2")):
                assert browser.get(f"{address}/?token={token}").status_code == 303
            for address in (one, other):  # cookies know hosts, no ports
                assert browser.get(f"{address}/api/study").status_code == 200

    def test_the_link_leads_to_no_other_host(self, guarded):
        reply = httpx.get(f"{guarded}//elsewhere.example/?token={TOKEN}")
        assert reply.status_code == 303 and reply.headers["location"] == "/elsewhere.example/"

    def test_every_reply_forbids_foreign_code_and_frames(self, page):
        for path in ("/api/study", "/images/none", "/nowhere"):
            headers = page.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"

    def test_no_page_describes_the_server(self, page):
        assert {page.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")} == {404}
