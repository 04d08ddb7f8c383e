"""Defaults and the cap: the line before `%config`, `%config` before the file, the cap over all."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from IPython.core.interactiveshell import InteractiveShell
from kernel_peer import LOAD, KernelPeer
from traitlets import TraitError
from traitlets.config import Config as Traits

from mlintern_jupyter.commands import SetMode
from mlintern_jupyter.config import Config
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.options import parse_line
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.wiring.prepare import Prepared, prepare
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_magics.intern import InternMagics


def _magics(**traits: object) -> InternMagics:
    shell = InteractiveShell(config=Traits({"InternMagics": traits}))
    return InternMagics(shell, kernel_sessions=_never, open_panel=_never)


def _never() -> NoReturn:
    raise AssertionError("defaults are no reason to open a session")


def _prepared(line: str, config: Config) -> Prepared:
    goal, options = parse_line(line)
    return prepare(goal, "", options, config, nobody_to_ask=False, env={})


def test_the_line_comes_before_config_and_config_before_the_file() -> None:
    file = Config({"model": "playbook:1", "max_steps": 7, "hours": 2.0})
    config = _magics(model="playbook:2", max_steps=8).configured(file)
    prepared = _prepared("tidy up --max-steps 9", config)
    assert prepared.model.name == "playbook:2"
    assert prepared.limits.steps == 9
    assert prepared.limits.hours == 2.0


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("budget", -1.0, "must be a number above zero"),
        ("hours", 0.0, "must be a number above zero"),
        ("max_steps", 0, "must be a whole number above zero"),
        ("mode", "yolo", "yolo"),
    ],
)
def test_a_default_must_be_what_the_line_would_take(name: str, value: object, says: str) -> None:
    magics = _magics()
    with pytest.raises(TraitError, match=says):
        setattr(magics, name, value)
    assert getattr(magics, name) is None


def test_a_mode_above_the_cap_is_refused_and_the_cap_is_named() -> None:
    config = _magics(max_mode="review").configured(Config())
    with pytest.raises(UsageError) as refused:
        _prepared("tidy up --model playbook --mode auto", config)
    assert "mode auto is above what is allowed here: review" in refused.value.what
    assert "InternMagics.max_mode" in refused.value.why


def test_a_default_above_the_cap_is_lowered_and_said() -> None:
    config = _magics(max_mode="review", mode="auto").configured(Config())
    prepared = _prepared("tidy up --model playbook", config)
    assert prepared.mode == "review"
    assert any("InternMagics.max_mode" in note for note in prepared.notes)


def test_the_cap_can_be_lowered_in_a_running_kernel_but_not_raised() -> None:
    magics = _magics(max_mode="auto")
    magics.max_mode = "review"
    with pytest.raises(TraitError, match="cannot be raised to unattended"):
        magics.max_mode = "unattended"
    # The way of `%config`, which checks values only after it has set them all.
    with pytest.raises(TraitError, match="cannot be raised to auto"):
        magics.update_config(Traits({"InternMagics": {"max_mode": "auto"}}))
    assert magics.configured(Config()).mode_cap == "review"


def _wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def _state(folder: Path) -> SessionState:
    ledger = next((folder / "intern_runs").glob("*/ledger.jsonl"))
    return fold(Ledger.view(ledger.parent).facts)


@pytest.mark.kernel
@pytest.mark.model_server
def test_in_a_kernel_config_lists_the_traits_and_its_file_holds_defaults_and_the_cap(
    tmp_path: Path,
) -> None:
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(
        "c = get_config()\n"
        'c.InternMagics.model = "openai/scripted"\n'
        'c.InternMagics.max_mode = "auto"\n'
    )
    write = Call("write_cell", {"kind": "run", "source": "import shutil", "why": "to see"})
    with (
        KernelPeer(tmp_path, {"IPYTHONDIR": str(tmp_path / "ipython")}) as kernel,
        ScriptedServer([Turn(calls=(write,)), Turn("Done.")]) as server,
    ):
        kernel.run(LOAD)
        kernel.answer_as("lab")
        listed = kernel.run("%config InternMagics").text
        assert "InternMagics.budget=<Float>" in listed
        assert "cap on model and compute cost together" in listed
        assert "Current: 'openai/scripted'" in listed
        kernel.run(f"%config InternMagics.api_base = {server.base_url!r}")
        refused = kernel.run("%%intern do it --mode unattended --budget 1", "cell-1")
        assert "above what is allowed here: auto" in refused.text
        assert not (tmp_path / "intern_runs").exists()

        assert kernel.run("%%intern do it", "cell-1").status == "ok"
        _wait(lambda: bool(_state(tmp_path).cells))
        assert _state(tmp_path).model == "openai/scripted"
        session = _state(tmp_path).session
        reply = kernel.ask(
            {"kind": "command", "session": session, "command": {**vars(SetMode("unattended"))}}
        )
        assert not reply["ok"]
        assert "auto" in reply["why"]
        assert kernel.ask(
            {"kind": "command", "session": session, "command": {**vars(SetMode("auto"))}}
        )["ok"]
        _wait(lambda: _state(tmp_path).mode == "auto")
        broken = kernel.ask({"kind": "command", "session": session, "command": {"kind": "Fly"}})
        assert not broken["ok"]
        # An error is told only if it is found in the time a page waits for the answer.
        kernel.run(
            "from mlintern_jupyter.session.wiring import kernel_sessions as sessions\n"
            "sessions.ANSWER_S = 60"
        )
        no_job = {"kind": "StartJob", "name": "nothing"}
        reply = kernel.ask({"kind": "command", "session": "", "command": no_job})
        assert "there is no job named nothing" in reply["what"]

        kernel.run("%intern skip")
        view = kernel.ask({"kind": "status", "whole": True, "tab": "t"})["view"]
        assert view["mode_cap"] == "auto"
        assert view["default_model"] == "openai/scripted"
        assert view["session"]["session"] == session
        cell_id = view["session"]["pending"][0]["cell_id"]
        _wait(lambda: kernel.standing()["wanted"] == [cell_id])
        skipped = {"kind": "not_run", "cell_id": cell_id, "state": "skipped", "reason": ""}
        assert kernel.ask(skipped)["ok"]
        _wait(lambda: _state(tmp_path).status == "completed")

        kernel.run("%config InternMagics.max_mode = 'review'")
        kernel.run("%config InternMagics.max_mode = 'unattended'")
        assert "review" in kernel.run("%config InternMagics.max_mode").text


@pytest.mark.kernel
@pytest.mark.model_server
def test_a_session_above_the_cap_is_not_resumed(tmp_path: Path) -> None:
    with KernelPeer(tmp_path) as kernel, ScriptedServer([_cell_turn()]) as server:
        kernel.run(LOAD)
        kernel.answer_as("lab")
        kernel.run(
            f"%%intern do it --mode auto --model openai/scripted --api-base {server.base_url}",
            "cell-1",
        )
        _wait(lambda: bool(_state(tmp_path).cells))
        kernel.run("%intern stop")
        _wait(lambda: _state(tmp_path).status == "interrupted")
        kernel.until_idle()
        kernel.run("%config InternMagics.max_mode = 'review'")
        refused = kernel.run("%intern resume")
        assert "mode auto is above what is allowed here: review" in refused.text


def _cell_turn() -> Turn:
    source = "import shutil; shutil.rmtree('x')"
    return Turn(calls=(Call("write_cell", {"kind": "run", "source": source, "why": "to see"}),))


@pytest.mark.kernel
def test_before_the_first_session_a_page_is_told_how_to_begin_and_nothing_heavy_is_loaded(
    tmp_path: Path,
) -> None:
    with KernelPeer(tmp_path, {"ANTHROPIC_API_KEY": "sk-ant-not-a-real-key"}) as kernel:
        kernel.run(LOAD)
        reply = kernel.ask({"kind": "status", "whole": True, "tab": "t"})
        view = reply["view"]
        assert view["session"] is None
        assert "nano/mcq" in view["benchmarks"]
        keys = {p["name"]: (p["variable"], p["is_set"]) for p in view["providers"]}
        assert keys["anthropic"] == ("ANTHROPIC_API_KEY", True)
        assert "sk-ant" not in str(reply)
        heavy = "[m for m in ('litellm', 'torch', 'datasets', 'scipy') if m in sys.modules]"
        assert kernel.run(f"import sys; print({heavy})").text == "[]\n"
