"""Facts and signals as JSON objects, as the ledger holds them and the wire carries them."""

from __future__ import annotations

import types
import typing
from dataclasses import asdict, fields, is_dataclass
from typing import Any, cast

from mlintern_jupyter.events import Fact, Signal

FACTS: dict[str, type[Any]] = {t.__name__: t for t in typing.get_args(Fact)}


def to_wire(event: Fact | Signal) -> dict[str, Any]:
    """Plain JSON object of an event, its class name under ``type``."""
    return {"type": type(event).__name__, **asdict(event)}


def fact_from_wire(data: dict[str, Any]) -> Fact:
    """The fact a ledger line holds.

    Raises:
        KeyError: the type is not one this version knows.
        TypeError: the fields do not fit the type.
    """
    cls = FACTS[data["type"]]
    given = {k: v for k, v in data.items() if k != "type"}
    return cast("Fact", _build(cls, given))


def _build(cls: type[Any], given: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    unknown = set(given) - {f.name for f in fields(cls)}
    if unknown:
        raise TypeError(f"{cls.__name__} has no field {sorted(unknown)}")
    return cls(**{name: _value(hints[name], value) for name, value in given.items()})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, cast("dict[str, Any]", value))
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, item) for item in cast("list[Any]", value))
    if typing.get_origin(hint) is types.UnionType and value is not None:
        inner = [h for h in typing.get_args(hint) if h is not type(None)]
        return _value(inner[0], value) if len(inner) == 1 else value
    return value
