"""A tool is made from a typed async function: schema, strict binding and manual come from it.

The first paragraph of the docstring and the lines under ``Args:`` go to the model with every
request; the whole docstring is the tool's manual. Hints that are understood: ``str``, ``int``,
``float``, ``bool``, ``None``, ``Literal``, ``list[...]``, ``dict[str, ...]``, a ``TypedDict`` and
unions of those; ``T | None = None`` means "may be left out".
"""

from __future__ import annotations

import inspect
import json
import math
import re
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, cast

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult, ToolSpec
from mlintern_jupyter.protocols import Effect, Grant, Terms, ToolContext, Visibility
from mlintern_jupyter.tools.answer import as_result, finished

Scalar = str | int | float | bool | None
Function = Callable[..., Awaitable[ToolResult]]

_NAMES: dict[Any, tuple[str, str]] = {
    str: ("string", "a text"),
    int: ("integer", "a whole number"),
    float: ("number", "a number"),
    bool: ("boolean", "true or false"),
    type(None): ("null", "null"),
}
_REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Argument:
    """One parameter of a tool, without ``ctx``."""

    name: str
    hint: Any
    default: Any
    help: str
    """Empty where the name says it."""

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is _REQUIRED


class FunctionTool:
    """``protocols.Tool`` made from a function ``async def name(ctx, ...) -> ToolResult``.

    Args:
        function: what a call carries out.
        effects: everything a call may do; empty: undeclared, so that the person is asked.
        timeout_s: longest a call may take; ``None`` where a person or a cell is waited for.
        price_usd: what a call costs; ``None``: unknown.
        visibility: who can see what a call leaves behind.
    """

    def __init__(
        self,
        function: Function,
        effects: Iterable[Effect],
        *,
        timeout_s: float | None = None,
        price_usd: float | None = 0.0,
        visibility: Visibility = "here",
    ) -> None:
        self.timeout_s = timeout_s
        self.manual = inspect.cleandoc(function.__doc__ or "")
        self._function = function
        self._arguments = _arguments_of(function, self.manual)
        self.spec = ToolSpec(
            name=getattr(function, "__name__", ""),
            description=" ".join(self.manual.split("\n\n", 1)[0].split()),
            parameters={
                "type": "object",
                "properties": {a.name: _property(a) for a in self._arguments},
                "required": [a.name for a in self._arguments if a.required],
                "additionalProperties": False,
            },
        )
        self._terms = Terms(self.spec.name, frozenset(effects), price_usd, visibility)

    def bind(self, arguments: str) -> dict[str, Any]:
        """Arguments of a call, complete with defaults.

        Raises:
            ToolError: the text is not one JSON object, or a parameter is unknown, missing, of the
                wrong type or outside its choices; names it, what came and what is allowed.
        """
        given = self._parsed(arguments)
        allowed = {a.name: a for a in self._arguments}
        for name in given:
            if name not in allowed:
                raise self._refused(f"has no parameter {_shown(name)}")
        missing = [a.name for a in self._arguments if a.required and a.name not in given]
        if missing:
            raise self._refused(f"needs {', '.join(missing)}")
        bound: dict[str, Any] = {}
        for name, argument in allowed.items():
            if name not in given:
                bound[name] = argument.default
                continue
            try:
                bound[name] = _checked(argument.hint, given[name], name)
            except ValueError as error:
                raise self._refused(str(error)) from None
        return bound

    def terms(self, arguments: Mapping[str, Any]) -> Terms:
        """The same for every call: effects, price and visibility are the tool's."""
        return self._terms

    async def __call__(self, ctx: ToolContext, grant: Grant, /, **arguments: Any) -> ToolResult:
        """Carry the call out; the text of the result ends with its ``facts:`` line.

        Raises:
            ToolError: the grant is not for exactly this, or was used; nothing was done.
        """
        grant.use(self.terms(arguments), arguments)
        return finished(as_result(await self._function(ctx, **arguments)))

    def _parsed(self, arguments: str) -> dict[str, Any]:
        if not arguments.strip():
            arguments = "{}"
        try:
            given = json.loads(
                arguments, object_pairs_hook=_without_duplicates, parse_constant=_no_constant
            )
        except RecursionError:
            raise self._refused("arguments are nested too deeply") from None
        except ValueError as error:
            raise self._refused(f"arguments are not valid JSON: {error}") from None
        if not isinstance(given, dict):
            raise self._refused(f"arguments must be one JSON object, not {_shown(given)}")
        return cast("dict[str, Any]", given)

    def _refused(self, why: str) -> ToolError:
        choices = "; ".join(
            f"{a.name}: {_allowed(a.hint)}{'' if a.required else ' (optional)'}"
            for a in self._arguments
        )
        return ToolError(
            f"{self.spec.name}: {why}", do=f"parameters are {choices}" if choices else "give none"
        )


