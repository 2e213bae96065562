"""An image that cannot be read is at fault itself, unless its place is away with the others."""

from pathlib import Path

import pytest

from boxwise.data.presence import check_place
from boxwise.errors import ImageStoreError
from boxwise.records import ImageRecord


@pytest.fixture
def records(tmp_path):
    """Five images in folders below one."""
    made = [
        ImageRecord(f"{'ab'[number % 2]}/{number}.png", str(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"), 8, 8)
        for number in range(5)
    ]
    for record in made:
        Path(record.uri).parent.mkdir(parents=True, exist_ok=True)
        Path(record.uri).write_bytes(b"pixels")
    return made


def test_one_that_is_gone_or_damaged_among_others_is_at_fault_itself(records):
    for record in (records[0], records[2]):
        Path(record.uri).unlink()
    check_place(records[2])  # beside 4.png
    check_place(records[3])  # its bytes can be read, whatever they are


def test_a_link_that_leads_to_itself_is_at_fault_itself(records):
    Path(records[0].uri).unlink()
    Path(records[0].uri).symlink_to(records[0].uri)
    check_place(records[0])


def test_a_folder_that_was_moved_is_away(records, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "moved")
    with pytest.raises(
        ImageStoreError, match=r"photos.b: expected the folder of the image b/3\.png, found: No such file .*boxwise relocate"
    ):
        check_place(records[3])


def test_a_mount_point_without_its_disk_is_away_whatever_lies_elsewhere(records):
    for record in (records[1], records[3]):
        Path(record.uri).unlink()
    (Path(records[3].uri).parent / "note.txt").write_text("of the empty folder")
    with pytest.raises(ImageStoreError, match=r"3\.png: expected an image, found that no image in .*b can be opened"):
        check_place(records[3])


def test_images_without_a_folder_in_common_and_those_of_remote_stores(tmp_path):
    with pytest.raises(ImageStoreError, match="away: expected the folder"):
        check_place(ImageRecord("one", str(tmp_path / "away" / "a.png"), 8, 8))
    check_place(ImageRecord("a.png", "s3://bucket/a.png", 8, 8))
