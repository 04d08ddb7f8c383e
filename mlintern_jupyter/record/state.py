"""Where a session stands: a pure fold over its facts, the only place this is computed.

Facts are applied one at a time at a cost that does not grow with the record. Model APIs demand that
every call of a reply is answered before anybody else speaks; what a person says or does while calls
are open is therefore held back and follows the last answer.
"""

# The table at the end names methods of the class above it; nothing else does.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, cast

from mlintern_jupyter.cells import CellOutcome, CellState
from mlintern_jupyter.events import (
    CellEnded,
    CellProposed,
    CellReturned,
    CellStarted,
    Decided,
    EffectIntended,
    EffectSettled,
    HeldOutRead,
    HoldChanged,
    KindAllowed,
    ModeChanged,
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
    TurnEnded,
    TurnResumed,
    TurnStarted,
)
from mlintern_jupyter.messages import Message, ToolCall
from mlintern_jupyter.record.cell_record import CellRecord, MagicCell
from mlintern_jupyter.record.chain import Numbered
from mlintern_jupyter.record.told import late_cell_line, own_cell_line, returned_cell_line
from mlintern_jupyter.usage import Limits, Spent, Usage

NOT_SETTLED = "The turn ended before this call was settled; whether it had an effect is unknown."
OWN_CELLS_KEPT = 10
_WAITING_TOOLS = frozenset({"wait_cell", "edit_cell"})
"""Calls that answer with how the cell they name ended."""

__all__ = ["CellRecord", "MagicCell", "SessionState", "fold"]


