from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from blob_detector import BlobDetector
from dark_scenes import write_broken

from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.evaluation.expected_objects import ObjectCounts
from boxwise.records import Sample
from boxwise.scorers.detection_loss import ExpectedLoss, PseudoLoss
from boxwise.scorers.pool_pass import audit, inspect_parts, inspect_pool, join, read_detections

BLOB_IN_0 = [4, 16, 36, 64]  # scene 00.png's rectangle, original pixels


def inspect(records, *, detector=None, **options):
    return inspect_pool(detector or BlobDetector(), ExpectedLoss(), records, **{"batch": 5, **options})


def test_one_row_an_image_in_order_whatever_the_batch(scenes):
    by_five, one_by_one = inspect(scenes), inspect(scenes, batch=1)
    assert by_five.image_ids == tuple(record.image_id for record in scenes)
    assert np.array_equal(by_five.terms["expected"], one_by_one.terms["expected"])
    assert np.array_equal(by_five.embeddings, one_by_one.embeddings)
    assert (by_five.embeddings.shape, by_five.embeddings.dtype) == ((12, 3), np.float32)


def test_an_unreadable_image_is_left_out_and_reported(scenes, tmp_path):
    found = inspect([*scenes[:3], write_broken(tmp_path, "broken.jpg"), *scenes[3:]])
    assert found.image_ids == tuple(record.image_id for record in scenes)
    assert len(found.terms["expected"]) == len(found.embeddings) == len(found.box_counts) == 12
    assert list(found.unreadable) == ["broken.jpg"] and "broken.jpg" in found.unreadable["broken.jpg"]


def test_expects_objects_by_what_val_says_of_the_scores(scenes):
    """On val every detection of score .9 was of an object, and every second image held one that was not detected."""
    spot, elsewhere = [0, 0, 10, 10], [50, 50, 60, 60]
    found = {str(row): Boxes([spot], [0], [0.9], [[0.9, 0.1]]) for row in range(40)}
    truths = {str(row): Boxes([spot, elsewhere][: 1 + row % 2], [0, 0][: 1 + row % 2]) for row in range(40)}
    counts = inspect(scenes, objects=ObjectCounts.fit(found, truths, 1)).box_counts
    unseen = 20.5 / 41
    assert counts == pytest.approx([unseen if index % 3 == 2 else unseen + 0.98 for index in range(12)], abs=1e-3)


def test_what_is_wrong_with_the_detector_is_said_of_it_before_the_scorer_goes_by_it(scenes):
    class Diverged(BlobDetector):
        def embeddings(self, view):
            return np.full_like(super().embeddings(view), np.nan)

        def expected_losses(self, view):
            raise AssertionError("the scorer measures first")

    with pytest.raises(BoxwiseError, match=r"^detector Diverged: embeddings: expected finite numbers"):
        inspect(scenes, detector=Diverged())


def test_keeps_every_detection_on_disk(scenes, tmp_path):
    inspect(scenes, detections_path=tmp_path / "detections.parquet")
    found = dict(read_detections(tmp_path / "detections.parquet"))
    assert list(found) == [record.image_id for record in scenes]
    assert found["00.png"].xyxy == pytest.approx(np.array([BLOB_IN_0]), abs=2)
    assert len(found["02.png"]) == 0


