"""Makes the tools of an agent from the catalogue."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import cast

from mlintern_jupyter.protocols import Tool
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.tools.base.deps import ToolDeps

MakeTools = Callable[[ToolDeps], Sequence[Tool]]


def build_tools(deps: ToolDeps, toolsets: Collection[str] | None = None) -> list[Tool]:
    """Every tool of the toolsets that are on, in the order the model sees them.

    Args:
        deps: what the tools are made from.
        toolsets: those that are on; all if not said.
    """
    on = catalog.known(toolsets)
    tools: list[Tool] = []
    deps = replace(deps, all_tools=lambda: tools)
    for file in catalog.CATALOGUE:
        if file.toolset in on:
            tools += _factory(file)(deps)
    return tools


def _factory(file: catalog.ToolFile) -> MakeTools:
    module = importlib.import_module(f"{__package__}.{file.module}")
    return cast("MakeTools", module.make_tools)
