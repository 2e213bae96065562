"""An image whose file is gone is taken out of use and labelling goes on; a disk that is not there takes none out."""

from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from driving import another, enter, saved, seen, serving, shown_image

from boxwise.config import ImagesConfig, load_config
from boxwise.data import image_store
from boxwise.data.formats.base import Dataset
from boxwise.data.images import digest, write_image
from boxwise.errors import ImageStoreError
from boxwise.records import ImageRecord, Split
from boxwise.store import Journal
from boxwise.study import Study
from boxwise.web.answers import QuarantinedError
from boxwise.web.queue import LabelQueue
from boxwise.web.tasks import Task


@pytest.fixture
def study(tiny_overrides, tmp_path):
    """A study of five images of its own in `photos`, of which round 0 has asked for four."""
    records = []
    for number in range(5):
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        write_image(np.random.default_rng(number).integers(0, 255, (60, 80, 3), dtype=np.uint8), path)
        records.append(ImageRecord(path.name, str(path), 80, 60, Split.TRAIN, None, digest(str(path))))
    dataset = Dataset(images=tuple(records), labels={}, classes=("cat", "dog"))
    made = Study.create(tmp_path / "study", dataset, config=load_config(None, (*tiny_overrides, "budget.initial=4")))
    made.ask()
    return made


@pytest.fixture
def photos(tmp_path):
    return tmp_path / "photos"


def test_an_image_whose_file_is_gone_is_out_of_use_and_the_next_one_is_handed_out(study, photos):
    queue = LabelQueue(study, study.labelling)
    first, second, *_ = study.ask().image_ids
    (photos / first).unlink()
    task = queue.next("anna")
    assert isinstance(task, Task) and task.record.image_id == second
    assert "found no such file" in study.quarantined()[first] and first not in study.labelling.leases(at=0)
    row = next(row for row in queue.listing() if row["image_id"] == first)
    assert row["state"] == "unusable" and "found no such file" in row["fault"]


def test_an_image_that_is_opened_by_name_and_whose_file_is_gone(study, photos):
    queue = LabelQueue(study, study.labelling)
    first = study.ask().image_ids[0]
    (photos / first).unlink()
    with pytest.raises(QuarantinedError, match="found no such file"):
        queue.open(first, "anna")
    assert first in study.quarantined() and not study.labelling.leases(at=0)


def test_a_file_that_cannot_be_read_otherwise_holds_up_none_beside_it(study, photos):
    first, second, *_ = study.ask().image_ids
    (photos / first).unlink()
    (photos / first).symlink_to(photos / first)
    task = LabelQueue(study, study.labelling).next("anna")
    assert isinstance(task, Task) and task.record.image_id == second and list(study.quarantined()) == [first]


@pytest.mark.parametrize("mount_point_stays", [True, False])
def test_a_disk_that_is_not_mounted_takes_no_image_out_of_use(study, photos, mount_point_stays):
    queue = LabelQueue(study, study.labelling)
    photos.rename(photos.with_name("elsewhere"))
    if mount_point_stays:
        photos.mkdir()
    assert queue.next("anna") == "unreachable"
    with pytest.raises(ImageStoreError, match=r"expected (an image|the folder of the image)"):
        queue.open(study.ask().image_ids[0], "anna")
    assert not study.quarantined() and not study.labelling.leases(at=0)
    if mount_point_stays:
        photos.rmdir()
    photos.with_name("elsewhere").rename(photos)
    assert isinstance(queue.next("anna"), Task)


class Host(BaseHTTPRequestHandler):
    """Has an image at every path but its root, and refuses some: `refused` is path → answer."""

    def __init__(self, *given, refused):
        self.refused = refused
        super().__init__(*given)

    def do_HEAD(self):
        self.send_response(404 if self.path == "/" else self.refused.get(self.path.partition("?")[0].strip("/"), 200))
        self.send_header("content-length", "100")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *_):
        return


@pytest.fixture
def remote(tiny_overrides, tmp_path):
    """(a study of three images of a server of the web, all asked about, with signed addresses; the names of what that refuses, and how)."""
    refused = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, refused=refused))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    records = [ImageRecord(f"{number}.jpg", f"{address}/{number}.jpg?signature={number}/x", 80, 60, Split.TRAIN) for number in range(3)]
    overrides = (*tiny_overrides, "budget.initial=3", "images.attempts=1", f"images.cache_folder={tmp_path / 'cache'}")
    dataset = Dataset(images=tuple(records), labels={}, classes=("cat", "dog"))
    made = Study.create(tmp_path / "remote", dataset, config=load_config(None, overrides))
    made.ask()
    yield made, refused
    image_store.use(ImagesConfig())
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(("answered", "how"), [(False, 403), (True, 403), (False, 500), (True, 500)])
def test_one_image_that_its_host_refuses_is_out_of_use_though_the_host_has_no_root(remote, answered, how):
    study, refused = remote
    first, *rest = study.ask().image_ids
    refused[first] = how
    if answered:
        [study.tell(image_id, ()) for image_id in rest]
    found = LabelQueue(study, study.labelling).next("anna")
    assert found == "answered" if answered else found.record.image_id == rest[0]
    assert study.quarantined().keys() == {first}


@pytest.mark.slow
@pytest.mark.parametrize("how", [403, 407, 429, 503])
def test_a_host_that_refuses_all_takes_no_image_out_of_use(remote, how):
    study, refused = remote
    refused |= dict.fromkeys(study.ask().image_ids, how)
    assert LabelQueue(study, study.labelling).next("anna") == "unreachable" and not study.quarantined()


@pytest.mark.slow
def test_the_images_of_one_host_are_passed_over_and_those_of_another_are_not(remote):
    study, refused = remote
    first, second, third = study.ask().image_ids
    refused |= dict.fromkeys((first, second), 403)
    elsewhere = next(record for record in study.records([third]))
    moved = replace(elsewhere, uri=elsewhere.uri.replace("127.0.0.1", "localhost"))
    Journal(study.store).move([moved], round_index=0, who="lea", body={})
    task = LabelQueue(study, study.labelling).next("anna")
    assert isinstance(task, Task) and task.record.image_id == third and not study.quarantined()


def test_the_page_goes_on_with_the_next_image_and_waits_for_a_disk(study, photos, browsing):
    first, second, *_ = study.ask().image_ids
    content = (photos / first).read_bytes()
    (photos / first).unlink()
    with serving(study) as port:
        page = browsing().new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        enter(page, "anna")
        assert shown_image(page) == second
        page.locator("#queue summary").click()
        page.locator(".queued.unusable", has_text=first).locator(".state", has_text="out of use").wait_for()
        assert page.locator("#queue-list button", has_text="Unflag").count() == 0
        (photos / first).write_bytes(content)
        page.goto("about:blank")
        photos.rename(photos.with_name("elsewhere"))
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator("#waiting[data-reason=unreachable]").wait_for(state="visible")
        assert page.locator("#waiting-title").inner_text() == "The images cannot be read now"
        photos.with_name("elsewhere").rename(photos)
        page.locator("#editor").wait_for(state="visible")
        seen(page)
        page.keyboard.press("Space")
        another(page, second)
        saved(page)
        assert len(study.history(second)) == 1
