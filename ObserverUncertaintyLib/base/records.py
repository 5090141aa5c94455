"""Dataclasses of plain values as JSON, and back.

A field may be None, a number, a text, a member of a StrEnum, a tuple, a mapping, or a dataclass of the same kind. An
inner dataclass stands under its field's name, or with its own fields among the outer ones where the field is `inline`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
_INLINE = "inline"


def inline(default: Record) -> Record:
    """A dataclass's field that holds another dataclass, whose fields are written among the outer ones."""
    return field(default=default, metadata={_INLINE: True})


def to_json(value: Any) -> Any:
    """A dataclass as a dict that JSON can hold; other values as JSON would read them back."""
    if is_dataclass(value):
        content: dict[str, Any] = {}
        for each in fields(value):
            inner = to_json(getattr(value, each.name))
            content |= inner if _INLINE in each.metadata else {each.name: inner}
        return content
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(inner) for inner in value]
    return value


def from_json(kind: type[Record], content: Mapping[str, Any]) -> Record:
    """The dataclass that `to_json` wrote; what is left out has its default.

    Raises:
        TypeError, ValueError: a field is missing, unknown, or has a value that it cannot have.
    """
    types, left = get_type_hints(kind), dict(content)
    values: dict[str, Any] = {}
    for each in fields(kind):  # type: ignore[arg-type]
        if _INLINE in each.metadata:
            own = {name: left.pop(name) for name in field_names(types[each.name]) if name in left}
            values[each.name] = from_json(types[each.name], own)
        elif each.name in left:
            values[each.name] = _value(types[each.name], left.pop(each.name))
        elif _is_required(each):
            raise ValueError(f"{each.name} is missing")
    if left:
        raise ValueError(f"unknown: {', '.join(left)}")
    return kind(**values)


def changed(record: Record, changes: Mapping[str, Any]) -> Record:
    """A copy with some fields changed, inline ones among them; raises as `from_json`."""
    return from_json(type(record), {**to_json(record), **changes})


def field_names(kind: type[Any]) -> list[str]:
    """The fields of a dataclass by the names under which they are written."""
    types = get_type_hints(kind)
    return [
        name
        for each in fields(kind)
        for name in (field_names(types[each.name]) if _INLINE in each.metadata else [each.name])
    ]


def _is_required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _value(kind: Any, value: Any) -> Any:
    choices = get_args(kind)
    if type(None) in choices:
        if value is None:
            return None
        (kind,) = (choice for choice in choices if choice is not type(None))
        choices = get_args(kind)
    if get_origin(kind) is tuple:
        kinds = [choices[0]] * len(value) if choices[-1] is ... else choices
        return tuple(_value(inner, each) for inner, each in zip(kinds, value, strict=True))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
        return from_json(kind, value)
    return value
