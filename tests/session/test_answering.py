"""A tool of one's own asks in a real kernel; it is answered there, or from a terminal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kernel_peer import KernelPeer, loaded

from mlintern_jupyter.events import Answered
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

TOOL = '''
def shout(words: str) -> str:
    """Say it loud.

    Args:
        words: what to say.
    """
    with open("said.txt", "a") as file:
        file.write(words)
    return words.upper()
'''
PANEL = "from mlintern_magics import _LOADED; panel = next(iter(_LOADED.values()))._panel"
ONE, TWO = Call("shout", {"words": "one\u202e"}), Call("shout", {"words": "two"})


@pytest.fixture
def kernel(warm: KernelPeer, tmp_path: Path) -> Iterator[KernelPeer]:
    (tmp_path / "my_tools.py").write_text(TOOL)
    with loaded(warm, tmp_path, asks=True) as peer:
        yield peer


def begin(kernel: KernelPeer, server: ScriptedServer) -> None:
    options = f"--model openai/scripted --api-base {server.base_url} --tool my_tools:shout"
    shown = kernel.run(f"%%intern say it {options}", "cell-1")
    assert shown.status == "ok", shown.text


def until(kernel: KernelPeer, text: str) -> str:
    """What `%intern status` says, once it says this."""
    return wait(lambda: found if text in (found := status(kernel)) else "", text)


def status(kernel: KernelPeer) -> str:
    return kernel.run("%intern status").text


def wait(condition: Callable[[], str], what: str) -> str:
    end = time.monotonic() + 90
    while not (found := condition()):
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.1)
    return found


def answers(folder: Path) -> list[tuple[bool, str]]:
    (ledger,) = (folder / "intern_runs").glob("*/ledger.jsonl")
    facts = [written.fact for written in Ledger.view(ledger.parent).facts]
    return [(fact.yes, fact.reason) for fact in facts if isinstance(fact, Answered)]


def results(server: ScriptedServer) -> list[str]:
    """What the model read of its calls, at last."""
    messages = server.requests[-1].body["messages"]
    return [message["content"] for message in messages if message["role"] == "tool"]


def mlintern(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlintern_jupyter", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_nothing_happens_before_the_yes_and_nothing_after_a_no(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    with ScriptedServer([Turn(calls=(ONE,)), Turn(calls=(TWO,)), Turn("Done.")]) as server:
        begin(kernel, server)
        shown = until(kernel, "words: one\\u202e")
        assert "waits for your answer: `shout` (nobody has said what" in shown
        assert "a tool that does not declare what it does asks" in shown
        assert not (tmp_path / "said.txt").exists()
        assert "shout           undeclared; asks you first" in kernel.run("%intern tools").text
        assert "no MCP server is configured" in kernel.run("%intern mcp").text
        assert "main        openai/scripted" in kernel.run("%intern model").text
        assert "\n  main        1 call, " in kernel.run("%intern cost").text
        assert "before the next model call" in kernel.run("%intern compact").text
        which = kernel.run("%intern approve").text
        assert not (tmp_path / "said.txt").exists()
        call = re.search(r"`(%intern approve \S+)`", which)[1]
        assert "allowed, once: shout" in kernel.run(call).text
        until(kernel, "words: two")
        assert (tmp_path / "said.txt").read_text() == "one\u202e"
        assert "refused: shout" in kernel.run("%intern refuse not so loud").text
        until(kernel, "completed")
        allowed, refused = results(server)
    assert "ONE" in allowed
    assert "not so loud" in refused
    assert answers(tmp_path) == [(True, ""), (False, "not so loud")]
    assert (tmp_path / "said.txt").read_text() == "one\u202e"
    late = kernel.run("%intern approve")
    assert "no question of the intern is open" in late.text


def test_step_mode_brings_a_question_as_it_brings_a_cell(kernel: KernelPeer) -> None:
    with ScriptedServer([Turn(calls=(TWO,)), Turn("Done.")]) as server:
        begin(kernel, server)
        shown = kernel.run("%intern next").text
        assert "the intern asks to use shout" in shown
        assert "    words: two" in shown
        # It goes on waiting, and is not lost by asking again.
        assert "the intern asks to use shout" in kernel.run("%intern next").text
        kernel.run("%intern refuse")
        assert "Done." in kernel.run("%intern next").text


def test_the_panel_shows_a_question_and_its_button_answers_that_one(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    with ScriptedServer([Turn(calls=(TWO,)), Turn("Done.")]) as server:
        begin(kernel, server)
        until(kernel, "words: two")
        kernel.run(f"%intern panel\n{PANEL}")
        assert "words: two" in kernel.run("print(panel.question.value)").text
        assert kernel.run("print(panel.allow.disabled)").text == "False\n"
        kernel.run("panel.reason.value = 'no'; panel.refuse.click()")
        assert "refused: shout" in kernel.run("print(panel.said.value)").text
        until(kernel, "completed")
        assert kernel.run("print(panel.question.value)").text.count("nothing is asked") == 1
        assert kernel.run("print(panel.allow.disabled)").text == "True\n"
        # A click on what is no longer asked allows nothing else.
        kernel.run("panel.allow.click()")
        assert "no question waits" in kernel.run("print(panel.said.value)").text
    assert answers(tmp_path) == [(False, "no")]


def test_a_question_is_seen_and_answered_from_a_terminal_once(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    with ScriptedServer([Turn(calls=(ONE, TWO)), Turn("Done.")]) as server:
        begin(kernel, server)
        until(kernel, "words: one")
        listed = mlintern(tmp_path, "status").stdout
        assert "waits for your answer to a question" in listed
        assert "words: one\\u202e" in listed
        view = json.loads(mlintern(tmp_path, "status", "--json").stdout)["sessions"][0]["view"]
        (call,) = [asked["call"] for asked in view["asks"]]
        assert f"`mlintern approve {call}`" in listed
        first = mlintern(tmp_path, "refuse", call, "not", "so", "loud")
        assert (first.returncode, first.stderr) == (0, "")
        until(kernel, "words: two")
        # The name of what was answered never allows what is asked now.
        again = mlintern(tmp_path, "approve", call)
        assert again.returncode == 2
        assert f"{call} is no open question" in again.stderr
        assert mlintern(tmp_path, "approve").stdout.startswith("allowed, once: shout")
        until(kernel, "completed")
    assert answers(tmp_path) == [(False, "not so loud"), (True, "")]
    assert (tmp_path / "said.txt").read_text() == "two"
    assert mlintern(tmp_path, "approve").returncode == 2
