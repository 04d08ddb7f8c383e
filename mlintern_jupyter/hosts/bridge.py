"""The kernel's end of the wire: one per kernel, shared by every session in it.

::

    worker thread ── say() ──► outbox ──► comm_msg on iopub ──► peer
    control thread ◄── CONTROL_REQUEST (always answered, also while a cell runs) ── peer
    main thread: pre_run_cell, post_run_cell, the gate, the output tap

A shell without a kernel (plain IPython), or whose kernel lacks ``control_handlers``, has no peer on
the wire; a local one (``hosts.ipython``) takes its place. In a forked child the bridge is inert.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic, time
from typing import Any, Protocol

from mlintern_jupyter.cells import CellOutcome, CellState
from mlintern_jupyter.errors import InternError, Interrupted, UsageError
from mlintern_jupyter.events import OwnCellRan
from mlintern_jupyter.hosts.capture import Capture, OutputTap, records_of
from mlintern_jupyter.hosts.cell_owner import CellOwner
from mlintern_jupyter.hosts.cell_refusal import CellRefuser
from mlintern_jupyter.hosts.leader import Leader
from mlintern_jupyter.hosts.outbox import Outbox
from mlintern_jupyter.hosts.person_cells import (
    ExecutionQueue,
    addresses_the_intern,
    begins_a_turn,
    first_line,
    names_bound,
)
from mlintern_jupyter.hosts.replies import Answers, sent_at
from mlintern_jupyter.hosts.running_cell import Running, awaits, how_it_ended
from mlintern_jupyter.hosts.uninterrupted import uninterrupted
from mlintern_jupyter.views import KernelView
from mlintern_jupyter.wire import (
    BUSY_PEER_TIMEOUT_S,
    COMM_ID,
    CONTROL_REPLY,
    CONTROL_REQUEST,
    PEER_VARIABLE,
    PING_TIMEOUT_S,
    Leads,
    Ping,
    ToPeer,
)

_QUEUED_KEPT = 100


def _no_view() -> KernelView | None:
    return None


def _ignore(running: bool) -> None:
    pass


class LocalPeer(Protocol):
    """A peer inside the kernel, where no page shows the notebook (``hosts.ipython``)."""

    def hear(self, message: ToPeer) -> None:
        """What a page would be told; from any thread."""
        ...

    def claims(self, source: str) -> tuple[str, str] | None:
        """Id of the proposal that this text is, and the text without the line that says so."""
        ...

    def ended(self, cell_id: str) -> None:
        """A session's cell ran, and its end is in the record."""
        ...

    def shown(self, result: Any, capture: Capture) -> None:
        """Hand over what a cell showed, where there is no kernel that publishes it."""
        ...


