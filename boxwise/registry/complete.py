"""Whether what was built has the parts that its kind of method needs: those of the kind's Protocol.

Returns it, or raises one message that names it. Calls none of its methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import Parameter, Signature, signature
from numbers import Integral
from typing import Any, get_type_hints

import numpy as np

from boxwise.errors import BoxwiseError

_AS_GOOD: dict[type, type] = {bool: np.bool_, int: Integral}  # numpy's own


def complete(method: Any, protocol: type, whose: str) -> Any:
    """`method`, if it has the attributes of `protocol`, and its methods, which take what boxwise gives them. whose: it, in messages."""
    if faults := [*_attributes(method, protocol), *_methods(method, protocol)]:
        raise BoxwiseError(
            f"{whose}: {'; '.join(faults)}. What was done before is kept: mend it (boxwise.testing.{protocol.__name__}Contract tests it), "
            "or take another."
        )
    return method


def _attributes(method: Any, protocol: type) -> Iterator[str]:
    for name, kind in get_type_hints(protocol).items():
        if not hasattr(method, name):
            yield f"expected {name}: {kind.__name__}, found none"
        elif not isinstance(found := getattr(method, name), (kind, _AS_GOOD.get(kind, kind))):
            yield f"expected {name}: {kind.__name__}, found {_name(type(found), kind)}"


def _name(found: type, expected: type) -> str:
    """With its module where it is called as what was expected."""
    return f"{found.__module__}.{found.__name__}" if found.__name__ == expected.__name__ else found.__name__


def _methods(method: Any, protocol: type) -> Iterator[str]:
    for name, asked in vars(protocol).items():
        if name.startswith("_") or not callable(asked):
            continue
        wanted = _without_self(signature(asked))
        if not callable(getattr(method, name, None)):
            yield f"expected {name}{_names(wanted)}, found none"
        elif (found := _signature(getattr(method, name))) is not None and not _takes(found, wanted):
            yield f"expected {name}{_names(wanted)}, found {name}{_names(found)}"


def _signature(function: Any) -> Signature | None:
    """None where it cannot be known, as of a function written in C."""
    try:
        return signature(function)
    except (TypeError, ValueError):
        return None


def _takes(found: Signature, wanted: Signature) -> bool:
    """Whether a function of signature `found` can be called as one of `wanted`, with all that it may be given."""
    by_name = [name for name, parameter in wanted.parameters.items() if parameter.kind is Parameter.KEYWORD_ONLY]
    try:
        found.bind(*[None] * (len(wanted.parameters) - len(by_name)), **dict.fromkeys(by_name))
    except TypeError:
        return False
    return True


def _without_self(found: Signature) -> Signature:
    return found.replace(parameters=list(found.parameters.values())[1:])


def _names(found: Signature) -> str:
    """The names alone: types and what is returned are on the Protocol's page."""
    plain = [parameter.replace(annotation=Parameter.empty) for parameter in found.parameters.values()]
    return str(found.replace(parameters=plain, return_annotation=Signature.empty))
