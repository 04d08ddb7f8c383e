"""Giving a task to a sub-agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import FunctionTool

Role = Literal["literature", "data", "code_reader", "critic"]


async def delegate(ctx: ToolContext, role: Role, task: str) -> ToolResult:
    """Let a read-only sub-agent with its own window do a task; calls in one reply run side by side.

    It makes no cell, file or job and has no sub-agent of its own. It sees nothing of this
    conversation, so the task says everything: the question, names and paths, what an answer must
    hold. It has a share of the budget and at most 60 replies, and answers with text and, where it
    makes sense, rows (``facts.delegate.rows``). An answer that says partial stopped at a limit.

    literature: recipes, papers and pages by the tools there are. data: rows, columns and defects of
    data the notebook shows. code_reader: how a library or the notebook's code works. critic: what
    is wrong with a plan, a result or a claim, before it stands.

    Args:
        task: whole, it knows nothing else; text and rows come back
    """
    return await ctx.spawn(ctx.call, role, task)


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tool of this file; none for an agent that may not delegate."""
    # Its own limits are steps and money; it may well take an hour.
    return [FunctionTool(delegate, {"read"}, resumes=True)] if deps.can_delegate else []