def _arguments_of(function: Function, manual: str) -> list[Argument]:
    hints = typing.get_type_hints(function)
    help_lines = _help_lines(manual)
    _, *parameters = inspect.signature(function).parameters.values()
    return [
        Argument(
            p.name, _given_hint(hints[p.name], p.default), p.default, help_lines.get(p.name, "")
        )
        for p in parameters
    ]


def _help_lines(manual: str) -> dict[str, str]:
    """``name: text`` entries of the ``Args:`` section, continuation lines joined."""
    _, _, section = manual.partition("\nArgs:\n")
    entries: dict[str, str] = {}
    name = ""
    for line in section.split("\n"):
        if line and not line.startswith(" "):
            break
        entry = re.match(r" {4}(\w+): (.*)", line)
        if entry:
            name = entry[1]
            entries[name] = entry[2].strip()
        elif line.strip() and name:
            entries[name] += f" {line.strip()}"
    return entries


def _given_hint(hint: Any, default: Any) -> Any:
    """The type a given value must have: ``T | None = None`` only means it may be left out."""
    if default is None and _is_union(hint):
        rest = tuple(h for h in typing.get_args(hint) if h is not type(None))
        return rest[0] if len(rest) == 1 else Union[rest]  # noqa: UP007
    return hint


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in {types.UnionType, Union}


def _property(argument: Argument) -> dict[str, Any]:
    schema = _schema(argument.hint)
    if argument.help:
        schema["description"] = argument.help
    if not argument.required and argument.default not in (None, "", False):
        schema["default"] = argument.default
    return schema


def _schema(hint: Any) -> dict[str, Any]:
    if hint in _NAMES:
        return {"type": _NAMES[hint][0]}
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"type": "string", "enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": _schema(inner[0])}
    if origin is dict:
        return {"type": "object"}
    if _is_union(hint):
        return {"anyOf": [_schema(h) for h in inner]}
    fields = typing.get_type_hints(hint)
    return {
        "type": "object",
        "properties": {name: _schema(h) for name, h in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }


def _allowed(hint: Any) -> str:
    if hint in _NAMES:
        return _NAMES[hint][1]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(inner)}"
    if origin is list:
        return f"a list, each item {_allowed(inner[0])}"
    if origin is dict:
        return f"an object, each value {_allowed(inner[1])}"
    if _is_union(hint):
        return " or ".join(_allowed(h) for h in inner)
    fields = typing.get_type_hints(hint)
    return f"an object of {', '.join(f'{n} ({_allowed(h)})' for n, h in fields.items())}"


def _checked(hint: Any, value: Any, where: str) -> Any:
    """The value, if it has the type of the hint. Raises ValueError that says where it has not."""
    if hint in _NAMES:
        return _checked_scalar(hint, value, where)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if _is_union(hint):
        return _checked_choice(hint, value, where)
    if origin is Literal and isinstance(value, str) and value in inner:
        return value
    if origin is list and isinstance(value, list):
        items = cast("list[Any]", value)
        return [_checked(inner[0], item, f"{where}[{i}]") for i, item in enumerate(items)]
    if origin is dict and isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        return {_text(k): _checked(inner[1], v, f"{where}.{k}") for k, v in named.items()}
    if origin is None and isinstance(value, dict):
        return _checked_fields(hint, cast("dict[str, Any]", value), where)
    raise _wrong(where, value, hint)


def _checked_choice(hint: Any, value: Any, where: str) -> Any:
    for choice in typing.get_args(hint):
        try:
            return _checked(choice, value, where)
        except ValueError:
            continue
    raise _wrong(where, value, hint)


def _checked_scalar(hint: Any, value: Any, where: str) -> Any:
    given = cast("type[Any]", type(value))
    if given is str and hint is str:
        return _text(value)
    if given is float and not math.isfinite(value):
        raise ValueError(f"{where} is not a finite number")
    if given is hint or (hint is float and given is int):
        return value
    raise _wrong(where, value, hint)


def _checked_fields(hint: Any, value: dict[str, Any], where: str) -> dict[str, Any]:
    fields = typing.get_type_hints(hint)
    if set(value) != set(fields):
        raise _wrong(where, value, hint)
    return {n: _checked(h, value[n], f"{where}.{n}") for n, h in fields.items()}


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text holds half a character (a lone surrogate) at {error.start}; send it whole"
        ) from None
    return value


def _wrong(where: str, value: Any, hint: Any) -> ValueError:
    return ValueError(f"{where} is {_shown(value)}, allowed is {_allowed(hint)}")


def _shown(value: Any) -> str:
    # Escaped, because a refused text may hold what cannot be encoded.
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if name in seen:
            raise ValueError(f"{_shown(name)} is given twice")
        seen[name] = value
    return seen


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
