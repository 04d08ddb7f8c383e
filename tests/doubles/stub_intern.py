"""A kernel extension as small as a session can be: a bridge, a host, a thread that proposes cells.

``%%intern NAME`` plays the scenario NAME. Facts and outcomes are appended to ``facts.jsonl`` and
``outcomes.jsonl`` in the kernel's folder.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import asdict
from pathlib import Path

from mlintern_jupyter.cells import RECORD_MIME, CellMark, NewCell, source_sha256
from mlintern_jupyter.errors import LedgerUnwritable, UsageError
from mlintern_jupyter.event_json import to_wire
from mlintern_jupyter.events import (
    Activity,
    CellStarted,
    HoldChanged,
    Steered,
    TurnEnded,
)
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.hosts.wire import WireHost
from mlintern_jupyter.views import JobView, KernelView
from mlintern_jupyter.wire import FactSaid, SignalSaid

SESSION = "stub-1"
PEER_WAIT_S = 60.0
BRIDGE: Bridge
OK = "x = 40 + 2\nprint('one')\nprint('two')\nx"
LOOP = """import time
for i in range(5):
    print(f'\\rstep {i}', end='')
    time.sleep(.2)
print()"""
ENDLESS = """import time
from pathlib import Path
Path("runs").touch()
while True: time.sleep(.1)"""
BAD = "print('before')\n1/0"
RECORD = f"""from IPython.display import display
def shown(accuracy):
    record = {{"v": 1, "what": "eval", "accuracy": accuracy}}
    return {{"{RECORD_MIME}": record, "text/plain": f"accuracy {{accuracy}}"}}
