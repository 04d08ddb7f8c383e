"""Frozen dataclasses from JSON, TOML or YAML: strict, and an error names the field.

A class says by its annotations what may stand where::

    str  int  float  bool  None  Any  Literal[...]  X | Y  a dataclass
    tuple[X, ...]  tuple[X, Y]  frozenset[X]  from a list;  dict[str, X]  Mapping[str, X]

Nothing is converted but lists into tuples and sets: a whole number stands for a ``float``, as it
does everywhere in Python, and true is no number. A field that the class does not have is refused,
and so is one that is missing without a default. What goes beyond types (a range, a name that must
exist) is checked by the caller, who also turns ``ReadingError`` into an error of their own.

How a class is read is worked out once, so that a long record is read quickly.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast

T = TypeVar("T")
_Read = Callable[[Any], Any]
_NONE: frozenset[str] = frozenset()
_NOTHING: Mapping[str, Any] = types.MappingProxyType({})
_NAMES: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
    list: "a list",
    dict: "a table",
}
_SCALARS: dict[Any, frozenset[type[Any]]] = {
    str: frozenset({str}),
    int: frozenset({int}),
    float: frozenset({float, int}),
    bool: frozenset({bool}),
    type(None): frozenset({type(None)}),
    None: frozenset({type(None)}),
}


class ReadingError(ValueError):
    """A value does not fit: where it stands, and what is wrong with it.

    Args:
        what: what is wrong.
        path: where it stands, from the outside in: names of fields and keys, places in lists.
    """

    def __init__(self, what: str, *path: str | int) -> None:
        super().__init__(what, *path)
        self.what = what
        self.path = path

    def within(self, *outer: str | int) -> ReadingError:
        """The same in a larger whole."""
        return ReadingError(self.what, *outer, *self.path)

    def __str__(self) -> str:
        place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)
        return f"{place.removeprefix('.')}: {self.what}" if place else self.what


def read(cls: type[T], data: object, *, given: Mapping[str, Any] = _NOTHING) -> T:
    """An instance of a dataclass.

    Args:
        cls: the dataclass.
        data: what JSON, TOML or YAML gave for it.
        given: fields that the caller knows; in ``data`` they count as unknown.

    Raises:
        ReadingError: a field is missing, unknown or of another type.
    """
    return cast("T", _fields_of(cls, frozenset(given))(data, given))


@cache
def _fields_of(cls: type[Any], given: frozenset[str]) -> Callable[[Any, Mapping[str, Any]], Any]:
    hints = typing.get_type_hints(cls)
    taken = [f for f in fields(cls) if f.init and f.name not in given]
    readers = {f.name: _reader(hints[f.name]) for f in taken}
    needed = {f.name for f in taken if f.default is MISSING and f.default_factory is MISSING}

    def build(data: Any, known: Mapping[str, Any]) -> Any:
        if type(data) is not dict:
            raise _unfit("a table", data)
        table = cast("dict[str, Any]", data)
        values = dict(known)
        for name, value in table.items():
            reader = readers.get(name)
            if reader is None:
                raise ReadingError(f"unknown; fields are {', '.join(readers)}", str(name))
            try:
                values[name] = reader(value)
            except ReadingError as error:
                raise error.within(name) from None
        if not needed <= table.keys():
            raise ReadingError("missing", next(n for n in readers if n in needed - table.keys()))
        return cls(**values)

    return build


@cache
def _reader(kind: Any) -> _Read:
    if kind is Any:
        return _anything
    if kind in _SCALARS:
        return _scalar(kind)
    if is_dataclass(kind):
        build = _fields_of(cast("type[Any]", kind), _NONE)
        return lambda value: build(value, _NOTHING)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return _literal(inner)
    if origin in (Union, types.UnionType):
        return _union(kind, inner)
    if origin is tuple and inner[-1] is not Ellipsis:
        return _row(inner)
    if origin in (tuple, frozenset):
        return _several(origin, _reader(inner[0]))
    if origin in (dict, Mapping) and inner[0] is str:
        return _table(_reader(inner[1]))
    raise TypeError(f"a field of type {kind} cannot be read")


def _anything(value: Any) -> Any:
    return value


def _scalar(kind: Any) -> _Read:
    allowed = _SCALARS[kind]

    def one(value: Any) -> Any:
        if type(value) not in allowed:
            raise _unfit(_named(kind), value)
        return value

    return one


def _literal(allowed: tuple[Any, ...]) -> _Read:
    def one(value: Any) -> Any:
        if not any(type(value) is type(one) and value == one for one in allowed):
            listed = ", ".join(str(one) for one in allowed)
            raise ReadingError(f"expected one of {listed}, not {value!r}")
        return value

    return one


def _union(kind: Any, inner: tuple[Any, ...]) -> _Read:
    readers = [_reader(one) for one in inner if one is not type(None)]
    or_nothing = len(readers) < len(inner)

    def one(value: Any) -> Any:
        if value is None and or_nothing:
            return None
        if len(readers) == 1:
            return readers[0](value)
        for reader in readers:
            try:
                return reader(value)
            except ReadingError:
                continue
        raise _unfit(_named(kind), value)

    return one


def _several(make: Callable[[list[Any]], Any], reader: _Read) -> _Read:
    def many(value: Any) -> Any:
        items = _items(value)
        if reader is _anything:
            return make(items)
        read: list[Any] = []
        try:
            for item in items:
                read.append(reader(item))
        except ReadingError as error:
            raise error.within(len(read)) from None
        return make(read)

    return many


def _row(inner: tuple[Any, ...]) -> _Read:
    readers = [_reader(one) for one in inner]

    def row(value: Any) -> Any:
        items = _items(value)
        if len(items) != len(readers):
            raise ReadingError(f"expected {len(readers)} entries, not {len(items)}")
        read: list[Any] = []
        try:
            for reader, item in zip(readers, items, strict=True):
                read.append(reader(item))
        except ReadingError as error:
            raise error.within(len(read)) from None
        return tuple(read)

    return row


def _table(reader: _Read) -> _Read:
    def table(value: Any) -> Any:
        if type(value) is not dict:
            raise _unfit("a table", value)
        given = cast("dict[Any, Any]", value)
        read: dict[str, Any] = {}
        for name, item in given.items():
            if type(name) is not str:
                raise ReadingError(f"expected names as keys, not {name!r}")
            try:
                read[name] = reader(item)
            except ReadingError as error:
                raise error.within(name) from None
        return read

    return table


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise _unfit("a list", value)
    return list(cast("list[Any]", value))


def _unfit(expected: str, value: Any) -> ReadingError:
    return ReadingError(f"expected {expected}, not {_named(type(value))}")


def _named(kind: Any) -> str:
    """A type in the words of who writes JSON or TOML."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_named(one) for one in inner if one is not type(None))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (tuple, frozenset):
        return "a list"
    if origin in (dict, Mapping) or is_dataclass(kind):
        return "a table"
    return _NAMES.get(kind) or getattr(kind, "__name__", str(kind))
