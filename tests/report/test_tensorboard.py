import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from boxwise.report.facts import Round
from boxwise.report.tensorboard import log_round, write_scalars


def scalars(logdir):
    events = EventAccumulator(str(logdir), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_figures_stand_at_their_round(make_cells, tmp_path):
    rounds = make_cells(("dual",), 1)[0].rounds
    write_scalars(tmp_path, rounds)
    found = scalars(tmp_path)
    assert [step for step, _ in found["test/AP"]] == [0, 1, 2, 3]
    assert [value for _, value in found["test/AP"]] == pytest.approx([r.facts["evaluate"]["test"]["ap"] for r in rounds])
    assert [value for _, value in found["labelled/images"]] == [20, 40, 60, 80]
    assert [step for step, _ in found["fidelity/expected"]] == [1, 2, 3]
    assert "fidelity/learned" not in found
    assert {"val/AP", "val/AP50", "val/AP75", "labelled/boxes", "labelled/seconds", "weights/alpha"} <= found.keys()


def test_training_steps_run_on_from_round_to_round(make_cells, tmp_path):
    write_scalars(tmp_path, make_cells(("dual",), 1)[0].rounds)
    found = scalars(tmp_path)
    assert [step for step, _ in found["train/box"]] == list(range(50, 1201, 50))
    assert found["train/lr"][0][1] == pytest.approx(0.01 * (1 - 50 / 320))


def test_writing_a_round_again_leaves_every_point_once(make_cells, tmp_path):
    rounds = make_cells(("dual",), 1)[0].rounds
    for _ in range(3):
        write_scalars(tmp_path, rounds)
    assert len(list(tmp_path.iterdir())) == len(rounds)
    assert len(scalars(tmp_path)["test/AP"]) == len(rounds)


def test_a_round_that_knows_little_is_written_too(tmp_path):
    log_round(tmp_path, Round(0, {"select": {"items": []}, "evaluate": {"val": {"ap": None}, "test": None}}))
    assert scalars(tmp_path) == {}
    log_round(tmp_path, Round(0, {"annotate": {"images": 5, "boxes": 9, "seconds": 60.0}}))
    assert scalars(tmp_path)["labelled/boxes"] == [(0, 9.0)]
