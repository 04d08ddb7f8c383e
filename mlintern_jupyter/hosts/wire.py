"""A session's notebook, on the other side of the wire: a page or the headless peer.

Three threads meet here: the worker asks and waits, the main thread runs cells, the control thread
brings what the peer has to say. Waiters live on the worker's loop; the others hand over to it.

A cell whose start cannot be recorded does not run (see ``cell_refusal``), unless it had settled
before: a later re-run is the person's own business and only misses its line in the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mlintern_jupyter.cells import (
    SETTLED,
    CellOutcome,
    CellState,
    CellView,
    NewCell,
    source_sha256,
)
from mlintern_jupyter.errors import InternError, LedgerUnwritable, NotebookGone, ToolError
from mlintern_jupyter.events import (
    CellEnded,
    CellReturned,
    CellStarted,
    Decided,
    Fact,
    OwnCellRan,
)
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.hosts.cell_owner import NotRun
from mlintern_jupyter.wire import InsertCell, ReadCells, RunCell, UpdateCell

READ_TIMEOUT_S = 10.0
DELETED = "the person deleted it"
T = TypeVar("T")
_MAY_RUN_FIRST = frozenset({"proposed", "skipped"})


@dataclass
class _HostCell:
    source: str
    begun: asyncio.Future[None]
    settled: asyncio.Future[CellOutcome]
    state: CellState = "proposed"
    outcome: CellOutcome | None = None
    requested: bool = False
    """The peer was asked to run it."""
    waiters: int = 0

    def again(self, state: CellState, loop: asyncio.AbstractEventLoop) -> None:
        """It was settled without a run, and is not any more."""
        self.state, self.outcome, self.requested = state, None, False
        self.begun, self.settled = loop.create_future(), loop.create_future()


class WireHost:
    """``protocols.Host`` for one session, over a bridge.

    Args:
        bridge: the kernel's end of the wire.
        session: id of the session.
        magic_cell_id: the cell everything is inserted after.
        commit: makes a fact durable; called from the main thread too. Raises LedgerUnwritable.
        known: how a cell of an earlier process settled, from the ledger.
        loop: the worker's event loop.
        earlier: ids of the session's cells from earlier turns and processes, in order.
        on_magic_cell: told when the magic cell is missing (False) and there again (True); on the
            control thread.
    """

    def __init__(
        self,
        bridge: Bridge,
        *,
        session: str,
        magic_cell_id: str,
        commit: Callable[[Fact], int],
        known: Callable[[str], CellOutcome | None],
        loop: asyncio.AbstractEventLoop,
        earlier: Sequence[str] = (),
        on_magic_cell: Callable[[bool], None] | None = None,
    ) -> None:
        self._bridge = bridge
        self._session = session
        self._magic_cell_id = magic_cell_id
        self._commit = commit
        self._known = known
        self._loop = loop
        self._order = dict.fromkeys(earlier)
        self._on_magic_cell = on_magic_cell
        self._turn_open = False
        self._lock = threading.Lock()
        self._cells: dict[str, _HostCell] = {}
        self._reads: dict[str, asyncio.Future[tuple[CellView, ...]]] = {}
        self._running = ""
        """The cell whose start was recorded; the main thread's own."""
        self._first_run = False
        bridge.attach(self)

    @property
    def turn_open(self) -> bool:
        """Set by the session: only then is it told about the person's own cells."""
        return self._turn_open

    @turn_open.setter
    def turn_open(self, value: bool) -> None:
        self._turn_open = value
        self.hear_queued()

    def close(self) -> None:
        """The session is closed: cells are no longer this host's."""
        self._bridge.detach(self)

    # protocols.Host, on the worker's loop -----------------------------------------------------

    async def insert_cell(self, cell: NewCell) -> None:
        """Put a cell after the last surviving one of the session; idempotent by id."""
        with self._lock:
            anchors = (self._magic_cell_id, *(c for c in self._order if c != cell.id))
            self._order.setdefault(cell.id)
            if cell.id in self._cells or self._known(cell.id) is not None:
                return
            begun, settled = self._loop.create_future(), self._loop.create_future()
            self._cells[cell.id] = _HostCell(cell.source, begun, settled)
        self._bridge.say(InsertCell(self._session, cell, anchors))

    async def run_cell(self, cell_id: str) -> None:
        """Ask the peer to run a cell that has not settled."""
        if self._earlier(cell_id) is not None:
            return
        cell = self._cell(cell_id)
        with self._lock:
            if cell.state in SETTLED or cell.state == "running" or cell.requested:
                return
            cell.requested = True
        self._bridge.say(RunCell(cell_id))

    async def wait_begun(self, cell_id: str) -> None:
        """Wait, without limit, until the cell began to run or will not: for a person to decide."""
        if self._earlier(cell_id) is None:
            cell = self._cell(cell_id)
            await self._wait(cell, cell.begun)

    async def wait_settled(self, cell_id: str) -> CellOutcome:
        """Wait, without limit, until the cell was run, skipped or deleted.

        Raises:
            LedgerUnwritable: its start or end could not be recorded.
        """
        known = self._earlier(cell_id)
        if known is not None:
            return known
        cell = self._cell(cell_id)
        return await self._wait(cell, cell.settled)

    async def _wait(self, cell: _HostCell, future: asyncio.Future[T]) -> T:
        cell.waiters += 1
        try:
            return await asyncio.shield(future)
        finally:
            cell.waiters -= 1

    async def update_cell(
        self, cell_id: str, *, source: str | None = None, mark: dict[str, Any] | None = None
    ) -> None:
        """Change the text of a cell that was not run, or the magic cell's; or write a mark."""
        cell = self._cells.get(cell_id)
        if source is not None and cell_id != self._magic_cell_id:
            if cell is None or cell.state != "proposed":
                raise ToolError(
                    f"cell {cell_id} was run already", do="write a new cell with the changed text"
                )
            cell.source = source
        self._bridge.say(UpdateCell(cell_id, source, mark))

    async def read_cells(self) -> Sequence[CellView]:
        """Every cell of the notebook, in order. Raises NotebookGone without an answer in 10 s."""
        request = uuid.uuid4().hex
        answer: asyncio.Future[tuple[CellView, ...]] = self._loop.create_future()
        self._reads[request] = answer
        self._bridge.say(ReadCells(request))
        try:
            return await asyncio.wait_for(answer, READ_TIMEOUT_S)
        except TimeoutError:
            raise NotebookGone(
                "the notebook does not answer",
                why=f"nobody answered within {READ_TIMEOUT_S:g} s; its page may be closed",
                do="open the notebook again, then resume",
            ) from None
        finally:
            self._reads.pop(request, None)
            self._bridge.forget_request(request)

    def _earlier(self, cell_id: str) -> CellOutcome | None:
        """How a cell settled that this host did not insert."""
        return None if cell_id in self._cells else self._known(cell_id)

    def _outcome(self, cell_id: str) -> CellOutcome | None:
        cell = self._cells.get(cell_id)
        return self._known(cell_id) if cell is None else cell.outcome

    def _state(self, cell_id: str) -> CellState:
        cell = self._cells.get(cell_id)
        if cell is not None:
            return cell.state
        known = self._known(cell_id)
        if known is not None:
            return known.state
        return "running" if self._running == cell_id else "proposed"

    def _cell(self, cell_id: str) -> _HostCell:
        cell = self._cells.get(cell_id)
        if cell is None:
            raise ToolError(f"there is no cell {cell_id} of this session")
        return cell

    # bridge.CellOwner, on the main and the control thread -------------------------------------

    def owns(self, cell_id: str) -> bool:
        """Whether a cell is one of this session's proposals."""
        return cell_id in self._order

    def wanted(self) -> list[str]:
        """Cells a step waits for that only a person can run."""
        with self._lock:
            cells = list(self._cells.items())
        return [i for i, c in cells if c.waiters and not c.requested and c.state == "proposed"]

    def concerns(self, cell_id: str) -> bool:
        """Whether it is a cell of the session, its magic cell among them."""
        return self.owns(cell_id) or cell_id == self._magic_cell_id

    def cell_starts(self, cell_id: str, source: str, *, requested: bool) -> None:
        """Record the start, before the code. Raises LedgerUnwritable: then nothing may run."""
        cell = self._cells.get(cell_id)
        state = self._state(cell_id)
        self._running, self._first_run = "", state in _MAY_RUN_FIRST
        try:
            if self._first_run and not requested:
                self._commit(Decided(cell_id, run=True, by=self._who()))
            self._commit(CellStarted(cell_id, source_sha256(source), source))
        except LedgerUnwritable as error:
            if not self._first_run:
                return
            if cell is not None:
                self._hand_over(cell.begun, None)
                self._hand_over(cell.settled, error)
            raise
        self._running = cell_id
        if cell is not None and self._first_run:
            with self._lock:
                if state == "skipped":
                    cell.again("running", self._loop)
                cell.state = "running"
            self._hand_over(cell.begun, None)

    def cell_ended(self, outcome: CellOutcome) -> None:
        """Record the end and wake who waits."""
        if self._running != outcome.cell_id:
            return  # refused at the start, or a re-run whose start is missing
        self._running = ""
        cell = self._cells.get(outcome.cell_id)
        try:
            self._commit(CellEnded.of(outcome))
        except LedgerUnwritable as error:
            if cell is not None:
                self._hand_over(cell.settled, error)
            return
        if self._first_run:
            self._settle(outcome)

    def outcome_of(self, cell_id: str) -> CellOutcome | None:
        """How a cell settled, from the record."""
        return self._known(cell_id)

    def person_cell_ran(self, fact: OwnCellRan) -> bool:
        """One line about a cell of the person's, while a turn is open."""
        # A shell without cell ids sends none for any cell.
        magic = bool(fact.cell_id) and fact.cell_id == self._magic_cell_id
        if self._turn_open and not magic:
            # The person's cell is not the place to complain: the loop's next commit will.
            with contextlib.suppress(LedgerUnwritable):
                self._commit(fact)
        return self._turn_open

    def hear_queued(self) -> None:
        """Cells that stood in line behind the magic cell ran before the turn was open."""
        if self._turn_open:
            for fact in self._bridge.take_queued():
                self.person_cell_ran(fact)

    def cell_not_run(self, cell_id: str, state: NotRun, reason: str) -> None:
        """The peer says that a cell will not run, or that its run was aborted."""
        if cell_id == self._magic_cell_id:
            if state == "missing" and self._on_magic_cell is not None:
                self._on_magic_cell(False)
            return
        if self._state(cell_id) != "proposed":
            return
        cell = self._cells.get(cell_id)
        if state == "aborted":
            if cell is not None:
                cell.requested = False
            self._write_mark(cell_id, "proposed")
            return
        who = self._who()
        why = DELETED if state == "missing" and who == "person" else reason
        try:
            self._commit(Decided(cell_id, run=False, by=who, reason=why))
        except LedgerUnwritable as error:
            if cell is not None:
                self._hand_over(cell.settled, error)
            raise
        source = "" if cell is None else cell.source
        self._settle(CellOutcome(cell_id, "skipped", source, error=why))

    def cell_returned(self, cell_id: str) -> None:
        """A cell is in the notebook again; what its absence refused is proposed again."""
        if cell_id == self._magic_cell_id:
            if self._on_magic_cell is not None:
                self._on_magic_cell(True)
            return
        outcome = self._outcome(cell_id)
        if outcome is None or (outcome.state, outcome.error) != ("skipped", DELETED):
            return
        self._commit(CellReturned(cell_id))
        cell = self._cells.get(cell_id)
        if cell is not None:
            with self._lock:
                cell.again("proposed", self._loop)
        self._write_mark(cell_id, "proposed")

    def cells_read(self, request: str, cells: Sequence[CellView]) -> bool:
        """An answer to ``read_cells``; whether it was asked here."""
        answer = self._reads.get(request)
        if answer is not None:
            self._hand_over(answer, tuple(cells))
        return answer is not None

    def _who(self) -> str:
        """Who decides: where nobody is there it is the mode, and the record must say so."""
        return "mode" if self._bridge.peer == "headless" else "person"

    def _settle(self, outcome: CellOutcome) -> None:
        cell = self._cells.get(outcome.cell_id)
        if cell is not None:
            with self._lock:
                cell.state, cell.outcome = outcome.state, outcome
        ran = "" if outcome.state == "skipped" else source_sha256(outcome.source)
        self._write_mark(outcome.cell_id, outcome.state, ran)
        if cell is not None:
            self._hand_over(cell.begun, None)
            self._hand_over(cell.settled, outcome)

    def _write_mark(self, cell_id: str, state: CellState, run_sha256: str = "") -> None:
        mark = self._bridge.mark_of(cell_id)
        if mark is not None:
            changed = mark | {"state": state, "run_sha256": run_sha256}
            self._bridge.say(UpdateCell(cell_id, mark=changed))

    def _hand_over(self, waiter: asyncio.Future[Any], value: Any) -> None:
        def resolve() -> None:
            if waiter.done():
                return
            if isinstance(value, InternError):
                waiter.set_exception(value)
                waiter.exception()  # nobody has to be waiting for it
            else:
                waiter.set_result(value)

        # A closed loop: the session ended while the cell ran.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(resolve)
