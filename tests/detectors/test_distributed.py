"""Two real processes under torchrun with gloo against one process: same batches, same weights."""

import os
import subprocess
import sys
from pathlib import Path

import fit_dots
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
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", fit_dots.__file__]
    arguments = [*command, str(images), str(images / "rank")]
    done = subprocess.run(arguments, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return [torch.load(images / f"rank{rank}", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("training", ["norm", "resumed", "plain"])
def test_ranks_that_started_apart_end_equal(ranks, training):
    first, second = (found[training] for found in ranks)
    assert first
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_processes_train_as_one_on_the_same_global_batch(ranks, images, tmp_path):
    alone = fit_dots.fit(images, tmp_path / "alone.pt", norm=False, rank=0)  # BatchNorm sees half the batch on each rank
    for name in alone:
        if not name.startswith("head."):  # the head ranks the pairs of its own rank
            torch.testing.assert_close(ranks[0]["plain"][name], alone[name], rtol=1e-5, atol=1e-5)


def test_a_finished_checkpoint_gives_every_rank_the_same_weights_again(ranks):
    for found in ranks:
        assert all(torch.equal(found["norm"][name], found["resumed"][name]) for name in found["norm"])


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
