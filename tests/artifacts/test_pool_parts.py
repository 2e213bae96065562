"""Parts of a pool pass on disk: what was written is read bit for bit, and a file that is not what its name says is not read."""

import numpy as np
import pytest

from boxwise.artifacts.pool_parts import PartFile, PoolPart, read_images, write_images
from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Inspection


def inspection(image_id, boxes, seed=0):
    rng = np.random.default_rng(seed)
    found = Boxes(
        rng.random((boxes, 4)).astype(np.float32),
        np.arange(boxes),
        rng.random(boxes).astype(np.float32),
        rng.random((boxes, 3)).astype(np.float32),
    )
    inside = rng.random((boxes, 5)).astype(np.float16)
    return Inspection(image_id, found, rng.random(7).astype(np.float32), {"L": rng.random(), "other term": 1 / 3}, inside)


@pytest.fixture
def part():
    found = (inspection("a.jpg", 2), inspection("b/c.jpg", 0, 1), inspection("d.jpg", 1, 2))
    return PoolPart(found, {"é.jpg": "é.jpg: an empty file"}, seconds=1.5)


@pytest.fixture
def file(tmp_path):
    return PartFile(tmp_path / "pass", 3, "abc")


def test_reads_bit_for_bit_what_was_written(file, part):
    file.write(part)
    found = file.read()
    assert found.unreadable == part.unreadable and found.seconds == part.seconds
    for here, there in zip(part.inspections, found.inspections, strict=True):
        assert (here.image_id, here.evidence) == (there.image_id, there.evidence)
        assert np.array_equal(here.embedding, there.embedding) and there.embedding.dtype == np.float32
        assert np.array_equal(here.box_embeddings, there.box_embeddings) and there.box_embeddings.dtype == np.float16
        for column in ("xyxy", "labels", "scores", "probabilities"):
            assert np.array_equal(getattr(here.boxes, column), getattr(there.boxes, column))


def test_a_part_of_unreadable_images_alone(file):
    file.write(PoolPart((), {"a.jpg": "broken"}))
    assert file.read() == PoolPart((), {"a.jpg": "broken"})


def test_equal_parts_are_equal_files(file, part):
    assert file.write(part) == file.write(part) and len(file.found()) == 1


def test_a_part_made_of_something_else_is_not_this_one(tmp_path, file, part):
    file.write(part)
    assert PartFile(tmp_path / "pass", 3, "abd").read() is None and PartFile(tmp_path / "pass", 4, "abc").read() is None


@pytest.mark.parametrize("position", [0, 100, -1])
def test_one_flipped_byte_is_noticed(file, part, position):
    path = file.write(part)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert file.read() is None
    assert not file.is_whole() and not path.exists()


def test_half_a_file_is_no_part(file, part):
    path = file.write(part)
    path.write_bytes(path.read_bytes()[:200])
    assert file.read() is None and not file.is_whole()


def test_the_images_of_a_pass_are_listed(tmp_path):
    records = [ImageRecord("a/b.jpg", tmp_path / "a/b.jpg", 640, 480), ImageRecord("c.jpg", tmp_path / "c.jpg", 1, 2)]
    write_images(tmp_path / "images.parquet", records)
    assert read_images(tmp_path / "images.parquet") == tuple(records)
    write_images(tmp_path / "none.parquet", [])
    assert read_images(tmp_path / "none.parquet") == ()


def test_another_file_is_no_list_of_images(tmp_path):
    (tmp_path / "images.parquet").write_text("no")
    with pytest.raises(BoxwiseError, match="expected the images of a pool pass"):
        read_images(tmp_path / "images.parquet")
