"""What the cells of simulations begin with, built once before any of them runs: weights that are downloaded or read from a file may fail.

Raises one message that names the arm. Knows nothing of how cells run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from boxwise import registry
from boxwise.config import StudyConfig
from boxwise.detectors.names import DETECTORS
from boxwise.detectors.start import start_of
from boxwise.errors import BoxwiseError
from boxwise.rounds.embedding import strategy_embedding
from boxwise.simulation.folder import as_begun

if TYPE_CHECKING:
    from boxwise.detectors.base import Detector
    from boxwise.simulation.simulate import Plan
    from boxwise.workers.cluster import Cluster

_OF_A_DETECTOR = ("detector", "backbone")  # embedders that are the study's own detector


@dataclass(frozen=True)
class Beginning:
    """A detector, or the embedder of that name, as the config of an arm says it."""

    arm: str
    config: StudyConfig
    classes: tuple[str, ...]
    embedder: str | None = None

    @property
    def made_of(self) -> str:
        """The same of those that are built alike."""
        if self.embedder is None:
            return self.config.detector.model_dump_json()
        return self.embedder + self.config.embedding.model_dump_json(exclude={"name"})

    def build(self) -> None:
        """Once, on the processor; what is built is forgotten."""
        try:
            self._embedder() if self.embedder else self._detector()
        except BoxwiseError as error:
            raise BoxwiseError(f"arm {self.arm}: {error}") from None

    def _detector(self) -> Detector:
        import torch

        config, device = self.config, torch.device("cpu")
        built: Detector = registry.build_detector(self.classes, config.detector, seed=config.seed, device=device)
        return built

    def _embedder(self) -> None:
        import torch
        from numpy.random import default_rng

        from boxwise.embedders.base import EmbedderContext

        assert self.embedder is not None
        config = self.config
        given = EmbedderContext(
            torch.device("cpu"), detector=self._detector, images=tuple, vae=config.scorer.vae, rng=lambda: default_rng(config.seed)
        )
        registry.embedder_of(config.embedding, self.embedder, given)


def check_beginnings(plans: Iterable[Plan], cluster: Cluster | None = None) -> None:
    """Build each detector and each embedder that the unfinished cells of the plans begin with; BoxwiseError where one cannot be had.

    cluster: where the cells run, and this as well.
    """
    plans = list(plans)
    by_make: dict[str, Beginning] = {}
    for plan in plans:
        for beginning in _of_plan(plan):
            by_make.setdefault(beginning.made_of, beginning)
    if by_make and cluster is not None:
        config = plans[0].config
        cluster.workers(device=config.device, threads=config.threads).submit(_build, list(by_make.values())).result()
    else:
        _build(list(by_make.values()))


def _build(beginnings: Sequence[Beginning]) -> None:
    for beginning in beginnings:
        beginning.build()


def _of_plan(plan: Plan) -> Iterator[Beginning]:
    """Those of its unfinished arms, of which some may be equal."""
    plan = replace(plan, config=as_begun(plan.folder, plan.config))
    left = {arm: seed for seed in plan.seeds for trunk in plan.trunks(seed) for arm in plan.left(trunk)}
    for arm, seed in left.items():
        config, classes = plan.cell_config(arm, seed), plan.dataset.classes
        if config.detector.name in DETECTORS and start_of(config.detector) != "none":
            yield Beginning(arm, config, classes)
        cold = None if config.cold_start.name == "random" else config.cold_start.embedding
        for name in {strategy_embedding(config), cold} - {None, *_OF_A_DETECTOR}:
            assert name is not None
            if "study_images" not in registry.EMBEDDERS[name].needs:  # which learns from the images, and downloads nothing
                yield Beginning(arm, config, classes, name)
