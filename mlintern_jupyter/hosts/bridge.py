"""The kernel's end of the wire: one per kernel, shared by every session in it.

::

    worker thread ── say() ──► outbox ──► comm_msg on iopub ──► peer
    control thread ◄── CONTROL_REQUEST (always answered, also while a cell runs) ── peer
    main thread: pre_run_cell, post_run_cell, the gate, the output tap

A shell without a kernel (plain IPython) has no peer: messages go nowhere and nothing raises. In a
forked child the bridge is inert.

Not covered: a kernel whose ``control_handlers`` are missing (xeus-python); it has no peer either.
"""

from __future__ import annotations

import ast
import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from IPython.core.error import InputRejected

from mlintern_jupyter.cells import CellState, CellView
from mlintern_jupyter.errors import InternError, Interrupted, UsageError
from mlintern_jupyter.hosts.capture import Capture, OutputTap, records_of
from mlintern_jupyter.hosts.outbox import Outbox
from mlintern_jupyter.hosts.own_cells import first_line, names_bound, speaks_to_the_intern
from mlintern_jupyter.wire import (
    COMM_ID,
    CONTROL_REPLY,
    CONTROL_REQUEST,
    PING_TIMEOUT_S,
    WIRE_VERSION,
    Ping,
    ToPeer,
    to_json,
)


@dataclass(frozen=True)
class Ended:
    """How an execution ended."""

    state: CellState
    source: str
    error: str
    seconds: float
    outputs: tuple[dict[str, Any], ...]
    records: tuple[dict[str, Any], ...]


class CellOwner(Protocol):
    """A session's host, as the bridge knows it. Called from the main and the control thread."""

    def owns(self, cell_id: str) -> bool:
        """Whether the cell is one of its proposals."""
        ...

    def cell_starts(self, cell_id: str, source: str) -> None:
        """Raises ``InternError`` when the code must not run."""
        ...

    def cell_ended(self, cell_id: str, ended: Ended) -> None:
        """A cell it owns ran."""
        ...

    def own_cell_ran(
        self, cell_id: str, line: str, state: CellState, names: tuple[str, ...]
    ) -> None:
        """A cell nobody proposed ran."""
        ...

    def cell_not_run(self, cell_id: str, state: str, reason: str) -> None:
        """A cell it owns will not run now."""
        ...

    def cells_read(self, request: str, cells: Sequence[CellView]) -> bool:
        """Whether this host had asked."""
        ...

    def wanted(self) -> list[str]:
        """Cells that wait for a person."""
        ...


class LocalPeer(Protocol):
    """A peer inside the kernel, where no page shows the notebook (``hosts.ipython``)."""

    def hear(self, message: ToPeer) -> None:
        """What a page would be told; from any thread."""
        ...

    def claims(self, source: str) -> tuple[str, str] | None:
        """Id of the proposal that this text is, and the text without the line that says so."""
        ...

    def shown(self, result: Any, capture: Capture) -> None:
        """Hand over what a cell showed, where there is no kernel that publishes it."""
        ...


class CellRefused(InputRejected):
    """Raised before the first line of a cell whose start could not be recorded."""

    def __init__(self, reason: InternError) -> None:
        self.reason = reason
        super().__init__(f"this cell did not run: {reason}")

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class _Gate:
    """An AST transformer: what IPython offers to reject a cell (hooks cannot)."""

    def __init__(self) -> None:
        self.closed_by: InternError | None = None

    def visit(self, node: ast.AST) -> ast.AST:
        if self.closed_by is not None:
            reason, self.closed_by = self.closed_by, None
            raise CellRefused(reason)
        return node


@dataclass(frozen=True)
class _Running:
    info: Any
    cell_id: str
    """As its front end sent it, or as its text says (``LocalPeer.claims``)."""
    source: str
    owner: CellOwner | None
    capture: Capture
    started: float
    outer: _Running | None
    """The cell whose code runs this one, e.g. ``%intern next``."""


