"""A whole intern without a notebook: a shell in this process, where a person types.

Everything is the product's own: the magics, the session with its worker thread and ledger, the
loop, the gate, litellm. Cells come one at a time (``%intern next``), as in any shell. Only the
patience with a model is scaled, and a case may add tools of its own.
"""

from __future__ import annotations

import atexit
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import loop_clock
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import mlintern_jupyter
import mlintern_magics
from mlintern_jupyter.events import Activity, EffectIntended, EffectSettled, TextDelta, TurnEnded
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.record.ledger import LEDGER_FILE, Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.running.bus import Bus
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.session.wiring import session_factory as assemble
from mlintern_jupyter.session.wiring import turn_builder
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import FunctionTool

QUICK = RetryPolicy(first_wait_s=0.01, longest_wait_s=0.05, give_up_s=0.5, silence_s=20, retries=3)
"""Everything a person's patience has, in less time; the numbers of tries are the product's own,
except ``retries``."""
END_S = 120.0
"""For a slow machine; whatever ends, ends long before."""
MODEL = "openai/scripted"


@dataclass(frozen=True)
class CaseTool:
    """A tool a case adds to the product's own."""

    function: Callable[..., Any]
    effects: frozenset[Any] = frozenset({"read"})
    timeout_s: float | None = 20.0


def tool(function: Callable[..., Any], **more: Any) -> CaseTool:
    """A tool that only reads, from an async function with a docstring."""
    return CaseTool(function, **more)


