"""Facts and helpers shared by the tests of the record."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

from hypothesis import HealthCheck, settings

from mlintern_jupyter.events import (
    CellEnded,
    CellProposed,
    CellStarted,
    EffectIntended,
    EffectSettled,
    Fact,
    Replied,
    Reserved,
    SessionStarted,
    Settled,
    TurnEnded,
    TurnStarted,
)
from mlintern_jupyter.messages import ToolCall
from mlintern_jupyter.record.ledger import LEDGER_FILE, NumberedFact
from mlintern_jupyter.usage import Usage


class NoScrub:
    """Takes nothing out."""

    def text(self, value: str) -> str:
        return value

    def data(self, value: Any) -> Any:
        return value


STARTED = SessionStarted(
    session="gpqa-7f3a",
    goal="improve GPQA",
    model="playbook",
    mode="review",
    limits={"usd": 5.0, "hours": None, "steps": 40, "tokens": None},
    options={},
    cell_id="magic",
    workdir="/work",
    package="0.1.0",
)
TURN = TurnStarted(1, "improve GPQA", "%%intern improve GPQA", "a briefing", "magic")
CALL = ToolCall("c1", "write_cell", '{"source": "print(1)"}')
OUTPUT = {"output_type": "stream", "name": "stdout", "text": "1\n"}


def one_step() -> list[Fact]:
    return [
        Reserved(1, 1000, 0.5),
        Replied(1, "I write a cell.", (CALL,), "tool_calls", "playbook"),
        Settled(1, Usage(700, 30, 0), 0.25, 2.0),
        EffectIntended(1, "c1", "write_cell", {"source": "print(1)"}),
        CellProposed("cell-1", "c1", "script", "code", "print(1)", True, ("papers/1",)),
        CellStarted("cell-1", "sha", "print(1) "),
        CellEnded("cell-1", "done", "", 0.1, (OUTPUT,), ()),
        EffectSettled(1, "c1", "write_cell", True, "it printed 1", {"cell": "cell-1"}, 3.0),
    ]


def whole_turn() -> list[Fact]:
    return [STARTED, TURN, *one_step(), TurnEnded(1, "completed", "finished", "better by 3")]


def numbered(facts: list[Fact], first: int = 1) -> list[NumberedFact]:
    return [NumberedFact(i, "2026-01-01T00:00:00+00:00", f) for i, f in enumerate(facts, first)]


FAST = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HOLD = """
import sys
from pathlib import Path
from record_samples import NoScrub
from mlintern_jupyter.record.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]), NoScrub())
print("held", flush=True)
sys.stdin.read()
"""
"""Holds a record open until its standard input ends."""


def put_back(folder, content):
    (folder / LEDGER_FILE).write_bytes(content)


def run_python(code, *arguments):
    environ = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
