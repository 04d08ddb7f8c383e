"""Where a session stands: a pure fold over its facts, the only place this is computed.

Facts are applied one at a time at a cost that does not grow with the record. Model APIs demand that
every call of a reply is answered before anybody else speaks; what a person says or does while calls
are open is therefore held back and follows the last answer.
"""

# The table at the end names methods of the class above it; nothing else does.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from mlintern_jupyter.cells import CellOutcome, CellState
from mlintern_jupyter.events import (
    AgentEnded,
    AgentStarted,
    Answered,
    Asked,
    CellEnded,
    CellProposed,
    CellReturned,
    CellStarted,
    Compacted,
    Decided,
    EffectIntended,
    EffectSettled,
    HeldOutRead,
    HoldChanged,
    KindAllowed,
    ModeChanged,
    ModelChanged,
    Nudged,
    Outcome,
    OwnCellRan,
    PlanChanged,
    Replied,
    Reserved,
    RunRecorded,
    SessionStarted,
    Settled,
    Steered,
    ToolsetsChanged,
    TurnEnded,
    TurnResumed,
    TurnStarted,
)
from mlintern_jupyter.messages import Message, ToolCall
from mlintern_jupyter.record.cell_record import CellRecord, MagicCell
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.conversation import NOT_SETTLED, AgentRecord, Conversation
from mlintern_jupyter.record.notices import (
    briefing_facts,
    late_cell_line,
    person_cell_line,
    returned_cell_line,
)
from mlintern_jupyter.record.spending import Spending
from mlintern_jupyter.usage import Limits, Spent, dollars

PERSON_CELLS_KEPT = 10
_WAITING_TOOLS = frozenset({"wait_cell", "edit_cell"})
"""Calls that answer with how the cell they name ended."""

__all__ = ["NOT_SETTLED", "CellRecord", "MagicCell", "SessionState", "fold"]


