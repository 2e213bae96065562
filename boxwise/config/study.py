"""The configuration of a study as one value: its sections, and the spellings of older versions.

Returns a `StudyConfig`. Knows no section's keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from boxwise.config.methods import EmbeddingConfig, PolicyConfig, ScorerConfig, StrategyConfig
from boxwise.config.section import Section
from boxwise.config.sections import (
    AnnotatorConfig,
    AskConfig,
    BudgetConfig,
    ColdStartConfig,
    CostConfig,
    DetectorConfig,
    ImagesConfig,
    LabellingConfig,
    StopConfig,
    TrainConfig,
)

RENAMED = {"curriculum": "policy"}  # section of a study of an older version → its name today
TOGETHER = {"train": {"steps": ("min_steps", "max_steps")}}  # section → a key that sets several at once


class StudyConfig(Section):
    """The settings of a study. Saved resolved in its folder and in its store."""

    seed: int = Field(0, ge=0, description="of every random choice of the study")
    store: str | None = Field(None, description="database URL such as postgresql+pg8000://host/db; null: SQLite in the study's folder")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 ..., mps; onnx: the pool is scored by ONNX Runtime")
    threads: int = Field(0, ge=0, description="torch threads; 0: torch's own choice")
    workers: int = Field(0, ge=0, description="processes that decode and augment; 0: in the training process")
    score_batch: int = Field(16, ge=1, description="images a forward pass when inspecting")
    detector: DetectorConfig = DetectorConfig()
    train: TrainConfig = TrainConfig()
    scorer: ScorerConfig = ScorerConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    strategy: StrategyConfig = StrategyConfig()
    cold_start: ColdStartConfig = ColdStartConfig()
    ask: AskConfig = AskConfig()
    labelling: LabellingConfig = LabellingConfig()
    policy: PolicyConfig = PolicyConfig()
    annotator: AnnotatorConfig = AnnotatorConfig()
    budget: BudgetConfig = BudgetConfig()
    cost: CostConfig = CostConfig()
    stop: StopConfig = StopConfig()
    images: ImagesConfig = ImagesConfig()

    @model_validator(mode="after")
    def _judged_one_way(self) -> Self:
        if self.train.folds and self.budget.val_per_round not in (0, "0%"):
            raise ValueError("train.folds takes the place of val: budget.val_per_round draws images for it; give one of them")
        if self.train.folds and self.train.start == "previous":
            raise ValueError("train.folds needs train.start=initial: weights of the round before have seen what a fold holds out")
        return self

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, values: Any) -> Any:
        """Sections under their name of today, and a key that sets several at once as these."""
        if not isinstance(values, Mapping):
            return values
        written = {RENAMED.get(key, key): value for key, value in values.items()}
        return written | {
            section: _spread(written[section], keys) for section, keys in TOGETHER.items() if isinstance(written.get(section), Mapping)
        }

    @model_validator(mode="after")
    def _money_has_a_rate(self) -> Self:
        if self.budget.unit == "money" and not self.cost.per_hour:
            raise ValueError("budget.unit is money: expected cost.per_hour above 0, what an hour of labelling costs")
        return self


def _spread(section: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    rest = {key: value for key, value in section.items() if key not in keys}
    return {name: section[key] for key in keys if key in section for name in keys[key]} | rest
