"""``@tool``: a function of the person's own that the intern may call.

In a notebook cell it is there from the next turn on; a call of it becomes a code cell, reviewed
like any other, since only cells run code in the kernel. In a module it is named by dotted path
(``--tool pkg.mod:function``) or by an entry point of the group ``mlintern_jupyter.tools``; a call
runs it in a process of its own (``tools.custom.modules``).

Type hints become the schema, the docstring becomes the manual. This module imports nothing heavy:
it is loaded wherever a person decorates something.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.messages import ToolSpec
from mlintern_jupyter.protocols import Effect
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.tools.base.schema import arguments_of, manual_of, spec_of
from mlintern_jupyter.tools.custom.declaration import TIMEOUT_S, Declaration, declared

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_MARK = "__mlintern_tool__"
_UNDESCRIBED = "A tool of the person's own; it has no description."


@dataclass(frozen=True)
class CustomFunction:
    """What is known of a function that is a tool: all of it can be written as JSON."""

    spec: ToolSpec
    manual: str
    declaration: Declaration
    is_async: bool
    says_text: bool
    """Its value is hinted to be a text."""


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    effects: Iterable[Effect] = ...,
    hosts: Iterable[str] = ...,
    keys: Iterable[str] = ...,
    timeout_s: float = ...,
) -> Callable[[F], F]: ...
def tool(
    function: F | None = None,
    /,
    *,
    effects: Iterable[Effect] = (),
    hosts: Iterable[str] = (),
    keys: Iterable[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> F | Callable[[F], F]:
    """Offer a function to the intern as a tool; the function itself stays as it is.

    Args:
        function: its parameters have type hints, its docstring tells the intern what it does.
        effects: everything a call may do: read, notebook, local-write, execute, network-write,
            spend, publish, delete. Undeclared, every call asks.
        hosts: every host a call connects to, e.g. ``api.example.org``. Such a tool counts as one
            that writes to a network: it asks, and the question shows the hosts.
        keys: names of variables that a call needs for these hosts, e.g. ``EXAMPLE_API_KEY``. They
            are in the environment of the call's process, so only an installed module can have them.
        timeout_s: longest a call may take, for a function in a module; a cell has no limit.

    Raises:
        UsageError: the function cannot be a tool; says why and what to change.
    """
    declaration = declared(effects, hosts, keys, timeout_s)

    def offered(function: F) -> F:
        if declaration.keys and function.__module__ == "__main__":
            raise UsageError(
                f"{function.__name__} cannot be given {', '.join(declaration.keys)}",
                why="cells run without keys in their environment",
                do="put the function into an installed package",
            )
        _described(function, declaration)
        # Only the wish is kept: what it means is read anew where the function is used.
        setattr(function, _MARK, declaration)
        return function

    return offered if function is None else offered(function)


def describe(function: Any) -> CustomFunction:
    """A function as a tool, decorated or not.

    Raises:
        UsageError: it cannot be one.
    """
    return _described(function, getattr(function, _MARK, Declaration()))


def is_offered(value: Any) -> bool:
    """Whether this is a function under ``@tool``. Runs no code of a stranger's object."""
    return inspect.isfunction(value) and _MARK in value.__dict__


def _described(function: Any, declaration: Declaration) -> CustomFunction:
    if not inspect.isfunction(function):
        raise UsageError(
            f"a tool is made from a function, not from {type(function).__name__}",
            do="write `def name(...)` below @tool",
        )
    _check_name(function.__name__, function.__qualname__)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(f"{function.__name__} yields; a tool returns one value")
    manual = manual_of(function) or _UNDESCRIBED
    try:
        spec = spec_of(function, manual, arguments_of(function))
    except UsageError as error:
        raise UsageError(
            f"{function.__name__} cannot be a tool: {error.what}", why=error.why, do=error.do
        ) from None
    hint = function.__annotations__.get("return")
    return CustomFunction(
        spec=spec,
        manual=manual,
        declaration=declaration,
        is_async=inspect.iscoroutinefunction(function),
        says_text=hint in {str, "str"} if isinstance(hint, type | str) else False,
    )


def _check_name(name: str, path: str) -> None:
    if name in catalog.tool_names():
        raise UsageError(f"{name} is a tool of the intern itself", do="choose another name")
    if not _NAME.fullmatch(name) or "__" in name:
        raise UsageError(
            f"{name} cannot be the name of a tool",
            do="use letters, digits and single underscores, at most 64, beginning with a letter",
        )
    if path != name:
        raise UsageError(
            f"{path} cannot be a tool: it is inside something else",
            do="define it at the top of a cell or module",
        )
