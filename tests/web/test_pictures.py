"""Pictures for the browser: at the size that is looked at, kept within bounds; a file that is gone is a message, not a crash."""

import base64
import io
import os
from collections import Counter

import numpy as np
import pytest
from driving import enter, hand_in, seen, serving
from odd_pictures import ALIKE, OTHERWISE, odd_picture
from PIL import Image
from teams import team_study  # noqa: F401 (a fixture)

from boxwise.config import load_config
from boxwise.data.for_browsers import for_browsers
from boxwise.data.formats.base import Dataset
from boxwise.data.images import read_image
from boxwise.errors import ImageError
from boxwise.records import ImageRecord
from boxwise.study import Study
from boxwise.web import picture_routes
from boxwise.web.picture_cache import PictureCache
from boxwise.web.pictures import Pictures, is_large, version


def test_a_file_that_is_gone_is_named_and_a_changed_or_another_one_is_another_version(tmp_path):
    path, other = tmp_path / "a.jpg", tmp_path / "b.jpg"
    with pytest.raises(ImageError, match=r"a\.jpg: expected an image, found no such file"):
        version(path)
    path.write_bytes(b"one")
    first = version(path)
    other.write_bytes(b"two")
    os.utime(other, ns=(path.stat().st_mtime_ns,) * 2)  # as of files that one archive was unpacked to
    assert version(path) == first != version(other)
    path.write_bytes(b"other")
    assert version(path) != first


def test_a_small_copy_is_upright_made_once_and_made_anew_of_a_changed_file(tmp_path):
    path, pictures = tmp_path / "a.jpg", Pictures(PictureCache(tmp_path / "kept"))
    sideways = Image.Exif()
    sideways[0x0112] = 6
    Image.fromarray(np.full((600, 1200, 3), 200, np.uint8)).save(path, exif=sideways)
    assert Image.open(io.BytesIO(pictures.thumbnail(path))).size == (160, 320)
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(b"from the disk")
    assert pictures.thumbnail(path) == b"from the disk"
    Image.fromarray(np.zeros((60, 40, 3), np.uint8)).save(path)
    assert Image.open(io.BytesIO(pictures.thumbnail(path))).size == (40, 60)


def test_the_cache_keeps_its_bound_and_what_was_used_last(tmp_path):
    cache = PictureCache(tmp_path / "kept", most_bytes=100)
    for name in "abcd":
        cache.put(name, b"x" * 30)
        cache.get("a")
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"a", "c", "d"}
    again = PictureCache(tmp_path / "kept", most_bytes=100)
    again.put("e", b"x" * 30)
    assert len(list((tmp_path / "kept").iterdir())) == 3 and again.get("e") is not None and again.get("b") is None


def test_a_cache_that_cannot_be_written_serves_all_the_same(tmp_path):
    (tmp_path / "kept").write_bytes(b"a file where the folder should be")
    Image.fromarray(np.zeros((60, 40, 3), np.uint8)).save(tmp_path / "a.png")
    assert Pictures(PictureCache(tmp_path / "kept")).thumbnail(tmp_path / "a.png")


def test_images_of_a_bucket_are_shown_at_every_size_and_downloaded_once(bucket, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1100, 3), np.uint8)).save(buffer, "PNG")
    uri, pictures = bucket.put("set/a.png", buffer.getvalue()), Pictures(PictureCache(tmp_path / "kept"))
    first = version(uri)
    assert for_browsers(uri) == (buffer.getvalue(), "image/png")
    assert Image.open(io.BytesIO(pictures.thumbnail(uri))).size == (320, 262)
    assert Image.open(io.BytesIO(pictures.tile(uri, 1, 0))).size == (76, 900)
    assert version(uri) == first and not is_large(ImageRecord("a.png", uri, 1100, 900))
    assert bucket.proxy.images() == {"/photos/set/a.png": 1}
    with pytest.raises(ImageError, match=r"none\.png: expected an image"):
        pictures.preview("s3://photos/set/none.png")


def test_a_picture_that_has_to_be_made_for_browsers_is_large_from_a_megapixel_on(tmp_path):
    for name, mode, sizes in (("plain.webp", "RGB", [(1400, 1000)]), ("clear.webp", "RGBA", [(1400, 1000), (700, 500)])):
        for size in sizes:
            Image.new(mode, size).save(tmp_path / name)
            large = (name, size) == ("clear.webp", (1400, 1000))
            assert is_large(ImageRecord(name, tmp_path / name, *size)) == large, (name, size)


PIXELS = """async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#202428"; // the page's stage is dark
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0);
    return [canvas.height, canvas.width, [...pen.getImageData(0, 0, canvas.width, canvas.height).data]];
}"""


def test_a_browser_shows_every_picture_as_the_study_reads_it(chromium, tmp_path):
    page = chromium.new_page()
    for name in (*ALIKE, *OTHERWISE):
        path = odd_picture(tmp_path, name)
        content, media = for_browsers(path)
        height, width, values = page.evaluate(PIXELS, f"data:{media};base64,{base64.b64encode(content).decode()}")
        shown, read = np.array(values, np.uint8).reshape(height, width, 4)[:, :, :3], read_image(path)
        assert shown.shape == read.shape, name
        assert np.abs(shown.astype(int) - read).mean() < 3, name
    page.close()


GREY = """() => {
    const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    pen.drawImage(document.querySelector(".picture img"), 0, 0);
    return pen.getImageData(0, 0, 1, 1).data[0];
}"""


def painted(path, grey):
    Image.fromarray(np.full((40, 60, 3), grey, np.uint8)).save(path)
    return path


def of_one_image(folder, grey):
    """A study that asks about one image, which is called as that of each such study."""
    folder.mkdir()
    record = ImageRecord("a.png", painted(folder / "a.png", grey), 60, 40)
    os.utime(record.uri, (0, 0))  # as unpacked from an archive
    settings = ["detector.name=tiny_ssd", "detector.pretrained=false", "budget.initial=1", "budget.validation=0"]
    study = Study.create(folder / "study", Dataset(("thing",), (record,), {}), config=load_config(None, settings))
    study.ask()
    return study


def test_the_picture_is_the_studys_that_is_served_and_as_it_is_now(browsing, tmp_path):
    page, port = browsing().new_page(), 0
    for grey in (40, 200):
        with serving(of_one_image(tmp_path / str(grey), grey), port) as port:
            page.goto(f"http://127.0.0.1:{port}/")
            if grey == 40:
                enter(page, "anna")
            seen(page)
            assert page.evaluate(GREY) == grey
            if grey == 200:
                painted(tmp_path / "200" / "a.png", 120)
                page.reload()
                seen(page)
                assert page.evaluate(GREY) == 120


def test_a_picture_that_was_fetched_ahead_or_is_shown_again_is_sent_once(team_study, person, monkeypatch):  # noqa: F811
    sent = Counter()

    def counted(uri):
        sent[uri] += 1
        return for_browsers(uri)

    monkeypatch.setattr(picture_routes, "for_browsers", counted)
    with serving(team_study("budget.initial=5")) as port:
        page = person(port, "anna")
        for _ in range(3):
            hand_in(page)
        page.reload()
        seen(page)
    assert len(sent) == 5 and set(sent.values()) == {1}
