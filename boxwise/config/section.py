"""What every part of the configuration is made of: sections that refuse unknown keys, and sections that name a method.

Returns base classes. Knows no key of any section.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A frozen part of the configuration that refuses keys it does not know, numbers without end, and true where a number belongs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool):
            annotation = cls.model_fields[str(info.field_name)].annotation
            kinds = {annotation, *get_args(annotation)}
            if kinds & {int, float} and bool not in kinds:
                raise ValueError("expected a number")
        return value


class Options(Section):
    """The options of one method; a method without any has this class. Every option has a default.

    was: name of an option in studies of older versions, where it stood in the section itself → its name today.
    """

    was: ClassVar[Mapping[str, str]] = {}

    def needs(self) -> frozenset[str]:
        """What the method needs when it has these options, beyond what it always needs; names of registry.NEEDS."""
        return frozenset()


class Choice(Section):
    """A section that names a method, `name`, and holds each method's options under the method's name.

    Methods of boxwise are fields. What an installed package adds is kept as a mapping here and checked by registry/, which knows it.
    One rule for what older versions wrote: a key that was an option of the section belongs to each method that has that option.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: str

    @model_validator(mode="before")
    @classmethod
    def _of_older_studies(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        kept = {key: value for key, value in values.items() if isinstance(value, Mapping | Options) or not cls.places(key)}
        for key in values.keys() - kept.keys():
            for method, option in cls.places(key):
                given = kept.get(method, {})
                kept[method] = {option: values[key], **given} if isinstance(given, Mapping) else given
        return kept

    @model_validator(mode="after")
    def _methods_hold_mappings(self) -> Self:
        for key, value in (self.model_extra or {}).items():
            if not isinstance(value, Mapping):
                raise PydanticCustomError("unknown_key", "{key}", {"key": key})
        return self

    @classmethod
    def methods(cls) -> Iterator[tuple[str, type[Options]]]:
        """The methods that have options, with the class of these."""
        for name, field in cls.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Options):
                yield name, field.annotation

    @classmethod
    def places(cls, key: str) -> Sequence[tuple[str, str]]:
        """(method, option) for each option that had the name `key` while it stood in the section itself; none for its own keys."""
        return _places(cls).get(key, ())

    def options_of(self, method: str) -> Options | Mapping[str, Any]:
        """The options of a method: checked ones of boxwise's own, what the config says of any other."""
        return getattr(self, method) if method in dict(self.methods()) else (self.model_extra or {}).get(method, {})


@cache
def _places(section: type[Choice]) -> Mapping[str, Sequence[tuple[str, str]]]:
    """`places` of every key that has some: a study is opened with dozens of keys, a simulation reads hundreds of configs."""
    methods, found = dict(section.methods()), dict[str, list[tuple[str, str]]]()
    for method, options in methods.items():
        for option in options.model_fields:
            for key in {option, *(old for old, new in options.was.items() if new == option)}:
                found.setdefault(key, []).append((method, option))
    return {key: places for key, places in found.items() if key in methods or key not in section.model_fields}
