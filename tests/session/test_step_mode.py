"""Front ends without the extension: cells come one at a time, and running one is the yes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kernel_peer import LOAD, KernelPeer, loaded, without_status

from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

VSCODE = "vscode-notebook-cell:/home/me/a.ipynb#W0sZmlsZQ%3D%3D"
BREAK = """
from mlintern_jupyter.errors import LedgerUnwritable
from mlintern_jupyter.record.ledger import Ledger
whole = Ledger.commit
def full(self, fact): raise LedgerUnwritable("the disk is full")
Ledger.commit = full
"""
RESTORE = "Ledger.commit = whole"
REQUESTED = """
from mlintern_magics import _LOADED
steps = next(iter(_LOADED.values())).kernel_sessions().steps._peer
print([cell.requested for cell in steps._cells.values()])
"""


@pytest.fixture
def kernel(warm: KernelPeer, tmp_path: Path) -> Iterator[KernelPeer]:
    with loaded(warm, tmp_path, asks=True) as peer:
        yield peer


def _cell(kind: str, source: str, why: str = "to see") -> Turn:
    return Turn(calls=(Call("write_cell", {"kind": kind, "source": source, "why": why}),))


def _ask(server: ScriptedServer, *options: str) -> str:
    said = " ".join(options)
    return (
        f"%%intern do it --model openai/scripted --api-base {server.base_url} --max-steps 20 {said}"
    )


def _ledger(folder: Path) -> str:
    return "".join(p.read_text() for p in folder.glob("intern_runs/*/ledger.jsonl"))


def _state(folder: Path) -> SessionState:
    ledger = next((folder / "intern_runs").glob("*/ledger.jsonl"))
    return fold(Ledger.view(ledger.parent).facts)


def _told(server: ScriptedServer) -> str:
    return _messages(server)[-1]


def _messages(server: ScriptedServer) -> list[str]:
    messages = without_status(server.requests[-1].body["messages"])
    return [str(m.get("content", "")) for m in messages]


def _wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("cell_id", "says"),
    [
        ("cell-1", "`pip install mlintern-jupyter` in the environment of the *Jupyter server*"),
        (VSCODE, "VS Code cannot be given cells from here"),
    ],
)
def test_where_no_page_answers_the_session_starts_and_says_how_to_go_on(
    kernel: KernelPeer, cell_id: str, says: str
) -> None:
    with ScriptedServer([Turn("Nothing to do.")]) as server:
        shown = kernel.run(_ask(server), cell_id)
        assert shown.status == "ok"
        assert says in shown.text
        assert "`%intern next`" in shown.text
        ended = kernel.run("%intern next", cell_id)
        assert "Nothing to do." in ended.text
        assert ended.next_input == ""


def test_the_magic_cell_is_given_its_stamp_and_is_known_by_it(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    with ScriptedServer([Turn("Fine.")]) as server:
        shown = kernel.run(_ask(server), VSCODE)
        kernel.run("%intern next")
        state = _state(tmp_path)
        assert shown.replaces
        assert shown.next_input.endswith(f"--session {state.session}")
        # VS Code gives the same id to another cell when the notebook is opened again.
        assert state.cell_id == ""
        again = kernel.run(shown.next_input, VSCODE)
        assert "Fine." in again.text
        assert len(server.requests) == 1


def test_a_notebook_that_a_program_runs_starts_nothing_and_says_how_to_run_headless(
    tmp_path: Path,
) -> None:
    with KernelPeer(tmp_path) as peer:
        peer.run(LOAD)
        shown = peer.run("%%intern improve nano/mcq --model playbook")
        assert shown.status == "ok"
        assert "mlintern run 'improve nano/mcq'" in shown.text
    assert not (tmp_path / "intern_runs").exists()


def test_a_proposal_is_offered_run_and_its_result_reaches_the_model(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    script = [_cell("note", "# What I know"), _cell("run", "print(6 * 7)"), Turn("It is 42.")]
    with ScriptedServer(script) as server:
        kernel.run(_ask(server), "cell-1")
        offered = kernel.run("%intern next", "cell-2")
        assert "# What I know" in offered.text
        assert "run is proposed in the next cell" in offered.text
        first, _, rest = offered.next_input.partition("\n")
        state = _state(tmp_path)
        cell_id = next(i for i, c in state.cells.items() if c.proposed.kind == "run")
        assert first == f"# intern {state.session} {cell_id} · run: to see"
        assert rest == "print(6 * 7)"
        ran = kernel.run(offered.next_input, "another-id")
        assert ran.text.startswith("42\n")
        assert "`%intern next` goes on" in ran.text
        ended = kernel.run("%intern next")
        assert "It is 42." in ended.text
        assert "\n42" in _told(server)
        assert "%intern next" not in _told(server)
        assert "edit stands" not in _told(server)
    cell = _state(tmp_path).cells[cell_id]
    assert cell.decided is not None
    assert (cell.decided.run, cell.decided.by) == (True, "person")
    assert cell.started is not None
    assert cell.started.source == "print(6 * 7)"
    assert cell.ended is not None
    assert cell.ended.outputs[0]["text"] == "42\n"


def test_an_edit_is_the_approval_of_the_edit_and_the_model_sees_the_difference(
    kernel: KernelPeer,
) -> None:
    with ScriptedServer([_cell("run", "x = 1\nprint(x)"), Turn("I see.")]) as server:
        kernel.run(_ask(server), "cell-1")
        offered = kernel.run("%intern next").next_input
        assert kernel.run(offered.replace("x = 1", "x = 2")).text.startswith("2\n")
        kernel.run("%intern next")
        assert "their edit stands" in _told(server)
        assert "-x = 1\n+x = 2" in _told(server)


def test_a_refusal_reaches_the_model_with_its_reason_and_nothing_runs(kernel: KernelPeer) -> None:
    with ScriptedServer([_cell("run", "x = 1"), Turn("Then not.")]) as server:
        kernel.run(_ask(server), "cell-1")
        kernel.run("%intern next")
        assert "skipped" in kernel.run("%intern skip too early for that").text
        assert "Then not." in kernel.run("%intern next").text
        assert "too early for that" in _told(server)
        again = kernel.run("%intern skip")
        assert "no proposed cell waits" in again.text
    assert "NameError" in kernel.run("x").text


def test_a_cell_that_waits_is_offered_again(kernel: KernelPeer) -> None:
    with ScriptedServer([_cell("run", "x = 1")]) as server:
        kernel.run(_ask(server), "cell-1")
        first = kernel.run("%intern next").next_input
        assert first.endswith("x = 1")
        assert kernel.run("%intern next").next_input == first
        kernel.run("%intern stop")


def test_a_job_below_its_marker_is_still_a_job(kernel: KernelPeer, tmp_path: Path) -> None:
    source = "%%job quick --on kernel\nprint('trained')"
    with ScriptedServer([_cell("script", source), Turn("ok")]) as server:
        kernel.run(_ask(server), "cell-1")
        offered = kernel.run("%intern next").next_input
        assert offered.startswith("# intern ")
        ran = kernel.run(offered)
        assert ran.status == "ok", ran.text
        assert "quick" in ran.text
        kernel.run("%intern next")
        assert "edit stands" not in _told(server)


def test_a_cell_whose_start_cannot_be_recorded_does_not_run(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    with ScriptedServer([_cell("run", "made = True")]) as server:
        kernel.run(_ask(server), "cell-1")
        offered = kernel.run("%intern next").next_input
        kernel.run(BREAK)
        shown = kernel.run(offered)
        kernel.run(RESTORE)
        assert "this cell did not run: the disk is full" in shown.text
        assert "NameError" in kernel.run("made").text


def test_auto_runs_what_is_harmless_and_asks_for_the_rest(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    script = [
        _cell("run", "total = sum(range(4))\nprint('total', total)", "to add up"),
        _cell("run", "import shutil\nshutil.rmtree('data')", "to make room"),
        Turn("Done."),
    ]
    with ScriptedServer(script) as server:
        kernel.run(_ask(server, "--mode auto"), "cell-1")
        shown = kernel.run("%intern next")
        assert "intern** runs · run: to add up" in shown.text
        assert "total 6" in shown.text
        assert "shutil.rmtree" in shown.next_input
        assert "shutil.rmtree" not in shown.text
        told = _messages(server)
        assert any("total 6" in text for text in told)
        kernel.run("%intern skip")
        assert "Done." in kernel.run("%intern next").text
    cells = list(_state(tmp_path).cells.values())
    assert [c.decided.by for c in cells if c.decided] == ["mode", "person"]
    assert cells[0].ended is not None
    assert cells[0].ended.outputs[0]["text"] == "total 6\n"


def test_code_that_awaits_is_offered_even_where_it_may_run_alone(kernel: KernelPeer) -> None:
    source = "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')"
    with ScriptedServer([_cell("run", source), Turn("Done.")]) as server:
        kernel.run(_ask(server, "--mode unattended --budget 1"), "cell-1")
        offered = kernel.run("%intern next")
        assert offered.next_input.endswith(source)
        assert kernel.run(offered.next_input).text.startswith("awaited\n")
        assert "Done." in kernel.run("%intern next").text
        assert "awaited" in _told(server)


def test_own_cells_are_told_and_the_notebook_reads_as_far_as_it_can(kernel: KernelPeer) -> None:
    script = [
        _cell("run", "a = 1"),
        Turn(calls=(Call("read_notebook", {"count": 100}),)),
        Turn("Done."),
    ]
    with ScriptedServer(script) as server:
        kernel.run(_ask(server), "cell-1")
        offered = kernel.run("%intern next").next_input
        kernel.run("mine = 5", "own-cell")
        kernel.run(offered)
        kernel.run("%intern next")
        messages = _messages(server)
    assert any("mine = 5" in text and "names bound: mine" in text for text in messages)
    listing = messages[-1]
    assert "own/code  mine = 5" in listing
    assert "run/done" in listing
    assert "%intern next" not in listing


def test_interrupting_the_waiting_ends_only_the_waiting(kernel: KernelPeer) -> None:
    slow = Turn("late", faults=(Fault(hold=True),))
    server = ScriptedServer([_cell("run", "x = 1"), slow])
    try:
        kernel.run(_ask(server), "cell-1")
        kernel.run(kernel.run("%intern next").next_input)

        def interrupt(said: str) -> None:
            if "waiting for the intern" in said:
                kernel.manager.interrupt_kernel()

        shown = kernel.run("%intern next", hear=interrupt)
        assert shown.status == "ok"
        assert "stopped waiting; the intern goes on" in shown.text
        assert "stopping" in kernel.run("%intern stop").text
    finally:
        server.stop()


def test_a_paused_intern_is_said_to_be_held(kernel: KernelPeer) -> None:
    with ScriptedServer([_cell("run", "x = 1"), Turn("Done.")]) as server:
        kernel.run(_ask(server), "cell-1")
        offered = kernel.run("%intern next").next_input
        assert "no further model call" in kernel.run("%intern pause").text
        kernel.run(offered)
        held = kernel.run("%intern next")
        assert "held" in held.text
        assert "%intern continue" in held.text
        kernel.run("%intern continue")
        assert "Done." in kernel.run("%intern next").text


def test_where_a_page_shows_the_cells_next_says_so(kernel: KernelPeer, tmp_path: Path) -> None:
    kernel.answer_as("lab")
    with ScriptedServer([_cell("run", "x = 1")]) as server:
        kernel.run(_ask(server), "cell-1")
        shown = kernel.run("%intern next")
        _wait(lambda: "CellProposed" in _ledger(tmp_path))
        assert "cells do not come one at a time here" in shown.text
        kernel.run("%intern stop")


def test_a_page_that_comes_later_gets_the_cells_and_takes_over(kernel: KernelPeer) -> None:
    with ScriptedServer([_cell("run", "x = 1"), Turn("Done.")]) as server:
        kernel.run(_ask(server), "cell-1")
        offered = kernel.run("%intern next").next_input
        hello = kernel.answer_as("lab")
        inserted = [m["cell"] for m in hello["messages"] if m["kind"] == "insert"]
        assert [cell["source"] for cell in inserted] == ["x = 1"]
        assert "page puts them in by itself" in kernel.run("%intern next").text
        # The text that was offered before is still the same proposal.
        kernel.run(offered)
        _wait(lambda: len(server.requests) == 2)
        assert f"cell {inserted[0]['id']} done" in _told(server)


def test_a_mode_switched_meanwhile_runs_what_waits(kernel: KernelPeer, tmp_path: Path) -> None:
    with ScriptedServer([_cell("run", "print(40 + 2)"), Turn("Done.")]) as server:
        kernel.run(_ask(server), "cell-1")
        assert kernel.run("%intern next").next_input
        assert "in mode auto" in kernel.run("%intern mode auto").text
        # The record says so a moment before the kernel was asked to run it.
        _wait(lambda: kernel.run(REQUESTED).text == "[True]\n")
        shown = kernel.run("%intern next")
        assert "42\n" in shown.text
        assert "Done." in shown.text
    assert '"by":"mode"' in _ledger(tmp_path)


def test_a_stopped_turn_is_resumed_and_its_cell_offered_again(kernel: KernelPeer) -> None:
    with ScriptedServer([_cell("run", "x = 1"), _cell("run", "y = 2"), Turn("Done.")]) as server:
        kernel.run(_ask(server), "cell-1")
        assert kernel.run("%intern next").next_input.endswith("x = 1")
        kernel.run("%intern stop")
        assert "interrupted" in kernel.run("%intern next").text
        resumed = kernel.run("%intern resume")
        assert "`%intern next`" in resumed.text
        offered = kernel.run("%intern next").next_input
        assert offered.endswith(("x = 1", "y = 2"))
        while offered:
            kernel.run(offered)
            last = kernel.run("%intern next")
            offered = last.next_input
        assert "Done." in last.text


PLAIN = """
import os, sys
from IPython.terminal.interactiveshell import TerminalInteractiveShell
ip = TerminalInteractiveShell.instance()
def run(code):
    ip.rl_next_input = None
    ip.run_cell(code, store_history=True)
    return ip.rl_next_input
run("%load_ext mlintern_jupyter")
run(sys.argv[1])
offered = run("%intern next")
print("OFFERED", offered)
run("own = 3")
run(offered)
run("%intern next")
"""


def test_plain_ipython_without_a_kernel_works_the_same_way(tmp_path: Path) -> None:
    source = "print('text of a shell')\n6 * 7"
    with ScriptedServer([_cell("run", source), Turn("All done.")]) as server:
        done = subprocess.run(
            [sys.executable, "-c", PLAIN, _ask(server)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "This is a shell without a notebook" in done.stdout, done.stderr
        assert "All done." in done.stdout
        told = _messages(server)
    assert any("own = 3" in text for text in told)
    result = next(text for text in told if "text of a shell" in text)
    assert "42" in result
    state = _state(tmp_path)
    (cell,) = state.cells.values()
    assert cell.ended is not None
    assert cell.ended.state == "done"
