"""What the training loop promises: learning, determinism, exact resumption, the right weights at the end."""

import itertools
import math
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import fit_dots
import processes
import pytest
import torch
from dot_network import DotNetwork, LossHead, dot_samples

from boxwise.boxes import Boxes
from boxwise.config import TrainConfig
from boxwise.detectors.base import FitReport
from boxwise.detectors.training import fit_network
from boxwise.errors import BoxwiseError, StudyError
from boxwise.records import ImageRecord, Sample

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
Options = dict[str, Any]


def settings(**changes: Any) -> TrainConfig:
    return TrainConfig(**({"epochs": 1, "min_steps": 24, "max_steps": 24, "batch": 4, "warmup_steps": 4, "lr": 0.02} | changes))


def fit(network: DotNetwork, samples: list[Sample], config: TrainConfig, **options: Any) -> FitReport:
    defaults: Options = {"head": None, "val": [], "seed": 0}
    options = defaults | options
    return fit_network(network, options.pop("head"), samples, options.pop("val"), config, device=CPU, **options)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(name == other and torch.equal(x, y) for (name, x), (other, y) in pairs)


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[Sample]:
    return dot_samples(tmp_path_factory.mktemp("dots"), count=10)


class TestLearning:
    def test_the_loss_falls(self, samples):
        report = fit(DotNetwork(dropout=0), samples, settings(max_steps=150, min_steps=150, augment="flip", lr=0.05))
        losses = [entry["loss"] for entry in report.history]
        assert losses[-1] < losses[0] / 3
        assert report.steps == 150
        assert report.images_per_second > 0
        assert not report.stopped_early

    @pytest.mark.parametrize(
        ("optimizer", "schedule"), list(itertools.product(["sgd", "adamw"], ["cosine", "multistep", "onecycle", "constant"]))
    )
    def test_every_optimizer_and_schedule_trains(self, samples, optimizer, schedule):
        network, before = DotNetwork(), DotNetwork()
        fit(network, samples, settings(optimizer=optimizer, schedule=schedule, max_steps=3, min_steps=3))
        assert not same_weights(network, before)

    def test_fewer_images_than_a_batch_and_none(self, samples):
        assert fit(DotNetwork(), samples[:2], settings(batch=7, max_steps=3, min_steps=1)).steps == 1
        assert fit(DotNetwork(), samples[4:5], settings(max_steps=3, min_steps=3)).steps == 3
        with pytest.raises(StudyError, match="found 0"):
            fit(DotNetwork(), [], settings())

    def test_modes_and_the_global_generator_are_left_as_they_were(self, samples):
        network = DotNetwork().eval()
        network.dropout.train()
        state = torch.get_rng_state()
        fit(network, samples, settings(max_steps=2, min_steps=2))
        assert not network.training
        assert not network.norm.training
        assert network.dropout.training
        assert torch.equal(state, torch.get_rng_state())

    def test_progress_tells_step_terms_lr_and_speed(self, samples):
        calls: list[tuple[int, int, dict[str, float]]] = []
        fit(DotNetwork(), samples, settings(), progress=lambda *call: calls.append(call), head=LossHead(8 * 49, 1))
        assert [step for step, _, _ in calls] == [1, 10, 20, 24]
        assert all(total == 24 for _, total, _ in calls)
        assert {"lr", "loss", "box", "weight", "ranking", "images_per_second"} == set(calls[-1][2])


class TestDeterminism:
    @pytest.mark.parametrize("change", [{"cache_mb": 0}, {"workers": 2}, {}])
    def test_equal_seeds_give_equal_weights_however_images_are_loaded(self, samples, change):
        networks = [DotNetwork(), DotNetwork()]
        fit(networks[0], samples, settings(augment="ssd"))
        workers = change.pop("workers", 0)
        fit(networks[1], samples, settings(augment="ssd", **change), workers=workers)
        assert same_weights(*networks)

    def test_another_seed_gives_others(self, samples):
        networks = [DotNetwork(), DotNetwork()]
        for seed, network in enumerate(networks):
            fit(network, samples, settings(), seed=seed)
        assert not same_weights(*networks)

    def test_the_head_changes_no_bit_of_the_network(self, samples):
        config, networks = settings(clip_norm=0.01), [DotNetwork(), DotNetwork()]
        head = LossHead(8 * 49, 1)
        before = head.weight.detach().clone()
        fit(networks[0], samples, config)
        fit(networks[1], samples, config, head=head)
        assert same_weights(*networks)
        assert not torch.equal(before, head.weight)


