"""An image whose file is gone is taken out of use and labelling goes on; a disk that is not there takes none out."""

import numpy as np
import pytest
from driving import another, enter, saved, seen, serving, shown_image

from boxwise.config import load_config
from boxwise.data.formats.base import Dataset
from boxwise.data.images import digest, write_image
from boxwise.errors import ImageStoreError
from boxwise.records import ImageRecord, Split
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
