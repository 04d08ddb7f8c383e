"""The one table of the intern's tools: which file makes them, and which toolset they belong to.

A new tool is a file with ``make_tools(deps: ToolDeps) -> Sequence[Tool]``, its test, and one line
of ``CATALOGUE``. Everything else that has to know of it is computed from the table: what is sent to
the model (``tools.build``), names nobody else's tool can have, facts that no cell can say, what can
be switched off, and what is said to be not there yet.

The files are named by their paths and loaded when a turn begins. So the table itself is light (it
is read wherever a person decorates a function), and a toolset that is off is not even loaded.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mlintern_jupyter.errors import UsageError

REQUIRED = "notebook"
"""The toolset that the loop itself needs: it plans, writes, reads and waits for cells by it."""


@dataclass(frozen=True)
class ToolFile:
    """A line of the table: one file of tools."""

    toolset: str
    """What the tools are switched on and off with."""
    module: str
    """Where ``make_tools`` is, below ``mlintern_jupyter.tools``."""
    names: tuple[str, ...]
    """Names of the tools it makes. No function of a person's own and no MCP tool can have them."""
    fact_keys: tuple[str, ...] = ()
    """Facts that only its results can say: a cell that prints one of them is not believed."""


CATALOGUE: tuple[ToolFile, ...] = (
    ToolFile("notebook", "notebook.plan", ("plan",), fact_keys=("plan",)),
    ToolFile("notebook", "notebook.cells", ("write_cell", "edit_cell", "wait_cell")),
    ToolFile("notebook", "notebook.read_notebook", ("read_notebook",)),
    ToolFile("notebook", "notebook.recall", ("recall",)),
    ToolFile("research", "research.inspect_object", ("inspect_object",)),
    ToolFile("research", "research.recipe", ("recipe",), fact_keys=("recipe", "recipes")),
    ToolFile("compute", "compute.evaluate", ("evaluate", "compare")),
    ToolFile("compute", "compute.experiments", ("experiments",)),
    ToolFile("notebook", "notebook.manual", ("manual",)),
    ToolFile("research", "research.delegate", ("delegate",)),
    # What a person brings stands last, so that the beginning of every prompt is the same bytes.
    ToolFile("custom", "custom.notebook_functions", ()),
    ToolFile("mcp", "mcp.tools", ("use_mcp",)),
)
"""In the order in which the model is sent the tools."""

CELL_FACT_KEYS = frozenset(
    ("cell", "state", "error", "edited", "eval", "evals", "job", "jobs", "comparison")
)
"""What is said of every cell: how it ended, and what its records hold (``tools.base.facts``)."""

ABILITIES: Mapping[str, str] = {
    "papers": "paper search and citation graphs",
    "hub": "data-set search on the Hub",
    "hf_jobs": "Hugging Face Jobs",
    "slurm": "Slurm",
    "notifications": "notifications",
}
"""What the intern is to be able to do, by the toolset that will do it."""


def toolsets() -> tuple[str, ...]:
    """Every toolset, in the order of the table."""
    return tuple(dict.fromkeys(file.toolset for file in CATALOGUE))


def tool_names() -> frozenset[str]:
    """Names of the intern's own tools, on or off, which nobody else's tool can have."""
    return frozenset(name for file in CATALOGUE for name in file.names)


def fact_keys() -> frozenset[str]:
    """Keys of facts that no cell can say by printing them."""
    return CELL_FACT_KEYS | {key for file in CATALOGUE for key in file.fact_keys}


def missing_abilities() -> tuple[str, ...]:
    """What this version cannot do yet, in words."""
    return tuple(words for toolset, words in ABILITIES.items() if toolset not in toolsets())


def known(recorded: Collection[str] | None) -> tuple[str, ...]:
    """The toolsets that a record says are on, in the order of the table.

    Args:
        recorded: names, also of toolsets that this version does not have; ``None``: the record was
            written before toolsets could be switched, so all are on.
    """
    if recorded is None:
        return toolsets()
    return tuple(name for name in toolsets() if name in recorded or name == REQUIRED)


def switched(words: Iterable[str], on: Collection[str]) -> tuple[str, ...]:
    """The toolsets that are on after a person said so.

    Args:
        words: ``-NAME`` switches a toolset off and ``+NAME`` on; names without a sign are all that
            shall be on, besides the one that cannot be off.
        on: those that are on before.

    Raises:
        UsageError: there is no such toolset, it cannot be off, or names with and without a sign
            are mixed.
    """
    said = [(word[:1] if word[:1] in {"+", "-"} else "", word.lstrip("+-")) for word in words]
    for sign, name in said:
        _check(sign, name)
    signs = {bool(sign) for sign, _ in said}
    if len(signs) > 1:
        raise UsageError(
            "toolsets are named with a sign or without one, not both",
            do="-NAME switches off, +NAME on; names without a sign are all that shall be on",
        )
    chosen = set[str]() if signs == {False} else set(on)
    for sign, name in said:
        chosen = chosen - {name} if sign == "-" else chosen | {name}
    return known(chosen)


def _check(sign: str, name: str) -> None:
    if name not in toolsets():
        near = difflib.get_close_matches(name, toolsets(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"there is no toolset {name}", do=f"{hint}toolsets are {', '.join(toolsets())}"
        )
    if sign == "-" and name == REQUIRED:
        others = ", ".join(other for other in toolsets() if other != REQUIRED)
        raise UsageError(
            f"the toolset {REQUIRED} cannot be switched off",
            why="the intern plans, writes, reads and waits for cells with it",
            do=f"toolsets that can be off are {others}",
        )