class KilledError(Exception):
    """Stands for a crash inside the progress callback."""


def killer(at: int) -> Callable[..., None]:
    def progress(step: int, *_: Any) -> None:
        if step >= at:
            raise KilledError

    return progress


class TestResuming:
    @pytest.mark.parametrize(
        "changes",
        [
            {"ema": 0.9},
            {"optimizer": "adamw", "schedule": "onecycle"},
            {"val_every": 4, "ap_range": 3, "ap_shift": 1e-9, "ema": 0.5},
            {"val_every": 2, "max_steps": 40, "epochs": 99},
        ],
    )
    def test_a_killed_and_resumed_training_equals_an_unbroken_one(self, samples, tmp_path, changes):
        config = settings(checkpoint_every=7, augment="ssd", **changes)
        results = []
        for name, stops in (("unbroken", []), ("killed", [10, 20])):
            path = tmp_path / f"{name}.pt"
            for stop in stops:
                with pytest.raises(KilledError):
                    self._run(samples, config, path, progress=killer(stop))
            results.append((*self._run(samples, config, path), torch.load(path, weights_only=True)["state"]))
        (a, head_a, report_a, state_a), (b, head_b, report_b, state_b) = results
        assert same_weights(a, b)
        assert same_weights(head_a, head_b)
        assert report_a.history == report_b.history
        assert report_a.best_ap == report_b.best_ap
        assert all(state["position"].pop("seconds") > 0 for state in (state_a, state_b))  # of the clock
        assert _equal(state_a, state_b)

    def _run(self, samples: list[Sample], config: TrainConfig, path: Path, **options: Any) -> tuple[DotNetwork, LossHead, FitReport]:
        torch.manual_seed(0)
        network, head = DotNetwork(), LossHead(8 * 49, 1)
        torch.manual_seed(time.perf_counter_ns())  # whatever the process drew before must not matter
        report = fit(network, samples, config, head=head, val=samples[:1], evaluate=lambda: _ap(network), checkpoint=path, **options)
        return network, head, report

    def test_a_finished_checkpoint_returns_at_once_with_the_same_result(self, samples, tmp_path):
        config, networks = settings(ema=0.9), [DotNetwork(), DotNetwork()]
        first = fit(networks[0], samples, config, checkpoint=tmp_path / "c.pt")
        again = fit(networks[1], samples, config, checkpoint=tmp_path / "c.pt", progress=killer(0))
        assert same_weights(*networks)
        assert again.history == first.history

    def test_what_was_spent_before_a_kill_is_told(self, samples, tmp_path):
        path = tmp_path / "c.pt"
        first = fit(DotNetwork(), samples, settings(), checkpoint=path)
        content = torch.load(path, weights_only=True)
        content["state"]["position"]["seconds"] += 60
        torch.save(content, path)
        again = fit(DotNetwork(), samples, settings(), checkpoint=path)
        assert first.seconds_before == 0 and 60 < again.seconds_before < 120

    def test_sigkill_in_the_middle(self, tmp_path):
        """A real process, killed by the kernel once it has written a checkpoint; then the training goes on in this one."""
        images = tmp_path / "images"
        images.mkdir()
        dot_samples(images, count=6)
        victim = processes.start(fit_dots.__file__, images, tmp_path / "killed", "--slow", env=os.environ | {"OMP_NUM_THREADS": "1"})
        self._await(tmp_path / "killed.pt", victim)
        victim.kill()
        victim.join(60)
        assert victim.exitcode == -signal.SIGKILL
        assert 0 < torch.load(tmp_path / "killed.pt", weights_only=True)["state"]["position"]["step"] < 40
        resumed = fit_dots.fit(images, tmp_path / "killed.pt", norm=True, rank=0)
        unbroken = fit_dots.fit(images, tmp_path / "unbroken.pt", norm=True, rank=0)
        assert unbroken
        assert _equal(resumed, unbroken)
        a, b = (torch.load(tmp_path / name, weights_only=True) for name in ("killed.pt", "unbroken.pt"))
        assert all(found["state"]["position"].pop("seconds") > 0 for found in (a, b))  # of the clock
        assert _equal(a, b)

    def _await(self, path: Path, process: BaseProcess) -> None:
        deadline = time.monotonic() + 60
        while not path.exists():
            assert process.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_another_trainings_checkpoint_is_refused(self, samples, tmp_path):
        fit(DotNetwork(), samples, settings(), checkpoint=tmp_path / "c.pt")
        with pytest.raises(StudyError, match=r"another training.*\nseed"):
            fit(DotNetwork(), samples, settings(), seed=1, checkpoint=tmp_path / "c.pt")


