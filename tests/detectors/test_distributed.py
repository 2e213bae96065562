"""Real processes that train together by gloo against one process: same batches, losses and weights, also where one is killed.

They are forked and find each other by the variables that torchrun sets, which saves its own imports and those of each rank, five seconds a
process. A training that torchrun itself starts is in cli/test_cli_studies.py.
"""

import os
import random
import shutil
import signal
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import fit_dots
import fit_textures
import processes
import pytest
import torch
from dot_network import dot_samples
from torch import nn

from boxwise.detectors.distributed import Ranks, join
from boxwise.errors import BoxwiseError

pytestmark = pytest.mark.slow

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dots")
    dot_samples(folder, count=6)
    return folder


@pytest.fixture(scope="module")
def ranks(images) -> list[dict[str, Weights]]:
    """What each of two ranks ended with: with BatchNorm, resumed from that one's checkpoint, and without BatchNorm."""
    return results(2, images, images / "rank", script=fit_dots.__file__)


@pytest.mark.parametrize("training", ["norm", "resumed", "plain"])
def test_ranks_that_started_apart_end_equal(ranks, training):
    first, second = (found[training] for found in ranks)
    assert first
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_processes_train_as_one_on_the_same_global_batch(ranks, images, tmp_path):
    alone = fit_dots.fit(images, tmp_path / "alone.pt", norm=False, rank=0)  # BatchNorm sees half the batch on each rank
    for name in alone:
        torch.testing.assert_close(ranks[0]["plain"][name], alone[name], rtol=1e-5, atol=1e-5)


def test_a_finished_checkpoint_gives_every_rank_the_same_weights_again(ranks):
    for found in ranks:
        assert all(torch.equal(found["norm"][name], found["resumed"][name]) for name in found["norm"])


def free_port() -> int:
    """A port that the system gives to nobody who asks for any."""
    while True:
        with socket.socket() as tried:
            port = random.randrange(20_000, 32_000)
            if tried.connect_ex(("127.0.0.1", port)):
                return port


def together(world: int, images: Path, result: Path, *arguments: object, script: str = fit_textures.__file__) -> list[BaseProcess]:
    """Processes that train as the ranks of one training; what each says is in `result` with its rank and ".log"."""
    group = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    return [
        processes.start(script, images, result, *arguments, err=f"{result}{rank}.log", env=os.environ | group | {"RANK": str(rank)})
        for rank in range(world)
    ]


def ended(running: list[BaseProcess], result: Path) -> list[int | None]:
    """The exit code of each; fails with what they said where one does not end."""
    for process in running:
        process.join(300)
    codes = [process.exitcode for process in running]
    assert None not in codes, [Path(f"{result}{rank}.log").read_text() for rank in range(len(codes))]
    return codes


def results(world: int, images: Path, result: Path, *arguments: object, script: str = fit_textures.__file__) -> list[Any]:
    """What each rank has written down: the loss of every step, unless another script says otherwise."""
    codes = ended(together(world, images, result, *arguments, script=script), result)
    assert codes == [0] * world, [Path(f"{result}{rank}.log").read_text() for rank in range(world)]
    return [torch.load(f"{result}{rank}", weights_only=True) for rank in range(world)]


@pytest.fixture(scope="module")
def textures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("textures")
    fit_textures.textured_samples(folder)
    return folder


@pytest.fixture(scope="module")
def one_process(textures) -> list[float]:
    losses = fit_textures.fit(textures)
    assert len(losses) == fit_textures.STEPS and losses[-1] < 0.8 * losses[0]
    return losses


@pytest.mark.parametrize(("world", "pieces"), [(2, 1), (4, 1), (2, 2)])
def test_a_detector_s_loss_curve_is_that_of_one_process_on_the_same_global_batch(textures, one_process, tmp_path, world, pieces):
    for losses in results(world, textures, tmp_path / "rank", pieces):
        assert losses == pytest.approx(one_process, abs=1e-4)


