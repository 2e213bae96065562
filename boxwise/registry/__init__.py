"""The only place where names become objects: detectors, scorers, strategies, policies, embedders, and the arms of a comparison.

Methods of boxwise are named in builtin.py; those of installed packages come by the entry points boxwise.detectors, boxwise.scorers,
boxwise.strategies, boxwise.policies and boxwise.embedders, each a `Method`. An unknown name prints the known ones. Importing this imports
no method.
"""

from boxwise.config import Options, ScorerOptions
from boxwise.registry.arms import ARMS, ASK_MODES, EACH_CELL, arm_keys, arm_overrides, check_shared, own_overrides
from boxwise.registry.building import (
    build_detector,
    cold_start_of,
    embedder_of,
    go_on_from,
    load_detector,
    policy_of,
    scorer_of,
    strategy_of,
)
from boxwise.registry.checking import (
    check,
    needs_of,
    needs_oracle,
    options_of,
    role_of,
    scorer_options,
    settled,
    with_its_scorer,
)
from boxwise.registry.effects import without_effect, without_effect_in_any
from boxwise.registry.faults import faults_of_packages
from boxwise.registry.methods import Method, Methods, Role
from boxwise.registry.tables import CAPABILITIES, DETECTORS, EMBEDDERS, KINDS, NEEDS, POLICIES, SCORERS, STRATEGIES

__all__ = [
    "ARMS",
    "ASK_MODES",
    "CAPABILITIES",
    "DETECTORS",
    "EACH_CELL",
    "EMBEDDERS",
    "KINDS",
    "NEEDS",
    "POLICIES",
    "SCORERS",
    "STRATEGIES",
    "Method",
    "Methods",
    "Options",
    "Role",
    "ScorerOptions",
    "arm_keys",
    "arm_overrides",
    "build_detector",
    "check",
    "check_shared",
    "cold_start_of",
    "embedder_of",
    "faults_of_packages",
    "go_on_from",
    "load_detector",
    "needs_of",
    "needs_oracle",
    "options_of",
    "own_overrides",
    "policy_of",
    "role_of",
    "scorer_of",
    "scorer_options",
    "settled",
    "strategy_of",
    "with_its_scorer",
    "without_effect",
    "without_effect_in_any",
]