class Engine:
    """One shell; what is typed into it, and what came of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self.activities: list[str] = []
        self.deltas: list[str] = []
        self.heard: list[Any] = []
        self.tools: list[CaseTool] = []
        self._patience = QUICK
        monkeypatch.chdir(folder)
        monkeypatch.setattr(assemble, "watch", lambda report: None)
        built = turn_builder.build_tools

        def with_case_tools(deps: ToolDeps, toolsets: Any) -> Any:
            added = [*deps.module_tools, *self._case_tools()]
            return built(replace(deps, module_tools=added), toolsets)

        monkeypatch.setattr(turn_builder, "build_tools", with_case_tools)
        signal = Session.signal

        def heard(session: Session, said: Any) -> None:
            if isinstance(said, Activity):
                self.activities.append(said.text)
            elif isinstance(said, TextDelta):
                self.deltas.append(said.text)
            signal(session, said)

        monkeypatch.setattr(Session, "signal", heard)
        fact = Bus.fact

        def said(bus: Bus, number: int, what: Any, *, recorded: bool = True) -> None:
            self.heard.append(what)
            fact(bus, number, what, recorded=recorded)

        monkeypatch.setattr(Bus, "fact", said)
        self.open()

    # the person -------------------------------------------------------------------------------

    def open(self) -> None:
        """A new shell, as after a restart of the kernel."""
        self.shell = InteractiveShell()
        mlintern_jupyter.load_ipython_extension(self.shell)

    def close(self) -> None:
        """The shell goes away; a turn that runs is stopped."""
        mlintern_jupyter.unload_ipython_extension(self.shell)
        # Two hundred shells that tidy up at exit, each through the whole heap, take minutes.
        atexit.unregister(self.shell.atexit_operations)

    def environ(self, name: str, value: str) -> None:
        """Set a variable where the person does: in the environment of the kernel, by a cell."""
        self._monkeypatch.setenv(name, "")
        self.type(f"%env {name}={value}")

    def patient(self, **changes: Any) -> Engine:
        """Change the patience from here on."""
        self._patience = replace(self._patience, **changes)
        return self

    def let_pass(self, seconds: float) -> None:
        """So much time has passed for whatever the turn waits for."""
        loop_clock.let_pass(self.session.worker.loop, seconds)

    def type(self, source: str) -> str:
        """Run a cell; what it showed."""
        with capture_output() as shown:
            result = self.shell.run_cell(source)
        texts = [shown.stdout, *(str(o.data.get("text/plain", "")) for o in shown.outputs)]
        for error in (result.error_before_exec, result.error_in_exec):
            if error is not None:
                texts.append(f"{type(error).__name__}: {error}")
        return "\n".join(texts)

    def start(
        self, server: ScriptedServer, *options: str, words: str = "do the work", model: str = MODEL
    ) -> str:
        """Begin a turn; it goes on beside the test."""
        # Not before: where no model is asked, its library need not be loaded.
        self._monkeypatch.setattr(
            "mlintern_jupyter.models.litellm.client.RetryPolicy", lambda: self._patience
        )
        said = f"--model {model} --api-base {server.base_url} --max-steps 40 {' '.join(options)}"
        return self.type(f"%%intern {words} {said}\n")

    def run(self, server: ScriptedServer, *options: str, **more: Any) -> TurnEnded:
        """Begin a turn and wait until it ended."""
        self.start(server, *options, **more)
        return self.ended()

    def resume(self) -> TurnEnded:
        """``%intern resume``, to the end of the turn."""
        self.type("%intern resume")
        return self.ended()

    def next_cell(self) -> str:
        """``%intern next``: the code it offers; empty when there is none."""
        self.shell.rl_next_input = ""
        self.type("%intern next")
        return str(self.shell.rl_next_input or "")

    def run_next(self) -> str:
        """Run the code that was offered, as it is; what it showed."""
        return self.type(str(self.shell.rl_next_input))

    # what came of it --------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session open in the shell."""
        found = mlintern_magics._LOADED[id(self.shell)].kernel_sessions().session
        assert found is not None, "no session was started"
        return found

    def ended(self) -> TurnEnded:
        """Wait for the end of the turn; it is the last fact, and has one of the stated outcomes."""
        assert self.session.worker.idle.wait(END_S), f"still at work: {self.activities[-3:]}"
        last = self.facts()[-1]
        assert isinstance(last, TurnEnded), f"the turn ended silently, after {last}"
        return last

    def told_end(self) -> TurnEnded:
        """The end of the turn as the person was told of it, whether it could be written or not."""
        return next(fact for fact in reversed(self.heard) if isinstance(fact, TurnEnded))

    @property
    def record(self) -> Path:
        """The folder of the newest record."""
        ledgers = self.folder.glob(f"intern_runs/*/{LEDGER_FILE}")
        return max(ledgers, key=lambda path: path.stat().st_ctime_ns).parent

    def facts(self, kind: type[Any] = object) -> list[Any]:
        """What is on disk."""
        return [n.fact for n in Ledger.view(self.record).facts if isinstance(n.fact, kind)]

    def state(self) -> SessionState:
        """The fold over what is on disk."""
        return fold(Ledger.view(self.record).facts)

    def settled(self, tool_name: str | None = None) -> list[EffectSettled]:
        """Results of calls, all or those of one tool."""
        return [f for f in self.facts(EffectSettled) if tool_name in {None, f.tool}]

    def shown(self) -> str:
        """What was shown of replies while they were written."""
        return "".join(self.deltas)

    def begun(self) -> list[str]:
        """Names of the tools whose effect was intended."""
        return [fact.tool for fact in self.facts(EffectIntended)]

    def until(self, condition: Callable[[], Any], seconds: float = END_S) -> Any:
        """Wait for something to become true; returns it."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"it did not happen: {self.activities[-3:]}"
            time.sleep(0.01)
        return found

    def bytes(self) -> bytes:
        """Everything on disk in the folder of the session, for what must not be there."""
        return b"".join(p.read_bytes() for p in self.folder.rglob("*") if p.is_file())

    def damage(self, change: Callable[[bytes], bytes]) -> None:
        """Change the ledger file behind everybody's back."""
        path = self.record / LEDGER_FILE
        path.write_bytes(change(path.read_bytes()))

    def _case_tools(self) -> Iterator[Any]:
        for case in self.tools:
            yield FunctionTool(case.function, case.effects, timeout_s=case.timeout_s)


@contextmanager
def engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The rig, closed at the end."""
    made = Engine(folder, monkeypatch)
    try:
        yield made
    finally:
        made.close()


def sent(server: ScriptedServer, number: int = -1) -> list[dict[str, Any]]:
    """The messages of one request, as the server saw them."""
    return server.requests[number].body["messages"]


def told(server: ScriptedServer, number: int = -1) -> str:
    """All words of a request."""
    return "\n".join(str(message.get("content")) for message in sent(server, number))


def served(server: ScriptedServer) -> list[str]:
    """What each request got: answer, fault, overflow or refused."""
    return [request.served for request in server.requests]


def plan(*steps: str, state: str = "done") -> Call:
    """A harmless call of a tool of the product's own."""
    return Call("plan", {"items": [{"step": step, "state": state} for step in steps]})


def steps(count: int, last: str = "Finished.") -> list[Turn]:
    """A conversation of so many calls and an answer."""
    return [Turn(calls=(plan(f"step {n}"),)) for n in range(count)] + [Turn(last)]


def error(message: str, **more: Any) -> str:
    """The body of an OpenAI error."""
    return json.dumps({"error": {"message": message, "type": "x", "code": None, **more}})


def sse(*events: Any) -> str:
    """A stream, to the letter."""
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {line}\n\n" for line in lines)


def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
    """One event of OpenAI's stream."""
    return {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
