"""Where the rooms are joined: the only place that knows which class stands behind a protocol."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter import __version__
from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.agent.loop import Agent
from mlintern_jupyter.backends import jobs_folder
from mlintern_jupyter.backends.held import committed_usd
from mlintern_jupyter.backends.local import LocalBackend
from mlintern_jupyter.backends.tripwire import watch, write_read
from mlintern_jupyter.commands import Mode
from mlintern_jupyter.config import Config, record_root
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.errors import LedgerLocked
from mlintern_jupyter.events import HeldOutRead, ModeChanged, SessionStarted
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.hosts.wire import WireHost
from mlintern_jupyter.messages import ToolCall
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.policy.gate import load_rules, review
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.protocols import Model, ToolContext
from mlintern_jupyter.recipes.book import Book
from mlintern_jupyter.record.durable import writable_root
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.briefing import briefing, near
from mlintern_jupyter.session.identity import new_session_id
from mlintern_jupyter.session.prepare import Prepared
from mlintern_jupyter.session.session import Session, check_mode
from mlintern_jupyter.session.sinks import CardSink, MarkSink, WireSink
from mlintern_jupyter.tools.build import build_tools
from mlintern_jupyter.tools.toolbox import Toolbox
from mlintern_jupyter.usage import Price
from mlintern_jupyter.wire import UpdateCell


def load(name: str) -> Callable[..., Any]:
    """What a dotted path ``package.module:name`` stands for; heavy leaf modules come in here."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