def _ap(network: DotNetwork) -> float:
    """A number that depends on the weights in the network now."""
    return float(network.centre.weight.detach().abs().mean())


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


class TestEvaluation:
    """`evaluate` plays a list of APs and notes the weights it saw."""

    def run(self, samples: list[Sample], aps: list[float], **changes: Any) -> tuple[DotNetwork, FitReport, list[torch.Tensor]]:
        network, seen, script = DotNetwork(), [], iter(aps)

        def evaluate() -> float:
            seen.append(network.centre.weight.detach().clone())
            return next(script)

        return network, fit(network, samples, settings(**changes), val=samples[:2], evaluate=evaluate), seen

    def test_the_best_evaluated_weights_are_kept(self, samples):
        network, report, seen = self.run(samples, [0.1, 0.5, 0.3], val_every=8)
        assert torch.equal(network.centre.weight, seen[1])
        assert report.best_ap == 0.5
        assert [entry["ap"] for entry in report.history if "ap" in entry] == [0.1, 0.5, 0.3]

    @pytest.mark.parametrize("aps", [[0.0, 0.0, 0.0], [0.2, 0.1, 0.2], [float("nan"), 0.1, 0.2]])
    def test_the_latest_among_equals_and_nan_never(self, samples, aps):
        network, _, seen = self.run(samples, aps, val_every=8)
        assert torch.equal(network.centre.weight, seen[2])

    def test_val_that_no_longer_rises_ends_the_training_after_the_rate_has_fallen(self, samples):
        aps = [0.1, 0.3, *[0.3] * 40]
        network, report, seen = self.run(samples, aps, val_every=4, min_steps=8, max_steps=200, epochs=1000, schedule="plateau")
        rates = [entry["lr"] for entry in report.history if "lr" in entry]
        assert report.steps < 80
        assert rates[-1] < 0.2 * max(rates)
        assert torch.equal(network.centre.weight, seen[-1])

    def test_val_that_rises_takes_all_steps_and_better_earlier_weights_are_kept(self, samples):
        aps = [0.01 * n for n in range(1, 25)] + [0.1]
        network, report, seen = self.run(samples, aps, val_every=4, min_steps=8, max_steps=100, epochs=1000, schedule="plateau")
        assert report.steps == 100
        assert report.best_ap == pytest.approx(0.24)
        assert torch.equal(network.centre.weight, seen[23])

    def test_twice_the_length_is_twice_the_steps(self, samples):
        aps, options = [0.1, 0.3, *[0.3] * 80], {"val_every": 4, "min_steps": 8, "max_steps": 200, "epochs": 1000, "schedule": "plateau"}
        once, twice = (self.run(samples, aps, **options, length=length)[1].steps for length in (1.0, 2.0))
        assert twice == pytest.approx(2 * once, abs=1)

    def test_a_shorter_one_has_its_fall_of_the_rate_as_well(self, samples):
        aps, options = [0.1, 0.3, *[0.3] * 80], {"val_every": 4, "min_steps": 8, "max_steps": 200, "epochs": 1000, "schedule": "plateau"}
        rates = [entry["lr"] for entry in self.run(samples, aps, **options, length=0.5)[1].history if "lr" in entry]
        assert rates[-1] < 0.2 * max(rates)

    def test_the_loss_head_goes_with_the_weights_that_are_kept(self, samples):
        heads, script = [], iter([0.1, 0.9, 0.2])
        network, head = DotNetwork(), LossHead(8 * 49, 1)

        def evaluate() -> float:
            heads.append(head.weight.detach().clone())
            return next(script)

        fit(network, samples, settings(val_every=8), head=head, val=samples[:2], evaluate=evaluate)
        assert torch.equal(head.weight, heads[1]) and not torch.equal(heads[1], heads[2])

    def test_ap_shift_stops_and_restores_the_best_of_its_window(self, samples):
        network, report, seen = self.run(samples, [0.1, 0.9, 0.50, 0.52, 0.51, 0.7], val_every=4, ap_range=3, ap_shift=0.02)
        assert report.stopped_early
        assert report.steps == 20
        assert torch.equal(network.centre.weight, seen[3])
        assert report.best_ap == 0.52

    def test_without_val_every_the_last_weights_are_kept_and_evaluated_once(self, samples):
        network, report, seen = self.run(samples, [0.4])
        assert len(seen) == 1
        assert torch.equal(network.centre.weight, seen[0])
        assert report.best_ap == 0.4

    def test_averaged_weights_are_evaluated_and_kept(self, samples):
        plain, averaged = DotNetwork(), DotNetwork()
        fit(plain, samples, settings(ema=0.0))
        fit(averaged, samples, settings(ema=0.9))
        assert not torch.allclose(plain.centre.weight, averaged.centre.weight)
        network, _, seen = self.run(samples, [0.4], ema=0.9)
        assert torch.equal(seen[0], averaged.centre.weight)
        assert torch.equal(network.centre.weight, averaged.centre.weight)

    def test_without_val_nothing_is_evaluated(self, samples):
        assert fit(DotNetwork(), samples, settings(val_every=4), evaluate=lambda: 1 / 0).best_ap is None


