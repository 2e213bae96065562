"""The training loop: a plain one, resumable bit for bit, on one process or on several under torchrun.

Returns a FitReport and leaves the chosen weights in the network. Knows nothing of scores, studies or what val's AP is
computed from: `evaluate` is a function that it calls.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from boxwise.config import TrainConfig
from boxwise.detectors.backward import backward
from boxwise.detectors.base import FitReport
from boxwise.detectors.checkpoints import identity, read_checkpoint, write_checkpoint
from boxwise.detectors.distributed import Ranks, join
from boxwise.detectors.loading import in_order
from boxwise.detectors.network import Network
from boxwise.detectors.optimization import (
    AveragedWeights,
    clip,
    gradients,
    learning_rate,
    make_optimizer,
)
from boxwise.detectors.recipe import COOLDOWN, settled, training_steps
from boxwise.detectors.training_data import TrainingBatch, TrainingBatches
from boxwise.errors import BoxwiseError, ConfigError, StudyError, plural
from boxwise.evaluation.stopping import ApShift, has_stopped_rising
from boxwise.records import Sample

Evaluate = Callable[[], float]
Progress = Callable[[int, int, dict[str, float]], None]
Weights = dict[str, dict[str, Tensor]]  # of the network and, where there is one, of the loss head

_LOG_EVERY = 10  # steps
_MOST_BAD_STEPS = 10  # in a row, before the training is given up
_ONE_VALUE = "Expected more than 1 value per channel"  # how torch says that a BatchNorm has nothing to take a variance of
_AS_GOOD = 0.01  # AP below the best evaluation at which later weights are kept still: the learning rate has fallen for them


def fit_network(
    network: Network,
    loss_head: nn.Module | None,
    train: Sequence[Sample],
    val: Sequence[Sample],
    config: TrainConfig,
    *,
    evaluate: Evaluate | None = None,
    seed: int,
    device: torch.device,
    workers: int = 0,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> FitReport:
    """Train `network` (and `loss_head` on its features) in place on `device`; both end in the mode they came in.

    Every draw is a function of (seed, step, position), so a training killed and resumed from `checkpoint` ends with the
    weights of an unbroken one. `evaluate()` returns val's AP with the weights that are in the network when it is called;
    it is called every `config.val_every` steps and after the last, if `val` is not empty. Schedule "plateau": when AP has stopped rising
    the learning rate falls, and that was the training; the last weights are kept unless earlier ones were better by more than .01 AP.
    With another schedule and `val_every` the best evaluated weights are kept (when AP shift stops the training, the best of its
    window), without it the last. EMA weights, if any, are the ones evaluated and kept; the loss head's go with the network's.
    `progress(step, steps, numbers)` comes every ten steps on rank 0; `steps` is the most there can be until the length is known.

    `checkpoint` is written every `config.checkpoint_every` steps and at the end; a finished one returns at once. The
    caller removes it. Raises StudyError for an empty training set or another training's checkpoint, BoxwiseError when
    ten steps in a row have no finite loss.
    """
    if not train:
        raise StudyError("No image to train on. Expected at least one labelled image in the train split, found 0.")
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    ranks = join(device)
    ranks.copy_first(network)
    if loss_head is not None:
        ranks.copy_first(loss_head.to(device))
    with _training_mode(network, loss_head), torch.random.fork_rng([device] if device.type == "cuda" else []):
        config = settled(config, network.recipe, val_images=len(val) if evaluate is not None else 0)
        training = _Training(network, loss_head, config, device=device, ranks=ranks, seed=seed, most=training_steps(len(train), config))
        training.evaluate = evaluate if val else None
        if checkpoint is not None:
            training.resume(checkpoint, identity(network, train, val, config, seed))
        batches = _batches(network, train, config, ranks=ranks, seed=seed, workers=workers)
        training.run(batches, workers=workers, progress=progress if ranks.first else None)
        return training.finish()


def _batches(network: Network, train: Sequence[Sample], config: TrainConfig, *, ranks: Ranks, seed: int, workers: int) -> TrainingBatches:
    assert config.augment != "auto"  # settled
    return TrainingBatches(
        train,
        batch=config.batch,
        share=ranks.share(config.batch, config.accumulate),
        spec=network.input,
        augment=config.augment,
        seed=seed,
        cache_mb=config.cache_mb / max(1, workers),  # every worker process has a cache of its own
    )


@contextmanager
def _training_mode(*modules: nn.Module | None) -> Iterator[None]:
    """Train mode inside, each module's own mode restored after."""
    present = [module for module in modules if module is not None]
    before = [[(part, part.training) for part in module.modules()] for module in present]
    for module in present:
        module.train()
    try:
        yield
    finally:
        for parts in before:
            for part, mode in parts:
                part.training = mode