class Bridge:
    """Sends to the peer, hears it, and sees every cell run.

    Args:
        ip: the IPython shell.
        on_command: takes a session id and a command as JSON; runs on the control thread, so it
            only hands over. What it raises is the peer's answer.
        status: more for the answer to AskStatus, at least ``{"active": [session ids]}``.
        view: everything a page shows, for an AskStatus that wants the whole; on the control
            thread, so it must not block.
    """

    def __init__(
        self,
        ip: Any,
        on_command: Callable[[str, dict[str, Any]], None],
        status: Callable[[], dict[str, Any]],
        view: Callable[[], KernelView | None] = _no_view,
    ) -> None:
        self.local: LocalPeer | None = None
        """Set where nobody answered: it hears what a page would."""
        self.on_intern_cell: Callable[[bool], None] = _ignore
        """Told on the main thread before the code of a session's cell runs (True), and when it
        ended, however it did (False)."""
        self._ip = ip
        self._kernel: Any = getattr(ip, "kernel", None)
        self._session: Any = getattr(self._kernel, "session", None)
        self._pid = os.getpid()
        self._open = True
        self._hosts: tuple[CellOwner, ...] = ()
        self._running: Running | None = None
        self._notified: list[Running] = []
        self._line = ExecutionQueue()
        self._queued: deque[OwnCellRan] = deque(maxlen=_QUEUED_KEPT)
        self._ran_as_requested: dict[str, float] = {}
        self._gate = CellRefuser()
        self._outbox = Outbox(self._send)
        self._leader = Leader(lambda tab: self.say(Leads(tab)))
        self._answers = Answers(
            outbox=self._outbox,
            leader=self._leader,
            line=self._line,
            hosts=lambda: self._hosts,
            on_command=on_command,
            status=status,
            view=view,
        )
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
        self._tell_ended()
        self._ip.events.unregister("pre_run_cell", self._before_cell)
        self._ip.events.unregister("post_run_cell", self._after_cell)
        self._ip.ast_transformers.remove(self._gate)
        if self._handlers.get(CONTROL_REQUEST) is self._handler:
            del self._handlers[CONTROL_REQUEST]
        if self._tap is not None:
            self._tap.close()
        self._hosts = ()
        self._answers.peer = None

    def attach(self, host: CellOwner) -> None:
        """From now on this host is asked about cells."""
        self._hosts = (*self._hosts, host)

    def detach(self, host: CellOwner) -> None:
        """The host's session is closed."""
        self._hosts = tuple(h for h in self._hosts if h is not host)

    @property
    def peer(self) -> str | None:
        """What said hello last (``lab``, ``headless``); ``None`` when nobody is there."""
        return self._answers.peer

    @property
    def current_cell_id(self) -> str:
        """Id of the cell that runs now, as its front end sent it; empty if it sends none."""
        running = self._running
        return "" if running is None else running.info.cell_id or ""

    @property
    def current_client(self) -> str:
        """The client that sent the cell that runs now; empty if none runs."""
        running = self._running
        return "" if running is None else running.client

    def lead_here(self) -> None:
        """The cell that runs now sets the intern to work: the page that sent it leads."""
        if self.current_client:
            self._leader.magic_ran(self.current_client)

    def take_queued(self) -> Iterator[OwnCellRan]:
        """Cells that stood in line and ran before a turn was open; each is given once."""
        while self._queued:
            yield self._queued.popleft()

    def update_display(self, display_id: str, data: dict[str, Any]) -> None:
        """Change what a display shows, from any thread and after its cell ended."""
        if not self._alive() or self._session is None:
            return
        content = {"data": data, "metadata": {}, "transient": {"display_id": display_id}}
        self._session.send(
            self._kernel.iopub_socket, "update_display_data", content=content, parent={}
        )

    def say(self, message: ToPeer) -> None:
        """Send a message from any thread; it is kept for replay where it must not be lost."""
        if not self._alive():
            return
        if self.local is not None:
            self.local.hear(message)
        self._outbox.say(message)

    def await_peer(self, timeout_s: float | None = None) -> bool:
        """Whether a peer answers a ping in time. Blocks; the answer comes on the control thread."""
        if timeout_s is None:
            started_by_peer = os.environ.get(PEER_VARIABLE) == str(os.getppid())
            timeout_s = BUSY_PEER_TIMEOUT_S if started_by_peer else PING_TIMEOUT_S
        if self._session is None or not hasattr(self._kernel, "control_handlers"):
            return False
        self._answers.greeted.clear()
        self.say(Ping())
        return self._answers.greeted.wait(timeout_s)

    def wanted(self) -> frozenset[str]:
        """Cells that a step waits for and only a person can run."""
        return frozenset(cell for host in self._hosts for cell in host.wanted())

    def hear(self, message: dict[str, Any]) -> None:
        """Take a message of the local peer, as if it had come over the wire."""
        self._answers.hear(message, client="")

    def mark_of(self, cell_id: str) -> dict[str, Any] | None:
        """The newest mark this kernel gave a cell; ``None`` if it gave none."""
        return self._outbox.mark_of(cell_id)

    def forget_request(self, request: str) -> None:
        """A question nobody waits for any more."""
        self._outbox.forget_request(request)

    def _send(self, data: dict[str, Any]) -> None:
        if self._session is not None:
            content = {"comm_id": COMM_ID, "data": data}
            self._session.send(self._kernel.iopub_socket, "comm_msg", content=content, parent={})

    def _alive(self) -> bool:
        return self._open and os.getpid() == self._pid

    def _on_request(self, stream: Any, ident: Any, request: dict[str, Any]) -> None:
        answer = self._answers.to(request)
        self._session.send(stream, CONTROL_REPLY, answer, parent=request, ident=ident)

    # The main thread ------------------------------------------------------------------------

    def _owner(self, cell_id: str | None) -> CellOwner | None:
        if not cell_id:
            return None
        return next((host for host in self._hosts if host.owns(cell_id)), None)

    def _request(self) -> dict[str, Any]:
        parent: Any = self._kernel.get_parent("shell") if self._session is not None else None
        return parent["header"] if parent else {"msg_id": "", "session": ""}

    def _before_cell(self, info: Any) -> None:
        # Subshells run beside the notebook's cells and are nobody's.
        if not self._alive() or threading.current_thread() is not threading.main_thread():
            return
        request = self._request()
        claimed = None if self.local is None else self.local.claims(info.raw_cell)
        outer = self._running
        if outer is not None and outer.capture.parent_id != request["msg_id"]:
            self._settle_lost(None)
            outer = None
        # A cell that runs another one (``run_cell`` in its code) stays the one that runs, unless
        # the other is a proposal.
        if outer is not None and claimed is None:
            return
        cell_id, source = claimed or (info.cell_id or "", info.raw_cell)
        owner = self._owner(cell_id)
        capture = Capture(request["msg_id"])
        client, sent = request["session"], sent_at(request)
        self._line.heard(client, sent, time())
        self._running = Running(
            info, cell_id, source, owner, capture, monotonic(), client, sent, outer
        )
        if self._tap is not None:
            self._tap.capture = capture
        if owner is not None:
            self._gate.closed_by = self._start(owner, self._running)
            self._check_when_idle(self._running)
        elif begins_a_turn(source):
            self._queued.clear()

    def _start(self, owner: CellOwner, cell: Running) -> InternError | None:
        """Record the start of a session's cell; why it must not run, if so."""
        requested = self._outbox.forget_run(cell.cell_id)
        if requested:
            self._ran_as_requested[cell.cell_id] = time()
        elif self._line.sent_before(
            cell.client, cell.sent, self._ran_as_requested.get(cell.cell_id)
        ):
            # The page that was to run it was reloaded, or another took over, before it began.
            return UsageError(
                "the intern asked for it once, and it ran already",
                why="two pages sent it, or one page before and after its reload",
                do="run it again if you want it twice",
            )
        try:
            owner.cell_starts(cell.cell_id, cell.source, requested=requested)
            self._notified.append(cell)
            self.on_intern_cell(True)
        except InternError as error:
            return error
        except KeyboardInterrupt:
            # IPython would print this and run the code.
            return Interrupted("interrupted before it began")
        return None

    def _tell_ended(self, cell: Running | None = None) -> None:
        """Say that a cell ended, or every one of which only the start was said."""
        for notified in [c for c in self._notified if cell is None or c is cell]:
            self.on_intern_cell(False)
            self._notified.remove(notified)

    def _check_when_idle(self, cell: Running) -> None:
        """Somebody waits for its end, and a second interrupt may reach IPython before our hook."""
        if self._session is not None and not awaits(self._ip, cell.source):
            # Code without ``await`` holds the loop until it ends.
            asyncio.get_running_loop().call_soon(self._check_whether_lost, cell)

    def _check_whether_lost(self, cell: Running) -> None:
        inner = self._running
        while inner is not None and inner is not cell:
            inner = inner.outer
        if inner is not None:
            self._settle_lost(cell.outer)

    def _settle_lost(self, outer: Running | None) -> None:
        """The ends of all cells inside of this one were lost."""
        while self._running is not outer and self._alive():
            self._settle(None)

    def _after_cell(self, result: Any) -> None:
        with uninterrupted():
            self._settle(result)

    def _settle(self, result: Any) -> None:
        running = self._running
        # ``result`` is None when the kernel's own task was cancelled, or the hook was never called.
        if running is None or (result is not None and result.info is not running.info):
            return
        if not self._alive():
            return
        self._tell_ended(running)
        seconds = monotonic() - running.started
        self._running = running.outer
        self._gate.closed_by = None
        sys.stdout.flush()
        sys.stderr.flush()
        if self._tap is not None:
            self._tap.capture = None if running.outer is None else running.outer.capture
        elif self.local is not None:
            self.local.shown(result, running.capture)
        state, error = how_it_ended(result)
        outputs = running.capture.finish()
        if running.owner is not None:
            running.owner.cell_ended(
                CellOutcome(
                    running.cell_id,
                    state,
                    running.source,
                    outputs,
                    error,
                    seconds,
                    records_of(outputs),
                    None if result is None else result.execution_count,
                )
            )
            if self.local is not None and running.owner.outcome_of(running.cell_id) is not None:
                self.local.ended(running.cell_id)
        elif begins_a_turn(running.source):
            self._line.intern_began(time())
        elif not addresses_the_intern(running.source):
            self._person_cell_ran(running, state)

    def _person_cell_ran(self, running: Running, state: CellState) -> None:
        names = names_bound(getattr(running.info, "transformed_cell", None) or running.source)
        queued = self._line.stood(running.client, running.sent)
        fact = OwnCellRan(running.cell_id, first_line(running.source), state, names, queued)
        taken = [host.person_cell_ran(fact) for host in self._hosts]
        if queued and not any(taken):
            self._queued.append(fact)
            # A turn that was opened meanwhile has looked before this was there.
            for host in self._hosts:
                host.hear_queued()
