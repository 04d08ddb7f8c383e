"""What a session says: facts, which are in the ledger, and signals, which may be dropped.

Facts are in the past tense, numbered and replayable. A signal ends in a fact. Both are tagged by
their class name (``type`` in the ledger and on the wire, see ``event_json``).

Where a fact has an ``agent``, that is the sub-agent it is of; empty: the intern itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from mlintern_jupyter.cells import CellOutcome
from mlintern_jupyter.messages import ToolCall
from mlintern_jupyter.usage import CallKind, Usage

Outcome = Literal["completed", "interrupted", "limit", "paused", "failed"]


@dataclass(frozen=True)
class SessionStarted:
    """The first line of every ledger."""

    session: str
    goal: str
    model: str
    mode: str
    limits: dict[str, Any]
    options: dict[str, Any]
    cell_id: str
    workdir: str
    package: str
    """Version of this package that wrote the ledger."""


@dataclass(frozen=True)
class TurnStarted:
    """A request of the person, verbatim."""

    turn: int
    text: str
    source: str
    briefing: str = ""
    """What the session added to the request: task facts, limits, what is not available."""
    cell_id: str = ""


@dataclass(frozen=True)
class TurnResumed:
    """An unfinished turn goes on in a new process."""

    turn: int
    note: str
    """What the intern is told: names that are gone, effects whose end is unknown."""


@dataclass(frozen=True)
class Reserved:
    """Part of the budget is set aside for one model call. A crash before Settled counts it."""

    step: int
    tokens: int
    usd: float | None
    agent: str = ""
    kind: CallKind = "main"


@dataclass(frozen=True)
class Replied:
    """A complete model reply, committed before any of its calls runs."""

    step: int
    text: str
    calls: tuple[ToolCall, ...]
    stop: str
    model: str
    thinking: tuple[dict[str, Any], ...] = ()
    """What the provider wants back untouched with the calls of this reply."""
    agent: str = ""


@dataclass(frozen=True)
class Settled:
    """What the model call of a step really used."""

    step: int
    usage: Usage
    usd: float | None
    seconds: float
    replied: bool = True
    """False: it gave no answer that could be used."""
    agent: str = ""
    kind: CallKind = "main"


@dataclass(frozen=True)
class EffectIntended:
    """A validated, approved tool call is about to be carried out."""

    step: int
    call: str
    tool: str
    arguments: dict[str, Any]
    grant: str = ""
    """sha256 of what was allowed: tool, exact arguments, effects, price and visibility."""
    sources: tuple[str, ...] = ()
    """Untrusted text the model had read when it made the call, by where it came from."""
    agent: str = ""


@dataclass(frozen=True)
class EffectSettled:
    """The result of a tool call, as the model reads it."""

    step: int
    call: str
    tool: str
    ok: bool
    text: str
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    seconds: float = 0.0
    """Working time: a person was not waited for in it."""
    images: tuple[str, ...] = ()
    """PNG in base64; empty for a model that cannot see."""
    sources: tuple[str, ...] = ()
    """Where untrusted text in the result came from; empty: from us and the person."""
    whole: str = ""
    """The result before it was cut for the model; empty where nothing was cut."""
    agent: str = ""


@dataclass(frozen=True)
class PlanChanged:
    """The intern's plan, whole."""

    items: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class CellProposed:
    """A cell was put into the notebook (or is about to be: its id makes that idempotent)."""

    cell_id: str
    call: str
    kind: str
    cell_type: str
    source: str
    setup: bool = False
    sources: tuple[str, ...] = ()
    why: str = ""
    """The intern's expectation, shown beside the proposal."""


@dataclass(frozen=True)
class CellStarted:
    """A cell of this session began to run; committed before its code does."""

    cell_id: str
    sha256: str
    source: str


@dataclass(frozen=True)
class CellEnded:
    """A cell of this session ended: its outcome but for the source, which ``CellStarted`` has."""

    cell_id: str
    state: str
    error: str
    seconds: float
    outputs: tuple[dict[str, Any], ...] = ()
    records: tuple[dict[str, Any], ...] = ()
    execution_count: int | None = None

    @classmethod
    def of(cls, outcome: CellOutcome) -> CellEnded:
        """The fact that an outcome is written down as."""
        return cls(**{f.name: getattr(outcome, f.name) for f in fields(cls)})

    def outcome(self, source: str) -> CellOutcome:
        """The outcome that was written down, with the text that ran."""
        return CellOutcome(source=source, **vars(self))


@dataclass(frozen=True)
class Decided:
    """A person (or the mode) said yes or no to a proposed cell."""

    cell_id: str
    run: bool
    by: str
    """``person`` or ``mode``."""
    reason: str = ""