handle = display(shown(0.5), raw=True, display_id="accuracy")
display("between")
handle.update(shown(0.75), raw=True)"""


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.number = 0
        self.refuse = ""

    def commit(self, fact):
        with self.lock:
            if isinstance(fact, CellStarted) and fact.cell_id == self.refuse:
                raise LedgerUnwritable("the disk is full", do="make room")
            self.number += 1
            with Path("facts.jsonl").open("a") as file:
                file.write(json.dumps(to_wire(fact)) + "\n")
            # As a session does: facts are told in the order they are written.
            BRIDGE.say(FactSaid(SESSION, self.number, to_wire(fact)))
            return self.number


LEDGER = Ledger()


class Intern:
    def __init__(self, magic_cell_id):
        self.loop = asyncio.new_event_loop()
        self.stopped = asyncio.Event()
        self.magic_cell_id = magic_cell_id

    def open(self):
        self.host = WireHost(
            BRIDGE,
            session=SESSION,
            magic_cell_id=self.magic_cell_id,
            commit=LEDGER.commit,
            known=lambda cell_id: None,
            loop=self.loop,
            on_magic_cell=lambda present: LEDGER.commit(HoldChanged(not present)),
        )
        self.host.turn_open = True

    async def propose(self, cell_id, source, cell_type="code"):
        sha = source_sha256(source)
        mark = CellMark(SESSION, "call-1", "script", "proposed", "stub", sha)
        await self.host.insert_cell(NewCell(cell_id, cell_type, source, mark))

    async def settled(self, cell_id):
        outcome = await self.host.wait_settled(cell_id)
        note("outcomes.jsonl", asdict(outcome))
        return outcome

    async def run(self, cell_id, source):
        await self.propose(cell_id, source)
        await self.host.run_cell(cell_id)
        return await self.settled(cell_id)

    # Scenarios ------------------------------------------------------------------------------

    async def work(self):
        await self.propose("note", "# What I do", "markdown")
        await self.run("ok", OK)
        await self.run("bad", BAD)
        BRIDGE.say(SignalSaid(SESSION, to_wire(Activity("training"))))
        await self.run("loop", LOOP)
        await self.run("record", RECORD)

    async def while_running(self):
        await self.propose("slow", LOOP)
        await self.host.run_cell("slow")
        await self.host.wait_begun("slow")
        for i in range(3):
            await self.propose(f"n{i}", f"note {i}", "markdown")
        seen = await self.host.read_cells()
        note("read.jsonl", [asdict(cell) for cell in seen])
        await self.settled("slow")

    async def lost(self):
        await self.propose("first", "a = 1")
        real, BRIDGE._session = BRIDGE._session, Silence(BRIDGE._session)
        await self.propose("second", "print(1 + 1)")
        BRIDGE._session = real
        await self.host.run_cell("second")
        await self.settled("second")

    async def lost_at_the_end(self):
        real, BRIDGE._session = BRIDGE._session, Silence(BRIDGE._session)
        await self.propose("last", "the end", "markdown")
        BRIDGE._session = real

    async def burst(self):
        def talk(first):
            for n in range(first, first + 1000):
                BRIDGE.say(FactSaid(SESSION, n, {"type": "PlanChanged", "items": []}))

        await self.propose("slow", LOOP)
        await self.host.run_cell("slow")
        threads = [threading.Thread(target=talk, args=(n,)) for n in (10_000, 20_000, 30_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await self.settled("slow")

    async def twice(self):
        await self.propose("same", "print(1)")
        await self.propose("same", "print(1)")
        await self.run("same", "print(1)")

    async def edit(self):
        await self.propose("draft", "print('first')")
        await self.host.update_cell("draft", source="print('second')")
        await self.host.run_cell("draft")
        await self.settled("draft")

    async def empty(self):
        await self.run("nothing", "   ")

    async def review(self):
        await self.propose("please", "print('reviewed')")
        await self.settled("please")

    async def begun(self):
        await self.propose("please", "print('reviewed')")
        await self.host.wait_begun("please")
        LEDGER.commit(Steered("it began"))
        await self.settled("please")

    async def flood(self):
        for n in range(2000):
            LEDGER.commit(Steered(f"{n} " + "é" * (n % 700)))
        LEDGER.commit(Steered("x" * 9000))
        await self.propose("long", "#" * 400_000)
        await self.propose("after", "print(1)")
        LEDGER.commit(Steered("done"))
        await self.stopped.wait()

    async def late(self):
        """The turn opens long after the magic cell ended: when it is asked to stop."""
        await self.stopped.wait()
        self.open()

    async def unwritable(self):
        LEDGER.refuse = "effect"
        await self.run("effect", "open('effect.txt', 'w').close()")

    async def endless(self):
        cell = asyncio.ensure_future(self.run("long", ENDLESS))
        stop = asyncio.ensure_future(self.stopped.wait())
        await asyncio.wait({cell, stop}, return_when=asyncio.FIRST_COMPLETED)

    async def idle(self):
        BRIDGE.say(SignalSaid(SESSION, to_wire(Activity("waiting"))))
        await self.stopped.wait()

    async def die(self):
        await self.run("fatal", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")

    async def die_between(self):
        await self.run(
            "bye",
            "import os, signal, threading\nthreading.Timer(1, os.kill, "
            "(os.getpid(), signal.SIGKILL)).start()",
        )
        await self.stopped.wait()


class Silence:
    """Loses what goes to the peer, as a full socket does."""

    def __init__(self, session):
        self.session = session

    def send(self, stream, kind, *args, **kwargs):
        if kind != "comm_msg":
            self.session.send(stream, kind, *args, **kwargs)


WORKING: dict[str, Intern] = {}


def note(name, data):
    with Path(name).open("a") as file:
        file.write(json.dumps(data) + "\n")


def intern(line, cell):
    """Start a scenario in a thread and return at once."""
    kernel = BRIDGE._ip.kernel
    me = Intern(kernel.get_parent("shell")["metadata"].get("cellId", ""))
    if line != "late":
        me.open()
    BRIDGE.lead_here()
    WORKING[SESSION] = me

    def work():
        try:
            me.loop.run_until_complete(getattr(me, line)())
            outcome, reason = "completed", ""
        except LedgerUnwritable as error:
            outcome, reason = "failed", error.what
        if me.stopped.is_set():
            outcome = "interrupted"
        # Who heard of the end finds the turn closed; who asks before that finds it at work.
        me.host.turn_open = False
        LEDGER.commit(TurnEnded(1, outcome, reason, "summary"))
        del WORKING[SESSION]

    threading.Thread(target=work, daemon=True).start()


def on_command(session, command):
    if session not in WORKING:
        raise UsageError(f"no session {session} here", do="start one")
    me = WORKING[session]
    me.loop.call_soon_threadsafe(me.stopped.set)


def view():
    job = JobView("sft", "k", "running", 1.5, 3, 10, ((1, 2.5), (2, float("nan"))), {}, 0, None, "")
    return KernelView(
        "0", "3", "/folder", "unattended", "", None, (), (job,), (), ("nano/mcq",), ("slurm",)
    )


def load_ipython_extension(ip):
    global BRIDGE
    BRIDGE = Bridge(ip, on_command, lambda: {"active": list(WORKING)}, view)
    ip.register_magic_function(intern, "cell", "intern")
    print("peer" if BRIDGE.await_peer(PEER_WAIT_S) else "nobody")


def unload_ipython_extension(ip):
    BRIDGE.close()