@dataclass
class SessionState:
    """Everything a session knows. Changed by ``apply`` alone."""

    session: str = ""
    goal: str = ""
    mode: str = ""
    model: str = ""
    limits: Limits = field(default_factory=Limits)
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    toolsets: Sequence[str] | None = None
    """Those that are on; ``None`` in a record from before they could be switched: all."""
    cell_id: str = ""
    workdir: str = ""
    turn: int = 0
    turn_text: str = ""
    turn_source: str = ""
    briefing: str = ""
    main: Conversation = field(default_factory=Conversation)
    """The intern's own conversation."""
    agents: dict[str, AgentRecord] = field(default_factory=dict[str, AgentRecord])
    """Sub-agents by id, in the order they were started."""
    asks: dict[str, Asked] = field(default_factory=dict[str, Asked])
    """Calls that wait for a yes of the person, by id."""
    models: dict[str, str] = field(default_factory=dict[str, str])
    """Model of each role that has one, ``main`` among them."""
    call_ids: set[str] = field(default_factory=set[str])
    """Of every call so far, sub-agents' included."""
    words: list[str] = field(default_factory=list[str])
    """What the person said besides this turn's request, in order."""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """What all tool results established, merged; the newest wins."""
    plan: tuple[dict[str, str], ...] = ()
    cells: dict[str, CellRecord] = field(default_factory=dict[str, CellRecord])
    magics: dict[str, MagicCell] = field(default_factory=dict[str, MagicCell])
    spending: Spending = field(default_factory=Spending)
    runs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Records of trainings, evaluations and comparisons; the newest of each key, in first order."""
    outcome: TurnEnded | None = None
    """How the last turn ended; ``None`` while one is open, or before the first."""
    pause_reason: str = ""
    """Why the turn is held before its next model call; empty if it is not."""
    allowed_kinds: tuple[str, ...] = ()
    """Kinds of code cells that run by themselves until the turn ends, if the guard passes them."""
    person_cells: tuple[OwnCellRan, ...] = ()
    """The newest cells of the person's own that the model was told of."""
    queued_cells: int = 0
    """Cells of the person that stood in line when a turn began, and did not wait for it."""
    last_number: int = 0
    earlier: int = 0
    """Facts up to this number were written by an earlier process."""
    _run_at: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    def apply(self, numbered: NumberedFact) -> None:
        """Take one committed fact into account. Facts come in the order of their numbers."""
        _APPLY[type(numbered.fact)](self, numbered.fact, numbered.number)
        self.last_number = numbered.number

    @property
    def spent(self) -> Spent:
        """What the session used so far."""
        return self.spending.spent

    @property
    def messages(self) -> list[Message]:
        """The intern's conversation as a model may be given it, without the system prompt."""
        return self.main.messages

    @property
    def pending(self) -> list[ToolCall]:
        """Calls of the intern's last reply that are not answered yet."""
        return self.main.pending

    @property
    def intended(self) -> dict[str, EffectIntended]:
        """Pending calls by id that were begun."""
        return self.main.intended

    @property
    def step(self) -> int:
        """Number of the intern's last reply."""
        return self.main.step

    @property
    def status(self) -> Literal["working"] | Outcome:
        """``working`` while a turn is open, else how the last one ended."""
        return self.outcome.outcome if self.outcome else "working"

    def outcome_of(self, cell_id: str) -> CellOutcome | None:
        """How a cell settled; ``None`` if it is not the session's or has not settled.

        A cell that an earlier process started and nobody saw end is ``unknown``.
        """
        cell = self.cells.get(cell_id)
        if cell is None:
            return None
        if cell.ended:
            return cell.ended
        if cell.started:
            lost = cell.started_number <= self.earlier
            return CellOutcome(cell_id, "unknown", cell.source) if lost else None
        if cell.decided and not cell.decided.run:
            return CellOutcome(cell_id, "skipped", cell.source, error=cell.decided.reason)
        return None

    def state_of(self, cell_id: str) -> CellState:
        """The state to show for one of the session's cells."""
        settled = self.outcome_of(cell_id)
        if settled:
            return settled.state
        cell = self.cells[cell_id]
        if cell.started:
            return "running"
        if cell.proposed.cell_type == "markdown":
            return "done"
        return "queued" if cell.decided else "proposed"

    def summary_line(self) -> str:
        """The session in one line: what, how it stands, what it used, what came out."""
        parts = [self.status if self.turn else "not started", _count(self.spent.steps, "step")]
        if self.cells:
            parts.append(_count(len(self.cells), "cell"))
        if self.spent.usd != 0:
            parts.append(dollars(self.spent.usd))
        if self.outcome:
            parts.append(self.outcome.summary or self.outcome.reason)
        return f"{self.session}: {self.goal} ({', '.join(p for p in parts if p)})"

    def _say(self, text: str) -> None:
        self.main.say(text)

    def _of(self, agent: str) -> Conversation:
        return self.agents[agent].conversation if agent else self.main

    def _session_started(self, fact: SessionStarted, _: int) -> None:
        known = {f.name for f in fields(Limits)}
        self.session, self.goal = fact.session, fact.goal
        self.mode, self.model = fact.mode, fact.model
        self.limits = Limits(**{k: v for k, v in fact.limits.items() if k in known})
        self.options, self.cell_id, self.workdir = fact.options, fact.cell_id, fact.workdir
        self.models = {"main": fact.model, **fact.options.get("models", {})}
        self.toolsets = fact.options.get("toolsets")

    def _turn_started(self, fact: TurnStarted, number: int) -> None:
        self.main.answer_rest()
        self.main.trust_again()
        self.words += [self.turn_text] if self.turn_text else []
        self.facts.update(briefing_facts(fact.briefing))
        self.turn, self.turn_text, self.turn_source = fact.turn, fact.text, fact.source
        self.briefing, self.outcome, self.queued_cells = fact.briefing, None, 0
        self._let_go()
        self._say(f"{fact.text}\n\n{fact.briefing}" if fact.briefing else fact.text)
        cell_id = fact.cell_id or self.cell_id
        first = self.magics.get(cell_id)
        place = first.number if first else number
        self.magics[cell_id] = MagicCell(cell_id, fact.source, place)

    def _turn_resumed(self, fact: TurnResumed, _: int) -> None:
        self.turn, self.outcome, self.pause_reason = fact.turn, None, ""
        self.asks.clear()
        if fact.note:
            self._say(fact.note)

    def _turn_ended(self, fact: TurnEnded, _: int) -> None:
        self.outcome = fact
        self._let_go()

    def _let_go(self) -> None:
        """What was said for one turn ends with it."""
        self.pause_reason, self.allowed_kinds = "", ()
        self.asks.clear()

    def _kind_allowed(self, fact: KindAllowed, _: int) -> None:
        self.allowed_kinds = tuple(dict.fromkeys((*self.allowed_kinds, fact.kind)))

    def _hold_changed(self, fact: HoldChanged, _: int) -> None:
        self.pause_reason = fact.why if fact.held else ""

    def _replied(self, fact: Replied, _: int) -> None:
        self.call_ids.update(call.id for call in fact.calls)
        self._of(fact.agent).replied(fact)

    def _effect_settled(self, fact: EffectSettled, _: int) -> None:
        self.asks.pop(fact.call, None)
        self._of(fact.agent).settled(fact)
        self.spending.apply(fact)
        if not fact.agent:
            self.facts.update(fact.facts)

    def _model_changed(self, fact: ModelChanged, _: int) -> None:
        self.models[fact.role] = fact.model
        if fact.role == "main":
            self.model = fact.model

    def _agent_started(self, fact: AgentStarted, _: int) -> None:
        conversation = Conversation()
        conversation.say(fact.task)
        self.agents[fact.agent] = AgentRecord(fact, conversation)

    def _agent_ended(self, fact: AgentEnded, _: int) -> None:
        self.agents[fact.agent].ended = fact

    def _plan_changed(self, fact: PlanChanged, _: int) -> None:
        self.plan = fact.items

    def _cell_proposed(self, fact: CellProposed, number: int) -> None:
        cell = self.cells.get(fact.cell_id)
        self.cells[fact.cell_id] = (
            replace(cell, proposed=fact) if cell else CellRecord(fact, number=number)
        )

    def _cell_started(self, fact: CellStarted, number: int) -> None:
        cell = self.cells.get(fact.cell_id)
        if cell:
            changed = replace(cell, started=fact, started_number=number, ended=None)
            self.cells[fact.cell_id] = changed

    def _cell_ended(self, fact: CellEnded, _: int) -> None:
        cell = self.cells.get(fact.cell_id)
        if cell:
            self.cells[fact.cell_id] = replace(cell, ended=fact.outcome(cell.source))
            if not self._waited_for(cell):
                self._say(late_cell_line(fact))

    def _waited_for(self, cell: CellRecord) -> bool:
        """Whether an open call will answer with how the cell ended."""
        if any(call.id == cell.proposed.call for call in self.pending):
            return True
        return any(
            begun.tool in _WAITING_TOOLS and begun.arguments.get("cell_id") == cell.proposed.cell_id
            for begun in self.intended.values()
        )

    def _decided(self, fact: Decided, _: int) -> None:
        cell = self.cells.get(fact.cell_id)
        if cell:
            self.cells[fact.cell_id] = replace(cell, decided=fact)

    def _person_cell_ran(self, fact: OwnCellRan, _: int) -> None:
        self._say(person_cell_line(fact))
        self.person_cells = (*self.person_cells, fact)[-PERSON_CELLS_KEPT:]
        self.queued_cells += fact.queued

    def _cell_returned(self, fact: CellReturned, _: int) -> None:
        cell = self.cells.get(fact.cell_id)
        if cell and cell.decided and not cell.decided.run:
            self.cells[fact.cell_id] = replace(cell, decided=None)
            if cell.started is None:
                self._say(returned_cell_line(fact.cell_id))

    def _steered(self, fact: Steered, _: int) -> None:
        self.main.trust_again()
        self.words.append(fact.text)
        self._say(fact.text)

    def _nudged(self, fact: Nudged, _: int) -> None:
        self._of(fact.agent).say(fact.text)

    def _run_recorded(self, fact: RunRecorded, _: int) -> None:
        row = {**fact.record, "cell_id": fact.cell_id}
        identity = (str(row.get("what", "")), str(row.get("key", "")))
        at = self._run_at.get(identity) if identity[1] else None
        if at is None:
            self._run_at[identity] = len(self.runs)
            self.runs.append(row)
        else:
            self.runs[at] = row


