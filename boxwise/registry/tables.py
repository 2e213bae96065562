"""The methods of each kind: boxwise's own and those of installed packages, and the words for what a method may need.

Returns tables. Knows nothing of a study.
"""

from __future__ import annotations

from boxwise.detectors import names
from boxwise.registry import builtin
from boxwise.registry.methods import Methods

DETECTORS = Methods("detector", "boxwise.detectors", builtin.DETECTORS)
SCORERS = Methods("scorer", "boxwise.scorers", builtin.SCORERS)
STRATEGIES = Methods("strategy", "boxwise.strategies", builtin.STRATEGIES)
POLICIES = Methods("policy", "boxwise.policies", builtin.POLICIES)
EMBEDDERS = Methods("embedding", "boxwise.embedders", builtin.EMBEDDERS)
KINDS = {"detectors": DETECTORS, "scorers": SCORERS, "strategies": STRATEGIES, "policies": POLICIES, "embedders": EMBEDDERS}

CAPABILITIES = {name: words for name, (_, words) in names.CAPABILITIES.items()}  # of a detector, see detectors/base.py
NEEDS = CAPABILITIES | {
    "trained_detector": "round 1 or later",
    "scores": "a scorer",
    "self_labels": "self-labelled boxes: ask.mode review or trust",
    "study_images": "images of the study to learn from",
    "ground_truth": "the pool's ground truth: a simulation",
}
