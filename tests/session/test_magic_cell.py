"""The magic cell in a real kernel: what it refuses, what it starts, what it shows again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kernel_peer import LOAD, KernelPeer, loaded

from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer


@pytest.fixture
def kernel(warm: KernelPeer, tmp_path: Path) -> Iterator[KernelPeer]:
    with loaded(warm, tmp_path) as peer:
        yield peer


def _records(folder: Path) -> list[Path]:
    return sorted((folder / "intern_runs").glob("*/ledger.jsonl"))


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%intern", "what should be improved?"),
        ("%%intern   \n   \n", "what should be improved?"),
        ("%%intern improve nano/mcq --bugdet 3", "did you mean --budget?"),
        ("%%intern improve nano/mcq --budget", "--budget needs a value"),
        ("%%intern improve nano/mcq --budget -1", "must be a number above zero"),
        ("%%intern improve nano/mcq --budget nan", "must be a number above zero"),
        ("%%intern improve nano/mcq --mode yolo", "must be one of review, auto, unattended"),
        ("%%intern improve nano/mqc --model playbook", "nano/mcq"),
        ("%%intern improve nano/mcq", "no language model is chosen"),
        ("%%intern improve nano/mcq --model anthropic/claude-x", "ANTHROPIC_API_KEY"),
        ("%%intern improve nano/mcq --model antropic/claude-x", "anthropic"),
        ("%%intern improve nano/mcq --model playbook --mode unattended", "add --budget USD"),
        ("%intern sing", "there is no `%intern sing`"),
        ("%intern stop", "no intern is at work here"),
        ("%intern resume", "there is no session"),
    ],
)
def test_bad_input_says_what_to_do_and_starts_nothing(
    kernel: KernelPeer, tmp_path: Path, cell: str, says: str
) -> None:
    kernel.answer_as("test")
    shown = kernel.run(cell, "cell-1")
    assert says in shown.text
    assert "do:" in shown.text
    assert "Traceback" not in shown.text
    assert _records(tmp_path) == []


def test_a_benchmark_that_cannot_run_here_lists_everything_that_is_missing(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    shown = kernel.run("%%intern improve GPQA --model anthropic/claude-sonnet-4-5", "cell-1")
    for words in ("ANTHROPIC_API_KEY", "GPU", "token", "lm_eval", "%%intern improve nano/mcq"):
        assert words in shown.text
    assert _records(tmp_path) == []


def test_review_with_nobody_to_ask_is_refused(kernel: KernelPeer, tmp_path: Path) -> None:
    kernel.answer_as("headless")
    shown = kernel.run("%%intern improve nano/mcq --model playbook", "cell-1")
    assert "needs somebody to ask" in shown.text
    assert _records(tmp_path) == []


def test_a_prompt_stays_as_typed(kernel: KernelPeer, tmp_path: Path) -> None:
    kernel.answer_as("test")
    kernel.run("x = 5")
    with ScriptedServer([Turn("fine")]) as server:
        kernel.run(f"%%intern raise {{x}} by $HOME{_ask(server)}", "cell-1")
        state = _finished(kernel)
    assert state.goal == "raise {x} by $HOME"


def _ask(server: ScriptedServer) -> str:
    return (
        f" --model openai/scripted --api-base {server.base_url} --mode unattended --budget 1"
        " --max-steps 20"
    )


def _wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def _finished(kernel: KernelPeer) -> SessionState:
    """The state when a turn has ended, in the record and for the kernel."""

    def state() -> SessionState:
        found = _records(kernel.folder)
        return fold(Ledger.view(found[-1].parent).facts) if found else SessionState()

    _wait(lambda: state().outcome is not None)
    kernel.until_idle()
    return state()


def test_run_again_unchanged_a_finished_cell_shows_its_result(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    with ScriptedServer([Turn("It went well.")]) as server:
        cell = f"%%intern do it{_ask(server)}"
        kernel.run(cell, "cell-1")
        state = _finished(kernel)
        again = kernel.run(cell, "cell-1")
        # A front end that sends no ids knows the session by the stamp.
        stamped = kernel.run(f"{cell} --session {state.session}")
        assert len(server.requests) == 1
    for shown in (again, stamped):
        assert shown.status == "ok"
        assert "It went well." in shown.text
    assert len(_records(tmp_path)) == 1


def test_run_again_changed_it_is_a_new_turn_that_is_told_the_difference(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    with ScriptedServer([Turn("First."), Turn("Second.")]) as server:
        cell = f"%%intern do it{_ask(server)}"
        kernel.run(cell, "cell-1")
        _finished(kernel)
        kernel.run(f"{cell}\nLoRA is fine.", "cell-1")
        _wait(lambda: len(server.requests) == 2)
        asked = server.requests[1].body["messages"][-1]["content"]
        _wait(lambda: _records(tmp_path)[0].read_text().count('"TurnEnded"') == 2)
    assert "+LoRA is fine." in asked
    assert len(_records(tmp_path)) == 1


def test_again_starts_a_new_session(kernel: KernelPeer, tmp_path: Path) -> None:
    kernel.answer_as("test")
    with ScriptedServer([Turn("Done.")]) as server:
        cell = f"%%intern do it{_ask(server)}"
        kernel.run(cell, "cell-1")
        _finished(kernel)
        kernel.run(f"{cell} --again", "cell-1")
        _wait(lambda: len(_records(tmp_path)) == 2)
        _finished(kernel)
        _wait(lambda: len(server.requests) == 2)


def test_a_session_whose_record_is_elsewhere_starts_nothing(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    mark = {"v": 1, "session": "mcq-7f3a", "summary": "completed: improved by 40 points"}
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {
                "cell_type": "code",
                "id": "a",
                "source": "%%intern improve nano/mcq --session mcq-7f3a",
                "metadata": {"mlintern": mark},
                "outputs": [],
                "execution_count": 1,
            }
        ],
    }
    (tmp_path / "shared.ipynb").write_text(json.dumps(notebook))
    shown = kernel.run("%%intern improve nano/mcq --model playbook --session mcq-7f3a")
    assert shown.status == "ok"
    assert "improved by 40 points" in shown.text
    assert "Nothing was started" in shown.text
    assert _records(tmp_path) == []


def test_a_second_cell_while_one_runs_offers_steer_and_stop(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    script = [Turn("late", faults=(Fault(hold=True),)), Turn("never")]
    server = ScriptedServer(script)
    kernel.run(f"%%intern do it{_ask(server)}", "cell-1")
    _wait(lambda: len(server.requests) == 1)
    second = kernel.run("%%intern improve nano/sum --model playbook", "cell-2")
    assert second.status == "ok"
    assert "%intern steer" in second.text
    assert "%intern stop" in second.text
    stopped = kernel.run("%intern stop")
    assert "stopping" in stopped.text
    state = _finished(kernel)
    assert state.status == "interrupted"
    again = kernel.run(f"%%intern do it{_ask(server)}", "cell-1")
    assert again.status == "ok"
    assert "%intern resume" in again.text
    server.stop()


def test_steering_reaches_the_model_before_its_next_step(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    plan = {"items": [{"step": "wait", "state": "done"}]}
    script = [Turn("", (Call("plan", plan),), faults=(Fault(hold=True, cut_after=0),)), Turn("ok")]
    with ScriptedServer(script) as server:
        kernel.run(f"%%intern do it{_ask(server)}", "cell-1")
        _wait(lambda: len(server.requests) >= 1)
        kernel.run("%intern steer use LoRA, please")
        kernel.run("%intern stop")
        _finished(kernel)
        kernel.run("%intern resume")
        _wait(lambda: _records(tmp_path)[0].read_text().count('"TurnEnded"') == 2)
        said = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "user"]
    assert any("use LoRA, please" in str(text) for text in said)


def test_a_ledger_that_another_kernel_writes_is_not_touched(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    server = ScriptedServer([Turn("late", faults=(Fault(hold=True),))])
    kernel.run(f"%%intern do it{_ask(server)}", "cell-1")
    _wait(lambda: len(server.requests) == 1)
    with KernelPeer(tmp_path) as other:
        other.run(LOAD)
        other.answer_as("test")
        shown = other.run("%intern resume")
    assert "is being written by process" in shown.text
    assert "do:" in shown.text
    kernel.run("%intern stop")
    server.stop()


def test_a_broken_configuration_is_named_and_widens_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('model = "playbook"\nmode = unattended\n')
    with KernelPeer(tmp_path, {"MLINTERN_CONFIG": str(config)}) as peer:
        peer.run(LOAD)
        peer.answer_as("test")
        shown = peer.run("%%intern improve nano/mcq", "cell-1")
        assert "no language model is chosen" in shown.text
        with ScriptedServer([Turn("fine")]) as server:
            started = peer.run(f"%%intern do it{_ask(server)}", "cell-2")
            _finished(peer)
    assert "line 2" in started.text


def test_a_record_folder_that_cannot_be_written_is_replaced_and_said(tmp_path: Path) -> None:
    (tmp_path / "intern_runs").write_text("a file where the folder should be")
    home = tmp_path / "home"
    with KernelPeer(tmp_path, {"XDG_DATA_HOME": str(home)}) as peer:
        peer.run(LOAD)
        peer.answer_as("test")
        with ScriptedServer([Turn("fine")]) as server:
            shown = peer.run(f"%%intern do it{_ask(server)}", "cell-1")
            _wait(lambda: any('"TurnEnded"' in p.read_text() for p in home.rglob("ledger.jsonl")))
    assert str(home) in shown.text
