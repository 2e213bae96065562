"""What all contract suites share: they are run once for each name that they are given.

Knows nothing of any kind of method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest


class Contract:
    """The promises of one kind. names: the methods under test, each known to the registry; pytest.param where one has marks."""

    names: ClassVar[Sequence[Any]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "name" in metafunc.fixturenames:
            metafunc.parametrize("name", list(self.names), scope="class")