@dataclass
class SessionState:
    """Everything a session knows. Changed by ``apply`` alone."""

    session: str = ""
    goal: str = ""
    mode: str = ""
    model: str = ""
    limits: Limits = field(default_factory=Limits)
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    cell_id: str = ""
    workdir: str = ""
    turn: int = 0
    turn_text: str = ""
    turn_source: str = ""
    briefing: str = ""
    step: int = 0
    """Number of the last model reply."""
    messages: list[Message] = field(default_factory=list[Message])
    """The conversation as a model may be given it, without the system prompt."""
    pending: list[ToolCall] = field(default_factory=list[ToolCall])
    """Calls of the last reply that are not answered yet."""
    intended: dict[str, EffectIntended] = field(default_factory=dict[str, EffectIntended])
    """Pending calls by id that were begun: their effect may have happened."""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """What all tool results established, merged; the newest wins."""
    plan: tuple[dict[str, str], ...] = ()
    cells: dict[str, CellRecord] = field(default_factory=dict[str, CellRecord])
    magics: dict[str, MagicCell] = field(default_factory=dict[str, MagicCell])
    spent: Spent = field(default_factory=Spent)
    runs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Records of trainings, evaluations and comparisons; the newest of each key, in first order."""
    heldout_reads: list[HeldOutRead] = field(default_factory=list[HeldOutRead])
    outcome: TurnEnded | None = None
    """How the last turn ended; ``None`` while one is open, or before the first."""
    held: str = ""
    """Why the turn is held before its next model call; empty if it is not."""
    allowed_kinds: tuple[str, ...] = ()
    """Kinds of code cells that run by themselves until the turn ends, if the guard passes them."""
    own_cells: tuple[OwnCellRan, ...] = ()
    """The newest cells of the person's own that the model was told of."""
    queued_cells: int = 0
    """Cells of the person that stood in line when a turn began, and did not wait for it."""
    last_usage: Usage = field(default_factory=Usage)
    """Of the newest model call."""
    last_number: int = 0
    earlier: int = 0
    """Facts up to this number were written by an earlier process."""
    _held: list[Message] = field(default_factory=list[Message])
    _open: list[Reserved] = field(default_factory=list[Reserved])
    _run_at: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    def apply(self, numbered: Numbered) -> None:
        """Take one committed fact into account. Facts come in the order of their numbers."""
        _APPLY[type(numbered.fact)](self, numbered.fact, numbered.number)
        self.last_number = numbered.number

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
            ended = cell.ended
            return CellOutcome(
                cell_id,
                cast("CellState", ended.state),
                cell.source,
                ended.outputs,
                ended.error,
                ended.seconds,
                ended.records,
                ended.execution_count,
            )
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
        if self.spent.usd is None:
            parts.append("cost unknown")
        elif self.spent.usd > 0:
            parts.append(f"${self.spent.usd:.2f}")
        if self.outcome:
            parts.append(self.outcome.summary or self.outcome.reason)
        return f"{self.session}: {self.goal} ({', '.join(p for p in parts if p)})"

    def _say(self, text: str) -> None:
        (self._held if self.pending else self.messages).append(Message("user", text))

    def _answer(self, call_id: str, text: str, images: tuple[str, ...] = ()) -> None:
        found = next((i for i, call in enumerate(self.pending) if call.id == call_id), None)
        if found is None:
            return
        del self.pending[found]
        self.intended.pop(call_id, None)
        self.messages.append(Message("tool", text, call_id=call_id, images=images))
        if not self.pending:
            self.messages.extend(self._held)
            self._held.clear()

    def _answer_rest(self) -> None:
        for call in tuple(self.pending):
            self._answer(call.id, NOT_SETTLED)

    def _session_started(self, fact: SessionStarted, _: int) -> None:
        known = {f.name for f in fields(Limits)}
        self.session, self.goal, self.mode, self.model = (
            fact.session,
            fact.goal,
            fact.mode,
            fact.model,
        )
        self.limits = Limits(**{k: v for k, v in fact.limits.items() if k in known})
        self.options, self.cell_id, self.workdir = fact.options, fact.cell_id, fact.workdir

    def _turn_started(self, fact: TurnStarted, number: int) -> None:
        self._answer_rest()
        self.facts.update(_said_facts(fact.briefing))
        self.turn, self.turn_text, self.turn_source = fact.turn, fact.text, fact.source
        self.briefing, self.outcome, self.queued_cells = fact.briefing, None, 0
        self._let_go()
        self._say(f"{fact.text}\n\n{fact.briefing}" if fact.briefing else fact.text)
        cell_id = fact.cell_id or self.cell_id
        first = self.magics.get(cell_id)
        place = first.number if first else number
        self.magics[cell_id] = MagicCell(cell_id, fact.source, place)

    def _turn_resumed(self, fact: TurnResumed, _: int) -> None:
        self.turn, self.outcome, self.held = fact.turn, None, ""
        if fact.note:
            self._say(fact.note)

    def _turn_ended(self, fact: TurnEnded, _: int) -> None:
        self.outcome = fact
        self._let_go()

    def _let_go(self) -> None:
        """What was said for one turn ends with it."""
        self.held, self.allowed_kinds = "", ()

    def _mode_changed(self, fact: ModeChanged, _: int) -> None:
        self.mode = fact.mode

    def _kind_allowed(self, fact: KindAllowed, _: int) -> None:
        self.allowed_kinds = tuple(dict.fromkeys((*self.allowed_kinds, fact.kind)))

    def _hold_changed(self, fact: HoldChanged, _: int) -> None:
        self.held = fact.why if fact.held else ""

    def _reserved(self, fact: Reserved, _: int) -> None:
        self._open.append(fact)
        self._count_reserved()

    def _replied(self, fact: Replied, _: int) -> None:
        self._answer_rest()
        self.step = fact.step
        if fact.text or fact.calls:
            self.messages.append(Message("assistant", fact.text, fact.calls))
        self.pending = list(fact.calls)

    def _settled(self, fact: Settled, _: int) -> None:
        mine = [i for i, r in enumerate(self._open) if r.step == fact.step]
        if mine:
            # The newest: an older one of the same step is a call that a crash made unaccountable.
            del self._open[mine[-1]]
        self.last_usage = fact.usage
        usd = self.spent.usd
        self.spent = replace(
            self.spent,
            steps=self.spent.steps + 1,
            usage=self.spent.usage + fact.usage,
            usd=None if usd is None or fact.usd is None else usd + fact.usd,
            seconds=self.spent.seconds + fact.seconds,
        )
        self._count_reserved()

    def _count_reserved(self) -> None:
        usd = math.fsum(r.usd for r in self._open if r.usd is not None)
        self.spent = replace(self.spent, reserved_usd=usd)

    def _effect_intended(self, fact: EffectIntended, _: int) -> None:
        if any(call.id == fact.call for call in self.pending):
            self.intended[fact.call] = fact

    def _effect_settled(self, fact: EffectSettled, _: int) -> None:
        self.spent = replace(self.spent, seconds=self.spent.seconds + fact.seconds)
        self.facts.update(fact.facts)
        self._answer(fact.call, fact.text, fact.images)

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
            self.cells[fact.cell_id] = replace(cell, ended=fact)
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

    def _own_cell_ran(self, fact: OwnCellRan, _: int) -> None:
        self._say(own_cell_line(fact))
        self.own_cells = (*self.own_cells, fact)[-OWN_CELLS_KEPT:]
        self.queued_cells += fact.queued

    def _cell_returned(self, fact: CellReturned, _: int) -> None:
        cell = self.cells.get(fact.cell_id)
        if cell and cell.decided and not cell.decided.run:
            self.cells[fact.cell_id] = replace(cell, decided=None)
            if cell.started is None:
                self._say(returned_cell_line(fact.cell_id))

    def _steered(self, fact: Steered, _: int) -> None:
        self._say(fact.text)

    def _nudged(self, fact: Nudged, _: int) -> None:
        self._say(fact.text)

    def _run_recorded(self, fact: RunRecorded, _: int) -> None:
        row = {**fact.record, "cell_id": fact.cell_id}
        identity = (str(row.get("what", "")), str(row.get("key", "")))
        at = self._run_at.get(identity) if identity[1] else None
        if at is None:
            self._run_at[identity] = len(self.runs)
            self.runs.append(row)
        else:
            self.runs[at] = row

    def _held_out_read(self, fact: HeldOutRead, _: int) -> None:
        self.heldout_reads.append(fact)


