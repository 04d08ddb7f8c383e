"""SIGKILL of a real kernel at one fsync of a scripted run, a resume, and what the double counted.

The oracle is outside the product: the scripted server's own log of requests, and a file to which
every code cell appends its name. The ledger is only asked for the final state.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlintern_jupyter.peers.headless import HeadlessNotebook
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.running.identity import session_folders
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

When = Literal["before", "after"]

# A model over plain HTTP in place of litellm, whose import would take most of each run.
MODEL = """
import asyncio, json, urllib.request
from mlintern_jupyter.messages import Reply, ToolCall
from mlintern_jupyter.session.running import roles
from mlintern_jupyter.usage import Usage

class PlainModel:
    price, unmetered, sees = None, True, False

    def __init__(self, plan):
        self.name, self.base, self.context_tokens = plan.name, plan.api_base, plan.context_tokens

    def ask(self, body):
        request = urllib.request.Request(
            self.base + "/chat/completions", json.dumps(body).encode(),
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    async def probe(self):
        pass

    async def complete(self, view, on_text):
        from mlintern_jupyter.models.litellm.dialect import messages_json, tools_json
        body = {"model": "scripted", "messages": messages_json(view.messages),
                "max_tokens": view.max_output_tokens, "stream": False}
        if view.tools:
            body["tools"] = tools_json(view.tools)
        answer = await asyncio.to_thread(self.ask, body)
        message = answer["choices"][0]["message"]
        calls = tuple(
            ToolCall(c["id"], c["function"]["name"], c["function"]["arguments"])
            for c in message.get("tool_calls") or ())
        stop = "tool_calls" if calls else "stop"
        used = answer["usage"]
        usage = Usage(used["prompt_tokens"], used["completion_tokens"])
        return Reply(message["content"] or "", calls, stop, usage, self.name)

roles.make_model = lambda plan, *, env: PlainModel(plan)
"""

KILLER = """
import os, signal
from mlintern_jupyter.record import ledger as _ledger
_synced = [0]

def _killing(descriptor):
    _synced[0] += 1
    if (_synced[0], {when!r}) == ({at}, "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    os.fsync(descriptor)
    if (_synced[0], {when!r}) == ({at}, "after"):
        os.kill(os.getpid(), signal.SIGKILL)

_ledger.fsync = _killing
"""


TIMED = """
import os, signal, threading

def _die():
    os.kill(os.getpid(), signal.SIGKILL)

_timer = threading.Timer({seconds}, _die)
_timer.daemon = True
_timer.start()
"""


def _cell(name: str, more: str = "") -> str:
    return f"with open('ran.txt', 'a') as file:\n    file.write('{name}\\n')\n{more}"


LONG_CELL = _cell("two", "for n in range(90):\n    print(n, 'what it printed ' * 5)")
WINDOW = 7_000
"""Tokens: the long cell's output makes room necessary."""
SCRIPT = [
    Turn(
        "[1] First the plan.",
        (Call("plan", {"items": [{"step": "work", "state": "active"}]}),),
    ),
    Turn(
        "[2] Two cells at once.",
        (
            Call("write_cell", {"kind": "note", "source": "## What is done", "why": "say it"}),
            Call(
                "write_cell",
                {"kind": "run", "source": _cell("one", "a = 1"), "why": "w", "setup": True},
            ),
        ),
    ),
    Turn(
        "[3] Two sub-agents side by side.",
        (
            Call("delegate", {"role": "critic", "task": "Look for what is wrong."}),
            Call("delegate", {"role": "data", "task": "Look at the data."}),
        ),
    ),
    Turn("[4] Read a lot.", (Call("manual", {"tool": "write_cell"}),)),
    Turn("[5]", (Call("write_cell", {"kind": "run", "source": LONG_CELL, "why": "w"}),)),
    Turn("[6]", (Call("plan", {"items": [{"step": "work", "state": "done"}]}),)),
    Turn("[7] Finished."),
]
NOTES = "You keep the notes"
ROLES = {"You look for what is wrong": "critic", "You look at data": "data"}


def script(body: dict[str, Any]) -> Turn:
    """The answer to a request: by who asks, and by how far its conversation has come."""
    who, at = asked_for(body)
    if who == "notes":
        return Turn("What happened before went well.")
    if who == "main":
        return SCRIPT[at]
    return Turn("It is fine.") if at else Turn("Let me see.", (Call("manual", {"tool": "plan"}),))


def asked_for(body: dict[str, Any]) -> tuple[str, int]:
    """Who asks, and how many replies it has had: what is shown shorter keeps its number."""
    said = [str(m.get("content") or "") for m in body["messages"]]
    if said[0].startswith(NOTES):
        return "notes", 0
    role = next((name for begin, name in ROLES.items() if said[0].startswith(begin)), "")
    mine = [m for m in body["messages"] if m["role"] == "assistant"]
    if role:
        return role, len(mine)
    numbers = [re.match(r"\[(\d)\]", str(m.get("content"))) for m in mine]
    return "main", max((int(n[1]) for n in numbers if n), default=0)


@dataclass(frozen=True)
class Ending:
    """What a run came to."""

    state: SessionState
    asked: Counter[tuple[str, int]]
    """Requests by who asked and how far its conversation was, as the server counted them."""
    ran: Counter[str]
    """How often each cell's code ran."""
    died: bool
    cells: list[str]
    """Sources in the notebook's file."""

    def shape(self) -> tuple[object, ...]:
        """What must not depend on a kill."""
        state = self.state
        said = [(m.role, m.text) for m in state.messages if m.role == "assistant"]
        # Calls side by side answer in any order; an id that a server uses again becomes our own.
        answers = [m.call_id for m in state.messages if m.role == "tool"]
        answered = len(answers), len(set(answers))
        found = sorted((a.started.role, a.ended and a.ended.text) for a in state.agents.values())
        proposed = [c.proposed.source for c in state.cells.values()]
        end = state.outcome
        return (
            said,
            answered,
            found,
            proposed,
            state.plan,
            end and (end.outcome, end.summary),
        )


def run(
    folder: Path, at: int = 0, when: When = "before", *, after_s: float | None = None
) -> Ending:
    """One scripted run, killed at an fsync (0: never) or after a time, and resumed to its end."""
    path = folder / "run.ipynb"
    with ScriptedServer(script) as server:
        magic = (
            f"%%intern do the work --model openai/scripted --api-base {server.base_url}"
            f" --mode unattended --budget 1 --context {WINDOW}"
        )
        load = "%load_ext mlintern_jupyter"
        killer = (
            KILLER.format(at=at, when=when) if after_s is None else TIMED.format(seconds=after_s)
        )
        first = _run(path, [load, MODEL, killer, magic], None)
        found = session_folders(folder / "intern_runs")
        begun = found and fold(Ledger.view(found[0].path).facts).turn
        if first and begun:
            _run(path, None, [load, MODEL, f"%intern resume {found[0].session}"])
        elif first:
            # Killed before the request was written down: the notebook's own cells begin it.
            path.write_text(path.read_text().replace("os.kill(", "print("))
            _run(path, None, None)
        asked = Counter(asked_for(request.body) for request in server.requests)
    folders = session_folders(folder / "intern_runs")
    state = fold(Ledger.view(folders[-1].path).facts)
    ran = Counter((folder / "ran.txt").read_text().split())
    notebook = json.loads(path.read_text())
    sources = ["".join(c["source"]) for c in notebook["cells"] if c["metadata"].get("mlintern")]
    return Ending(state, asked, ran, first, sources)


def _run(path: Path, cells: list[str] | None, execute: list[str] | None) -> bool:
    notebook = HeadlessNotebook(path, cells=cells, on_event=lambda _: None, say=lambda _: None)
    return asyncio.run(notebook.run(execute)).kernel_died


def count_fsyncs(ending: Ending) -> int:
    """How many commit points a run without a kill has."""
    return ending.state.last_number


def complaints(ending: Ending, unbroken: Ending) -> list[str]:
    """What a kill changed that it must not; empty if the resume was sound."""
    found: list[str] = []
    if ending.shape() != unbroken.shape():
        found.append(f"another end: {ending.shape()}")
    again = ending.asked - unbroken.asked
    # A reply that was never durable has to be asked for once more, and two sub-agents wait for one
    # each; a durable one never.
    if again.total() > 2 or max(again.values(), default=0) > 1:
        found.append(f"model calls repeated: {dict(again)}")
    twice = [name for name, count in ending.ran.items() if count > 1]
    # Cells marked setup run again in the new kernel, by design.
    if set(twice) - {"one"}:
        found.append(f"cells that ran twice: {twice}")
    lost = [name for name in unbroken.ran if ending.ran[name] == 0]
    unknown = [c for c in ending.state.cells.values() if c.started and not c.ended]
    if len(lost) > len(unknown):
        found.append(f"cells that never ran: {lost}")
    # What a cell printed is lost with its end, and with it the reason to make room.
    if ending.state.main.layout is None and not unknown:
        found.append("no room was made")
    if ending.cells.count("") or len(ending.cells) != len(unbroken.cells):
        found.append(f"{len(ending.cells)} marked cells in the notebook")
    return found
