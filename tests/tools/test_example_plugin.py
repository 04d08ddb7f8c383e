"""The plug-in of ``docs/extend/example-plugin``, installed, and used by an intern at work."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from glossary_server import KEY, MEANING, GlossaryServer
from kernel_peer import LOAD, KernelPeer

from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.tools.custom.modules import load_custom_tools

PACKAGE = Path(__file__).parents[2] / "docs" / "extend" / "example-plugin"
PEEK = "import os\nprint('seen:', [k for k in os.environ if k == 'EXAMPLE_API_KEY'])"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the plug-in in it, as pip installs it."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(PACKAGE, folder / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", folder / "site", source],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    return folder / "site"


@pytest.fixture
def glossary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlossaryServer]:
    with GlossaryServer(tmp_path_factory.mktemp("glossary")) as server:
        yield server


def until(kernel: KernelPeer, text: str) -> str:
    """What `%intern status` says, once it says this."""
    end = time.monotonic() + 90
    while text not in (shown := kernel.run("%intern status").text):
        assert time.monotonic() < end, f"never: {text}\n{shown}"
        time.sleep(0.1)
    return shown


def test_an_intern_uses_it_after_a_yes_to_host_and_key_and_nobody_sees_the_key(
    installed: Path, glossary: GlossaryServer, tmp_path: Path
) -> None:
    env = {**glossary.env, "PYTHONPATH": str(installed), "EXAMPLE_API_KEY": KEY}
    script = [
        Turn(calls=(Call("define_term", {"term": "reward hacking"}),)),
        Turn(calls=(Call("write_cell", {"kind": "run", "source": PEEK, "why": "to see"}),)),
        Turn("Done."),
    ]
    with (
        KernelPeer(tmp_path, env=env, asks=True) as kernel,
        ScriptedServer(script) as server,
    ):
        assert kernel.run(LOAD).status == "ok"
        begun = kernel.run(
            f"%%intern define it --model openai/scripted --api-base {server.base_url}", "cell-1"
        )
        assert begun.status == "ok", begun.text
        shown = until(kernel, "define_term (")
        assert "would do: network-write, read; costs nothing" in shown
        assert "connects to: api.example.org, given EXAMPLE_API_KEY" in shown
        assert "term: reward hacking" in shown
        assert glossary.requests == []
        call = re.search(r"`(%intern approve \S+)`", shown)
        assert call is not None
        assert "allowed, once: define_term" in kernel.run(call[1]).text
        proposed = next_cell(kernel)
        assert "seen: []" in kernel.run(proposed, "cell-2").text
        until(kernel, "completed")
        listed = kernel.run("%intern tools").text
        assert "network-write, read; api.example.org, given EXAMPLE_API_KEY; asks" in listed
        assert "seen: ['EXAMPLE_API_KEY']" in kernel.run(PEEK, "cell-3").text
        sent = json.dumps([request.body for request in server.requests])
    assert glossary.requests == [("/terms/reward%20hacking", f"Bearer {KEY}")]
    assert MEANING in sent
    (ledger,) = (tmp_path / "intern_runs").glob("*/ledger.jsonl")
    for text in (sent, ledger.read_text(encoding="utf-8"), shown, listed):
        assert KEY not in text


def next_cell(kernel: KernelPeer) -> str:
    """The text of the next proposed cell, as step mode brings it."""
    end = time.monotonic() + 90
    while "os.environ" not in (brought := kernel.run("%intern next").next_input):
        assert time.monotonic() < end, "no cell was proposed"
        time.sleep(0.1)
    return brought


@pytest.mark.parametrize("key", [None, ""])
def test_without_its_key_it_is_left_out_and_what_to_do_is_said(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setenv("PYTHONPATH", str(installed))
    credentials = {} if key is None else {"EXAMPLE_API_KEY": key}
    found = asyncio.run(load_custom_tools([], tmp_path, credentials))
    assert found.tools == ()
    (problem,) = found.problems
    assert "tool example_plugin:define_term needs EXAMPLE_API_KEY, which is not set" in problem
    assert "set it in the environment of Jupyter" in problem