class Exploding(DotNetwork):
    """NaN activations in the forward passes named in `bad`, counted from 0."""

    bad: frozenset[int] = frozenset()
    passes = 0

    def forward(self, pixels: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        number, self.passes = self.passes, self.passes + 1
        centres, features = super().forward(pixels * math.nan if number in self.bad else pixels, valid)
        return centres, features


class TestDivergence:
    def network(self, bad: range) -> Exploding:
        network = Exploding()
        network.passes, network.bad = 0, frozenset(bad)
        return network

    def test_steps_without_a_finite_loss_are_skipped_and_counted(self, samples):
        network = self.network(range(3, 12))
        report = fit(network, samples, settings(ema=0.9))
        assert report.history[-1]["skipped_steps"] == 9
        assert all(torch.isfinite(value).all() for value in network.state_dict().values())

    def test_ten_in_a_row_end_it_naming_the_learning_rate(self, samples):
        with pytest.raises(BoxwiseError, match=r"10 steps in a row.*train\.lr \(now 0\.02\)"):
            fit(self.network(range(3, 13)), samples, settings())


class TestUnreadableImages:
    def test_are_replaced_and_named(self, samples, tmp_path):
        bad = tmp_path / "bad.png"
        bad.write_bytes(b"nothing")
        broken = [*samples[:3], Sample(ImageRecord("bad", bad, 40, 40), Boxes.empty())]
        assert "bad.png" in fit(DotNetwork(), broken, settings()).unreadable["bad"]
        with pytest.raises(StudyError, match="None of the 1 training images"):
            fit(DotNetwork(), broken[3:], settings())
