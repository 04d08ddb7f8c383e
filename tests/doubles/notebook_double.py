"""An in-memory notebook for tests of tools: a person who runs, edits or skips by script."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlintern_jupyter.cells import CellOutcome, CellView, NewCell, source_sha256
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.events import CellEnded, CellStarted, Decided, Fact, Signal
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import CallTerms, Tool, ToolContext
from mlintern_jupyter.recipes.book import Book
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.conversation import Conversation
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.toolbox import TurnToolbox
from mlintern_jupyter.tools.build import build_tools


@dataclass
class OneCall:
    """Leave for exactly one call."""

    terms: CallTerms
    arguments: dict[str, Any]
    sha256: str = ""
    used: bool = False

    def use(self, terms: CallTerms, arguments: Mapping[str, Any]) -> None:
        if self.used or (terms, dict(arguments)) != (self.terms, self.arguments):
            raise ToolError("this was not allowed")
        self.used = True


def granted(terms: CallTerms, arguments: Mapping[str, Any]) -> OneCall:
    return OneCall(terms, dict(arguments))


@dataclass
class Person:
    """What is done with the next proposed code cell."""

    state: str = "done"
    edit: str | None = None
    outputs: tuple[dict[str, Any], ...] = ()
    records: tuple[dict[str, Any], ...] = ()
    error: str = ""
    reason: str = ""
    speaks: str = ""
    """When they say something instead: ``before`` it runs, or ``while it runs``."""


@dataclass
class Notebook:
    """A host, the state folded from what was committed, and the tools on top."""

    book: Book = field(default_factory=lambda: Book({}))
    said: dict[str, Any] = field(default_factory=dict)
    auto_run: bool | Callable[[str, str], bool] = False
    own: list[CellView] = field(default_factory=list)
    namespace: dict[str, Any] = field(default_factory=dict)
    more: tuple[Tool, ...] = ()
    state: SessionState = field(default_factory=SessionState)
    conversation: Conversation = field(default_factory=Conversation)
    facts: list[Fact] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    inserted: dict[str, NewCell] = field(default_factory=dict)
    inserts: int = 0
    asked_to_run: list[str] = field(default_factory=list)
    persons: list[Person] = field(default_factory=list)
    attention: asyncio.Event = field(default_factory=asyncio.Event)
    spawned: list[tuple[str, str, str]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    """What happened around the stretches in which the person is waited for."""

    def __post_init__(self) -> None:
        self.deps = ToolDeps(
            recipe_book=self.book,
            cells=lambda: self.state.cells,
            runs=lambda: self.state.runs,
            facts=lambda: self.said,
            conversation=lambda: self.conversation,
            full_result=lambda call: "",
            find_secret=lambda text: "HF_TOKEN" if "hf_secret" in text else None,
            namespace=self.namespace,
            module_tools=self.more,
        )
        self.tools: list[Tool] = build_tools(self.deps)
        self.toolbox = TurnToolbox(self.tools)

    def call(self, tool_name: str, /, *, call: str = "call-1", **arguments: Any):
        """Carry out one tool call the way the agent does, without the JSON."""
        import json

        tool = self.toolbox.find(tool_name)
        bound = tool.bind(json.dumps(arguments))
        grant = granted(tool.terms(bound), bound)
        return asyncio.run(tool(self.context(call), grant, **bound))

    def context(self, call: str) -> ToolContext:
        return ToolContext(
            session="s-1",
            call=call,
            model="m",
            workdir=Path(),
            host=self,
            commit=self.commit,
            signal=self.signals.append,
            runs_unreviewed=self.runs_unreviewed,
            attention=self.attention,
            waiting=self.waiting,
            spawn=self.spawn,
        )

    def runs_unreviewed(self, kind: str, source: str) -> bool:
        return self.auto_run(kind, source) if callable(self.auto_run) else self.auto_run

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        self.waits.append("waiting")
        try:
            yield
        finally:
            self.waits.append("working")

    async def spawn(self, call: str, role: str, task: str) -> ToolResult:
        self.spawned.append((call, role, task))
        return ToolResult(f"{role} found nothing")

    def commit(self, fact: Fact) -> int:
        self.facts.append(fact)
        self.state.apply(NumberedFact(len(self.facts), "", fact))
        return len(self.facts)

    def of(self, kind: type) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def insert_cell(self, cell: NewCell) -> None:
        self.inserts += 1
        self.inserted.setdefault(cell.id, cell)

    async def run_cell(self, cell_id: str) -> None:
        assert cell_id in self.inserted
        self.asked_to_run.append(cell_id)

    async def wait_begun(self, cell_id: str) -> None:
        """The person decides."""
        if self.state.outcome_of(cell_id) is not None or self._begins(cell_id):
            return
        person = self.persons[0] if self.persons else Person()
        if person.speaks == "before":
            self.persons.pop(0)
            self.attention.set()
            await asyncio.Event().wait()
        if person.state == "skipped":
            return
        source = person.edit or self.inserted[cell_id].source
        self.commit(CellStarted(cell_id, source_sha256(source), source))

    def _begins(self, cell_id: str) -> bool:
        return self.state.cells[cell_id].started is not None

    async def wait_settled(self, cell_id: str) -> CellOutcome:
        known = self.state.outcome_of(cell_id)
        if known is not None:
            return known
        person = self.persons.pop(0) if self.persons else Person()
        source = person.edit or self.inserted[cell_id].source
        if person.state == "skipped":
            self.commit(Decided(cell_id, run=False, by="person", reason=person.reason))
            return CellOutcome(cell_id, "skipped", source, error=person.reason)
        if person.speaks == "while it runs":
            self.attention.set()
            await asyncio.Event().wait()
        source = self.state.cells[cell_id].source
        self.commit(
            CellEnded(cell_id, person.state, person.error, 1.5, person.outputs, person.records)
        )
        outcome = self.state.outcome_of(cell_id)
        assert outcome is not None
        return outcome

    async def update_cell(
        self, cell_id: str, *, source: str | None = None, mark: dict[str, Any] | None = None
    ) -> None:
        if source is not None:
            self.inserted[cell_id] = replace(self.inserted[cell_id], source=source)

    async def read_cells(self) -> list[CellView]:
        mine = [CellView(c.id, c.cell_type, c.source) for c in self.inserted.values()]
        return [*self.own, *mine]


def stdout(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def facts_in(text: str) -> dict[str, Any]:
    """The object of the last line of a result, the way a model without the object reads it."""
    import json

    last = text.rsplit("\n", 1)[-1]
    assert last.startswith("facts: ")
    return json.loads(last[len("facts: ") :])