class Bridge:
    """Sends to the peer, hears it, and sees every cell run.

    Args:
        ip: the IPython shell.
        on_command: takes a session id and a command as JSON; runs on the control thread, so it
            only hands over. What it raises is the peer's answer.
        status: more for the answer to AskStatus, at least ``{"active": [session ids]}``.
    """

    def __init__(
        self,
        ip: Any,
        on_command: Callable[[str, dict[str, Any]], None],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self.peer: str | None = None
        self.local: LocalPeer | None = None
        """Set where nobody answered: it hears what a page would."""
        self._ip = ip
        self._kernel: Any = getattr(ip, "kernel", None)
        self._session: Any = getattr(self._kernel, "session", None)
        self._on_command = on_command
        self._status = status
        self._pid = os.getpid()
        self._open = True
        self._hello = threading.Event()
        self._sending = threading.Lock()
        self._outbox = Outbox()
        self._hosts: tuple[CellOwner, ...] = ()
        self._running: _Running | None = None
        self._gate = _Gate()
        self._handler = self._on_request
        self._handlers: dict[str, Any] = getattr(self._kernel, "control_handlers", {})
        before = getattr(self._handlers.get(CONTROL_REQUEST), "__self__", None)
        if isinstance(before, Bridge):
            before.close()
        self._tap = OutputTap(self._session) if self._session is not None else None
        self._handlers[CONTROL_REQUEST] = self._handler
        ip.ast_transformers.append(self._gate)
        ip.events.register("pre_run_cell", self._before_cell)
        ip.events.register("post_run_cell", self._after_cell)

    def close(self) -> None:
        """Undo everything; a second time does nothing."""
        if not self._open:
            return
        self._open = False
        self._ip.events.unregister("pre_run_cell", self._before_cell)
        self._ip.events.unregister("post_run_cell", self._after_cell)
        self._ip.ast_transformers.remove(self._gate)
        if self._handlers.get(CONTROL_REQUEST) is self._handler:
            del self._handlers[CONTROL_REQUEST]
        if self._tap is not None:
            self._tap.close()
        self._hosts = ()
        self.peer = None

    def attach(self, host: CellOwner) -> None:
        """From now on this host is asked about cells."""
        self._hosts = (*self._hosts, host)

    def detach(self, host: CellOwner) -> None:
        """The host's session is closed."""
        self._hosts = tuple(h for h in self._hosts if h is not host)

    @property
    def current_cell_id(self) -> str:
        """Id of the cell that runs now, as its front end sent it; empty if it sends none."""
        running = self._running
        return "" if running is None else running.info.cell_id or ""

    def update_display(self, display_id: str, data: dict[str, Any]) -> None:
        """Change what a display shows, from any thread and after its cell ended."""
        if not self._alive() or self._session is None:
            return
        content = {"data": data, "metadata": {}, "transient": {"display_id": display_id}}
        with self._sending:
            self._session.send(
                self._kernel.iopub_socket, "update_display_data", content=content, parent={}
            )

    def say(self, message: ToPeer) -> None:
        """Send a message from any thread; it is kept for replay where it must not be lost."""
        if not self._alive():
            return
        if self.local is not None:
            self.local.hear(message)
        if self._session is None:
            return
        # One lock over numbering and sending: numbers go up on the wire, so a gap is a loss.
        with self._sending:
            number = self._outbox.add(message)
            self._session.send(
                self._kernel.iopub_socket,
                "comm_msg",
                content={"comm_id": COMM_ID, "data": to_json(message) | {"seq": number}},
                parent={},
            )

    def await_peer(self, timeout_s: float = PING_TIMEOUT_S) -> bool:
        """Whether a peer answers a ping in time. Blocks; the answer comes on the control thread."""
        if self._session is None:
            return False
        self._hello.clear()
        self.say(Ping())
        return self._hello.wait(timeout_s)

    def hear(self, message: dict[str, Any]) -> None:
        """Take a message of the local peer, as if it had come over the wire."""
        self._answer(message)

    def forget_cell(self, cell_id: str) -> None:
        """The cell is gone from the notebook: it is not inserted again by a replay."""
        with self._sending:
            self._outbox.forget_cell(cell_id)

    def forget_run(self, cell_id: str) -> None:
        """The cell is not to be run a second time by a replay."""
        with self._sending:
            self._outbox.forget_run(cell_id)

    def forget_request(self, request: str) -> None:
        """A question nobody waits for any more."""
        with self._sending:
            self._outbox.forget_request(request)

    def _alive(self) -> bool:
        return self._open and os.getpid() == self._pid

    # The control thread ---------------------------------------------------------------------

    def _on_request(self, stream: Any, ident: Any, request: dict[str, Any]) -> None:
        answer: dict[str, Any]
        try:
            answer = {"ok": True, **self._answer(request["content"])}
        except InternError as error:
            answer = {"ok": False, "what": error.what, "why": error.why, "do": error.do}
        except Exception as error:  # noqa: BLE001  the peer waits: no reply would hang it
            why = f"{type(error).__name__}: {error}"
            answer = {"ok": False, "what": "the request was not understood", "why": why, "do": ""}
        answer.setdefault("seq", self._outbox.last)
        self._session.send(stream, CONTROL_REPLY, answer, parent=request, ident=ident)

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        kind = message["kind"]
        if kind == "hello":
            return self._greet(message)
        if kind == "status":
            return self._standing()
        if kind == "command":
            self._on_command(message["session"], message["command"])
        elif kind == "cells":
            cells = [CellView(**cell) for cell in message["cells"]]
            any(host.cells_read(message["request"], cells) for host in self._hosts)
        elif kind == "not_run":
            self._not_run(message["cell_id"], message["state"], message.get("reason", ""))
        else:
            raise UsageError(f"there is no message {kind!r}")
        return {}

    def _greet(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["wire"] != WIRE_VERSION:
            raise UsageError(
                f"the notebook's side speaks wire version {message['wire']}, "
                f"this kernel speaks {WIRE_VERSION}",
                do="install the same version of mlintern-jupyter where the Jupyter server runs "
                "and where the kernel runs",
            )
        with self._sending:
            last = self._outbox.last
            # A number this kernel never gave is from the one before its restart.
            seen = message["last_seq"] if message["last_seq"] <= last else 0
            missed = self._outbox.after(seen)
        self.peer = message["peer"]
        self._hello.set()
        return {"wire": WIRE_VERSION, "seq": last, "messages": missed}

    def _standing(self) -> dict[str, Any]:
        # Read in this order: what a session says before it ends is numbered below ``seq``.
        wanted = [cell for host in self._hosts for cell in host.wanted()]
        return {"wanted": wanted, **self._status(), "seq": self._outbox.last}

    def _not_run(self, cell_id: str, state: str, reason: str) -> None:
        owner = self._owner(cell_id)
        if owner is None:
            raise UsageError(f"no session in this kernel has a cell {cell_id}")
        self.forget_run(cell_id)
        if state == "missing":
            self.forget_cell(cell_id)
        owner.cell_not_run(cell_id, state, reason)

    # The main thread ------------------------------------------------------------------------

    def _owner(self, cell_id: str | None) -> CellOwner | None:
        if not cell_id:
            return None
        return next((host for host in self._hosts if host.owns(cell_id)), None)

    def _request_id(self) -> str:
        parent: Any = self._kernel.get_parent("shell") if self._session is not None else None
        return parent["header"]["msg_id"] if parent else ""

    def _before_cell(self, info: Any) -> None:
        # Subshells run beside the notebook's cells and are nobody's.
        if not self._alive() or threading.current_thread() is not threading.main_thread():
            return
        request = self._request_id()
        claimed = None if self.local is None else self.local.claims(info.raw_cell)
        outer = self._running
        if outer is not None and outer.capture.parent_id != request:
            outer = None
        # A cell that runs another one (``run_cell`` in its code) stays the one that runs, unless
        # the other is a proposal.
        if outer is not None and claimed is None:
            return
        cell_id, source = claimed or (info.cell_id or "", info.raw_cell)
        owner = self._owner(cell_id)
        capture = Capture(request)
        self._running = _Running(info, cell_id, source, owner, capture, monotonic(), outer)
        if self._tap is not None:
            self._tap.capture = capture
        if owner is None:
            return
        self.forget_run(cell_id)
        try:
            owner.cell_starts(cell_id, source)
        except InternError as error:
            self._gate.closed_by = error
        except KeyboardInterrupt:
            # IPython would print this and run the code.
            self._gate.closed_by = Interrupted("interrupted before it began")

    def _after_cell(self, result: Any) -> None:
        running = self._running
        # ``result`` is None when the kernel's own task was cancelled.
        if running is None or (result is not None and result.info is not running.info):
            return
        if not self._alive():
            return
        seconds = monotonic() - running.started
        self._running = running.outer
        self._gate.closed_by = None
        sys.stdout.flush()
        sys.stderr.flush()
        if self._tap is not None:
            self._tap.capture = None if running.outer is None else running.outer.capture
        elif self.local is not None:
            self.local.shown(result, running.capture)
        state, error = _how_it_ended(result)
        outputs = running.capture.finish()
        info, source = running.info, running.source
        if running.owner is not None:
            ended = Ended(state, source, error, seconds, outputs, records_of(outputs))
            running.owner.cell_ended(running.cell_id, ended)
        elif not speaks_to_the_intern(source):
            names = names_bound(getattr(info, "transformed_cell", None) or source)
            for host in self._hosts:
                host.own_cell_ran(running.cell_id, first_line(source), state, names)


def _how_it_ended(result: Any) -> tuple[CellState, str]:
    if result is None:
        return "interrupted", "CancelledError: "
    error = result.error_before_exec or result.error_in_exec
    if error is None:
        return "done", ""
    text = f"{type(error).__name__}: {error}"
    # ipykernel cancels a cell that awaits.
    interrupted = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
    return ("interrupted" if interrupted else "failed"), text
