"""A method that has a name, and the tables of them: boxwise's own, and those that installed packages add by entry points.

Returns entries; nothing is imported until it is built, so that names, options and needs can be checked without torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, Literal

from boxwise.config import Options
from boxwise.errors import ConfigError

# What an arm is there for. An upper bound looks at ground truth; a floor is bad on purpose: a comparison that does not rank it below random
# is not to be believed; a ceiling is no strategy, but what the whole pool would reach.
Role = Literal["arm", "upper bound", "floor", "ceiling"]


@dataclass(frozen=True)
class Method:
    """One method and all that is to be known of it before it is built.

    target: what builds it, or "module:attribute" that is imported when it is built. A strategy or policy is built by target(**options), a
    scorer by target(options, context) with scorers/building.py:ScorerContext, an embedder likewise with embedders/base.py:EmbedderContext,
    a detector by target(classes, config, seed=, device=).
    about: one line. options: its own, in the config under its name. paper: where it is from. needs: names of NEEDS; what depends on the
    options is said by `Options.needs`. offers: of a detector, the capabilities that it has beyond the core. cost: beyond the pool pass.
    scorer: of a strategy, the scorer that `scorer.name=auto` stands for; None: no scorer. One that makes no sense without needs "scores".
    """

    target: str | Callable[..., Any]
    about: str
    options: type[Options] = Options
    paper: str = ""
    needs: frozenset[str] = frozenset()
    offers: frozenset[str] = frozenset()
    cost: str = "none"
    role: Role = "arm"
    scorer: str | None = None

    def load(self) -> Callable[..., Any]:
        """What builds it; imports its module."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)

    @property
    def module(self) -> str:
        """The module of what builds it."""
        return self.target.partition(":")[0] if isinstance(self.target, str) else str(self.target.__module__)


class Methods(Mapping[str, Method]):
    """Name → method of one kind. Names of boxwise come first and cannot be taken by a package."""

    def __init__(self, kind: str, group: str, own: Mapping[str, Method]) -> None:
        """kind: what one of them is called in messages. group: the entry points that add to them."""
        self.kind, self.group, self.own = kind, group, dict(own)

    def register(self, name: str, method: Method) -> None:
        """Give a method a name in this process: for a script or a notebook. A package declares an entry point instead.

        Raises ConfigError when something has that name.
        """
        if name in self:
            raise ConfigError(f"{self.kind} {name!r}: there is one of that name already.")
        self.own[name] = method

    @cached_property
    def _points(self) -> list[EntryPoint]:
        return list(entry_points(group=self.group))

    @cached_property
    def _added(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in self._points if point.name not in self.own}

    def __getitem__(self, name: str) -> Method:
        return self.own[name] if name in self.own else _loaded(self._added[name])

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._added

    def __iter__(self) -> Iterator[str]:
        return iter([*self.own, *self._added])

    def __len__(self) -> int:
        return len(self.own) + len(self._added)

    def package_of(self, name: str) -> str | None:
        """The installed package that adds `name`; None for boxwise's own."""
        point = None if name in self.own else self._added[name]
        return None if point is None else _package(point)

    def loaded(self) -> dict[str, Method]:
        """Name → method of all but those of packages that cannot be loaded."""
        return {name: self[name] for name in self if not self._fault(name)}

    def packages(self) -> dict[str, str]:
        """Name → package, of all that installed packages add and that can be loaded."""
        return {name: _package(point) for name, point in self._added.items() if not self._fault(name)}

    def faults(self) -> list[str]:
        """What is wrong with the entry points of installed packages, one message each."""
        broken = [fault for name in self._added if (fault := self._fault(name))]
        taken = [point for point in self._points if point.name in self.own or point is not self._added[point.name]]
        return broken + [
            f"{_whose(point)} is not used: {self._holder(point.name)} has that name. Rename the entry point." for point in taken
        ]

    def modules(self) -> dict[str, str]:
        """Top-level module → package, of all that installed packages add."""
        found = {point.module.partition(".")[0]: _package(point) for point in self._added.values()}
        loaded = self.loaded()
        found |= {loaded[name].module.partition(".")[0]: _package(self._added[name]) for name in self._added if name in loaded}
        return {module: package for module, package in found.items() if module not in ("boxwise", "builtins", "functools")}

    def _fault(self, name: str) -> str | None:
        try:
            self[name]
        except ConfigError as error:
            return str(error)
        return None

    def _holder(self, name: str) -> str:
        return f"a {self.kind} of boxwise" if name in self.own else f"the package {_package(self._added[name])}"


def _loaded(point: EntryPoint) -> Method:
    """The method of an entry point; ConfigError that names the package where it cannot be loaded, or what builds it is nowhere."""
    remedy = f"Mend or update the package, or remove it: pip uninstall {_package(point)}"
    try:
        method = point.load()
    except Exception as error:  # a package may raise anything at import
        raise ConfigError(f"{_whose(point)} cannot be loaded: {type(error).__name__}: {error}. {remedy}") from error
    if not isinstance(method, Method):
        raise ConfigError(f"{_whose(point)}: expected a boxwise.registry.Method, found a {type(method).__name__}. {remedy}")
    if not _exists(method.module):
        raise ConfigError(f"{_whose(point)}: expected what builds it in the module {method.module}, found no such module. {remedy}")
    return method


def _exists(module: str) -> bool:
    """Whether a module can be found; it is not imported, only the packages that it lies in."""
    try:
        return module in sys.modules or find_spec(module) is not None
    except Exception:  # of a package that it lies in
        return False


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown package"


def _whose(point: EntryPoint) -> str:
    return f"entry point {point.name!r} of {point.group} ({_package(point)})"
