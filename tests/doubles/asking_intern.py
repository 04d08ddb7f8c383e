"""A kernel extension whose intern does nothing but ask: a real session without a model.

``%%intern call_1 call_2`` asks about these calls, all at once; the turn ends when each is answered.
``%intern`` talks to it as to the real one. What was answered is in the session's ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from mlintern_jupyter.commands import StartTurn, command_from_wire
from mlintern_jupyter.config import Config
from mlintern_jupyter.events import Asked, SessionStarted
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.readouts.page_view import kernel_view
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.session.running.turn import run_turn
from mlintern_jupyter.session.running.turn_setup import TurnSetup
from mlintern_jupyter.session.sinks.notebook import WireSink
from mlintern_jupyter.session.wiring.verbs import Verbs
from mlintern_jupyter.tools.base.toolbox import TurnToolbox
from mlintern_jupyter.wire import BUSY_PEER_TIMEOUT_S

NAME = "asking-1"
ROOT = Path("intern_runs")
BODY = "Dear all,\nprice: nothing\nsee \u202egnp.exe\u202c and\u200b more"
BRIDGE: Bridge
OPEN: list[Session] = []


class Turn:
    """Asks, waits, and says what it heard."""

    def __init__(self, session, calls):
        self.session = session
        self.calls = calls
        # Limits are looked at here.
        self.asking = self.budget = self

    def exceeded(self):
        return None

    async def run_turn(self):
        questions = [question(call) for call in self.calls]
        for asked in questions:
            self.session.commit(asked)
        waiting = (
            self.session.approvals.ask(asked, self.session.attention, contextlib.nullcontext)
            for asked in questions
        )
        answers = await asyncio.gather(*waiting)
        return ", ".join("yes" if a.yes else f"no: {a.reason}" for a in answers)


def question(call):
    return Asked(
        step=1,
        call=call,
        tool=f"hub_{call}",
        arguments={"title": "New model", "body": BODY},
        effects=("network-write", "publish"),
        why="publish asks after untrusted text was read",
        price_usd=None,
        visibility="public",
        grant="sha",
        sources=("mcp:papers", "cell k3"),
    )


def intern(line, cell):
    """Start the turn."""
    cell_id = BRIDGE._ip.kernel.get_parent("shell")["metadata"].get("cellId", "")
    source = f"%%intern {line}\n{cell}".rstrip()

    async def set_up_turn(session):
        return TurnSetup(Turn(session, line.split()), TurnToolbox([]))

    session = Session(
        ledger=Ledger.create(ROOT / NAME, Scrubber.from_environment()),
        state=SessionState(),
        folder=ROOT / NAME,
        set_up_turn=set_up_turn,
        run_turn=run_turn,
        cancel_jobs=lambda: None,
        cancel_session_jobs=lambda: None,
        env=os.environ,
    )
    session.commit(SessionStarted(NAME, "ask", "m", "review", {}, {}, cell_id, ".", "0"))
    session.bus.reach(WireSink(BRIDGE, NAME))
    OPEN.append(session)
    BRIDGE.lead_here()
    session.submit(StartTurn("ask", cell_id, source))


def intern_line(line):
    """Answer in words."""
    word, _, rest = line.partition(" ")
    verbs = Verbs(lambda: OPEN[-1], Config)
    print({"approve": verbs.approve, "refuse": verbs.refuse}[word](rest))


def active():
    return {"active": [s.state.session for s in OPEN if s.working]}


def load_ipython_extension(ip):
    global BRIDGE
    BRIDGE = Bridge(
        ip,
        lambda _, command: OPEN[-1].handle(command_from_wire(command)),
        active,
        lambda: kernel_view(OPEN[-1] if OPEN else None, ROOT, "unattended", "", {}),
    )
    ip.register_magic_function(intern, "cell", "intern")
    ip.register_magic_function(intern_line, "line", "intern")
    print("peer" if BRIDGE.await_peer(BUSY_PEER_TIMEOUT_S) else "nobody")


def unload_ipython_extension(ip):
    BRIDGE.close()
