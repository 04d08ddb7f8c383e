"""The table of everything that was trained and scored in this session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.facts import from_records
from mlintern_jupyter.tools.base.schema import read_tool

SHOWN = 40
"""Newest runs; older ones are counted."""


class ExperimentTools:
    """The tool ``experiments``."""

    def __init__(self, runs: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self._runs = runs

    async def experiments(self, ctx: ToolContext) -> ToolResult:
        """Table of all jobs, evaluations and verdicts so far, oldest first."""
        runs = list(self._runs())
        rows = [from_records([run]) for run in runs[-SHOWN:]]
        lines = [f"{len(runs)} runs"]
        if len(runs) > SHOWN:
            lines[0] += f", the newest {SHOWN} are shown"
        lines += [_line(what, row) for found in rows for what, row in found.items()]
        return ToolResult("\n".join(lines), {"experiments": rows})


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tool of this file."""
    return [read_tool(ExperimentTools(deps.runs).experiments)]


def _line(what: str, row: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in row.items() if not isinstance(value, Mapping)}
    return f"{what}: " + ", ".join(f"{key} {_short(value)}" for key, value in shown.items())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "-".join(_short(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return str(value)
