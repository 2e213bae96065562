"""The promises of each kind of method as pytest classes, for boxwise's own methods and for those of other packages.

Subclass one in a test file and say which names it tests; needs pytest. See docs/extending.md.

    from boxwise.testing import StrategyContract

    class TestCrowded(StrategyContract):
        names = ("crowded",)
"""

from importlib import import_module

import pytest

_HOMES = {
    "DetectorContract": "boxwise.testing.detectors",
    "EmbedderContract": "boxwise.testing.embedders",
    "PolicyContract": "boxwise.testing.policies",
    "ScorerContract": "boxwise.testing.scorers",
    "StrategyContract": "boxwise.testing.strategies",
}
__all__ = sorted(_HOMES)

pytest.register_assert_rewrite(*_HOMES.values())


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'boxwise.testing' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
