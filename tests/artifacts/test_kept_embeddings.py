"""Embeddings that are kept: found by image and by the bytes of its file, added to, and lost one file at a time."""

from dataclasses import replace

import numpy as np
import pytest

from boxwise.artifacts.kept_embeddings import KeptEmbeddings
from boxwise.records import ImageRecord

RECORDS = tuple(ImageRecord(f"{n}.jpg", f"/there/{n}.jpg", 4, 4, digest=f"digest {n}") for n in range(5))
ROWS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


@pytest.fixture
def kept(tmp_path):
    found = KeptEmbeddings(tmp_path / "dino-0123")
    found.add(RECORDS[:2], ROWS[:2])
    found.add(RECORDS[2:4], ROWS[2:4])
    return found


def test_rows_come_in_the_order_of_the_records_and_unknown_ones_are_zero(kept):
    embeddings, known = kept.read((RECORDS[4], RECORDS[3], RECORDS[0]))
    assert known.tolist() == [False, True, True]
    np.testing.assert_array_equal(embeddings, [np.zeros(3), ROWS[3], ROWS[0]])
    assert kept.known(RECORDS) == {record.image_id for record in RECORDS[:4]}


def test_nothing_is_known_before_anything_was_added(tmp_path):
    none = KeptEmbeddings(tmp_path / "none")
    embeddings, known = none.read(RECORDS)
    assert embeddings.shape == (5, 0) and not known.any() and none.known(RECORDS) == set()


def test_the_same_images_have_the_same_file_whoever_adds_them(kept):
    before = {path.name: path.read_bytes() for path in kept.folder.iterdir()}
    kept.add(RECORDS[:2], ROWS[:2])
    assert {path.name: path.read_bytes() for path in kept.folder.iterdir()} == before


def test_an_image_with_other_bytes_is_not_known_and_one_of_unknown_bytes_is(kept):
    changed, unknown = replace(RECORDS[0], digest="another"), replace(RECORDS[1], digest=None)
    assert kept.known((changed, unknown)) == {unknown.image_id}
    kept.add((changed,), ROWS[4:])
    np.testing.assert_array_equal(kept.read((changed, unknown))[0], ROWS[[4, 1]])
    np.testing.assert_array_equal(kept.read(RECORDS[:1])[0], ROWS[:1])  # should the file come back


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: content[:50] + b"!" + content[51:], lambda content: b""])
def test_a_damaged_file_is_removed_and_its_images_alone_are_unknown(kept, damage):
    first, _ = sorted(kept.folder.iterdir())
    lost = kept.known(RECORDS) - _without(kept, first)
    first.write_bytes(damage(first.read_bytes()))
    assert len(lost) == 2 and kept.known(RECORDS) == {record.image_id for record in RECORDS[:4]} - lost
    assert not first.exists()


def _without(kept, path):
    content = path.read_bytes()
    path.unlink()
    known = kept.known(RECORDS)
    path.write_bytes(content)
    return known
