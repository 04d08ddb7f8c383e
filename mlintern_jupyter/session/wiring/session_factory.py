"""Makes sessions: the only place that knows which class stands behind a protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlintern_jupyter import __version__
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.config import Config, notebook_folder, record_root
from mlintern_jupyter.errors import LedgerLocked
from mlintern_jupyter.events import HeldOutRead, ModeChanged, SessionStarted
from mlintern_jupyter.heldout_watch import watch, write_read
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.hosts.wire import WireHost
from mlintern_jupyter.jobs import job_of_cell
from mlintern_jupyter.models.names import providers
from mlintern_jupyter.policy.credentials import Credentials
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.record.cell_record import CellRecord
from mlintern_jupyter.record.durable import writable_root
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.running.identity import new_session_id
from mlintern_jupyter.session.running.modes import check_mode
from mlintern_jupyter.session.running.roles import Roles
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.session.running.turn import run_turn
from mlintern_jupyter.session.running.turn_setup import TurnSetup
from mlintern_jupyter.session.sinks.notebook import MagicCellSink, WireSink
from mlintern_jupyter.session.wiring.briefing import near
from mlintern_jupyter.session.wiring.prepare import Prepared, role_models
from mlintern_jupyter.session.wiring.toolset_choice import switch_toolsets
from mlintern_jupyter.session.wiring.turn_builder import TurnBuilder
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.tools.mcp.pins import pins_path
from mlintern_jupyter.tools.mcp.servers import McpServers
from mlintern_jupyter.wire import UpdateCell

OTHER_KEYS = frozenset(
    {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN"}
)
"""Hidden from the intern's cells as the keys of model providers are."""


@dataclass(frozen=True)
class SessionResources:
    """What outlives the turns of a session in one kernel."""

    roles: Roles
    mcp: McpServers
    env: Credentials


class SessionFactory:
    """Opens sessions in one kernel: joins record, host, model, tools and policy for each."""

    def __init__(self, ip: Any, bridge: Bridge) -> None:
        self._ip = ip
        self._bridge = bridge
        self._watching = False
        self._watched: Session | None = None
        self._resources: dict[Path, SessionResources] = {}
        self._credentials: Credentials | None = None

    def open(self, prepared: Prepared, cell_id: str, config: Config) -> Session:
        """A new session with an empty record.

        Raises:
            LedgerUnwritable: neither the notebook's folder nor the user's can be written.
        """
        root, note = writable_root(record_root(config))
        name = new_session_id(prepared.goal or prepared.text)
        ledger = Ledger.create(root / name, Scrubber(self.environment(config)))
        session = self._session(ledger, SessionState(), root / name, config)
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
                    "context": said.context,
                    "tools": list(said.tool),
                    "toolsets": list(catalog.switched(said.tools, catalog.toolsets())),
                    "models": role_models(said),
                    "first_model": prepared.model.name,
                    "record_note": note,
                    "unmetered": prepared.model.unmetered,
                },
                cell_id=cell_id,
                workdir=str(notebook_folder()),
                package=__version__,
            )
        )
        return session

    def switch(self, session: Session, prepared: Prepared) -> str:
        """Switch a session to the mode and toolsets that its changed cell says.

        Its limits stay those that it was started with.

        Returns:
            What the person should know of that; empty where nothing was switched that costs.

        Raises:
            UsageError: that mode needs a budget, and the session has none.
        """
        said, mode = prepared.options.said, prepared.mode
        if "mode" in said and mode != session.state.mode:
            check_mode(mode, cap=mode, limit_usd=session.state.limits.usd)
            session.commit(ModeChanged(mode))
        return switch_toolsets(session, prepared.options.tools) if "tools" in said else ""

    def reopen(self, folder: Path, config: Config) -> Session:
        """The session of a record, to go on with it.

        Raises:
            LedgerLocked: another kernel writes it.
            LedgerDamaged: it can be read up to the damage, and forked from there.
        """
        ledger = Ledger.open(folder, Scrubber(self.environment(config)))
        if ledger.read_only:
            raise LedgerLocked(f"the record in {folder} can only be read", why=ledger.read_only)
        return self._session(ledger, fold(ledger.facts), folder, config)

    def stamp(self, session: Session, source: str) -> None:
        """Write the session's name into the magic cell's text, for front ends without cell ids."""
        if session.state.cell_id:
            self._bridge.say(UpdateCell(session.state.cell_id, source=source))

    def close(self) -> None:
        """Nothing of this kernel is watched any more."""
        self._watched = None

    def _session(
        self, ledger: Ledger, state: SessionState, folder: Path, config: Config
    ) -> Session:
        self._watch_held_out(folder.parent)
        env = self.environment(config)
        mcp = McpServers(config.mcp, env, pins_path(env))
        session = Session(
            ledger=ledger,
            state=state,
            folder=folder,
            set_up_turn=self._set_up_turn,
            run_turn=run_turn,
            cancel_jobs=lambda: Jobs().cancel_running(),
            cancel_session_jobs=lambda: Jobs(folder.parent).cancel_running(
                jobs_named_in(state.cells.values())
            ),
            env=env,
            servers=mcp.status,
            on_close=mcp.close,
        )
        self._resources[folder] = SessionResources(Roles(state, session.commit, env), mcp, env)
        self._watched = session
        return session

    def environment(self, config: Config) -> Credentials:
        """The environment with every key, which the cells of the intern do not see."""
        if self._credentials is None:
            keys = {key for provider in providers().values() for key in provider["keys"]}
            known = self._credentials = Credentials(keys | OTHER_KEYS)
            self._bridge.on_intern_cell = lambda runs: known.hide() if runs else known.show()
        for server in config.mcp.values():
            self._credentials.add(server.secret_names)
        return self._credentials

    def show(self, session: Session, display_id: str, note: str) -> None:
        """Let the peer and the magic cell hear the session.

        The note stands on the card until the turn ends.
        """
        session.note_on_card(note)
        session.bus.reach(
            WireSink(self._bridge, session.state.session),
            MagicCellSink(
                self._bridge, session.reading, near(session.folder), display_id, session.note
            ),
        )

    async def _set_up_turn(self, session: Session) -> TurnSetup:
        """Everything one turn works with; runs on the worker thread, where models are loaded."""
        resources = self._resources[session.folder]
        shell: Any = self._ip
        builder = TurnBuilder(
            session,
            self._host(session),
            resources.roles,
            resources.mcp,
            shell.user_ns,
            resources.env,
        )
        return await builder.build()

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


def jobs_named_in(cells: Iterable[CellRecord]) -> set[str]:
    """Names of the jobs that cells of a session submit."""
    found = (job_of_cell(cell.source) for cell in cells)
    return {job.spec.name for job in found if job is not None}