class Hall:
    """Opens sessions in one kernel: joins record, host, model, tools and policy for each."""

    def __init__(self, ip: Any, bridge: Bridge) -> None:
        self._ip = ip
        self._bridge = bridge
        self._watching = False
        self._watched: Session | None = None

    def open(self, prepared: Prepared, cell_id: str, config: Config) -> Session:
        """A new session with an empty record.

        Raises:
            LedgerUnwritable: neither the notebook's folder nor the user's can be written.
        """
        root, note = writable_root(record_root(config))
        name = new_session_id(prepared.goal or prepared.text)
        ledger = Ledger.create(root / name, Scrubber.from_environment())
        session = self._session(ledger, SessionState(), root / name)
        self.brief(session, prepared)
        said = prepared.options
        session.commit(
            SessionStarted(
                session=name,
                goal=prepared.goal or prepared.text.splitlines()[0],
                model=prepared.model.name,
                mode=prepared.mode,
                limits=asdict(prepared.limits),
                options={
                    "api_base": said.api_base,
                    "price": None if said.price is None else asdict(said.price),
                    "record_note": note,
                    "unmetered": prepared.model.unmetered,
                },
                cell_id=cell_id,
                workdir=str(Path.cwd()),
                package=__version__,
            )
        )
        return session

    def brief(self, session: Session, prepared: Prepared) -> None:
        """What the next turn is told beside the request.

        A session keeps the limits it was started with; a mode said in its changed cell is switched
        to.

        Raises:
            UsageError: that mode needs a budget, and the session has none.
        """
        state, mode, limits = session.state, prepared.mode, prepared.limits
        if state.session:
            limits = state.limits
            if "mode" in prepared.options.said and mode != state.mode:
                check_mode(mode, cap=mode, limit_usd=limits.usd)
                session.commit(ModeChanged(mode))
            mode = state.mode
        session.briefing = briefing(prepared.goal, prepared.benchmark, limits, mode)

    def reopen(self, folder: Path) -> Session:
        """The session of a record, to go on with it.

        Raises:
            LedgerLocked: another kernel writes it.
            LedgerDamaged: it can be read up to the damage, and forked from there.
        """
        ledger = Ledger.open(folder, Scrubber.from_environment())
        if ledger.read_only:
            raise LedgerLocked(f"the record in {folder} can only be read", why=ledger.read_only)
        return self._session(ledger, fold(ledger.facts), folder)

    def stamp(self, session: Session, source: str) -> None:
        """Write the session's name into the magic cell's text, for front ends without cell ids."""
        if session.state.cell_id:
            self._bridge.say(UpdateCell(session.state.cell_id, source=source))

    def close(self) -> None:
        """Nothing of this kernel is watched any more."""
        self._watched = None

    def _session(self, ledger: Ledger, state: SessionState, folder: Path) -> Session:
        self._watch_held_out(folder.parent)
        session = Session(
            ledger=ledger,
            state=state,
            folder=folder,
            furnish=self._furnish,
            cancel_jobs=lambda: cancel_running(record_root(), Path(state.workdir or ".")),
        )
        self._watched = session
        return session

    def show(self, session: Session, display_id: str, note: str) -> None:
        """Let the peer, the card and the magic cell's mark hear the session.

        The note stands on the card until the turn ends.
        """
        state = session.state
        session.card_note = note
        session.bus.reach(
            WireSink(self._bridge, state.session),
            MarkSink(state, self._bridge),
            CardSink(
                state,
                near(session.folder),
                lambda bundle: self._bridge.update_display(display_id, bundle),
                note,
            ),
        )

    def _furnish(self, session: Session) -> Agent:
        """Everything one turn works with; runs on the worker thread, where models are loaded."""
        state = session.state
        scrub = Scrubber.from_environment()
        model = self._model(session)
        host = self._host(session)
        rules = load_rules()
        tools = build_tools(
            book=Book.load(),
            runs=lambda: state.runs,
            cells=lambda: state.cells,
            facts=lambda: state.facts,
            has_secret=scrub.has_secret,
        )
        toolbox = Toolbox(tools)
        guards = Guards(plan=lambda: state.plan)

        budget = Budget(
            state.limits,
            state.spent,
            time.monotonic,
            lambda: committed_usd(session.folder.parent, state.session),
        )
        session.context_tokens = model.context_tokens

        def context(call: ToolCall, _: dict[str, Any]) -> ToolContext:
            return ToolContext(
                session=state.session,
                call=call.id,
                model=model.name,
                workdir=Path(state.workdir),
                host=host,
                commit=session.commit,
                signal=session.signal,
                runs_alone=session.runs_alone,
                attention=session.attention,
                waiting=budget.waiting,
                sees=model.sees,
            )

        dispatch = Dispatch(
            toolbox=toolbox,
            review=lambda tool, _: review(tool.effects, cast("Mode", state.mode), rules),
            context=context,
            commit=session.commit,
            signal=session.signal,
            guards=guards,
            clock=lambda: budget.spent.seconds,
        )
        return Agent(
            model=model,
            toolbox=toolbox,
            window=Window(system_prompt(), model.context_tokens),
            budget=budget,
            dispatch=dispatch,
            guards=guards,
            commit=session.commit,
            signal=session.signal,
            conversation=lambda: tuple(state.messages),
            pending=lambda: tuple(state.pending),
            steps_taken=lambda: state.step,
            attention=session.attention,
            going=session.going,
        )

    def _model(self, session: Session) -> Model:
        state = session.state
        price = state.options.get("price")
        plan = resolve(
            state.model,
            api_base=state.options.get("api_base"),
            price=None if price is None else Price(**price),
            env=os.environ,
        )
        return load(plan.load)(plan)

    def _host(self, session: Session) -> WireHost:
        """One for all turns: a cell may run, and settle, between two of them."""
        if session.host is not None:
            session.host.turn_open = True
            return session.host
        state = session.state
        host = WireHost(
            self._bridge,
            session=state.session,
            magic_cell_id=state.cell_id,
            commit=session.commit,
            known=state.outcome_of,
            loop=session.worker.loop,
            earlier=tuple(state.cells),
            on_magic_cell=session.on_magic_cell,
        )
        session.attach(host)
        return host

    def _watch_held_out(self, root: Path) -> None:
        if self._watching:
            return
        self._watching = True

        def report(path: str) -> None:
            write_read(root, path, "a cell of the notebook")
            if self._watched is not None:
                self._watched.commit(HeldOutRead(path, "a cell of the notebook"))

        watch(report)


def cancel_running(root: Path, workdir: Path) -> None:
    """End every running job of a record folder; each takes up to seconds."""
    backend = LocalBackend(root, workdir)
    for folder in jobs_folder.submissions(jobs_folder.jobs_root(root)):
        if jobs_folder.status_of(folder).state == "running":
            backend.cancel(folder.name)


def system_prompt() -> str:
    """The intern's standing instructions."""
    return files("mlintern_jupyter.context").joinpath("prompts/system.md").read_text("utf-8")