def fold(facts: Iterable[Numbered]) -> SessionState:
    """The state after the facts of a record just opened: an earlier process wrote all of them."""
    state = SessionState()
    for numbered in facts:
        state.apply(numbered)
    state.earlier = state.last_number
    return state


def _said_facts(briefing: str) -> dict[str, Any]:
    line = briefing.rpartition("\n")[2]
    return json.loads(line.removeprefix("facts: ")) if line.startswith("facts: ") else {}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_APPLY: dict[type[Any], Callable[[SessionState, Any, int], None]] = {
    SessionStarted: SessionState._session_started,
    TurnStarted: SessionState._turn_started,
    TurnResumed: SessionState._turn_resumed,
    TurnEnded: SessionState._turn_ended,
    Reserved: SessionState._reserved,
    Replied: SessionState._replied,
    Settled: SessionState._settled,
    EffectIntended: SessionState._effect_intended,
    EffectSettled: SessionState._effect_settled,
    PlanChanged: SessionState._plan_changed,
    CellProposed: SessionState._cell_proposed,
    CellStarted: SessionState._cell_started,
    CellEnded: SessionState._cell_ended,
    Decided: SessionState._decided,
    CellReturned: SessionState._cell_returned,
    ModeChanged: SessionState._mode_changed,
    KindAllowed: SessionState._kind_allowed,
    HoldChanged: SessionState._hold_changed,
    OwnCellRan: SessionState._own_cell_ran,
    Steered: SessionState._steered,
    Nudged: SessionState._nudged,
    RunRecorded: SessionState._run_recorded,
    HeldOutRead: SessionState._held_out_read,
}
