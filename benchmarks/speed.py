"""Times of the intern itself: ``%load_ext`` in a real kernel, and own CPU time per step.

Writes benchmarks/speed.md. A step here is one reply with one ``plan`` call on a real ledger; the
model answers at once, and the seconds spent in fsync are counted apart.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jupyter_client.manager import start_new_kernel

from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.agent.loop import Agent, CurrentModel
from mlintern_jupyter.agent.model_calls import ModelCalls
from mlintern_jupyter.context.instructions import system_prompt
from mlintern_jupyter.context.status import status_text
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.events import SessionStarted, TurnStarted
from mlintern_jupyter.messages import Reply, ToolCall, View
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.policy.gate import Gate
from mlintern_jupyter.policy.rules import load_rules
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.protocols import ToolContext
from mlintern_jupyter.recipes.book import Book
from mlintern_jupyter.record import ledger as ledger_module
from mlintern_jupyter.record.ledger import Ledger, NumberedFact
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.toolbox import TurnToolbox
from mlintern_jupyter.tools.build import build_tools
from mlintern_jupyter.tools.catalog import toolsets
from mlintern_jupyter.usage import Limits, Usage

STEPS = 1000
LOAD = """
import sys, time
before = set(sys.modules)
start = time.perf_counter()
get_ipython().run_line_magic("load_ext", "mlintern_jupyter")
took = time.perf_counter() - start
new = sorted({m.split(".")[0] for m in set(sys.modules) - before})
print(__import__("json").dumps([took, len(set(sys.modules) - before), new]))
"""


def load_ext(runs: int = 7) -> tuple[float, int, list[str]]:
    """Median seconds of ``%load_ext`` in a fresh kernel, modules loaded, their packages."""
    results = []
    for _ in range(runs):
        manager, client = start_new_kernel()
        said: list[str] = []

        def hear(message: dict, said: list[str] = said) -> None:
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])

        client.execute_interactive(LOAD, output_hook=hear, timeout=60)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        results.append(json.loads("".join(said)))
    took = statistics.median(r[0] for r in results)
    return took, results[0][1], results[0][2]


class Instant:
    """A model that plans forever."""

    name = "instant"
    price = None
    unmetered = True
    context_tokens = None
    sees = False

    def __init__(self, steps: int) -> None:
        self.left = steps

    async def complete(self, view: View, on_text: Callable[[str], None]) -> Reply:
        del view, on_text
        self.left -= 1
        if self.left < 0:
            return Reply("done", (), "stop", Usage(10, 10), self.name)
        items = [{"step": f"idea {self.left}", "state": "active"}]
        call = ToolCall(f"call-{self.left}", "plan", json.dumps({"items": items}))
        return Reply("", (call,), "tool_calls", Usage(10, 10), self.name)


async def nobody(*_: object) -> None:
    """Nobody is asked here."""


class NoHost:
    """A notebook that takes every cell."""

    async def insert_cell(self, cell: object) -> None:
        del cell


def per_step(folder: Path) -> tuple[list[float], list[float]]:
    """CPU seconds and fsync seconds of each step."""
    scrub = Scrubber.from_environment()
    ledger = Ledger.create(folder, scrub)
    state = SessionState()
    fsynced = [0.0]

    def timed(descriptor: int) -> None:
        start = time.thread_time()
        os.fsync(descriptor)
        fsynced[0] += time.thread_time() - start

    ledger_module.fsync = timed
    cpu: list[float] = []
    fsyncs: list[float] = []
    marks = [time.process_time(), 0.0]

    def commit(fact: object) -> int:
        number = ledger.commit(fact)
        state.apply(NumberedFact(number, "", fact))
        if type(fact).__name__ == "EffectSettled":
            now = time.process_time()
            cpu.append(now - marks[0] - (fsynced[0] - marks[1]))
            fsyncs.append(fsynced[0] - marks[1])
            marks[:] = [now, fsynced[0]]
        return number

    commit(SessionStarted("s", "g", "instant", "unattended", {}, {}, "c", ".", "0"))
    commit(TurnStarted(1, "go", "%%intern go"))
    toolbox = TurnToolbox(
        build_tools(
            ToolDeps(
                recipe_book=Book.load(),
                cells=lambda: state.cells,
                runs=lambda: state.runs,
                facts=lambda: state.facts,
                conversation=lambda: state.main,
                full_result=lambda _: "",
                find_secret=scrub.has_secret,
            )
        )
    )
    guards = Guards(plan=lambda: state.plan)
    budget = Budget(Limits(steps=STEPS + 10), lambda: state.spent, time.monotonic)
    going = asyncio.Event()
    going.set()

    def context(call: ToolCall) -> ToolContext:
        return ToolContext(
            "s", call.id, "instant", folder, NoHost(), commit, lambda _: None, lambda *_: True,
            asyncio.Event(), budget.waiting, nobody,
        )  # fmt: skip

    dispatch = Dispatch(
        toolbox=toolbox,
        gate=Gate(load_rules(folder), lambda: "unattended", lambda: state.main.sources),
        ask_person=nobody,
        context=context,
        conversation=lambda: state.main,
        commit=commit,
        signal=lambda _: None,
        guards=guards,
        clock=time.monotonic,
    )
    used = CurrentModel(Instant(STEPS), Window(system_prompt(toolsets()), 10_000_000))

    async def in_use() -> CurrentModel:
        return used

    agent = Agent(
        in_use=in_use,
        use_fallback=lambda _: False,
        toolbox=toolbox,
        asking=ModelCalls(budget, commit, lambda _: None, lambda call: call in state.call_ids),
        dispatch=dispatch,
        guards=guards,
        conversation=lambda: state.main,
        pinned=lambda _: "",
        digest_of=nobody,
        reader_tokens=nobody,
        status=lambda window, tokens: status_text(
            budget.limits, budget.spent, tokens=tokens, context_tokens=window.context_tokens
        ),
        attention=asyncio.Event(),
        going=going,
        compaction_wanted=asyncio.Event(),
    )
    asyncio.run(agent.run_turn())
    ledger.close()
    return cpu, fsyncs


def resume(folder: Path, runs: int = 5) -> float:
    """Median seconds to open a record, check its chain and fold it."""
    took = []
    for _ in range(runs):
        start = time.perf_counter()
        ledger = Ledger.open(folder, Scrubber.from_environment())
        fold(ledger.facts)
        took.append(time.perf_counter() - start)
        ledger.close()
    return statistics.median(took)


def main() -> None:
    """Measure and write."""
    took, count, packages = load_ext()
    with tempfile.TemporaryDirectory() as folder:
        cpu, fsyncs = per_step(Path(folder) / "s")
        resumed = resume(Path(folder) / "s")
    around = lambda values, at: 1000 * statistics.median(values[at - 5 : at + 5])  # noqa: E731
    own = ", ".join(packages)
    lines = [
        "# speed",
        "",
        "`make bench`. Medians; goals in brackets.",
        "",
        "| what | measured |",
        "| --- | --- |",
        f"| `%load_ext mlintern_jupyter` in a bare kernel (< 150 ms) | {1000 * took:.0f} ms |",
        f"| modules it loads | {count}, of the packages {own} |",
        f"| own CPU time of step 10 (< 5 ms) | {around(cpu, 10):.2f} ms |",
        f"| own CPU time of step {STEPS - 5:,} (flat) | {around(cpu, STEPS - 5):.2f} ms |",
        f"| CPU time in fsync per step | {around(fsyncs, STEPS - 5):.2f} ms |",
        f"| open and fold a record of {STEPS:,} steps, to resume (< 2 s) | {resumed:.2f} s |",
    ]
    text = "\n".join(lines) + "\n"
    (Path(__file__).parent / "speed.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
