"""What a tool can be made from: one value, the same for every file of tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlintern_jupyter.protocols import Tool
from mlintern_jupyter.recipes.book import Book
from mlintern_jupyter.record.cell_record import CellRecord
from mlintern_jupyter.record.conversation import Conversation
from mlintern_jupyter.tools.base.cell_writer import CellWriter


def _no_tools() -> Sequence[Tool]:
    return ()


@dataclass(frozen=True)
class ToolDeps:
    """Handed to ``make_tools`` of every file in the catalogue, at the start of a turn.

    It is of one agent: a sub-agent gets a copy with its own conversation (``dataclasses.replace``).
    What goes on changing while the turn runs is a function, to be called at each use. What differs
    from call to call is in ``protocols.ToolContext`` instead.
    """

    recipe_book: Book
    """Every page of the recipe book."""
    cells: Callable[[], Mapping[str, CellRecord]]
    """The session's cells so far by id, in the order in which they were proposed."""
    runs: Callable[[], Sequence[Mapping[str, Any]]]
    """Records of the trainings, evaluations and comparisons so far, oldest first."""
    facts: Callable[[], Mapping[str, Any]]
    """The facts of all tool results so far in one mapping; the newest value of a key wins."""
    conversation: Callable[[], Conversation]
    """Of the agent that has the tools, whole."""
    full_result: Callable[[str], str]
    """By the id of a call: its result before it was cut for the model; empty if it was not cut."""
    find_secret: Callable[[str], str | None]
    """Name of a secret that a text holds, or ``None``."""
    namespace: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The notebook's variables by name, among them functions under ``@tool``."""
    module_tools: Sequence[Tool] = ()
    """Functions of installed modules that the person offers as tools."""
    mcp_tools: Sequence[Tool] = ()
    """What the MCP servers of this turn offer."""
    can_delegate: bool = True
    """Whether the agent may start sub-agents; a sub-agent may not."""
    all_tools: Callable[[], Sequence[Tool]] = _no_tools
    """Every tool the agent has; filled in by ``tools.build``, complete once all are made."""

    @property
    def cell_writer(self) -> CellWriter:
        """Puts cells into the notebook, for a tool whose product is a cell."""
        return CellWriter(self.cells, self.find_secret)
