"""The interns of one kernel: at most one works at a time; the magics and the wire ask here."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.commands import (
    CancelJob,
    Mode,
    ResumeTurn,
    StartJob,
    StartTurn,
    command_from_wire,
)
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.config import Config, record_root
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.hosts.front_ends import permanent_cell_id
from mlintern_jupyter.options import Options
from mlintern_jupyter.reading import ReadingError
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.recall import find_session_mark
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.readouts.archive import Archive
from mlintern_jupyter.session.readouts.card import card_bundle, card_text
from mlintern_jupyter.session.readouts.page_view import kernel_view
from mlintern_jupyter.session.running.identity import (
    SessionFolder,
    difference,
    find_session,
    stamped,
    unstamped,
)
from mlintern_jupyter.session.running.resume import resume_note, run_setup_again
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.session.wiring.briefing import briefing, near
from mlintern_jupyter.session.wiring.prepare import Prepared, prepare
from mlintern_jupyter.session.wiring.session_factory import SessionFactory
from mlintern_jupyter.session.wiring.step_mode import StepMode
from mlintern_jupyter.session.wiring.verbs import Verbs
from mlintern_jupyter.views import KernelView

ANSWER_S = 1.5
"""A page gives a request two seconds."""
NOBODY = (
    "This notebook is being run by a program, with nobody to show cells to, so the intern cannot"
    " work here. Run it headless, from a terminal:\n"
    "  mlintern run {goal!r} --notebook out.ipynb --model ... --mode unattended --budget USD\n"
    "and open out.ipynb afterwards. Nothing was started."
)


@dataclass(frozen=True)
class Shown:
    """A run card to be displayed by a magic."""

    bundle: dict[str, Any]
    display_id: str | None
    """``None``: it will not change."""


class KernelSessions:
    """Everything the magics can ask for.

    Args:
        ip: the shell.
        bridge: the kernel's end of the wire.
        config: the defaults and the cap as they stand now.
    """

    def __init__(self, ip: Any, bridge: Bridge, config: Callable[[], Config]) -> None:
        self.ip = ip
        self.bridge = bridge
        self.config = config
        self.factory = SessionFactory(ip, self.bridge)
        self.session: Session | None = None
        self.steps = StepMode(ip, bridge)
        self.verbs = Verbs(lambda: self.session, config)
        self.archive = Archive(lambda: record_root(config()), lambda: self.session)

    # the cell magic ---------------------------------------------------------------------------

    def run_magic_cell(
        self, goal: str, body: str, options: Options, source: str
    ) -> str | Shown | None:
        """A ``%%intern`` cell was run: start, continue, show, or say why not."""
        config = self.config()
        cell_id = permanent_cell_id(self.bridge.current_cell_id)
        root = record_root(config)
        known = None if options.again else find_session(root, options.session, cell_id)
        if self.session is not None and self.session.working:
            return self._busy(known, source)
        if known is not None:
            return self._run_again(known, goal, body, options, source, cell_id, config)
        if options.session is not None and not options.again:
            return self._without_ledger(options.session, root)
        return self._start(goal, body, options, source, cell_id, config)

    def _busy(self, known: SessionFolder | None, source: str) -> str:
        assert self.session is not None
        with self.session.reading() as state:
            same = known is not None and known.session == state.session
            if same and unstamped(source) == unstamped(state.turn_source):
                return card_text(state, "`%intern next` goes on." if self.steps.active else "")
        return (
            f"the intern is at work on {state.goal!r} (session {state.session});"
            " nothing was started.\n"
            "  %intern steer <text>   tell it something\n"
            "  %intern stop           end its turn, then run this cell again"
        )

    def _run_again(
        self,
        known: SessionFolder,
        goal: str,
        body: str,
        options: Options,
        source: str,
        cell_id: str,
        config: Config,
    ) -> str | Shown:
        state = fold(Ledger.view(known.path).facts)
        if state.turn and unstamped(source) == unstamped(state.turn_source):
            if state.status == "completed":
                return _still(state, f"record: {near(known.path)}", known)
            return _still(state, self._unfinished(state), known)
        how = self.steps.meet()
        prepared = prepare(goal, body, options, config, nobody_to_ask=self._nobody_to_ask)
        config.check_mode(cast("Mode", state.mode or prepared.mode))
        if how is None:
            return NOBODY.format(goal=goal)
        session = self._reopened(known)
        text = prepared.text
        if state.turn:
            changed = difference(state.turn_source, source)
            text += f"\n\nThe request was changed:\n{changed}"
        note = self.factory.switch(session, prepared)
        self.bridge.lead_here()
        shown = self._card(session, "\n\n".join(said for said in (how, note) if said))
        session.submit(StartTurn(text, cell_id, source, _briefing(session, prepared)))
        return shown

    def _unfinished(self, state: SessionState) -> str:
        note = resume_note(state)
        return (
            f"This session is not finished. {note}\n"
            f"Resume with `%intern resume {state.session}` or `mlintern run --resume`; running"
            " this cell again only shows where it stands."
        )

    def _without_ledger(self, session: str, root: Path) -> str:
        mark = find_session_mark(root.parent, session)
        summary = f"\n{mark['summary']}" if mark and mark.get("summary") else ""
        return (
            f"intern session {session}: a record made elsewhere; its ledger is not in {root}."
            f"{summary}\nThe cells below are the record. Nothing was started; `--again` on the"
            " first line starts a new session with the same goal."
        )

    def _start(
        self, goal: str, body: str, options: Options, source: str, cell_id: str, config: Config
    ) -> str | Shown:
        how = self.steps.meet()
        prepared = prepare(goal, body, options, config, nobody_to_ask=self._nobody_to_ask)
        if how is None:
            return NOBODY.format(goal=goal)
        session = self.factory.open(prepared, cell_id, config)
        self.bridge.lead_here()
        self._replace(session)
        marked = stamped(source, session.state.session)
        said = (*prepared.notes, session.state.options["record_note"], how)
        shown = self._card(session, "\n\n".join(note for note in said if note))
        self.factory.stamp(session, marked)
        self.steps.stamp(marked)
        session.submit(StartTurn(prepared.text, cell_id, marked, _briefing(session, prepared)))
        return shown

    def _reopened(self, folder: SessionFolder) -> Session:
        """The session of a record: the one open in this kernel, or opened from disk."""
        if self.session is not None and self.session.state.session == folder.session:
            return self.session
        session = self.factory.reopen(folder.path, self.config())
        self._replace(session)
        return session

    def _replace(self, session: Session) -> None:
        if self.session is not None:
            self.session.close()
        self.session = session

    def _card(self, session: Session, note: str = "") -> Shown:
        """The card of a turn that is about to begin."""
        display_id = f"mlintern-{uuid.uuid4().hex[:12]}"
        self.steps.turn_begins()
        self.factory.show(session, display_id, note)
        record = near(session.folder)
        return Shown(card_bundle(session.state, note, record), display_id)

    @property
    def _nobody_to_ask(self) -> bool:
        return self.bridge.peer == "headless"

    # the line magic ---------------------------------------------------------------------------

    def status(self, _: str = "") -> str:
        """Where the intern of this notebook stands, or how to begin."""
        if self.session is None:
            return "no session in this kernel. `%%intern <goal>` starts one; `%intern sessions`"
        # Both of one moment: a question that comes in between would be in one of them only.
        with self.session.reading() as state:
            card = card_text(state, f"record: {self.session.folder}")
            parts = (card, self.verbs.questions(), *self.session.bus.notices())
            return "\n\n".join(part for part in parts if part)

    def resume(self, name: str) -> str | Shown:
        """Go on with an unfinished session; the only way, besides the CLI, that spends again."""
        if self.session is not None and self.session.working:
            return f"session {self.session.state.session} is at work already"
        folder, state = self.archive.unfinished(name)
        self.config().check_mode(cast("Mode", state.mode))
        how = self.steps.meet()
        if how is None:
            return NOBODY.format(goal=folder.goal)
        session = self._reopened(folder)
        note = resume_note(session.state)
        run_setup_again(self.ip, session.state)
        self.bridge.lead_here()
        shown = self._card(session, how)
        session.submit(ResumeTurn(note))
        return shown

    def next(self, _: str = "") -> str:
        """Wait for the next cell or answer; for front ends without the extension."""
        return self.steps.next(self.verbs.open())

    def skip(self, reason: str) -> str:
        """Refuse the proposed cell that waits; for front ends without the extension."""
        self.verbs.open()
        return self.steps.skip(reason)

    def close(self) -> None:
        """For unloading: stop what runs and take the hooks out."""
        if self.session is not None:
            self.session.stop()
            self.session.close()
        self.steps.close()
        self.factory.close()

    # the wire -----------------------------------------------------------------------------------

    def active(self) -> list[str]:
        """Sessions at work, as the peer asks for them."""
        working = self.session is not None and self.session.working
        return [self.session.state.session] if self.session is not None and working else []

    def view(self) -> KernelView:
        """Everything a page shows; on the control thread, every two seconds."""
        config = self.config()
        return kernel_view(
            self.session,
            record_root(config),
            config.mode_cap,
            str(config.defaults.get("model", "")),
            self.factory.environment(config),
        )

    def command(self, session: str, data: dict[str, Any]) -> None:
        """A command that came over the wire; runs on the control thread, so it only hands over.

        Raises:
            UsageError: it cannot be followed; the peer is told why.
        """
        try:
            command = command_from_wire(data)
        except ReadingError as error:
            raise UsageError("the command was not understood", why=str(error)) from error
        if isinstance(command, StartJob | CancelJob):
            jobs = Jobs(record_root(self.config()))
            act = jobs.start if isinstance(command, StartJob) else jobs.cancel
            _briefly(lambda: act(command.name))
            return
        if self.session is None or self.session.state.session != session:
            raise UsageError(f"session {session} is not open in this kernel")
        self.verbs.handle(self.session, command)


def _briefing(session: Session, prepared: Prepared) -> str:
    state = session.state
    return briefing(prepared.goal, prepared.benchmark, state.limits, state.mode)


def _briefly(work: Callable[[], object]) -> None:
    """Do work on a thread of its own; what goes wrong at once is raised here.

    The control thread must go on answering. What takes longer shows in the job itself.
    """
    outcome: Future[object] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001  carried over to the thread that asked
            outcome.set_exception(error)

    threading.Thread(target=run, name="mlintern-job", daemon=True).start()
    # A Future's timeout is not an error here: the work goes on.
    with contextlib.suppress(TimeoutError):
        outcome.result(ANSWER_S)


def _still(state: SessionState, note: str, folder: SessionFolder) -> Shown:
    """The card of a record that nobody works on: nothing will change it."""
    return Shown(card_bundle(state, note, near(folder.path)), None)
