"""Functions of importable modules as tools: each call runs in a process of its own.

Neither describing nor calling one imports anything into the kernel. The process has the
allow-listed environment, in a call also the keys that the function declares and no other, the
notebook's folder as its working folder and first on its path (not with keys: ``custom.child``), and
is killed with its group when the call is cancelled or takes too long. Not kept between
calls: what a module builds up in memory, so a call pays for its imports each time.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlintern_jupyter.child_environment import allowed
from mlintern_jupyter.children import ask_python
from mlintern_jupyter.errors import ToolError, UsageError
from mlintern_jupyter.messages import ToolResult, ToolSpec
from mlintern_jupyter.protocols import CallTerms, Grant, Tool, ToolContext
from mlintern_jupyter.tools.base.answer import finished
from mlintern_jupyter.tools.base.binding import bound
from mlintern_jupyter.tools.custom.declaration import declared
from mlintern_jupyter.tools.custom.functions import CustomFunction

GROUP = "mlintern_jupyter.tools"
"""Entry points of this group are tools of everyone who has the package installed."""
DESCRIBE_TIMEOUT_S = 60.0
ANSWER_LIMIT = 5_000_000
"""Bytes; the child clips long texts, so only something broken says more."""


class ModuleTool:
    """``protocols.Tool`` of a function named by its dotted path."""

    def __init__(
        self, dotted: str, function: CustomFunction, credentials: Mapping[str, str]
    ) -> None:
        self.spec: ToolSpec = function.spec
        self.manual = function.manual
        self._dotted = dotted
        self._credentials = credentials
        said = function.declaration
        self._limit_s = said.timeout_s
        # A moment more than the child gets, whose own end says more.
        self.timeout_s: float | None = said.timeout_s + 10
        self._terms = CallTerms(
            self.spec.name, frozenset(said.effects), hosts=said.hosts, keys=said.keys
        )
        self.resumes = said.effects == ("read",)

    def bind(self, arguments: str) -> dict[str, Any]:
        """The arguments given; defaults are the function's own. Raises ``ToolError``."""
        return bound(self.spec, arguments)

    def terms(self, arguments: Mapping[str, Any]) -> CallTerms:
        """What the function declares."""
        return self._terms

    async def __call__(self, ctx: ToolContext, grant: Grant, /, **arguments: Any) -> ToolResult:
        """Call the function in a process of its own.

        Raises:
            ToolError: the grant is not for this, a key is gone, the function took too long, or its
                process died.
        """
        grant.use(self.terms(arguments), arguments)
        if missing := _missing(self._terms.keys, self._credentials):
            raise ToolError(f"{missing} is not set any more", do="tell the person")
        keys = {name: self._credentials[name] for name in self._terms.keys}
        answer = await _ask(self._dotted, arguments, ctx.workdir, self._limit_s, keys)
        source = f"tool:{self.spec.name}"
        if "text" in answer:
            return finished(ToolResult(answer["text"], sources=(source,)))
        # What a stranger's exception says is a stranger's text too.
        text = f"{self.spec.name} failed:\n{answer.get('failed', 'it gave no answer')}"
        return finished(ToolResult(text, {"tool_error": True}, ok=False, sources=(source,)))


@dataclass(frozen=True)
class CustomTools:
    """The tools of one turn that come from modules."""

    tools: tuple[Tool, ...]
    problems: tuple[str, ...]
    """Installed entry points that could not be used, and why: said, but nobody asked for them."""


async def load_custom_tools(
    dotted: Sequence[str], workdir: Path, credentials: Mapping[str, str] = MappingProxyType({})
) -> CustomTools:
    """The functions named by the person and by entry points, described anew, all at once.

    Args:
        dotted: ``pkg.mod:function``, as given to ``--tool``.
        workdir: the notebook's folder.
        credentials: where the keys that a function declares are read, at each call.

    Raises:
        UsageError: one that was named cannot be a tool or lacks a key, or two have the same name.
    """
    named = list(dict.fromkeys(dotted))
    installed = [p.value for p in sorted(entry_points(group=GROUP)) if p.value not in named]
    found = await asyncio.gather(
        *(_described(path, workdir) for path in [*named, *installed]), return_exceptions=True
    )
    tools: dict[str, Tool] = {}
    problems: list[str] = []
    for path, function in zip([*named, *installed], found, strict=True):
        problem = function if isinstance(function, BaseException) else None
        if isinstance(function, CustomFunction) and function.spec.name in tools:
            problem = UsageError(f"two tools are named {function.spec.name}", do="rename one")
        if isinstance(function, CustomFunction):
            problem = problem or _lacking(path, _missing(function.declaration.keys, credentials))
        if problem is not None and (path in named or not isinstance(problem, UsageError)):
            raise problem
        if problem is not None:
            problems.append(str(problem))
        elif isinstance(function, CustomFunction):
            tools[function.spec.name] = ModuleTool(path, function, credentials)
    return CustomTools(tuple(tools.values()), tuple(problems))


def _missing(keys: Sequence[str], credentials: Mapping[str, str]) -> str:
    return ", ".join(name for name in keys if not credentials.get(name))


def _lacking(dotted: str, missing: str) -> UsageError | None:
    if not missing:
        return None
    return UsageError(
        f"tool {dotted} needs {missing}, which is not set",
        do="set it in the environment of Jupyter, or by `%env` in a cell you do not save",
    )


async def _described(dotted: str, workdir: Path) -> CustomFunction:
    try:
        answer = await _ask(dotted, None, workdir, DESCRIBE_TIMEOUT_S)
    except ToolError as error:
        raise UsageError(f"tool {dotted} cannot be used: {error}") from None
    if "described" in answer:
        return _function(answer["described"])
    failed = str(answer.get("failed", "no answer")).rsplit("\n", 1)[-1]
    refused: dict[str, str] = answer.get("refused", {"what": failed})
    raise UsageError(
        f"tool {dotted} cannot be used: {refused['what']}",
        why=refused.get("why", ""),
        do=refused.get("do") or "name a function with type hints, in a module that can be imported",
    )


def _function(described: dict[str, Any]) -> CustomFunction:
    return replace(
        CustomFunction(**described),
        spec=ToolSpec(**described["spec"]),
        # Checked here once more: a child's word alone makes no tool one that only reads.
        declaration=declared(**described["declaration"]),
    )


async def _ask(
    dotted: str,
    arguments: Mapping[str, Any] | None,
    workdir: Path,
    timeout_s: float,
    keys: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    request = {
        "function": dotted,
        "arguments": None if arguments is None else dict(arguments),
        "keyed": bool(keys),
    }
    try:
        answer, status = await ask_python(
            ["-m", "mlintern_jupyter.tools.custom.child"],
            timeout_s=timeout_s,
            limit=ANSWER_LIMIT,
            env={**allowed(os.environ), **keys},
            given=json.dumps(request).encode() + b"\n",
            hold=True,
            cwd=workdir,
        )
    except TimeoutError:
        raise ToolError(
            f"{dotted} did not answer within {timeout_s:g} s and was stopped",
            do="ask for less at once",
        ) from None
    try:
        return json.loads(answer)
    except ValueError:
        raise ToolError(f"{dotted} ended its process ({status}) without an answer") from None
