"""Every tool of a session, joined with what it needs to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlintern_jupyter.protocols import Effect, Tool
from mlintern_jupyter.recipes.book import Book
from mlintern_jupyter.record.conversation import Conversation
from mlintern_jupyter.record.state import CellRecord
from mlintern_jupyter.tools.base.cell_writer import CellWriter
from mlintern_jupyter.tools.base.schema import Function, FunctionTool
from mlintern_jupyter.tools.base.toolbox import TurnToolbox
from mlintern_jupyter.tools.compute.evaluate import EvaluationTools
from mlintern_jupyter.tools.compute.experiments import ExperimentTools
from mlintern_jupyter.tools.custom.notebook_functions import notebook_tools
from mlintern_jupyter.tools.notebook.cells import CellTools
from mlintern_jupyter.tools.notebook.manual import ManualTools
from mlintern_jupyter.tools.notebook.plan import PlanTools
from mlintern_jupyter.tools.notebook.read_notebook import ReadingTools
from mlintern_jupyter.tools.notebook.recall import RecallTools
from mlintern_jupyter.tools.research.delegate import delegate
from mlintern_jupyter.tools.research.inspect_object import InspectionTools
from mlintern_jupyter.tools.research.recipe import RecipeTools

READ_TIMEOUT_S = 120.0


def build_tools(
    *,
    book: Book,
    cells: Callable[[], Mapping[str, CellRecord]],
    runs: Callable[[], Sequence[Mapping[str, Any]]],
    facts: Callable[[], Mapping[str, Any]],
    has_secret: Callable[[str], str | None],
    conversation: Callable[[], Conversation],
    sources_of: Callable[[str], tuple[str, ...]],
    whole_of: Callable[[str], str],
    namespace: Mapping[str, Any] | None = None,
    more: Sequence[Tool] = (),
) -> list[Tool]:
    """Every tool of a session, in the order the model sees them.

    Args:
        book: the recipes.
        cells: the session's cells so far, by id, in the order they were proposed.
        runs: payloads of the evaluations, jobs and comparisons so far.
        facts: the facts of all results so far merged, the newest winning.
        has_secret: name of the secret a text holds, or None.
        conversation: of the intern so far, whole.
        sources_of: where untrusted text in the answer of a call came from, by the call's id.
        whole_of: the answer of a call that was cut for the model; empty where it was not.
        namespace: the notebook's names, among them functions under ``@tool``.
        more: tools that come from elsewhere: the person's modules, servers. They stand last, so
            that the beginning of every prompt stays the same bytes.
    """
    writer = CellWriter(cells, has_secret)
    cell_tools = CellTools(writer)
    evaluation = EvaluationTools(writer, cells, runs)
    tools: list[Tool] = []
    manual = ManualTools(lambda: TurnToolbox(tools))
    tools += [
        _cell(PlanTools(writer).plan, {"notebook"}),
        _cell(cell_tools.write_cell, {"notebook", "execute"}),
        _cell(cell_tools.edit_cell, {"notebook", "execute"}),
        _cell(cell_tools.wait_cell, {"notebook", "execute"}),
        _read(ReadingTools(cells).read_notebook),
        _read(RecallTools(conversation, cells, sources_of, whole_of).recall),
        _read(InspectionTools().inspect_object),
        _read(RecipeTools(book, facts).recipe),
        _cell(evaluation.evaluate, {"notebook", "execute"}),
        _cell(evaluation.compare, {"notebook", "execute"}),
        _read(ExperimentTools(runs).experiments),
        _read(manual.manual),
        # Its own limits are steps and money; it may well take an hour.
        FunctionTool(delegate, {"read"}, resumes=True),
        *more,
        *notebook_tools(namespace or {}, writer),
    ]
    return tools


def _cell(function: Function, effects: set[Effect]) -> Tool:
    """A cell may wait for a person or a long run, so no clock ends it; its call finds it again."""
    return FunctionTool(function, effects, resumes=True)


def _read(function: Function) -> Tool:
    return FunctionTool(function, {"read"}, timeout_s=READ_TIMEOUT_S, resumes=True)