def test_a_failure_leaves_no_detections_behind(scenes, tmp_path):
    def fail(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inspect(scenes, detections_path=tmp_path / "detections" / "pool.parquet", progress=fail)
    assert list((tmp_path / "detections").iterdir()) == []


def test_progress_ends_at_the_total_unreadable_images_included(scenes, tmp_path):
    seen = []
    inspect([write_broken(tmp_path, "broken.jpg"), *scenes], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(5, 13), (10, 13), (13, 13)]


def test_an_empty_pool_gives_empty_scores():
    found = inspect([])
    assert found.image_ids == () and len(found.embeddings) == 0
    assert ExpectedLoss().score(found.image_ids, found.terms).values.shape == (0,)


def test_a_pool_of_unreadable_images_is_empty_but_named(tmp_path):
    found = inspect([write_broken(tmp_path, "broken.jpg")])
    assert found.image_ids == () and list(found.unreadable) == ["broken.jpg"]


def test_audit_sets_the_scores_beside_the_true_loss(scenes, tmp_path):
    truth = Boxes(np.array([BLOB_IN_0]), [0])
    samples = [Sample(scenes[0], truth), Sample(write_broken(tmp_path, "broken.jpg"), truth), Sample(scenes[2], truth)]
    found = audit(BlobDetector(), [ExpectedLoss(), PseudoLoss()], samples, batch=2)
    assert list(found) == ["true", "expected", "pseudo"]
    assert found["true"][0] < 2 and found["true"][2] == 1000
    assert all(np.isnan(values).tolist() == [False, True, False] for values in found.values())


def test_audit_of_nothing_is_empty():
    assert audit(BlobDetector(), [ExpectedLoss()], [])["true"].shape == (0,)


def test_expects_objects_by_class(scenes):
    expected = [[0.5] if index % 3 == 2 else [pytest.approx(1.4)] for index in range(12)]
    found = inspect(scenes)
    assert found.class_counts.tolist() == expected
    assert found.box_counts == pytest.approx(found.class_counts.sum(axis=1))
    assert inspect(scenes, detector=BlobDetector(score=0.04)).class_counts.tolist() == [[0.5]] * 12


def test_keeps_boxes_only_when_asked(scenes):
    assert inspect(scenes).boxes is None
    boxes = inspect(scenes, keep_boxes=True).boxes
    assert np.diff(boxes.starts).tolist() == [0 if index % 3 == 2 else 1 for index in range(12)]
    assert boxes.image_rows.tolist() == [index for index in range(12) if index % 3 != 2]
    assert boxes.scores == pytest.approx(0.9) and not boxes.labels.any()
    assert boxes.entropies == pytest.approx(-0.9 * np.log(0.9) - 0.1 * np.log(0.1))
    assert (boxes.embeddings.dtype, boxes.embeddings.shape) == (np.float16, (8, 2))
    some = boxes.images(np.array([4, 2, 0]))
    assert some.starts.tolist() == [0, 1, 1, 2]
    assert np.array_equal(some.embeddings, boxes.embeddings[[3, 0]])


def test_boxes_of_images_without_any(scenes):
    boxes = inspect([scenes[2]], keep_boxes=True).boxes
    assert len(boxes) == 1 and boxes.starts.tolist() == [0, 0] and len(boxes.labels) == 0
    assert len(inspect([], keep_boxes=True).boxes) == 0


class TestParts:
    """The pass as map and reduce: equal to the one in a row, bit for bit, however it is cut."""

    @pytest.mark.parametrize("sizes", [(12,), (5, 7), (5, 5, 2), (10, 2)])
    def test_joined_it_is_the_pass_in_a_row(self, scenes, tmp_path, sizes):
        records = [*scenes[:3], write_broken(tmp_path, "broken.jpg"), *scenes[3:11]]
        starts = np.cumsum([0, *sizes])
        parts = [records[a:b] for a, b in pairwise(starts)]
        found = list(inspect_parts(BlobDetector(), ExpectedLoss(), parts, batch=5, keep_boxes=True))
        assert [len(part.inspections) + len(part.unreadable) for part in found] == list(sizes)
        joined = join(found, 12, 1, keep_boxes=True, detections_path=tmp_path / "parts.parquet")
        whole = inspect(records, keep_boxes=True, detections_path=tmp_path / "row.parquet")
        assert joined.image_ids == whole.image_ids and joined.unreadable == whole.unreadable
        assert np.array_equal(joined.terms["expected"], whole.terms["expected"])
        for name in ("embeddings", "box_counts", "class_counts"):
            assert np.array_equal(getattr(joined, name), getattr(whole, name))
        assert all(np.array_equal(getattr(joined.boxes, f.name), getattr(whole.boxes, f.name)) for f in fields(whole.boxes))
        assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "row.parquet").read_bytes()

    def test_a_part_whose_images_are_all_broken_has_its_place(self, scenes, tmp_path):
        broken = [write_broken(tmp_path, f"broken{number}.jpg") for number in range(4)]
        found = list(inspect_parts(BlobDetector(), ExpectedLoss(), [broken[:2], scenes[:2], broken[2:]], batch=2))
        assert [(len(part.inspections), len(part.unreadable)) for part in found] == [(0, 2), (2, 0), (0, 2)]

    def test_parts_that_would_mix_batches_are_refused(self, scenes):
        with pytest.raises(ValueError, match="multiple of 5"):
            next(inspect_parts(BlobDetector(), ExpectedLoss(), [scenes[:3], scenes[3:]], batch=5))

    def test_progress_counts_images_of_all_parts(self, scenes, tmp_path):
        seen = []
        parts = [[write_broken(tmp_path, "broken.jpg"), *scenes[:4]], scenes[4:]]
        list(inspect_parts(BlobDetector(), ExpectedLoss(), parts, batch=5, progress=seen.append))
        assert seen == [5, 10, 13]