def fold(facts: Iterable[NumberedFact]) -> SessionState:
    """The state after the facts of a record just opened: an earlier process wrote all of them."""
    state = SessionState()
    for numbered in facts:
        state.apply(numbered)
    state.earlier = state.last_number
    return state


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_APPLY: dict[type[Any], Callable[[SessionState, Any, int], object]] = {
    SessionStarted: SessionState._session_started,
    TurnStarted: SessionState._turn_started,
    TurnResumed: SessionState._turn_resumed,
    TurnEnded: SessionState._turn_ended,
    Asked: lambda state, fact, _: state.asks.update({fact.call: fact}),
    Answered: lambda state, fact, _: state.asks.pop(fact.call, None),
    Compacted: lambda state, fact, _: state._of(fact.agent).compacted(fact),
    ModelChanged: SessionState._model_changed,
    AgentStarted: SessionState._agent_started,
    AgentEnded: SessionState._agent_ended,
    Reserved: lambda state, fact, _: state.spending.apply(fact),
    Replied: SessionState._replied,
    Settled: lambda state, fact, _: state.spending.apply(fact),
    EffectIntended: lambda state, fact, _: state._of(fact.agent).begun(fact),
    EffectSettled: SessionState._effect_settled,
    PlanChanged: SessionState._plan_changed,
    CellProposed: SessionState._cell_proposed,
    CellStarted: SessionState._cell_started,
    CellEnded: SessionState._cell_ended,
    Decided: SessionState._decided,
    CellReturned: SessionState._cell_returned,
    ModeChanged: lambda state, fact, _: setattr(state, "mode", fact.mode),
    ToolsetsChanged: lambda state, fact, _: setattr(state, "toolsets", fact.toolsets),
    KindAllowed: SessionState._kind_allowed,
    HoldChanged: SessionState._hold_changed,
    OwnCellRan: SessionState._person_cell_ran,
    Steered: SessionState._steered,
    Nudged: SessionState._nudged,
    RunRecorded: SessionState._run_recorded,
    # It voids records in the folder (``compute.local.heldout_watch``); a session is not changed.
    HeldOutRead: lambda _, __, ___: None,
}