@dataclass(frozen=True)
class CellReturned:
    """A cell whose absence was taken for a refusal is back: it is proposed again."""

    cell_id: str


@dataclass(frozen=True)
class ModeChanged:
    """The person switched the mode while the session was open."""

    mode: str


@dataclass(frozen=True)
class ToolsetsChanged:
    """From the next turn on these toolsets are on, and no others."""

    toolsets: tuple[str, ...]


@dataclass(frozen=True)
class KindAllowed:
    """Until the turn ends, code cells of this kind run by themselves, as in mode ``auto``."""

    kind: str


@dataclass(frozen=True)
class HoldChanged:
    """The turn is held before its next model call, or goes on. No clock runs meanwhile."""

    held: bool
    why: str = ""


@dataclass(frozen=True)
class OwnCellRan:
    """The person ran a cell of their own: one line about it."""

    cell_id: str
    first_line: str
    state: str
    names: tuple[str, ...] = ()
    queued: bool = False
    """It stood in line when the intern was started (Run All), so it did not wait for it."""


@dataclass(frozen=True)
class Steered:
    """Words of the person during a turn."""

    text: str


@dataclass(frozen=True)
class Nudged:
    """The session put one sentence of its own into the conversation."""

    step: int
    rule: str
    text: str
    agent: str = ""


@dataclass(frozen=True)
class RunRecorded:
    """A training or an evaluation with its numbers, as the cell that made it showed them."""

    record: dict[str, Any]
    cell_id: str


@dataclass(frozen=True)
class HeldOutRead:
    """Held-out items were opened by something other than the scorer: no claim stands."""

    path: str
    by: str


@dataclass(frozen=True)
class Asked:
    """A tool call waits for a yes that running a cell cannot give."""

    step: int
    call: str
    tool: str
    arguments: dict[str, Any]
    effects: tuple[str, ...]
    why: str
    """The rule that asks."""
    price_usd: float | None
    """``None``: unknown."""
    visibility: str
    grant: str
    """sha256 of exactly what a yes allows, once."""
    sources: tuple[str, ...] = ()
    """Untrusted text the model had read since the person spoke last."""
    agent: str = ""
    hosts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Names of the keys it would be given for these hosts."""


@dataclass(frozen=True)
class Answered:
    """The person's word on a call that was asked about."""

    call: str
    yes: bool
    reason: str = ""


@dataclass(frozen=True)
class Compacted:
    """Older parts of a conversation are shown shorter from here on; the ledger keeps all of it.

    Messages are counted from the beginning of the agent's whole conversation.
    """

    step: int
    why: str
    """``full``, ``refused`` (the provider said it does not fit) or ``asked`` (by the person)."""
    digested: int
    """Messages before this one are in the digest."""
    referenced: int
    """Messages from ``digested`` up to this one are shown as call and reference, later ones
    whole."""
    pinned: str
    digest: str
    tokens_before: int
    tokens_after: int
    agent: str = ""


@dataclass(frozen=True)
class ModelChanged:
    """From here on another model has this role."""

    role: str
    """``main``, ``research``, ``compaction`` or ``fallback``."""
    model: str
    why: str
    """``the person``, or why the session did it by itself."""


@dataclass(frozen=True)
class AgentStarted:
    """A sub-agent was given a task by a call of the intern; the call names it on a resume."""

    agent: str
    role: str
    task: str
    call: str
    model: str


@dataclass(frozen=True)
class AgentEnded:
    """A sub-agent is done, or cannot go on; its text is the answer to the call."""

    agent: str
    outcome: Outcome
    text: str
    reason: str = ""


@dataclass(frozen=True)
class TurnEnded:
    """A turn always ends with one of these."""

    turn: int
    outcome: Outcome
    reason: str
    summary: str
    do: str = ""


Fact = (
    SessionStarted | TurnStarted | TurnResumed | Reserved | Replied | Settled | EffectIntended
    | EffectSettled | PlanChanged | CellProposed | CellStarted | CellEnded | Decided
    | CellReturned | ModeChanged | KindAllowed | HoldChanged | OwnCellRan | Steered | Nudged
    | RunRecorded | HeldOutRead | Asked | Answered | Compacted | ModelChanged | AgentStarted
    | AgentEnded | TurnEnded | ToolsetsChanged
)  # fmt: skip


@dataclass(frozen=True)
class TextDelta:
    """A piece of the reply being written."""

    step: int
    text: str


@dataclass(frozen=True)
class Activity:
    """What the intern is doing right now, in a few words."""

    text: str


Signal = TextDelta | Activity
