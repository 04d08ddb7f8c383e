"""Kernels that are killed, run out of memory, are restarted or interrupted: cases K01 to K05.

Real kernels throughout. K01 and K02 are the runs of tests/kill, here one of each; `make faults`
does all of them (``MLINTERN_ALL_KILLS``).
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import kill_rig as rig
import pytest
from kernel_peer import LOAD, KernelPeer
from open_page import OpenPage

from mlintern_jupyter.events import EffectSettled, TurnEnded
from mlintern_jupyter.peers.headless import HeadlessNotebook
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

ALL = bool(os.environ.get("MLINTERN_ALL_KILLS"))
SEEDS = range(1, 101) if ALL else (3,)
LONGEST_S = 3.0


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> rig.Ending:
    ending = rig.run(tmp_path_factory.mktemp("unbroken"))
    assert not ending.died
    return ending


def test_K01_killed_at_every_commit_point(tmp_path: Path, unbroken: rig.Ending) -> None:
    last = rig.count_fsyncs(unbroken)
    assert last >= 30
    # One in the middle; every kind of fact once is what tests/kill does.
    points = range(1, last + 1) if ALL else (last // 2,)
    found: dict[str, list[str]] = {}
    for at in points:
        for when in get_args(rig.When) if ALL else ("before",):
            folder = tmp_path / f"{at}-{when}"
            folder.mkdir()
            ending = rig.run(folder, at, when)
            assert ending.died
            if wrong := rig.complaints(ending, unbroken):
                found[f"commit {at}, {when} its fsync"] = wrong
    assert found == {}


def test_K02_killed_at_random_times(tmp_path: Path, unbroken: rig.Ending) -> None:
    found: dict[int, list[str]] = {}
    died = 0
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        ending = rig.run(folder, after_s=random.Random(seed).uniform(0, LONGEST_S))
        died += ending.died
        if wrong := rig.complaints(ending, unbroken):
            found[seed] = wrong
    assert found == {}
    assert died, "nobody was killed: the times do not fit this machine"


def headless(path: Path, cells: list[str] | None, execute: list[str] | None = None) -> Any:
    notebook = HeadlessNotebook(path, cells=cells, on_event=lambda _: None, say=lambda _: None)
    return asyncio.run(notebook.run(execute))


def state_of(folder: Path) -> SessionState:
    return fold(ledger_of(folder).facts)


def ledger_of(folder: Path) -> Ledger:
    (found,) = folder.glob("intern_runs/*/ledger.jsonl")
    return Ledger.view(found.parent)


def cell(source: str) -> Turn:
    return Turn(calls=(Call("write_cell", {"kind": "run", "source": source, "why": "w"}),))


def test_K03_a_kernel_out_of_memory(tmp_path: Path) -> None:
    greedy = (
        "import resource\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_AS)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**35, hard))\n"
        "x = bytearray(2**40)"
    )
    # What the system does when a kernel takes too much: there is no asking it.
    killed = (
        "open('tried', 'a').write('x')\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "run.ipynb"
    with ScriptedServer([cell(greedy), cell(killed), Turn("A smaller batch then.")]) as server:
        magic = f"%%intern train --model openai/scripted --api-base {server.base_url}"
        first = headless(path, [LOAD, rig.MODEL, f"{magic} --mode unattended --budget 1\n"])
        assert first.kernel_died
        before = ledger_of(tmp_path)
        assert before.damage == ""
        name = state_of(tmp_path).session
        headless(path, None, [LOAD, rig.MODEL, f"%intern resume {name}"])
        asked = [request.place for request in server.requests]
        told = str(server.requests[-1].body["messages"])
    assert asked == [0, 1, 2]
    assert (tmp_path / "tried").read_text() == "x", "the cell that killed the kernel ran again"
    assert "MemoryError" in told
    assert "end is unknown" in told
    state = state_of(tmp_path)
    assert state.status == "completed"
    assert {state.state_of(c) for c in state.cells} == {"failed", "unknown"}


def magic_cell(server: ScriptedServer, *options: str) -> str:
    base = f"--api-base {server.base_url} --max-steps 20"
    return f"%%intern do it --model openai/scripted {base} {' '.join(options)}\n"


def wait(peer: KernelPeer, condition: Callable[[], Any]) -> Any:

    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def ends(folder: Path) -> list[TurnEnded]:
    return [n.fact for n in ledger_of(folder).facts if isinstance(n.fact, TurnEnded)]


def test_K04_the_kernel_is_restarted_in_the_middle(tmp_path: Path) -> None:
    plan = Call("plan", {"items": [{"step": "work", "state": "active"}]})
    done = Call("plan", {"items": [{"step": "work", "state": "done"}]})
    turns = [Turn(calls=(plan,)), Turn(calls=(done,), faults=(Fault(hold=True),)), Turn("Done.")]
    with KernelPeer(tmp_path) as peer, ScriptedServer(turns) as server:
        peer.run(LOAD)
        peer.run(rig.MODEL)
        peer.answer_as("test")
        peer.run(magic_cell(server), "magic")
        wait(peer, lambda: len(server.requests) == 2)
        peer.client.stop_channels()
        peer.manager.restart_kernel(now=True)
        peer.client = peer.manager.client()
        peer.client.start_channels()
        peer.client.wait_for_ready(timeout=60)
        assert ends(tmp_path) == []
        peer.run(LOAD)
        peer.run(rig.MODEL)
        peer.answer_as("test")
        again = peer.run(magic_cell(server), "magic")
        assert "not finished" in again.text
        assert "%intern resume" in again.text
        assert len(server.requests) == 2, "running the cell again spends nothing"
        peer.run("%intern resume")
        wait(peer, lambda: ends(tmp_path))
        assert [r.place for r in server.requests] == [0, 1, 1, 2]
    assert [(e.outcome, e.summary) for e in ends(tmp_path)] == [("completed", "Done.")]
    settled = [n.fact for n in ledger_of(tmp_path).facts if isinstance(n.fact, EffectSettled)]
    assert [s.call for s in settled] == ["call_0_0", "call_1_0"]


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with KernelPeer(tmp_path_factory.mktemp("kernel"), asks=True) as peer:
        yield peer


@pytest.fixture
def kernel(warm: KernelPeer, tmp_path: Path) -> Any:
    warm.begin_in(tmp_path)
    assert warm.run(LOAD).status == "ok"
    warm.run(rig.MODEL)
    yield warm
    assert warm.run("%unload_ext mlintern_jupyter").status == "ok"
    warm.run("%reset -f")


@pytest.mark.parametrize("times", [1, 2])
def test_K05_interrupted_while_the_model_is_asked(
    kernel: KernelPeer, tmp_path: Path, times: int
) -> None:
    turns = [Turn("Done.", faults=(Fault(hold=True),))]
    with ScriptedServer(turns) as server:
        kernel.answer_as("test")
        kernel.run(magic_cell(server), "magic")
        wait(kernel, lambda: server.requests)
        for _ in range(times):
            kernel.manager.interrupt_kernel()
        # No cell runs, so there is nothing to interrupt but the intern, which has its own stop.
        assert kernel.run("1 + 1").text == "2"
        kernel.run("%intern stop")
        (end,) = wait(kernel, lambda: ends(tmp_path))
        assert end.outcome == "interrupted"
        kernel.run("%intern resume")
        wait(kernel, lambda: len(ends(tmp_path)) == 2)
        assert [r.served for r in server.requests] == ["fault", "answer"]
    assert state_of(tmp_path).status == "completed"


def pressed_again(kernel: KernelPeer, times: int) -> None:
    """The person presses once more when what ran has ended, which they had not seen yet.

    One that comes while the kernel ends the cell is ipykernel's to lose: no reply is sent then.
    """
    assert kernel.run("1 + 1").text == "2"
    for _ in range(times - 1):
        kernel.manager.interrupt_kernel()
    assert kernel.run("1 + 1").text == "2"


@pytest.mark.parametrize("times", [1, 2])
def test_K05_interrupted_while_a_cell_of_the_intern_runs(
    kernel: KernelPeer, tmp_path: Path, times: int
) -> None:
    # An interrupt that meets a file object's end is lost to Python itself: it is closed before.
    slow = (
        "import os, time\nwith open('ran', 'a') as file:\n    file.write('x')\n"
        "os.close(os.open('sleeps', os.O_CREAT))\ntime.sleep(600)"
    )
    with ScriptedServer([cell(slow), Turn("It was interrupted.")]) as server:
        page = OpenPage(kernel)
        kernel.run(magic_cell(server), "magic")
        (cell_id,) = page.until(page.waiting)
        page.run(cell_id)
        page.until((tmp_path / "sleeps").exists)
        kernel.manager.interrupt_kernel()
        page.until(lambda: ends(tmp_path))
        pressed_again(kernel, times)
        told = str(server.requests[-1].body["messages"])
        assert [r.place for r in server.requests] == [0, 1]
    state = state_of(tmp_path)
    assert state.status == "completed"
    assert state.state_of(cell_id) == "interrupted"
    assert "interrupted" in told
    assert (tmp_path / "ran").read_text() == "x"


@pytest.mark.parametrize("times", [1, 2])
def test_K05_interrupted_while_the_person_waits_for_the_next_cell(
    kernel: KernelPeer, tmp_path: Path, times: int
) -> None:
    with ScriptedServer([Turn("Done.", faults=(Fault(hold=True),))]) as server:
        kernel.run(magic_cell(server))
        message = kernel.client.session.msg(
            "execute_request",
            {
                # An interrupt before the cell runs would be nobody's: it says that it does.
                "code": "import os\nos.close(os.open('waits', os.O_CREAT))\n%intern next",
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": True,
                "stop_on_error": False,
            },
        )
        kernel.client.shell_channel.send(message)
        wait(kernel, lambda: server.requests and (tmp_path / "waits").exists())
        kernel.manager.interrupt_kernel()
        reply = kernel._reply(message["header"]["msg_id"], 60)
        assert reply["status"] in {"ok", "error"}
        pressed_again(kernel, times)
        assert ends(tmp_path) == [], "only the waiting ended"
        kernel.run("%intern stop")
        (end,) = wait(kernel, lambda: ends(tmp_path))
        assert end.outcome == "interrupted"
        kernel.run("%intern resume")
        wait(kernel, lambda: len(ends(tmp_path)) == 2)
        assert [r.served for r in server.requests] == ["fault", "answer"]
