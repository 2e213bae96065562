"""What pydantic finds wrong with a mapping of keys, in the words of a config: one sentence a fault, with the nearest known key.

Returns sentences that name the key, what was expected and what was found. Knows no key's meaning, nor the file it was read from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import UnionType
from typing import Any, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel

from boxwise.errors import plural, unknown

_EXPECTED = "Input should be "  # how pydantic begins to say which kind a value should be of
_DETAIL = re.compile(r", (?:unable to|got a number) .*")  # what follows where it could not be read as that kind
_LISTS = ("list_type", "tuple_type")
_OTHERS = {"dict_type": "a mapping of keys", "model_type": "a mapping of keys", "missing": "a value", "path_type": "a path"}


def sentences_of(faults: Sequence[Any], model: type[BaseModel]) -> Iterator[str]:
    """One sentence for each value that is wrong. faults: `ValidationError.errors()` of `model`.

    For example `Unknown key 'train.lrr'. Did you mean 'train.lr'? Known: ...` or `seeds: expected a valid integer, found 'abc'.`
    """
    inside = {tuple(fault["loc"][:-1]) for fault in faults}
    reported = [fault for fault in faults if not (fault["type"] == "too_short" and fault["loc"] in inside)]  # it is too short without these
    for place, of_one in groupby(reported, key=lambda fault: _key_of(fault["loc"], model)):
        yield _sentence([str(part) for part in place], list(of_one), model)


def known_keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted key of every value that a section has."""
    for name, field in section.model_fields.items():
        if _is_section(field.annotation):
            yield from known_keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def section_at(place: Sequence[int | str], model: type[BaseModel]) -> type[BaseModel] | None:
    """The section at `place` in `model`, None where a value or nothing is."""
    kind: Any = model
    for part in place:
        kind = _within(kind, part)
    return kind if _is_section(kind) else None


def _sentence(place: list[str], faults: Sequence[Any], model: type[BaseModel]) -> str:
    """faults: all those of one value, which is of several where each of its kinds says that it is not of it."""
    first, key = faults[0], ".".join(place)
    if first["type"] == "extra_forbidden":
        return _unknown_key(place[:-1], place[-1], model)
    if first["type"] == "unknown_key":
        return _unknown_key(place, first["ctx"]["key"], model)
    kinds = [kind for fault in faults if (kind := _kind_expected(fault))]
    if len(kinds) == len(faults):
        message = f"expected {' or '.join(kinds)}, found {_found(first)}"
    else:
        message = first["msg"].removeprefix("Value error, ")
        message += "" if message.endswith(".") or isinstance(first["input"], Mapping) else f", found {_found(first)}"
    return f"{key}: {message}".removeprefix(": ").removesuffix(".") + "."


def _kind_expected(fault: Any) -> str | None:
    """Which kind of value is expected, in the words of YAML; None of a fault that says something else."""
    value, kind = fault["input"], fault["type"]
    if kind in _LISTS:
        return f"a list such as {f'[{value}]' if isinstance(value, str | int | float) else '[one, another]'}"
    if kind == "too_short":
        return f"{plural(fault['ctx']['min_length'], 'value')} or more"
    if kind in _OTHERS:
        return _OTHERS[kind]
    if not fault["msg"].startswith(_EXPECTED):
        return None
    expected = _DETAIL.sub("", fault["msg"].removeprefix(_EXPECTED))
    return f"a number {expected}" if expected.startswith(("greater than", "less than")) else expected


def _found(fault: Any) -> str:
    value = fault["input"]
    if value in (None, {}) or fault["type"] == "missing":  # of a key that is missing pydantic gives what it is missing in
        return "nothing"
    return "a mapping of keys" if isinstance(value, Mapping) else repr(value)


def _unknown_key(place: list[str], key: str, model: type[BaseModel]) -> str:
    """One sentence for a key that the section at `place` has not: where keys of that name are, else the nearest of the section."""
    full = ".".join([*place, key])
    same = [name for name in known_keys(model) if name.split(".")[-1] == key]
    if same:
        return f"Unknown key {full!r}. Did you mean {' or '.join(repr(name) for name in same)}?"
    section = section_at(place, model) if place else None
    return unknown("key", full, known_keys(section, ".".join([*place, ""])) if section else model.model_fields)


def _key_of(loc: Sequence[int | str], model: type[BaseModel]) -> Sequence[int | str]:
    """The place of a fault, without what pydantic calls the kind that a value of several kinds is not of."""
    kind: Any = model
    for depth, part in enumerate(loc, start=1):
        kind = _within(kind, part)
        if get_origin(kind) in (Union, UnionType):
            return loc[:depth]
    return loc


def _within(kind: Any, part: int | str) -> Any:
    """The type of what is at `part` of a section or a mapping of that type; None where there is none."""
    if _is_section(kind):
        field = kind.model_fields.get(str(part))
        return field.annotation if field else None
    return get_args(kind)[1] if get_origin(kind) in (dict, Mapping) else None


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
