"""`%intern panel`: what its widgets show and do, in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_peer import LOAD, KernelPeer, loaded

from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

PANEL = "from mlintern_magics import _LOADED; panel = next(iter(_LOADED.values()))._panel"


@pytest.fixture
def kernel(warm: KernelPeer, tmp_path: Path) -> Iterator[KernelPeer]:
    with loaded(warm, tmp_path, asks=True) as peer:
        yield peer


def test_it_says_how_to_begin_and_offers_nothing_that_cannot_be_done(kernel: KernelPeer) -> None:
    shown = kernel.run("%intern panel")
    assert shown.status == "ok"
    kernel.run(PANEL)
    assert "starts one" in kernel.run("print(panel.status.value)").text
    assert kernel.run("print(panel.stop.disabled, panel.tell.disabled)").text == "True True\n"
    assert "only when the cell ends" in kernel.run("print(panel.box.children[-1].value)").text


def test_it_shows_the_cell_that_waits_and_its_buttons_reach_the_intern(kernel: KernelPeer) -> None:
    write = Call("write_cell", {"kind": "run", "source": "x < 1 & y", "why": "to see"})
    with ScriptedServer([Turn(calls=(write,)), Turn("I read it.")]) as server:
        kernel.run(f"%%intern do it --model openai/scripted --api-base {server.base_url}", "c-1")
        kernel.run("%intern next")
        kernel.run(f"%intern panel\n{PANEL}")
        shown = kernel.run("print(panel.pending.value)").text
        assert "run `x &lt; 1 &amp; y` to see" in shown
        kernel.run("panel.hold.click()")
        assert kernel.run("print(panel.hold.description)").text == "Continue\n"
        assert "held" in kernel.run("print(panel.status.value)").text
        kernel.run("panel.steer.value = 'use LoRA'; panel.tell.click()")
        assert "told" in kernel.run("print(panel.said.value)").text
        assert kernel.run("print(repr(panel.steer.value))").text == "''\n"
        assert "skipped" in kernel.run("%intern skip").text
        kernel.run("panel.hold.click()")
        assert "I read it." in kernel.run("%intern next").text
        messages = [str(m.get("content", "")) for m in server.requests[-1].body["messages"]]
        assert any("use LoRA" in text for text in messages)
        assert "no cell waits for you" in kernel.run("print(panel.pending.value)").text


def test_a_command_that_cannot_be_followed_is_answered_in_the_panel(kernel: KernelPeer) -> None:
    kernel.run(f"%intern panel\n{PANEL}")
    assert kernel.run("panel.stop.click()").status == "ok"
    assert "no intern is at work here" in kernel.run("print(panel.said.value)").text


def test_it_is_loaded_only_when_asked_for_and_leaves_with_the_extension(tmp_path: Path) -> None:
    probe = "import sys; print('ipywidgets' in sys.modules)"
    hooks = (
        "print([h for h in get_ipython().events.callbacks['post_run_cell'] if 'intern' in str(h)])"
    )
    # One that has shown a panel before has the widgets.
    with KernelPeer(tmp_path) as kernel:
        kernel.run(LOAD)
        assert kernel.run(probe).text == "False\n"
        kernel.run(f"%intern panel\n{PANEL}")
        kernel.run("%unload_ext mlintern_jupyter")
        assert kernel.run(hooks).text == "[]\n"
