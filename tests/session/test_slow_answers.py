"""Where the worker, the disk or the kernel takes seconds, what a person does next still fits."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from kernel_peer import LOAD, KernelPeer
from test_verbs import Scene

from mlintern_jupyter.session.running.session import PAUSED
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

DECIDES_LATE = """
import asyncio
from mlintern_jupyter.hosts.wire import WireHost
at_once = WireHost.run_cell
async def run_cell(self, cell_id):
    await asyncio.sleep(3)
    await at_once(self, cell_id)
WireHost.run_cell = run_cell
"""
ANSWERS_LATE = """
import time
from mlintern_jupyter.hosts.replies import Answers
at_once = Answers.to
def to(self, request):
    time.sleep(3)
    return at_once(self, request)
Answers.to = to
"""


def test_what_is_typed_next_finds_a_command_carried_out_however_busy_the_worker_is(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    session, verbs = scene.session, scene.verbs

    def busy(seconds: float) -> None:
        session.worker.loop.call_soon_threadsafe(time.sleep, seconds)

    scene.asks("call_1", "call_2")
    busy(2.0)
    verbs.refuse("call_2 too soon")
    assert list(session.state.asks) == ["call_1"]
    busy(0.3)
    verbs.pause()
    assert session.state.pause_reason == PAUSED
    busy(0.3)
    verbs.go_on()
    assert session.state.pause_reason == ""
    busy(0.3)
    verbs.mode("auto")
    assert session.state.mode == "auto"
    session.close()


def ask(server: ScriptedServer, *options: str) -> str:
    said = " ".join(options)
    return f"%%intern do it --model openai/scripted --api-base {server.base_url} {said}"


def test_a_cell_that_the_mode_runs_is_not_offered_because_that_is_decided_late(
    tmp_path: Path,
) -> None:
    write = Call("write_cell", {"kind": "run", "source": "print(40 + 2)", "why": "to see"})
    with (
        KernelPeer(tmp_path, asks=True) as kernel,
        ScriptedServer([Turn(calls=(write,)), Turn("Done.")]) as server,
    ):
        kernel.run(LOAD)
        kernel.run(DECIDES_LATE)
        kernel.run(ask(server, "--mode auto"), "cell-1")
        shown = kernel.run("%intern next")
        assert "42\n" in shown.text
        assert "Done." in shown.text
        assert shown.next_input == ""


def test_a_terminal_waits_for_a_kernel_that_answers_after_seconds(tmp_path: Path) -> None:
    server = ScriptedServer([Turn("late", faults=(Fault(hold=True),))])
    with KernelPeer(tmp_path, tcp=True) as kernel:
        kernel.run(LOAD)
        kernel.answer_as("test")
        kernel.run(ask(server, "--mode unattended --budget 1"), "cell-1")
        kernel.run(ANSWERS_LATE)
        command = [sys.executable, "-m", "mlintern_jupyter", "stop"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    server.stop()
