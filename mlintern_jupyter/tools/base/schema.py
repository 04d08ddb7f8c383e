"""A tool is made from a typed function: schema, strict binding and manual come from it.

The first paragraph of the docstring and the lines under ``Args:`` go to the model with every
request; the whole docstring is the tool's manual. Hints that are understood: ``str``, ``int``,
``float``, ``bool``, ``None``, ``Literal``, ``list[...]``, ``dict[str, ...]``, a ``TypedDict``,
``Any`` and unions of those, ``Annotated[int, Within(...)]``; ``T | None = None`` means "may be left
out".
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.messages import ToolResult, ToolSpec
from mlintern_jupyter.protocols import CallTerms, Effect, Grant, ToolContext, Visibility
from mlintern_jupyter.tools.base.answer import as_result, encodable, finished
from mlintern_jupyter.tools.base.binding import bound

Scalar = str | int | float | bool | None
Function = Callable[..., Awaitable[ToolResult]]

READ_TIMEOUT_S = 120.0
UNDERSTOOD = (
    "str, int, float, bool, None, Literal[...], list[...], dict[str, ...], a TypedDict, Any and"
    " unions of those"
)
_NAMES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_REQUIRED = inspect.Parameter.empty
_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@dataclass(frozen=True)
class Within:
    """Bounds of a number, in ``Annotated[int, Within(1, 100)]``."""

    low: int
    high: int | None = None


@dataclass(frozen=True)
class Argument:
    """One parameter of a tool, without ``ctx``."""

    name: str
    schema: dict[str, Any]
    default: Any

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
        resumes: a call that was begun and never settled may be made again.
        price_usd: what a call costs; ``None``: unknown.
        visibility: who can see what a call leaves behind.
    """

    def __init__(
        self,
        function: Function,
        effects: Iterable[Effect],
        *,
        timeout_s: float | None = None,
        resumes: bool = False,
        price_usd: float | None = 0.0,
        visibility: Visibility = "here",
    ) -> None:
        self.timeout_s = timeout_s
        self.resumes = resumes
        self.manual = manual_of(function)
        self._function = function
        arguments = arguments_of(function, skip=1)
        self._defaults = {a.name: a.default for a in arguments}
        self.spec = spec_of(function, self.manual, arguments)
        self._terms = CallTerms(self.spec.name, frozenset(effects), price_usd, visibility)

    def bind(self, arguments: str) -> dict[str, Any]:
        """Arguments of a call, complete with defaults.

        Raises:
            ToolError: the text is not one JSON object, or a parameter is unknown, missing, of the
                wrong type or outside its choices; names it, what came and what is allowed.
        """
        return self._defaults | bound(self.spec, arguments)

    def terms(self, arguments: Mapping[str, Any]) -> CallTerms:
        """The same for every call: effects, price and visibility are the tool's."""
        return self._terms

    async def __call__(self, ctx: ToolContext, grant: Grant, /, **arguments: Any) -> ToolResult:
        """Carry the call out; the text of the result ends with its ``facts:`` line.

        Raises:
            ToolError: the grant is not for exactly this, or was used; nothing was done.
        """
        grant.use(self.terms(arguments), arguments)
        return finished(as_result(await self._function(ctx, **arguments)))


def cell_tool(function: Function, effects: Iterable[Effect]) -> FunctionTool:
    """A tool that works through cells.

    A cell may wait for a person or a long run, so no clock ends it; its call finds it again.
    """
    return FunctionTool(function, effects, resumes=True)


def read_tool(function: Function) -> FunctionTool:
    """A tool that only reads, for at most ``READ_TIMEOUT_S``."""
    return FunctionTool(function, {"read"}, timeout_s=READ_TIMEOUT_S, resumes=True)


def manual_of(function: Callable[..., Any]) -> str:
    """The docstring without its indentation, fit to be sent; empty where there is none."""
    return encodable(inspect.cleandoc(function.__doc__ or ""))