@pytest.mark.parametrize("pieces", [2, 8])
def test_a_batch_in_pieces_is_the_batch(textures, one_process, pieces):
    assert fit_textures.fit(textures, pieces=pieces) == pytest.approx(one_process, abs=1e-4)


def test_a_training_goes_on_after_a_killed_rank(textures, one_process, tmp_path):
    running = together(2, textures, tmp_path / "rank", 1, "--slow")
    deadline = monotonic() + 120
    while not (tmp_path / "rank.pt").exists():
        assert all(process.is_alive() for process in running) and monotonic() < deadline
        sleep(0.01)
    running[1].kill()
    left, killed = ended(running, tmp_path / "rank")
    assert killed == -signal.SIGKILL and left != 0 and not (tmp_path / "rank0").exists()
    begun = torch.load(tmp_path / "rank.pt", weights_only=True)["state"]["position"]["step"]
    assert 0 < begun < fit_textures.STEPS
    shutil.copy(tmp_path / "rank.pt", tmp_path / "alone.pt")
    for losses in results(2, textures, tmp_path / "rank", 1):
        assert losses == pytest.approx(one_process, abs=1e-4)
    assert fit_textures.fit(textures, pieces=2, checkpoint=tmp_path / "alone.pt") == pytest.approx(one_process, abs=1e-4)


STALE = """
import sys
from pathlib import Path
import fit_textures
from boxwise.config import DetectorConfig, TrainConfig
from boxwise.registry import build_detector
from boxwise.errors import StaleCheckpointError
import torch

samples, rounds = fit_textures.textured_samples(Path(sys.argv[1]), write=False), []
for seed in (0, 1):
    config = DetectorConfig(name="tiny_ssd", imgsz=96, pretrained="none")
    detector = build_detector(("even", "odd"), config, seed=0, device=torch.device("cpu"))
    train = TrainConfig(min_steps=2, max_steps=2, batch=8)
    try:
        detector.fit(samples, [], train, seed=seed, checkpoint=Path(sys.argv[2]))
    except StaleCheckpointError:
        Path(sys.argv[2]).unlink(missing_ok=True)
        rounds.append(detector.fit(samples, [], train, seed=seed, checkpoint=Path(sys.argv[2])).steps)
assert rounds == [2], rounds
"""


def test_a_checkpoint_of_another_training_is_started_over_on_every_rank(textures, tmp_path):
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    logs = [tmp_path / f"{rank}.log" for rank in range(2)]
    folder = str(Path(fit_textures.__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r})\n{STALE}"
    running = [
        processes.start("-c", code, textures, tmp_path / "checkpoint.pt", err=log, env=os.environ | group | {"RANK": str(rank)})
        for rank, log in enumerate(logs)
    ]
    for process in running:
        process.join(100)
    assert [process.exitcode for process in running] == [0, 0], [log.read_text() for log in logs]


def test_a_part_of_what_torchrun_sets_is_a_message(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(BoxwiseError, match=r"^WORLD_SIZE=2: expected all that torchrun sets, or none of it\. .*RANK"):
        join(torch.device("cpu"))


def test_alone_every_collective_leaves_things_as_they_are():
    ranks, layer = join(torch.device("cpu")), nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    ranks.average([layer.weight])
    ranks.copy_first(layer)
    assert ranks == Ranks(0, 1)
    assert ranks.first
    assert torch.equal(before, layer.weight)
    assert ranks.from_first("same") == "same"


def test_shares_are_equal_and_cover_the_batch():
    assert [list(Ranks(rank, 3).share(6)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(BoxwiseError, match=r"train\.batch=7 .*multiple of 3"):
        Ranks(0, 3).share(7)
    with pytest.raises(BoxwiseError, match=r"train\.batch=6 .*train\.accumulate=4 pieces each\. Expected a multiple of 12"):
        Ranks(0, 3).share(6, 4)
