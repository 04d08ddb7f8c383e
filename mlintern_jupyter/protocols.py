"""The map: every protocol, one line of purpose each.

The packages implement these; the agent and the session know nothing else of the packages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from mlintern_jupyter.cells import CellOutcome, CellView, NewCell
from mlintern_jupyter.events import Fact, Signal
from mlintern_jupyter.jobs import JobReport, JobSpec, LogPart
from mlintern_jupyter.messages import Reply, ToolResult, ToolSpec, View
from mlintern_jupyter.usage import Price

Effect = Literal[
    "read", "notebook", "local-write", "execute", "network-write", "spend", "publish", "delete"
]
Visibility = Literal["here", "private", "public", "unknown"]
Verdict = Literal["allow", "ask", "deny"]


class Model(Protocol):
    """Asks a language model, once, and returns a complete reply or raises."""

    name: str
    price: Price | None
    """``None`` when unknown; see ``unmetered``."""
    unmetered: bool
    """On a loopback or private address, or no LLM at all: cost is not counted."""
    context_tokens: int | None
    """What it can read and write together; ``None`` where nobody has said."""
    sees: bool
    """Takes pictures; where nobody knows, it does not."""

    async def probe(self) -> None:
        """Ask the server for the context size and price nobody has told yet. Never raises."""
        ...

    async def complete(self, view: View, on_text: Callable[[str], None]) -> Reply:
        """Raises ``ModelFailed`` (``ContextOverflow``) or ``Paused`` (``ModelDown``).

        Cancellation closes the connection.
        """
        ...


class Host(Protocol):
    """The notebook as the kernel sees it."""

    async def insert_cell(self, cell: NewCell) -> None:
        """Put a cell after the last surviving cell of its session. Idempotent by id."""
        ...

    async def run_cell(self, cell_id: str) -> None:
        """Ask the peer to run a cell; how it ends arrives through ``wait_settled``."""
        ...

    async def wait_settled(self, cell_id: str) -> CellOutcome:
        """Wait until the cell was run, skipped or deleted. Waiting for a person has no limit."""
        ...

    async def wait_begun(self, cell_id: str) -> None:
        """Wait until the cell began to run or settled: waiting for a person is over."""
        ...

    async def update_cell(
        self, cell_id: str, *, source: str | None = None, mark: dict[str, Any] | None = None
    ) -> None:
        """Change the text of a cell that was not run yet, or write its mark."""
        ...

    async def read_cells(self) -> Sequence[CellView]:
        """Every cell of the notebook, in order."""
        ...


@dataclass(frozen=True)
class Offer:
    """A place that a backend has for jobs, and its price."""

    target: str = ""
    """What stands behind the colon of ``--on NAME:TARGET``; empty for ``--on NAME`` alone."""
    title: str = "this machine"
    """The place in a sentence: ``an hour of <title> costs …``."""
    usd_per_hour: float | None = 0.0
    """``None``: not known, so that no job is started there."""
    problem: str = ""
    """Why the price is not known."""
    do: str = ""
    """What a person can do about that."""


@dataclass(frozen=True)
class JobPlace:
    """What a backend is made with."""

    workdir: Path
    """The notebook's folder: relative paths of a script are meant from here."""
    folder: Callable[[str], Path]
    """The folder of a label's job on this machine, for a backend that works in it. It is there,
    with ``script.py`` and ``spec.json``, before ``submit`` is called."""


class Backend(Protocol):
    """An engine that runs jobs, as ``--on NAME`` or ``--on NAME:TARGET`` names it.

    ``compute.jobs.Jobs`` is the only caller. An object is made with a ``JobPlace`` for each use, in
    whatever process and thread; so what has to last stands at the engine or in the job's folder.

    A *label* is ours: of ``[A-Za-z0-9_-]``, at most 100 characters, unique for each attempt at a
    job, and on disk before ``submit`` is called with it, once. A *handle* is the engine's name for
    the job: the label itself where the engine can be asked by it.
    """

    name: str

    def offers(self) -> Sequence[Offer]:
        """The places it has, with their prices. Never raises; no place at all: not usable here."""
        ...

    def check(self, spec: JobSpec) -> JobSpec:
        """The job as it would run, e.g. with its steps capped; checked again, it stays the same.

        Starts and writes nothing. Raises ``UsageError`` with what to do where it cannot run.
        """
        ...

    def submit(self, spec: JobSpec, label: str) -> str:
        """Start a job under a label and return its handle.

        Not expected to be idempotent. Raises ``UsageError`` if the engine refused: nothing runs
        then. Any other error leaves that open, and ``find`` is asked. An engine within this process
        returns when the script ended, and lets through what it raised.
        """
        ...

    def find(self, label: str) -> str | None:
        """The handle of the job that carries a label; ``None`` if the engine knows of none.

        This is what makes a job start at most once: after a crash between ``submit`` and its answer
        the engine is asked and nothing is submitted again. Raises ``InternError`` where the engine
        cannot be asked, never ``None`` for that.
        """
        ...

    def poll(self, handle: str) -> JobReport:
        """How a job stands: ``running`` (also in a queue) or one of ``jobs.FINISHED``.

        Asked up to four times a second: one that has to ask over a network answers with what it
        heard last. ``lost`` is a job that the engine forgot or that ended without saying how.
        Raises ``InternError`` where the engine cannot be asked.
        """
        ...

    def logs(self, handle: str, after: int) -> LogPart:
        """What the job wrote behind a position; each character once.

        Args:
            handle: of the job.
            after: 0 for the beginning, the ``position`` of the part before, or a negative number:
                about so many characters from the end.
        """
        ...

    def cancel(self, handle: str) -> None:
        """End a job and every process of it; returns when it ended, or after 20 seconds.

        Nothing happens to one that ended before.
        """
        ...

    def fetch(self, handle: str, into: Path) -> None:
        """Bring what a finished job made to its folder on this machine.

        That is ``log.txt``, ``metrics.jsonl``, ``result.json`` and what it names. May be called
        again. An engine whose jobs work in that folder has nothing to do. Raises ``InternError``
        if something could not be brought; it is tried again then.
        """
        ...


