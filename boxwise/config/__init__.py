"""The configuration of a study: validated sections over YAML with `key=value` overrides.

Returns a `StudyConfig`; every other room takes the part it needs.
"""

from boxwise.config.loading import (
    apply_overrides,
    differences,
    differing,
    dump_config,
    known_keys,
    leaves,
    load_config,
    mapping_of,
    override_keys,
    parse_config,
    preset_file,
    preset_names,
)
from boxwise.config.methods import EmbeddingConfig, PolicyConfig, ScorerConfig, ScorerOptions, StrategyConfig, VaeConfig
from boxwise.config.section import Choice, Options, Section
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
    resolve,
)
from boxwise.config.study import StudyConfig

__all__ = [
    "AnnotatorConfig",
    "AskConfig",
    "BudgetConfig",
    "Choice",
    "ColdStartConfig",
    "CostConfig",
    "DetectorConfig",
    "EmbeddingConfig",
    "ImagesConfig",
    "LabellingConfig",
    "Options",
    "PolicyConfig",
    "ScorerConfig",
    "ScorerOptions",
    "Section",
    "StopConfig",
    "StrategyConfig",
    "StudyConfig",
    "TrainConfig",
    "VaeConfig",
    "apply_overrides",
    "differences",
    "differing",
    "dump_config",
    "known_keys",
    "leaves",
    "load_config",
    "mapping_of",
    "override_keys",
    "parse_config",
    "preset_file",
    "preset_names",
    "resolve",
]