def spec_of(function: Callable[..., Any], manual: str, arguments: Iterable[Argument]) -> ToolSpec:
    """A tool as the model sees it."""
    arguments = list(arguments)
    return ToolSpec(
        name=function.__name__,
        description=" ".join(manual.split("\n\n", 1)[0].split()),
        parameters={
            "type": "object",
            "properties": {a.name: a.schema for a in arguments},
            "required": [a.name for a in arguments if a.required],
            "additionalProperties": False,
        },
    )


def arguments_of(function: Callable[..., Any], *, skip: int = 0) -> list[Argument]:
    """The parameters a model may give, after those ``skip`` that it is not told of.

    Raises:
        UsageError: one has no hint, a hint that is not understood, or cannot be given by name.
    """
    # The hint of the value is nobody's business here, and may name what is not there.
    named = {n: h for n, h in function.__annotations__.items() if n != "return"}
    source: Any = types.SimpleNamespace(__annotations__=named, __wrapped__=function)
    try:
        hints = typing.get_type_hints(source, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise UsageError(f"a type hint of {function.__name__} cannot be read: {error}") from None
    help_lines = _help_lines(manual_of(function))
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    return [_argument(p, hints, help_lines.get(p.name, "")) for p in parameters]


def _argument(parameter: inspect.Parameter, hints: Mapping[str, Any], help_text: str) -> Argument:
    name, default = parameter.name, parameter.default
    if parameter.kind not in _NAMED:
        raise UsageError(
            f"parameter {parameter} cannot be given by name", do="give every parameter one name"
        )
    if name not in hints:
        raise UsageError(f"parameter {name} has no type hint", do=f"hints may be {UNDERSTOOD}")
    try:
        schema = _schema(_given_hint(hints[name], default))
    except ValueError as error:
        raise UsageError(
            f"the type hint of parameter {name} is not understood: {error}",
            do=f"hints may be {UNDERSTOOD}",
        ) from None
    if help_text:
        schema["description"] = help_text
    # A mutable default, and what JSON does not have, is the function's own business.
    if default not in (_REQUIRED, None, "", False) and isinstance(default, str | int | float):
        schema["default"] = default
    return Argument(name, schema, default)


def _help_lines(manual: str) -> dict[str, str]:
    """``name: text`` entries of the ``Args:`` section, continuation lines joined."""
    _, _, section = manual.partition("\nArgs:\n")
    entries: dict[str, str] = {}
    name = ""
    for line in section.split("\n"):
        if line and not line.startswith(" "):
            break
        entry = re.match(r" {4}(\w+)(?: \([^)]*\))?: (.*)", line)
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


def _schema(hint: Any) -> dict[str, Any]:
    """The JSON schema of a hint. Raises ValueError with what is not understood."""
    if hint is Any:
        return {}
    if typing.is_typeddict(hint):
        return _fields(hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is None and hint in _NAMES:
        return {"type": _NAMES[hint]}
    if origin is Annotated:
        return _schema(inner[0]) | _bounds(inner[1:])
    if origin is Literal:
        texts = all(isinstance(choice, str) for choice in inner)
        return ({"type": "string"} if texts else {}) | {"enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": _schema(inner[0])}
    if origin is dict and inner[0] is str:
        # What may be anything is not said.
        values = _schema(inner[1])
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    if _is_union(hint):
        return {"anyOf": [_schema(h) for h in inner]}
    raise ValueError(str(hint) if origin else getattr(hint, "__name__", repr(hint)))


def _fields(hint: Any) -> dict[str, Any]:
    fields = typing.get_type_hints(hint)
    return {
        "type": "object",
        "properties": {name: _schema(h) for name, h in fields.items()},
        "required": [name for name in fields if name in hint.__required_keys__],
        "additionalProperties": False,
    }


def _bounds(extras: Iterable[Any]) -> dict[str, Any]:
    found = next((extra for extra in extras if isinstance(extra, Within)), None)
    if found is None:
        return {}
    high = {} if found.high is None else {"maximum": found.high}
    return {"minimum": found.low, **high}
