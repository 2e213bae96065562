"""What all contract suites share: they are run once for each name that they are given, and methods leave global generators alone.

Knows nothing of any kind of method.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest

_SEED = 2_071_723_889  # that no method gives them: one that seeds a generator anew is not to find it as it leaves it


class Contract:
    """The promises of one kind. names: the methods under test, each known to the registry; pytest.param where one has marks."""

    names: ClassVar[Sequence[Any]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "name" in metafunc.fixturenames:
            if isinstance(self.names, str) or not self.names:
                suite = type(self).__name__
                raise pytest.Collector.CollectError(
                    f'{suite}: expected the names under test, such as names = ("mine",), found names = {self.names!r}'
                )
            metafunc.parametrize("name", list(self.names), scope="class")


@contextmanager
def global_generators_left_alone() -> Iterator[None]:
    """Fails where what is done meanwhile seeds, or draws from, one of the generators that all code shares."""
    generators = _global_generators()
    found = {name: state() for name, (state, _, _, _) in generators.items()}
    try:
        for _, _, seed, _ in generators.values():
            seed(_SEED)
        yield
        for name, (_, _, seed, draw) in generators.items():
            drawn = draw()
            seed(_SEED)
            assert drawn == draw(), f"expected the global generator of {name} to be left alone, found it seeded or drawn from"
    finally:
        for name, (_, put_back, _, _) in generators.items():
            put_back(found[name])


def _global_generators() -> dict[str, tuple[Callable[..., Any], ...]]:
    """Name → what gives its state, takes it, seeds it and draws from it; torch's where torch is in use."""
    found: dict[str, tuple[Callable[..., Any], ...]] = {
        "random": (random.getstate, random.setstate, random.seed, random.random),
        "numpy": (np.random.get_state, np.random.set_state, np.random.seed, np.random.random),
    }
    if torch := sys.modules.get("torch"):
        seed = torch.default_generator.manual_seed
        found["torch"] = torch.get_rng_state, torch.set_rng_state, seed, lambda: torch.rand(1).item()
    return found
