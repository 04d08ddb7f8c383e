"""What a page shows: plain values, computed in the kernel from the fold, drawn as they are.

A page never computes a session's state. It asks (``wire.AskStatus``), and draws the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlintern_jupyter.commands import Mode, ModelRole
from mlintern_jupyter.jobs import JobState
from mlintern_jupyter.usage import Limits, Spent


@dataclass(frozen=True)
class PlanItemView:
    """One line of the plan."""

    step: str
    state: str
    """``todo``, ``active`` or ``done``."""


@dataclass(frozen=True)
class PendingCellView:
    """A proposed code cell that waits for the person."""

    cell_id: str
    kind: str
    first_line: str
    why: str
    asks: str
    """What the static guard of mode ``auto`` has against running it unasked; empty if nothing."""
    cost: str
    """What running it costs, in words: a job's price or cap; empty for a cell without a job."""


@dataclass(frozen=True)
class AskView:
    """A tool call that waits for a yes or a no.

    What a model wrote in it is shown with hidden characters (bidirectional marks, zero width)
    escaped: what reads harmless must be harmless.
    """

    call: str
    tool: str
    arguments: str
    """One a line, the lines of a longer text indented below its name; the middle of a very long
    one is left out, and said to be."""
    effects: tuple[str, ...]
    """Empty: nobody knows what it would do."""
    why: str
    """The rule that asks."""
    price_usd: float | None
    """``None``: unknown."""
    visibility: str
    """Who can see what it leaves behind: here, private, public or unknown."""
    sources: tuple[str, ...]
    """Untrusted text that was read since the person spoke last."""
    agent: str
    """Role of the sub-agent that asks; empty: the intern itself."""
    hosts: tuple[str, ...] = ()
    """Where it says that it connects to."""
    keys: tuple[str, ...] = ()
    """Names of the keys it would be given for these hosts."""


@dataclass(frozen=True)
class AgentView:
    """A sub-agent of the turn."""

    agent: str
    role: str
    task: str
    state: str
    """``working``, ``completed``, or how else it ended; ``unfinished`` if its turn ended first."""
    steps: int
    doing: str
    """Names of the tools it uses right now."""
    reason: str
    """Why it could not go on."""


@dataclass(frozen=True)
class CompactionView:
    """The last time that room was made in the intern's window."""

    step: int
    why: str
    """``full``, ``refused`` (by the provider) or ``asked`` (by the person)."""
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True)
class JobView:
    """A job of this folder."""

    name: str
    key: str
    state: JobState
    seconds: float
    step: int | None
    total_steps: int | None
    curve: tuple[tuple[float, float], ...]
    """At most 60 points (global_step, loss), oldest first."""
    metrics: dict[str, float]
    """Numbers of the newest row."""
    cost_usd: float | None
    """So far; ``None`` where no price is known. A job on this machine costs 0."""
    quote_usd: float | None
    """The most it may cost; of a held job the sum that Start says yes to."""
    reason: str


@dataclass(frozen=True)
class ScoreView:
    """The best dev score so far, and the baseline it is seen beside. Fractions, not percent."""

    name: str
    task: str
    split: str
    value: float
    low: float
    high: float
    """Ends of the 95% interval."""
    n: int
    baseline: float | None
    chance: float | None
    verdict: str
    """Of the newest comparison: improved, no evidence or worse; empty before it."""


@dataclass(frozen=True)
class OwnCellView:
    """A cell of the person's own that the intern was told of."""

    cell_id: str
    first_line: str
    state: str


@dataclass(frozen=True)
class SourceView:
    """A paper, page or data set that a cell of the session names."""

    url: str
    cell_id: str
    kind: str


@dataclass(frozen=True)
class OutcomeView:
    """How the last turn ended."""

    outcome: str
    reason: str
    summary: str
    do: str


@dataclass(frozen=True)
class SessionView:
    """Everything a page shows of one session."""

    session: str
    goal: str
    status: str
    """``working``, or how the last turn ended."""
    running: bool
    """Whether a turn runs in this kernel now; an unfinished session may be resumed if not."""
    held: str
    """Why the turn is held; empty if it is not."""
    mode: Mode
    model: str
    models: dict[ModelRole, str]
    """Model of each role that has one of its own; ``main`` is always there."""
    on_fallback: bool
    """The main model is down, or went in circles, and the fallback does its work."""
    magic_cell_id: str
    magic_source: str
    """Text of the magic cell, to put it back if it was deleted."""
    record: str
    """Where the ledger is."""
    turn: int
    step: int
    limits: Limits
    spent: Spent
    unmetered: bool
    context_used: int
    """Tokens of the last prompt and reply."""
    context_tokens: int | None
    """The model's window; ``None`` before the first turn of this kernel."""
    context_assumed: bool
    """Nobody knows the model's window: that number is a careful guess."""
    compaction: CompactionView | None
    closing: bool
    """What is left of the budget is kept for the final evaluation and saving."""
    plan: tuple[PlanItemView, ...]
    activity: str
    cells: int
    cell_ids: tuple[str, ...]
    """Every cell of the session, in order; a mark with another id is a copy."""
    asks: tuple[AskView, ...]
    """Tool calls that wait for a yes or a no."""
    pending: tuple[PendingCellView, ...]
    agents: tuple[AgentView, ...]
    """Sub-agents at work, and the last ones that ended; at most ten."""
    allowed_kinds: tuple[str, ...]
    best: ScoreView | None
    sources: tuple[SourceView, ...]
    own_cells: tuple[OwnCellView, ...]
    """The last ten."""
    queued_cells: int
    """Cells of the person that ran without waiting, because they stood in line already."""
    outcome: OutcomeView | None
    card: str
    """The run card as it would be drawn now, in a few lines of Markdown."""


@dataclass(frozen=True)
class RecordView:
    """A session of this folder, open or not."""

    session: str
    goal: str
    line: str
    """One line: how it stands, steps, cells, cost, outcome."""
    finished: bool


@dataclass(frozen=True)
class ProviderView:
    """A provider of language models, and whether its key is set where the kernel runs."""

    name: str
    variable: str
    """Name of the environment variable; never its value."""
    is_set: bool


@dataclass(frozen=True)
class KernelView:
    """What a kernel with the intern in it shows to a page."""

    version: str
    python: str
    folder: str
    """Where records go."""
    mode_cap: Mode
    """The most permissive mode that is allowed here."""
    default_model: str
    """From the configuration; empty if none."""
    session: SessionView | None
    """The session open in this kernel."""
    records: tuple[RecordView, ...]
    """Sessions of this folder, the newest first, at most 50."""
    jobs: tuple[JobView, ...]
    providers: tuple[ProviderView, ...]
    benchmarks: tuple[str, ...]
    missing: tuple[str, ...]
    """What this version cannot do yet, in words."""
