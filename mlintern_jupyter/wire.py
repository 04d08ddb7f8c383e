"""The messages between the kernel and whoever shows the notebook (a page, or the headless peer).

Kernel to peer: ``comm_msg`` on a fixed comm id (never ``comm_open``), numbered from one since the
extension was loaded (its ``boot``), so that a peer can ask for what it missed. Peer to kernel: a
custom request on the *control channel*, the only one that is answered while a cell runs; it always
gets a reply. One protocol, two peers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mlintern_jupyter.cells import CellView, NewCell
from mlintern_jupyter.views import KernelView

WIRE_VERSION = 5
COMM_ID = "mlintern"
CONTROL_REQUEST = "mlintern_request"
CONTROL_REPLY = "mlintern_reply"
PING_TIMEOUT_S = 2.0
PEER_VARIABLE = "MLINTERN_PEER"
"""Process id of the peer that started the kernel: it is there, so one that is silent is busy."""
BUSY_PEER_TIMEOUT_S = 60.0
PAGE_BYTES = 256_000
"""Replies hold messages up to this many bytes of JSON; ``more`` says that there are others."""
LEAD_EXPIRES_S = 10.0
"""A leading page that was not heard for so long loses its place to one that asks for it."""


# Kernel to peer -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Ping:
    """Is anybody there? A peer answers with Hello."""

    kind: Literal["ping"] = "ping"


@dataclass(frozen=True)
class InsertCell:
    """Put a cell after the last of ``anchors`` that still exists, else at the end."""

    session: str
    cell: NewCell
    anchors: tuple[str, ...]
    """Ids of the session's cells so far, the magic cell first, the newest last."""
    kind: Literal["insert"] = "insert"


@dataclass(frozen=True)
class UpdateCell:
    """Change a cell's text (only one that was not run), its mark, or both."""

    cell_id: str
    source: str | None = None
    mark: dict[str, Any] | None = None
    kind: Literal["update"] = "update"


@dataclass(frozen=True)
class RunCell:
    """Run a cell as an ordinary execution, with its id in the request's metadata."""

    cell_id: str
    kind: Literal["run"] = "run"


@dataclass(frozen=True)
class ReadCells:
    """Answer with CellsRead that carries the same ``request``."""

    request: str
    kind: Literal["read"] = "read"


@dataclass(frozen=True)
class FactSaid:
    """A committed fact of a session, with its ledger number."""

    session: str
    number: int
    fact: dict[str, Any]
    kind: Literal["fact"] = "fact"


@dataclass(frozen=True)
class SignalSaid:
    """A droppable signal of a session."""

    session: str
    signal: dict[str, Any]
    kind: Literal["signal"] = "signal"


@dataclass(frozen=True)
class Leads:
    """Which page inserts and runs cells from now on. Others show what there is."""

    tab: str
    """The page's name as it said in Hello; empty: nobody leads, the next Hello will."""
    kind: Literal["leads"] = "leads"


ToPeer = Ping | InsertCell | UpdateCell | RunCell | ReadCells | FactSaid | SignalSaid | Leads


# Peer to kernel -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello:
    """A peer introduces itself; the reply holds messages after ``last_seq`` of ``boot``, paged.

    One page leads: the one that ran the magic cell, else the first to say hello. The kernel
    knows which client ran a cell by the header of its request, and which page a client belongs to
    by the header of its Hello.
    """

    peer: str
    """What it is: ``headless`` or ``lab``."""
    wire: int
    last_seq: int = 0
    boot: str = ""
    """What numbered the messages this peer knows; numbers of another boot mean nothing."""
    tab: str = ""
    """Name of the page that survives its reload; empty for a peer that is always alone."""
    take_lead: bool = False
    """The person said "Follow here"."""
    whole: bool = False
    """With everything a page shows (``HelloReply.status``): one question less after a reload."""
    version: str = ""
    """Version of the package this peer was built with, to be named if the wires differ."""
    kind: Literal["hello"] = "hello"


@dataclass(frozen=True)
class Bye:
    """A page closes the notebook, or goes away: another may lead at once."""

    tab: str
    kind: Literal["bye"] = "bye"


@dataclass(frozen=True)
class CellsRead:
    """The answer to ReadCells."""

    request: str
    cells: tuple[CellView, ...]
    kind: Literal["cells"] = "cells"


@dataclass(frozen=True)
class CellNotRun:
    """A cell will not run: skipped or deleted by the person, aborted, or not there.

    ``missing`` is said when a cell was absent for five seconds, of the magic cell too (the turn is
    held then).
    """

    cell_id: str
    state: Literal["skipped", "aborted", "missing"]
    reason: str = ""
    kind: Literal["not_run"] = "not_run"


@dataclass(frozen=True)
class CellRestored:
    """A cell that was said to be missing is in the notebook again (redo, paste, put back)."""

    cell_id: str
    kind: Literal["returned"] = "returned"


@dataclass(frozen=True)
class AskOutputs:
    """The reply is what a settled cell of a session showed, from the record.

    A page that was loaded anew has lost what was not saved, and hears nothing of a cell that runs.
    """

    cell_id: str
    kind: Literal["outputs"] = "outputs"


@dataclass(frozen=True)
class AskStatus:
    """The reply says which sessions are at work here and which cells are wanted."""

    whole: bool = False
    """With everything a page shows (``StatusReply.view``)."""
    tab: str = ""
    """The asking page: hearing from it keeps its lead alive."""
    kind: Literal["status"] = "status"


@dataclass(frozen=True)
class SendCommand:
    """A command of ``commands.py`` for a session, as a JSON object with its ``kind``."""

    session: str
    """Empty for a command that needs none (jobs)."""
    command: dict[str, Any] = field(default_factory=dict[str, Any])
    kind: Literal["command"] = "command"


ToKernel = (
    Hello | Bye | CellsRead | CellNotRun | CellRestored | AskOutputs | AskStatus | SendCommand
)


# Replies --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refused:
    """The reply to a request that could not be answered."""

    what: str
    why: str
    do: str
    seq: int
    boot: str
    ok: Literal[False] = False


@dataclass(frozen=True)
class StatusReply:
    """The reply to AskStatus."""

    seq: int
    """Read before it was computed: a page that saw less has lost a message."""
    boot: str
    active: tuple[str, ...]
    """Sessions at work."""
    wanted: tuple[str, ...]
    """Cells a step waits for that only a person can run."""
    leads: bool
    view: KernelView | None = None
    ok: Literal[True] = True


@dataclass(frozen=True)
class HelloReply:
    """The reply to Hello."""

    wire: int
    seq: int
    """Number of the last message said so far."""
    boot: str
    leads: bool
    """Whether the asking page leads."""
    messages: tuple[dict[str, Any], ...]
    """Messages of ``ToPeer`` as they were said, oldest first, at most ``PAGE_BYTES`` of them."""
    more: bool
    """Say Hello again from the last of these on."""
    status: StatusReply | None = None
    """As of now, later than the messages."""
    ok: Literal[True] = True


@dataclass(frozen=True)
class OutputsReply:
    """The reply to AskOutputs."""

    seq: int
    boot: str
    outputs: tuple[dict[str, Any], ...]
    """As nbformat holds them, bounded as in the record."""
    execution_count: int | None
    ok: Literal[True] = True


@dataclass(frozen=True)
class Done:
    """The reply to everything else."""

    seq: int
    boot: str
    ok: Literal[True] = True


Reply = Refused | HelloReply | StatusReply | OutputsReply | Done


def to_json(message: ToPeer | ToKernel) -> dict[str, Any]:
    """Plain JSON object of a message."""
    return asdict(message)