@dataclass
class _Position:
    """How far a training is: all that a checkpoint carries beside tensors."""

    step: int = 0
    steps: int = 0  # in all, as far as is known; 0: not begun
    stopped: bool = False
    bad_steps: int = 0
    bad_in_a_row: int = 0
    aps: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class _Training:
    """One training under way: the network, what updates it, and how far it is."""

    def __init__(
        self,
        network: Network,
        loss_head: nn.Module | None,
        config: TrainConfig,
        *,
        device: torch.device,
        ranks: Ranks,
        seed: int,
        most: int,
    ) -> None:
        self.network, self.loss_head, self.config = network, loss_head, config
        self.device, self.ranks, self.seed, self.most = device, ranks, seed, most
        self.evaluate: Evaluate | None = None
        self.optimizer = make_optimizer(network, loss_head, config)
        self.parts = {"network": network} | ({} if loss_head is None else {"loss_head": loss_head})
        self.ema = AveragedWeights(self.parts.values(), config.ema) if config.ema else None
        self.at = _Position(steps=most)
        self.best: dict[int, Weights] = {}  # index of an evaluation → its weights, on the CPU
        self.checkpoint: Path | None = None
        self.identity: dict[str, str] = {}
        self._statistics = [b for b in network.buffers() if b.is_floating_point()]
        self._statistics_before = [b.clone() for b in self._statistics]
        self._images, self._seconds = 0, 0.0
        self._began, self._seconds_before = time.perf_counter(), 0.0

    def run(self, batches: TrainingBatches, *, workers: int, progress: Progress | None) -> None:
        """Step until the last step or the early stop."""
        if self.at.stopped or self.at.step >= self.at.steps:
            return
        started = time.perf_counter()
        keys = range(self.at.step, self.most)  # those past an earlier end are not asked for
        for batch in in_order(batches, keys, workers=workers, pin=self.device.type == "cuda"):
            numbers = self.train_step(batch)
            self._images += self.config.batch
            self._seconds += time.perf_counter() - started
            self._report(numbers, progress)
            self._evaluate_if_due()
            finished = self.at.stopped or self.at.step >= self.at.steps
            if finished or self.at.step % self.config.checkpoint_every == 0:
                self.save()
            if finished:
                return
            started = time.perf_counter()

    def train_step(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """One update; returns the loss terms. A step without a finite loss or gradient updates nothing and is counted."""
        self._seed(_step_seed(self.seed, self.at.step, self.ranks.rank))
        self._set_learning_rate()
        _copy(self._statistics, self._statistics_before)
        terms, per = self._backward(batch)
        self._take(terms, per)
        self.optimizer.zero_grad(set_to_none=True)
        self.at.step += 1
        self.at.unreadable.update(batch.unreadable)
        return terms

    def _seed(self, seed: int) -> None:
        """Seed what the step draws from. Not torch.manual_seed: without a GPU that keeps a stack trace of every call, for ever."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(seed)

    def _backward(self, batch: TrainingBatch) -> tuple[dict[str, Tensor], Tensor | None]:
        amp, pieces = self.config.amp, self.config.accumulate
        try:
            return backward(self.network, self.loss_head, batch, device=self.device, amp=amp, pieces=pieces, ranks=self.ranks)
        except ValueError as error:
            if _ONE_VALUE not in str(error):
                raise
            raise ConfigError(
                f"train.batch={self.config.batch} over {plural(self.ranks.world, 'process')} in train.accumulate={pieces} pieces is "
                f"{plural(len(batch.targets) // pieces, 'image')} at once: too few for this detector's BatchNorm. Give a larger "
                "train.batch, fewer pieces or fewer processes."
            ) from error

    def _take(self, terms: dict[str, Tensor], per: Tensor | None) -> None:
        """Update the weights with the gradients at hand, if they and the loss are finite on every process. per: see `backward`."""
        grads = list(gradients(self.network))
        head_grads = [] if self.loss_head is None else list(gradients(self.loss_head))
        self.ranks.average([*grads, *head_grads, *terms.values()], of=per)
        limit = self.config.clip_norm or 0.0
        norm = clip(grads, limit)
        if not (math.isfinite(norm) and math.isfinite(float(terms["loss"]))):
            return self._skip(float(terms["loss"]))
        if head_grads:
            clip(head_grads, limit)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update()
        self.at.bad_in_a_row = 0
        return None

    def _skip(self, loss: float) -> None:
        _copy(self._statistics_before, self._statistics)  # BatchNorm has seen the bad activations already
        self.at.bad_steps += 1
        self.at.bad_in_a_row += 1
        if self.at.bad_in_a_row >= _MOST_BAD_STEPS:
            raise BoxwiseError(
                f"Training diverged: {_MOST_BAD_STEPS} steps in a row up to step {self.at.step + 1} had no finite loss or gradient "
                f"(last loss {loss}). Expected finite numbers; lower train.lr (now {self.config.lr}) or raise train.warmup_steps."
            )

    def _set_learning_rate(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["scale"] * learning_rate(self.at.step, self.at.steps, self.config)

    def _report(self, terms: dict[str, Tensor], progress: Progress | None) -> None:
        if self.at.step % _LOG_EVERY and self.at.step not in (1, self.at.steps):
            return
        numbers = {"lr": self.optimizer.param_groups[0]["lr"]} | {name: float(value) for name, value in terms.items()}
        if self.at.bad_steps:
            numbers["skipped_steps"] = float(self.at.bad_steps)
        self.at.history.append({"step": float(self.at.step)} | numbers)
        if progress is not None:
            progress(self.at.step, self.at.steps, numbers | {"images_per_second": self.images_per_second})

    @property
    def images_per_second(self) -> float:
        return self._images / self._seconds if self._seconds else 0.0

    def _evaluate_if_due(self) -> None:
        last, evaluate = self.at.step >= self.at.steps, self.evaluate
        every = self.config.val_every
        if evaluate is None or not (last or (every and self.at.step % every == 0)):
            return
        with self._kept_weights():
            self._judge(self.ranks.done_by_first(lambda: float(evaluate())))
        self.network.train()

    @contextmanager
    def _kept_weights(self) -> Iterator[None]:
        """Inside, the network has the weights that would be kept now: equal on all processes, averaged over steps if asked."""
        self.ranks.average(self._statistics)
        if self.ema is not None:
            self.ema.swap()
        try:
            yield
        finally:
            if self.ema is not None:
                self.ema.swap()

    def _judge(self, ap: float) -> None:
        """Record an evaluation, keep its weights if they may be wanted, and decide whether to stop."""
        self.at.aps.append(ap)
        self.at.history.append({"step": float(self.at.step), "ap": ap})
        self._end_if_settled()
        shift = ApShift(self.config.ap_range, self.config.ap_shift, self.at.aps)
        self.at.stopped = shift.should_stop
        if not self.config.val_every:
            return
        window = range(len(self.at.aps) - (self.config.ap_range if self.config.ap_shift else 0), len(self.at.aps))
        wanted = {_best(self.at.aps), len(self.at.aps) - 1, *window}
        self.best = {index: weights for index, weights in self.best.items() if index in wanted}
        if len(self.at.aps) - 1 in wanted:
            self.best[len(self.at.aps) - 1] = {name: _copied(part) for name, part in self.parts.items()}

    def _end_if_settled(self) -> None:
        """Once AP on val has stopped rising, the learning rate falls over what is then the last fifth of the training."""
        open_end = self.config.schedule == "plateau" and self.at.step < (1 - COOLDOWN) * self.at.steps and self.at.steps == self.most
        if open_end and self.at.step >= self.config.min_steps * (1 - COOLDOWN):
            evaluations = [(int(entry["step"]), entry["ap"]) for entry in self.at.history if "ap" in entry]
            if has_stopped_rising(evaluations, self.config.patience):
                longer = max(1.0, self.config.length)  # a shorter one has its fall as well
                self.at.steps = min(self.most, round(longer * self.at.step / (1 - COOLDOWN)))

    def _chosen(self) -> int | None:
        """Which evaluation's weights are kept; None: the last weights."""
        if not self.best:
            return None
        if self.at.stopped:
            return ApShift(self.config.ap_range, self.config.ap_shift, self.at.aps).best_in_window
        last, best = len(self.at.aps) - 1, _best(self.at.aps)
        as_good = self.config.schedule == "plateau" and last in self.best and self.at.aps[last] >= self.at.aps[best] - _AS_GOOD
        return last if as_good else best

    def finish(self) -> FitReport:
        """Leave the chosen weights in the network, on every process."""
        chosen = self._chosen()
        self.ranks.average(self._statistics)
        if chosen is not None:
            for name, part in self.parts.items():
                part.load_state_dict(self.best[chosen][name])
        elif self.ema is not None:
            self.ema.swap()
        return FitReport(
            steps=self.at.step,
            stopped_early=self.at.stopped,
            best_ap=None if not self.at.aps else self.at.aps[-1 if chosen is None else chosen],
            images_per_second=self.images_per_second,
            history=tuple(self.at.history),
            unreadable=dict(self.at.unreadable),
            kept_step=self.at.step if chosen is None else self._evaluated_at()[chosen],
            seconds_before=self._seconds_before,
        )

    def _evaluated_at(self) -> list[int]:
        """The step of each evaluation."""
        return [int(entry["step"]) for entry in self.at.history if "ap" in entry]

    def save(self) -> None:
        """Write the checkpoint; together with (seed, step), from which every draw follows, it is the training's whole state."""
        if self.checkpoint is None:
            return
        self.ranks.average(self._statistics)
        if not self.ranks.first:
            return
        self.at.seconds = self._seconds_before + time.perf_counter() - self._began
        state = {
            "position": asdict(self.at),
            "network": self.network.state_dict(),
            "loss_head": None if self.loss_head is None else self.loss_head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "best": self.best,
        }
        write_checkpoint(self.checkpoint, self.identity, state)

    def resume(self, checkpoint: Path, same: dict[str, str]) -> None:
        """Write to `checkpoint` from now on, and go on from what is in it if it exists."""
        self.checkpoint, self.identity = checkpoint, same
        state: dict[str, Any] | None = self.ranks.done_by_first(lambda: read_checkpoint(checkpoint, same))
        if state is None:
            return
        self.at = _Position(**state["position"])
        self._seconds_before = self.at.seconds
        self.network.load_state_dict(state["network"])
        if self.loss_head is not None:
            self.loss_head.load_state_dict(state["loss_head"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.best = state["best"]


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _copy(source: list[Tensor], into: list[Tensor]) -> None:
    if source:  # a network without BatchNorm has no statistics, and torch refuses empty lists
        torch._foreach_copy_(into, source)


def _best(aps: Sequence[float]) -> int:
    """Index of the best AP, the latest among equals: while AP is still 0, more training is better. NaN is below everything."""
    return max(range(len(aps)), key=lambda index: (-math.inf if math.isnan(aps[index]) else aps[index], index))


def _step_seed(seed: int, step: int, rank: int) -> int:
    """A torch seed for what a network draws in one step (dropout, sampled proposals), different on every process."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))
