import dataclasses
import io
from itertools import pairwise

import numpy as np
import pytest
from made_rounds import made_round
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from boxwise.report.tensorboard import MOST_IMAGES, log_round, write_events


def read(logdir):
    events = EventAccumulator(str(logdir), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    events.Reload()
    return events


def scalars(logdir):
    events = read(logdir)
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_figures_stand_at_their_round(make_cells, tmp_path):
    cell = make_cells(("dual",), 1)[0]
    rounds = cell.rounds
    write_events(tmp_path, cell)
    found = scalars(tmp_path)
    assert [step for step, _ in found["test/AP"]] == [0, 1, 2, 3]
    assert [value for _, value in found["test/AP"]] == pytest.approx([r.evaluate.test["ap"] for r in rounds])
    assert [value for _, value in found["labelled/images"]] == [20, 40, 60, 80]
    assert [step for step, _ in found["fidelity/expected"]] == [1, 2, 3]
    assert "fidelity/learned" not in found
    assert {"val/AP", "val/AP50", "val/AP75", "labelled/boxes", "labelled/seconds", "weights/alpha"} <= found.keys()


def test_training_steps_run_on_from_round_to_round(make_cells, tmp_path):
    write_events(tmp_path, make_cells(("dual",), 1)[0])
    found = scalars(tmp_path)
    assert [step for step, _ in found["train/box"]] == list(range(50, 1201, 50))
    assert found["train/lr"][0][1] == pytest.approx(0.01 * (1 - 50 / 320))


def test_writing_a_round_again_leaves_every_point_once(make_cells, tmp_path):
    cell = make_cells(("dual",), 1)[0]
    rounds = cell.rounds
    for _ in range(3):
        write_events(tmp_path, cell)
    assert len(list(tmp_path.iterdir())) == len(rounds)
    assert len(scalars(tmp_path)["test/AP"]) == len(rounds)


def test_a_round_that_knows_little_is_written_too(tmp_path):
    log_round(tmp_path, made_round(0, {"select": {"items": []}, "evaluate": {"val": {"ap": None}, "test": None}}))
    assert scalars(tmp_path) == {}
    log_round(tmp_path, made_round(0, {"annotate": {"images": 5, "boxes": 9, "seconds": 60.0}}))
    assert scalars(tmp_path)["labelled/boxes"] == [(0, 9.0)]


class TestCooperation:
    @pytest.fixture
    def cell(self, make_cooperative):
        return make_cooperative()[0]

    def test_sources_are_counted(self, cell, tmp_path):
        write_events(tmp_path, cell)
        found = scalars(tmp_path)
        values = {name: [value for _, value in found[f"cooperation/{name}"]] for name in ("sl_boxes", "al_boxes", "sl_ratio")}
        assert values["sl_boxes"] == [0, 12, 24, 36]
        assert values["al_boxes"] == [40, 50, 60, 70]
        assert values["sl_ratio"] == pytest.approx([0, 12 / 62, 24 / 84, 36 / 106])
        assert found["cooperation/self_boxes"] == [(r, 15.0 * r) for r in range(4)]
        assert found["cooperation/sl_precision"][-1] == (3, pytest.approx(0.6))
        assert {"cooperation/self_images", "cooperation/sl_score", "cooperation/sl_recall"} <= found.keys()
        assert {"labelled/model_boxes", "labelled/by_hand_seconds", "lure/loss", "lure/mean_loss"} <= found.keys()

    def test_the_shift_of_ap_is_that_of_the_stopping_rule(self, cell, tmp_path):
        write_events(tmp_path, cell)
        aps = [r.evaluate.val_parts["original"]["ap"] for r in cell.rounds]
        shifts = scalars(tmp_path)["val/AP_shift"]
        assert [step for step, _ in shifts] == [1, 2, 3]
        assert [value for _, value in shifts] == pytest.approx([abs(b - a) / 2 for a, b in pairwise(aps)])

    def test_every_part_of_a_growing_val_has_its_curve(self, cell, tmp_path):
        write_events(tmp_path, cell)
        found = scalars(tmp_path)
        assert [step for step, _ in found["val_parts/original"]] == [0, 1, 2, 3]
        assert found["val_parts/round_3"] == [(3, pytest.approx(cell.rounds[3].evaluate.val_parts["round 3"]["ap"]))]

    def test_the_histogram_counts_every_image_asked(self, cell, tmp_path):
        write_events(tmp_path, cell)
        histograms = read(tmp_path).Histograms("cooperation/al_ratio")
        assert [event.step for event in histograms] == [0, 1, 2, 3]
        for event, one_round in zip(histograms, cell.rounds, strict=True):
            ratios, histogram = list(one_round.compose.al_ratio.values()), event.histogram_value
            assert (histogram.num, histogram.min, histogram.max) == (4, min(ratios), max(ratios))
            assert histogram.sum == pytest.approx(sum(ratios))
            assert sum(histogram.bucket) == 4 and len(histogram.bucket) == len(histogram.bucket_limit)
            inside = [limit for limit in histogram.bucket_limit if limit >= min(ratios)]
            assert inside[-1] >= max(ratios)
            for limit in histogram.bucket_limit:
                below = sum(n for n, top in zip(histogram.bucket, histogram.bucket_limit, strict=True) if top <= limit)
                assert below in (sum(r < limit for r in ratios), sum(r <= limit for r in ratios))

    def test_images_carry_boxes_in_the_colours_of_their_sources(self, cell, tmp_path):
        write_events(tmp_path, cell)
        events = read(tmp_path)
        assert sorted(events.Tags()["images"]) == [f"cooperation/image_{rank}" for rank in range(1, 5)]
        shown = events.Images("cooperation/image_1")
        assert [(event.step, event.width, event.height) for event in shown] == [(r, 96, 72) for r in range(4)]
        decoded = Image.open(io.BytesIO(shown[2].encoded_image_string))
        assert decoded.format == "JPEG" and decoded.size == (96, 72)
        plain = np.asarray(Image.open(cell.images["r2_3.png"]).convert("RGB"), int)
        assert np.abs(np.asarray(decoded, int) - plain).max() > 60  # outlines

    def test_no_more_images_than_a_page_holds_and_none_that_is_broken(self, cell, tmp_path):
        broken = tmp_path / "broken.png"
        broken.write_bytes(b"no picture")
        path, boxes, sources = (things["r3_0.png"] for things in (cell.images, cell.labels, cell.by_model))
        ids = [f"{i}.png" for i in range(20)]
        facts = {"compose": {"al_ratio": {image_id: 1 - i / 100 for i, image_id in enumerate(ids)}}}
        many = dataclasses.replace(
            cell,
            rounds=(made_round(0, facts),),
            images=dict.fromkeys(ids, path) | {"19.png": broken},
            labels=dict.fromkeys(ids, boxes),
            by_model=dict.fromkeys(ids, sources),
        )
        write_events(tmp_path / "logs", many)
        assert len(read(tmp_path / "logs").Tags()["images"]) == MOST_IMAGES - 1  # the easiest is one of them, and broken

    def test_a_study_labelled_by_hand_has_no_pictures(self, make_cells, tmp_path):
        write_events(tmp_path, make_cells(("dual",), 1)[0])
        tags = read(tmp_path).Tags()
        assert tags["images"] == tags["histograms"] == []
        assert not [tag for tag in tags["scalars"] if tag.startswith(("cooperation", "val_parts", "lure"))]

    def test_self_labels_of_the_pool_are_counted_though_a_person_drew_every_box(self, cell, tmp_path):
        mined = dataclasses.replace(cell, config={**cell.config, "ask": {"mode": "full"}, "policy": {"name": "ceal"}})
        write_events(tmp_path, mined)
        assert scalars(tmp_path)["cooperation/self_images"] == [(r, 7.0 * r) for r in range(4)]
        assert read(tmp_path).Tags()["images"] == read(tmp_path).Tags()["histograms"] == []
