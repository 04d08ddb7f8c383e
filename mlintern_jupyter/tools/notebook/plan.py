"""The plan: said as a fact each time, shown in the notebook when it begins and when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.events import PlanChanged
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.tools.base.cell_writer import CellWriter
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import cell_tool

MAX_ITEMS = 12
_BOX = {"pending": "[ ]", "active": "[ ]", "done": "[x]"}


class PlanItem(TypedDict):
    """One step of the plan."""

    step: str
    state: Literal["pending", "active", "done"]


class PlanTools:
    """The tool ``plan``."""

    def __init__(self, cells: CellWriter) -> None:
        self._cells = cells

    async def plan(self, ctx: ToolContext, items: list[PlanItem]) -> ToolResult:
        """Set the whole plan, at most 12 items, one active. Call it first and when an item changes.

        The first plan of a session becomes a Markdown cell. That cell is brought up to date once,
        when every item is done; between, the plan lives in the record and beside the notebook, so
        that the notebook does not change with every step.

        Args:
            items: every item, in order
        """
        _check(items)
        ctx.commit(PlanChanged(tuple({"step": i["step"], "state": i["state"]} for i in items)))
        shown = self._cells.newest("plan")
        done = sum(item["state"] == "done" for item in items)
        if shown is None:
            await self._cells.write(ctx, "plan", as_markdown(items))
        elif done == len(items):
            await self._cells.rewrite(ctx, shown, as_markdown(items))
        active = next((item["step"] for item in items if item["state"] == "active"), "")
        facts: dict[str, Any] = {"plan": {"done": done, "of": len(items), "active": active}}
        return ToolResult(f"plan: {done} of {len(items)} done; active: {active or 'none'}", facts)


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tool of this file."""
    return [cell_tool(PlanTools(deps.cell_writer).plan, {"notebook"})]


def as_markdown(items: Sequence[PlanItem]) -> str:
    """The plan as a list of boxes."""
    lines = [f"- {_BOX[item['state']]} {item['step']}" for item in items]
    return "\n".join(["### Plan", "", *lines])


def _check(items: Sequence[PlanItem]) -> None:
    active = [item["step"] for item in items if item["state"] == "active"]
    if not 1 <= len(items) <= MAX_ITEMS:
        raise ToolError(f"a plan has 1 to {MAX_ITEMS} items, not {len(items)}")
    if len(active) > 1:
        raise ToolError(f"only one item may be active, not {len(active)}: {'; '.join(active)}")
    for item in items:
        if not item["step"].strip() or "\n" in item["step"] or len(item["step"]) > 200:
            raise ToolError("a step is one line of 1 to 200 characters")
