"""A session: one intern at work in one notebook.

State is only ever the fold over committed facts; every change goes through ``commit``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from mlintern_jupyter.agent.loop import Agent
from mlintern_jupyter.cells import CellKind
from mlintern_jupyter.commands import (
    Answer,
    Command,
    Compact,
    Continue,
    Mode,
    ModelRole,
    Pause,
    ResumeTurn,
    RunKind,
    SetMode,
    SetModel,
    StartTurn,
    Steer,
    Stop,
)
from mlintern_jupyter.errors import RecordError, UsageError
from mlintern_jupyter.events import (
    Activity,
    Fact,
    HoldChanged,
    KindAllowed,
    ModeChanged,
    ModelChanged,
    Signal,
    Steered,
)
from mlintern_jupyter.hosts.wire import WireHost
from mlintern_jupyter.models.names import PLAYBOOK
from mlintern_jupyter.policy.gate import runs_unreviewed
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.running.approvals import Approvals
from mlintern_jupyter.session.running.bus import Bus
from mlintern_jupyter.session.running.modes import check_mode
from mlintern_jupyter.session.running.proposals import run_what_may
from mlintern_jupyter.session.running.roles import plan_of
from mlintern_jupyter.session.running.turn_setup import TurnSetup
from mlintern_jupyter.session.running.worker import Heard, Hold, Worker
from mlintern_jupyter.tools.base.toolbox import TurnToolbox
from mlintern_jupyter.tools.mcp.server import Status

PAUSED = "the person paused it"
MAGIC_CELL_GONE = "its %%intern cell was deleted: Stop, or put it back"
SINKS_TIMEOUT_S = 10.0
"""Longest wait at the end of a turn for the sinks to have been told of it; long, because a library
may hold the interpreter."""


class Session:
    """Joins ledger, state, bus and worker; what a turn needs is handed in.

    Args:
        ledger: the record.
        state: its fold so far.
        folder: of the record.
        set_up_turn: makes everything a turn works with; called on the worker's loop.
        run_turn: runs one turn to its end.
        cancel_jobs: ends the running jobs of the folder.
        cancel_session_jobs: ends the jobs this session's cells started; takes up to seconds.
        env: the environment with every key.
        servers: how the MCP servers stand.
        on_close: ends what outlives a turn, on the worker's loop.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        state: SessionState,
        folder: Path,
        set_up_turn: Callable[[Session], Awaitable[TurnSetup]],
        run_turn: Callable[[Session, StartTurn | ResumeTurn], Awaitable[None]],
        cancel_jobs: Callable[[], None],
        cancel_session_jobs: Callable[[], None],
        env: Mapping[str, str],
        servers: Callable[[], Sequence[Status]] = tuple,
        on_close: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.ledger = ledger
        self.state = state
        self.folder = folder
        self.bus = Bus(ledger.since)
        self._set_up_turn = set_up_turn
        self._run_turn = run_turn
        self._cancel_jobs = cancel_jobs
        self.cancel_session_jobs = cancel_session_jobs
        self._env = env
        self.host: WireHost | None = None
        self.card_note = ""
        """Said on the run card until the turn ends."""
        self.activity = ""
        """What the turn does right now, in a few words."""
        self.context_tokens: int | None = None
        """The model's window, once a turn has loaded the model; ``None`` if unknown."""
        self.context_assumed = False
        """Nobody said how much the model reads, so a small window is assumed."""
        self.toolbox: TurnToolbox | None = None
        """Of the turn that runs, or ran last in this kernel."""
        self.servers = servers
        self.attention = asyncio.Event()
        """Set on the worker's loop when the person spoke, until the next model call."""
        self.going = asyncio.Event()
        """Cleared on the worker's loop while the turn is held."""
        self.compaction_wanted = asyncio.Event()
        """Set on the worker's loop when the person wants room made before the next model call."""
        self.approvals = Approvals(self.commit)
        self._answering: set[str] = set()
        """Questions whose answer is on its way to the worker."""
        self._on_close = on_close
        self._tasks: set[asyncio.Future[None]] = set()
        self.worker = Worker(state.session, self._turn, self._hear)

    def commit(self, fact: Fact) -> int:
        """Make a fact durable, fold it in, and put it on the bus; from any thread, in one order.

        Raises:
            LedgerUnwritable: nothing was folded and nobody is told.
        """
        with self.bus.commit_lock:
            number = self.ledger.commit(fact)
            # What was written down, not what was said: secrets are masked on the way.
            for written in self.ledger.since(self.state.last_number):
                self.state.apply(written)
                self.bus.fact(written.number, written.fact)
        return number

    @contextlib.contextmanager
    def reading(self) -> Generator[SessionState]:
        """The state, which no other thread changes meanwhile; to be left soon."""
        with self.bus.commit_lock:
            yield self.state

    def note(self) -> str:
        """What stands below the card now: about the turn while it runs, and about the sinks."""
        of_turn = "" if self.state.outcome else self.card_note
        return "\n\n".join(text for text in (of_turn, *self.bus.notices()) if text)

    def signal(self, signal: Signal) -> None:
        """Say what is going on; it may be dropped."""
        if isinstance(signal, Activity):
            self.activity = signal.text
        self.bus.signal(signal)

    def submit(self, command: Command) -> None:
        """Ask the session for something; returns at once."""
        self.worker.submit(command)

    def handle(self, command: Command, *, mode_cap: Mode = "unattended") -> None:
        """Check a command of the person and hand it to the worker; from any thread.

        Raises:
            UsageError: it cannot be followed now; says why. Nothing was changed.
        """
        checks: dict[type[Any], Callable[[Any], None]] = {
            SetMode: lambda question: self.set_mode(question.mode, cap=mode_cap),
            Pause: lambda _: self.pause(),
            Continue: lambda _: self.go_on(),
            RunKind: lambda question: self.allow_kind(question.cell_kind),
            Answer: self.answer,
            Compact: self.compact,
            SetModel: self.set_model,
            Steer: self._steer_or_stop,
            Stop: self._steer_or_stop,
        }
        if type(command) not in checks:
            raise UsageError(f"a session takes no command {command.kind}")
        checks[type(command)](command)

    def _steer_or_stop(self, command: Steer | Stop) -> None:
        if not self.working and not (isinstance(command, Stop) and command.jobs):
            raise _no_turn(self)
        if isinstance(command, Steer) and not command.text.strip():
            raise UsageError("what should the intern be told?")
        self.submit(command)

    def set_mode(self, mode: Mode, *, cap: Mode = "unattended") -> None:
        """Switch the mode; what waits for the person and may run by itself now is run.

        Args:
            mode: the mode from now on.
            cap: the most permissive mode that is allowed here.

        Raises:
            UsageError: it is above the cap, or unattended without a budget.
        """
        check_mode(mode, cap=cap, limit_usd=self.state.limits.usd)
        self.submit(SetMode(mode))

    def answer(self, command: Answer) -> None:
        """Say yes or no to a call that waits. Raises UsageError when none of that id does."""
        with self.bus.commit_lock:
            waiting = self.state.asks if self.working else {}
            self._answering &= set(waiting)
            if command.call not in waiting or command.call in self._answering:
                raise UsageError(
                    f"no question waits for an answer under {command.call!r}",
                    why="it may have been answered already, here or in another window",
                    do=f"open questions: {', '.join(waiting) or 'none'}",
                )
            self._answering.add(command.call)
        self.submit(command)

    def set_model(self, command: SetModel) -> None:
        """Give a role to another model, from the next model call on.

        Raises:
            UsageError: there is no such model or role, or no key for it.
        """
        if command.role not in get_args(ModelRole):
            raise UsageError(
                f"there is no role {command.role!r}", do=f"roles: {', '.join(get_args(ModelRole))}"
            )
        plan_of(self.state, command.model, self._env)
        self.submit(command)

    def compact(self, command: Compact) -> None:
        """Make room before the next model call.

        Raises:
            UsageError: the model is none that reads a window.
        """
        if self.state.model.partition(":")[0] == PLAYBOOK:
            raise UsageError("the playbook reads the whole conversation; there is no room to make")
        self.submit(command)

    def allow_kind(self, kind: str) -> None:
        """Run the waiting cells of a kind, and those to come in this turn, if the guard lets them.

        Raises:
            UsageError: no turn runs, or there is no such kind.
        """
        if not self.working:
            raise _no_turn(self)
        if kind not in get_args(CellKind):
            raise UsageError(
                f"there is no kind of cell {kind!r}",
                do=f"kinds are {', '.join(get_args(CellKind))}",
            )
        self.submit(RunKind(kind))

    def pause(self, why: str = PAUSED) -> None:
        """Hold the turn before its next model call. Raises UsageError when none runs."""
        if not self.working:
            raise _no_turn(self)
        self.worker.submit(Hold(True, why))

    def go_on(self) -> None:
        """Let a held turn go on. Raises UsageError when no turn runs."""
        if not self.working:
            raise _no_turn(self)
        self.worker.submit(Hold(False, ""))

    def on_magic_cell(self, present: bool) -> None:
        """The page says that the turn's magic cell is gone, or there again."""
        if self.working:
            self.worker.submit(Hold(not present, MAGIC_CELL_GONE))

    @property
    def working(self) -> bool:
        """Whether a turn runs now."""
        return not self.worker.idle.is_set()

    def wanted(self) -> frozenset[str]:
        """Cells a call waits for that only a person can run, aborted runs among them."""
        return frozenset() if self.host is None else frozenset(self.host.wanted())

    def attach(self, host: WireHost) -> None:
        """The notebook of this session, from its first turn in this kernel on."""
        self.host = host
        host.turn_open = True

    async def set_up_turn(self) -> Agent:
        """What the turn that begins works with. Raises UsageError when a part is not there."""
        setup = await self._set_up_turn(self)
        self.toolbox = setup.toolbox
        self.note_on_card("\n\n".join(filter(None, (self.card_note, *setup.notes))))
        return setup.agent

    def note_on_card(self, note: str) -> None:
        """Say this on the run card until the turn ends."""
        self.card_note = note

    def model_reads(self, context_tokens: int | None, *, assumed: bool) -> None:
        """How much the model that is asked now reads; it may be another one at each step."""
        self.context_tokens, self.context_assumed = context_tokens, assumed

    def end_turn(self) -> None:
        """No call waits for the notebook's cells any more."""
        self.activity = ""
        if self.host is not None:
            self.host.turn_open = False

    def stop(self) -> None:
        """End the running turn; the person's cells and the jobs go on."""
        self.submit(Stop())

    def close(self) -> None:
        """Leave the record to others."""
        if self._on_close is not None:
            self.worker.finish(self._on_close())
        self.worker.close()
        if self.host is not None:
            self.host.close()
        self.bus.close()
        self.ledger.close()

    def _hear(self, heard: Heard) -> None:
        """A command on the worker's loop, in the order they were given."""
        hear: dict[type[Any], Callable[[Any], None]] = {
            Steer: self._hear_words,
            SetMode: self._hear_mode,
            SetModel: self._hear_model,
            RunKind: self._hear_kind,
            Hold: self._hold,
            Answer: self.approvals.answer,
            Compact: lambda _: self.compaction_wanted.set(),
            Stop: lambda _: self._start_task(asyncio.to_thread(self._cancel_jobs)),
        }
        # A record that cannot take it ends the turn at its next commit, which says so.
        with contextlib.suppress(RecordError):
            hear[type(heard)](heard)

    def _hear_words(self, heard: Steer) -> None:
        self.commit(Steered(heard.text))
        self.attention.set()

    def _hear_mode(self, heard: SetMode) -> None:
        if heard.mode != self.state.mode:
            self.commit(ModeChanged(heard.mode))
        self._run_proposals()

    def _hear_model(self, heard: SetModel) -> None:
        if self.state.models.get(heard.role) != heard.model:
            self.commit(ModelChanged(heard.role, heard.model, "the person"))

    def _hear_kind(self, heard: RunKind) -> None:
        if self.working:
            self.commit(KindAllowed(heard.cell_kind))
        self._run_proposals()

    def _run_proposals(self) -> None:
        if self.working and self.host is not None:
            self._start_task(run_what_may(self.state, self.host, self.commit, self.runs_unreviewed))

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do on the worker's loop what takes long, and go on hearing commands."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hold(self, hold: Hold) -> None:
        held = self.state.pause_reason
        if not self.working:
            return
        if hold.held:
            # The person's word is not replaced by a reason that may go away by itself.
            if held == hold.why or (held and hold.why == MAGIC_CELL_GONE):
                return
            self.going.clear()
            self.commit(HoldChanged(True, hold.why))
        elif held and hold.why in {"", held}:
            self.commit(HoldChanged(False))
            self.going.set()

    def runs_unreviewed(self, kind: str, source: str) -> bool:
        """Whether a code cell runs without waiting for a person, as things stand now."""
        state = self.state
        return runs_unreviewed(cast("Mode", state.mode), state.allowed_kinds, kind, source)

    async def _turn(self, command: StartTurn | ResumeTurn) -> None:
        await self._run_turn(self, command)
        # Whoever waits for the session to be idle may go away at once (a headless run).
        await asyncio.to_thread(self.bus.drain, SINKS_TIMEOUT_S)


def _no_turn(session: Session) -> UsageError:
    return UsageError(
        f"session {session.state.session} is not at work",
        do="change and run its %%intern cell for a new turn, or resume it if it is unfinished",
    )
