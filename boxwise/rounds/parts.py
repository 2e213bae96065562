"""The pool pass of a round in parts: begun once, inspected anywhere and by many, joined once.

A pass has a folder in the round's: what it is made of (plan.json), its images, the fitted scorer, and a file for each part. Whoever comes
first fits the scorer, the others wait and read it. Parts are cut at multiples of the batch and do not depend on how many processes inspect
them, so that neither does the result, bit for bit. Knows nothing of strategies, of steps, or of where its processes run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from boxwise import registry
from boxwise.artifacts.pool_parts import PartFile, PoolPart, digest, part_size, read_images, write_images
from boxwise.errors import BoxwiseError, StudyError, plural, quoted
from boxwise.files import locked, replacing
from boxwise.jsonable import plain
from boxwise.records import ImageRecord, Phase, Split
from boxwise.rounds.context import RoundContext
from boxwise.rounds.ensemble import members
from boxwise.rounds.scored_by import same_scorer, scored_by

if TYPE_CHECKING:
    from boxwise.detectors.detector import TorchDetector
    from boxwise.scorers.base import Scorer

PLAN_FILE, IMAGES_FILE, SCORER_FILE = "plan.json", "images.parquet", "scorer.pt"
_NAMED = 10  # parts that a message names before it only counts them


@dataclass(frozen=True)
class Shard:
    """The share of a pool pass that one of several processes does: share `number`, from 1, of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Of "3/64". Raises BoxwiseError for anything else."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise BoxwiseError(f"shard {text!r}: expected NUMBER/COUNT with 1 ≤ NUMBER ≤ COUNT, such as 3/64.")
        return cls(int(number), int(count))

    def of(self, parts: int) -> range:
        """Its part numbers out of `parts`, in a row; shares differ by one part at most."""
        return range((self.number - 1) * parts // self.count, self.number * parts // self.count)


@dataclass(frozen=True)
class PassPlan:
    """What a pass inspects, cut into parts.

    made_of: what the numbers depend on, beside the images. machine: the software and kind of device that it was begun with, which all its
    parts must share. figures: the fitted scorer's. listing: digest of the file that lists the images. seconds: what beginning it took
    another process, 0 where it was this one.
    """

    folder: Path
    made_of: Mapping[str, Any]
    machine: Mapping[str, str]
    figures: Mapping[str, float]
    listing: str
    images: tuple[ImageRecord, ...]
    seconds: float = 0.0

    @cached_property
    def size(self) -> int:
        return part_size(len(self.images), int(self.made_of["batch"]))

    @cached_property
    def parts(self) -> list[PartFile]:
        key = digest(_json([self.made_of, self.machine, self.listing, self.size]))
        return [PartFile(self.folder, number, key) for number in range(-(-len(self.images) // self.size))]

    def images_of(self, number: int) -> tuple[ImageRecord, ...]:
        return self.images[number * self.size : (number + 1) * self.size]


class PoolParts:
    """A pass that has been begun: its plan and its fitted scorer.

    seconds_elsewhere: what other processes have spent on it, of parts as far as `found` has read them.
    """

    def __init__(self, context: RoundContext, round_index: int, plan: PassPlan, scorer: Scorer, detector: TorchDetector) -> None:
        self._context, self._round, self._detector = context, round_index, detector
        self.plan, self.scorer = plan, scorer
        self.seconds_elsewhere, self._here = plan.seconds, set[int]()

    def inspect(self, shard: Shard = Shard(1, 1)) -> None:
        """Do the parts of the shard that are not there, each on the disk before the next; damaged ones are done again.

        Raises StudyError where the pass was begun by other software or on another kind of device, or was joined meanwhile.
        """
        numbers = shard.of(len(self.plan.parts))
        damaged = {number for number in numbers if self.plan.parts[number].found()}
        missing = [number for number in numbers if not self.plan.parts[number].is_whole()]
        damaged &= set(missing)
        watch, total = self._context.watch(self._round, Phase.SCORE), sum(len(self.plan.images_of(number)) for number in numbers)
        done = total - sum(len(self.plan.images_of(number)) for number in missing)
        if not missing:
            return
        self._check_machine(missing)
        self._name(missing, damaged, again=done > 0)
        started = monotonic()
        for number, part in zip(missing, self._inspected(missing, lambda count: watch(done + count, total, {})), strict=True):
            if not (self.plan.folder / PLAN_FILE).exists():
                raise _joined(self._context, self.plan.folder)
            inspected = monotonic()
            self.plan.parts[number].write(replace(part, seconds=inspected - started))
            self._here.add(number)
            started = inspected

    def found(self) -> Iterator[PoolPart]:
        """The parts, in order. Raises StudyError naming one that is not there, or is damaged."""
        for file in self.plan.parts:
            part = file.read()
            if part is None:
                again = f"Run `boxwise score {quoted(self._context.folder)}` again."
                raise StudyError(f"{self.plan.folder}: part {file.number} is gone. {again}")
            if file.number not in self._here:
                self.seconds_elsewhere += part.seconds
            yield part

    def _inspected(self, numbers: Sequence[int], progress: Callable[[int], None]) -> Iterator[PoolPart]:
        from boxwise.scorers.pool_pass import inspect_parts

        return inspect_parts(
            self._detector,
            self.scorer,
            [self.plan.images_of(number) for number in numbers],
            batch=self._context.config.score_batch,
            workers=self._context.config.workers,
            keep_boxes=self.plan.made_of["boxes"],
            progress=progress,
        )

    def _check_machine(self, missing: Sequence[int]) -> None:
        here = _machine(self._detector)
        if here != self.plan.machine:
            raise StudyError(
                f"{self.plan.folder}: the pass was begun with {_words(self.plan.machine)}, here is {_words(here)}, and {len(missing)} of "
                f"{len(self.plan.parts)} parts are missing. Inspect them with the same, or remove the folder to begin anew."
            )

    def _name(self, missing: Sequence[int], damaged: set[int], *, again: bool) -> None:
        """Say which parts are done again, where others were there already."""
        if damaged:
            self._context.say(self._round, Phase.SCORE, f"damaged {_listed(sorted(damaged))} of {self.plan.folder}: inspected again")
        if again and (lost := [number for number in missing if number not in damaged]):
            self._context.say(self._round, Phase.SCORE, f"{_listed(lost)} of {len(self.plan.parts)} not there yet: inspected now")


def begun(context: RoundContext, round_index: int, detector: TorchDetector) -> PoolParts:
    """The round's pass, as another process began it, or begun now: the pool is listed and the scorer fitted.

    Waits while another process begins it. What was begun with another detector or config, or before images joined the pool, is removed.
    Raises StudyError where it was joined meanwhile: what would be begun then, nobody would end.
    """
    from boxwise.scorers.fitted_file import read_fitted

    folder = context.files(round_index).pool_pass
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock"), wait=True):
        if context.store.position != (round_index, Phase.SCORE):
            raise _joined(context, folder)
        made_of = _made_of(context, round_index)
        _by_onnx(context, round_index, detector, made_of["weights"])
        plan = _read(folder)
        if plan is None or (why := _outdated(context, plan, made_of)):
            if plan is not None and any(folder.glob("part_*")):
                context.say(round_index, Phase.SCORE, f"the pool pass in {folder} is begun anew: {why}")
            shutil.rmtree(folder, ignore_errors=True)
            return _begin(context, round_index, detector, made_of)
        packages = _packages(context, detector)
        scorer = read_fitted(folder / SCORER_FILE, device=detector.device, packages=packages) if context.oracle is None else None
        plan = replace(plan, images=_where_they_are(context, plan.images))
        return PoolParts(context, round_index, plan, scorer or _fit(context, round_index, detector, plan.images)[0], detector)


def _joined(context: RoundContext, folder: Path) -> StudyError:
    return StudyError(f"{folder}: the pass was joined meanwhile. See `boxwise status {quoted(context.folder)}`.")


def _outdated(context: RoundContext, plan: PassPlan, made_of: Mapping[str, Any]) -> str:
    """Why the pass that was begun cannot be gone on with; empty where it can."""
    if changed := [name for name in made_of if plan.made_of.get(name) != made_of[name]]:
        return f"{', '.join(changed)} changed since it was begun"
    listed = {image.image_id for image in plan.images}
    joined = sum(image_id not in listed for image_id in context.store.pool_ids())
    return f"{plural(joined, 'image')} joined the pool" if joined else ""


def _packages(context: RoundContext, detector: TorchDetector) -> set[str]:
    """The packages beside boxwise that the scorer and the detector in use are from."""
    modules = (registry.SCORERS[context.config.scorer.name].load().__module__, type(detector).__module__)
    return {module.partition(".")[0] for module in modules} - {"boxwise"}


def forget(context: RoundContext, round_index: int) -> None:
    """Remove the parts of a pass whose result is committed; its plan first, so that late processes know."""
    folder = context.files(round_index).pool_pass
    (folder / PLAN_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(".lock").unlink(missing_ok=True)
    for graph in context.files(round_index).forwards():
        graph.unlink(missing_ok=True)


def _where_they_are(context: RoundContext, images: Sequence[ImageRecord]) -> tuple[ImageRecord, ...]:
    """The images under their present addresses, and with what is known of their files: a study may have moved since the pass began."""
    now = {record.image_id: record for record in context.store.images(Split.TRAIN)}
    pairs = ((image, now.get(image.image_id, image)) for image in images)
    return tuple(replace(image, uri=record.uri, digest=record.digest) for image, record in pairs)


def _by_onnx(context: RoundContext, round_index: int, detector: TorchDetector, weights: str) -> None:
    """Let ONNX Runtime make the detector's views, where the config says so. weights: their digest."""
    if context.config.device.startswith("onnx"):
        from boxwise.detectors.onnx_runtime import run_by_onnx

        run_by_onnx(detector, context.files(round_index).forward(weights), device=context.config.device)


def _begin(context: RoundContext, round_index: int, detector: TorchDetector, made_of: Mapping[str, Any]) -> PoolParts:
    from boxwise.scorers.fitted_file import write_fitted

    started, images = monotonic(), tuple(context.store.pool())
    folder = context.files(round_index).pool_pass
    scorer, figures = _fit(context, round_index, detector, images)
    write_images(folder / IMAGES_FILE, images)
    plan = PassPlan(folder, made_of, _machine(detector), figures, _listing(folder), images)
    if context.oracle is None:  # it knows the ground truth, which goes into no file
        write_fitted(folder / SCORER_FILE, scorer)
    with replacing(plan.folder / PLAN_FILE) as path:  # last: its presence says that the pass has begun
        facts = {"made_of": made_of, "machine": plan.machine, "figures": figures, "listing": plan.listing}
        path.write_bytes(_json(facts | {"seconds": monotonic() - started}))
    return PoolParts(context, round_index, plan, scorer, detector)


def _fit(
    context: RoundContext, round_index: int, detector: TorchDetector, images: Sequence[ImageRecord]
) -> tuple[Scorer, dict[str, float]]:
    """The scorer, fitted, and its figures; what it leaves is in the round's folder."""
    scorer = registry.scorer_of(
        context.config.scorer,
        device=detector.device,
        spec=detector.input,
        truths=context.oracle,
        members=members(context, round_index),
        weights=learned_weights(context, round_index),
        progress=context.watch(round_index, Phase.SCORE),
    )
    rng, folder = context.rng(round_index, Phase.SCORE), context.files(round_index).path
    return scorer, scorer.fit(context.samples(Split.TRAIN), images, detector=detector, rng=rng, folder=folder)


def learned_weights(context: RoundContext, round_index: int) -> dict[str, float]:
    """The latest weights fitted for this scorer, of those that it learns, equal before there are any; empty where none is learned."""
    scorer = context.config.scorer
    learned, now = registry.scorer_options(scorer).learned_weights(), scored_by(scorer)
    audits = [context.committed(number).audit for number in range(round_index, 0, -1)] if learned else []
    fitted = [audit.weights for audit in audits if audit.weights and same_scorer(audit.weights_of, now)]
    equal = {name: 1 / len(learned) for name in learned}
    return next((dict(weights) for weights in fitted if weights.keys() == learned.keys()), equal)


def _made_of(context: RoundContext, round_index: int) -> dict[str, Any]:
    """What the pass's numbers depend on: weights, config and what was learned before; the images are listed by their own file."""
    from boxwise.detectors.weights_file import weights_digest

    config = context.config
    facts: dict[str, Any] = {
        "round": round_index,
        "seed": config.seed,
        "weights": weights_digest(context.files(round_index).weights),
        "learned": learned_weights(context, round_index),
        "detector": config.detector.model_dump(mode="json"),
        "scorer": config.scorer.model_dump(mode="json"),
        "batch": config.score_batch,
        "boxes": registry.strategy_of(config.strategy).uses_boxes,
    }
    return cast(dict[str, Any], json.loads(_json(facts)))


def _machine(detector: TorchDetector) -> dict[str, str]:
    from boxwise import __version__

    return {"boxwise": __version__, "torch": version("torch"), "device": getattr(detector, "runs_on", str(detector.device))}


def _read(folder: Path) -> PassPlan | None:
    """The plan of the pass in `folder`; None where none was begun, or its files are damaged."""
    try:
        found = json.loads((folder / PLAN_FILE).read_bytes())
        if _listing(folder) != found["listing"]:
            return None
        return PassPlan(folder, **found, images=read_images(folder / IMAGES_FILE))
    except (OSError, ValueError, KeyError, TypeError, BoxwiseError):
        return None


def _listing(folder: Path) -> str:
    return digest((folder / IMAGES_FILE).read_bytes())


def _json(value: Any) -> bytes:
    return json.dumps(plain(value), sort_keys=True).encode()


def _words(machine: Mapping[str, str]) -> str:
    return f"boxwise {machine['boxwise']} and torch {machine['torch']} on {machine['device']}"


def _listed(numbers: Sequence[int]) -> str:
    """ "part 3", "parts 3, 7, 8" or, where there are many, how many."""
    if len(numbers) > _NAMED:
        return f"{len(numbers)} parts ({numbers[0]} to {numbers[-1]})"
    return f"part{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