class Scrub(Protocol):
    """Replaces secrets in anything that is written down. Fails closed."""

    def text(self, value: str) -> str:
        """The text with secrets masked."""
        ...

    def data(self, value: Any) -> Any:
        """The same for a JSON value, at any depth; the input is not changed."""
        ...


class Attention(Protocol):
    """A flag that can be waited for (``asyncio.Event``)."""

    def is_set(self) -> bool:
        """Whether it is raised now."""
        ...

    async def wait(self) -> object:
        """Return as soon as it is raised."""
        ...


@dataclass(frozen=True)
class CallTerms:
    """What one call would do: judged by the gate, and what its grant is bound to."""

    tool: str
    """The name rules match; for a tool behind another one its own, e.g. ``github__search``."""
    effects: frozenset[Effect]
    """Empty: undeclared, so nobody knows."""
    price_usd: float | None = 0.0
    """``None``: unknown."""
    visibility: Visibility = "here"
    """Who can see what it leaves behind."""
    hosts: tuple[str, ...] = ()
    """Where a tool of the person's own says that it connects to."""
    keys: tuple[str, ...] = ()
    """Names of the keys that it is given for these hosts."""


class Grant(Protocol):
    """Leave to carry out one call, once. Made in ``policy`` alone."""

    sha256: str
    """Of tool, exact arguments and terms."""

    def use(self, terms: CallTerms, arguments: Mapping[str, Any]) -> None:
        """Consume it. Raises ``ToolError`` if it is for anything else, or was used."""
        ...


@dataclass(frozen=True)
class ToolContext:
    """What differs from call to call; everything else a tool knows by construction."""

    session: str
    call: str
    model: str
    workdir: Path
    host: Host
    commit: Callable[[Fact], int]
    signal: Callable[[Signal], None]
    runs_unreviewed: Callable[[str, str], bool]
    """Whether a code cell of this kind and text runs without waiting for a person, as the mode
    stands now."""
    attention: Attention
    """Set when the person spoke: what waits for a cell returns early with what there is."""
    waiting: Callable[[], AbstractContextManager[None]]
    """A stretch in which a person is waited for: no clock runs in it."""
    spawn: Callable[[str, str, str], Awaitable[ToolResult]]
    """Give a sub-agent of a role a task and wait for what it found; (call, role, task)."""
    sees: bool = False
    """The model takes pictures."""


class Tool(Protocol):
    """A typed async function offered to the model; its docstring is its manual."""

    spec: ToolSpec
    manual: str
    timeout_s: float | None
    """Longest a call may take; ``None`` where a person or a cell is waited for."""
    resumes: bool
    """A call that was begun and never settled may be made again: it finds what it did before."""

    def bind(self, arguments: str) -> dict[str, Any]:
        """Parse and validate raw JSON arguments strictly. Raises ``ToolError``."""
        ...

    def terms(self, arguments: Mapping[str, Any]) -> CallTerms:
        """What a call with these bound arguments would do; looks at nothing else."""
        ...

    def __call__(
        self, ctx: ToolContext, grant: Grant, /, **arguments: Any
    ) -> Awaitable[ToolResult]:
        """Use the grant, then carry out the call. Raises ``ToolError`` or ``TurnError``."""
        ...


class Toolbox(Protocol):
    """The set of tools of one turn; frozen while the turn runs."""

    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools as the model sees them, always in the same order."""
        ...

    def find(self, name: str) -> Tool:
        """Raises ``ToolError`` that lists the tools there are."""
        ...
