"""An MCP server in a real session: nothing before it is used, a yes first, and taint afterwards."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_peer import LOAD, KernelPeer
from test_answering import answers, begin, results, until, wait

from mlintern_jupyter.events import Asked
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

SERVER = Path(__file__).parents[1] / "doubles" / "mcp_server.py"
CONFIG = f"""
[mcp.friend]
command = {json.dumps(sys.executable)}
args = [{json.dumps(str(SERVER))}, "sdk"]
env = {{ FRIEND_KEY = "${{FRIEND_SECRET}}" }}
effects = {{ "search_*" = ["read"], "add_*" = ["network-write"] }}
"""
RULES = """
[[rule]]
tool = "friend__add_note"
effect = "network-write"
verdict = "allow"
"""
PEEK = (
    "import os\nprint('keys:', [k for k in os.environ if k in ('OPENAI_API_KEY', 'FRIEND_SECRET')])"
)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[KernelPeer]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(CONFIG)
    (home / "rules.toml").write_text(RULES)
    (tmp_path / "my_tools.py").write_text("def shout(words: str) -> str:\n    return words\n")
    env = {
        "MLINTERN_CONFIG": str(home / "config.toml"),
        "XDG_DATA_HOME": str(home / "data"),
        "FRIEND_SECRET": "friend-secret-value-1",
        "OPENAI_API_KEY": "sk-canary-key-value-12345678",
    }
    with KernelPeer(tmp_path, env=env, asks=True) as peer:
        assert peer.run(LOAD).status == "ok"
        yield peer


def use(tool: str = "", **arguments: object) -> Call:
    given = {"server": "friend", "tool": tool, "arguments": arguments} if tool else {}
    return Call("use_mcp", given or {"server": "friend"})


def test_a_server_is_agreed_to_first_and_what_it_said_makes_an_allowed_write_ask(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    script = [
        Turn(calls=(use(),)),
        Turn(calls=(use(),)),
        Turn(calls=(use("search_notes", query="x"),)),
        Turn(calls=(use("add_note", text="leak"),)),
        Turn("Done."),
    ]
    with ScriptedServer(script) as server:
        begin(kernel, server)
        shown = until(kernel, "friend__*")
        assert "Search the notes" in shown, "what the server says of itself is not shown"
        allow(kernel, shown)
        # The rule allows this write, but what the server said was read before.
        shown = until(kernel, "leak")
        assert "mcp:friend" in shown
        assert "refused: friend__add_note" in kernel.run("%intern refuse no").text
        until(kernel, "completed")
        said = results(server)
        first = json.dumps(server.requests[0].body)
    assert "Search the notes" not in first, "a server costs tokens before it is used"
    assert "3 notes about x" in said[2]
    assert "the person refused friend__add_note" in said[3]
    assert answers(tmp_path) == [(True, ""), (False, "no")]
    (ledger,) = (tmp_path / "intern_runs").glob("*/ledger.jsonl")
    asked = [n.fact for n in Ledger.view(ledger.parent).facts if isinstance(n.fact, Asked)]
    assert asked[1].sources == ("mcp:friend",)
    assert b"friend-secret-value-1" not in ledger.read_bytes()
    assert "friend" in kernel.run("%intern mcp").text


def test_a_cell_of_the_intern_finds_no_key_and_one_of_the_person_does(
    kernel: KernelPeer, tmp_path: Path
) -> None:
    kernel.answer_as("test")
    cell = Call("write_cell", {"kind": "run", "source": PEEK, "why": "to see"})
    with ScriptedServer([Turn(calls=(cell,)), Turn("Done.")]) as server:
        begin(kernel, server)
        ran = kernel.run(PEEK, wait(lambda: wanted(kernel), "a proposal that is waited for"))
        until(kernel, "completed")
    assert "keys: []" in ran.text
    assert "keys: ['" in kernel.run(PEEK, "mine").text


def allow(kernel: KernelPeer, shown: str) -> None:
    call = re.search(r"`(%intern approve \S+)`", shown)
    assert call, shown
    assert "allowed, once" in kernel.run(call[1]).text


def wanted(kernel: KernelPeer) -> str:
    """Id of the cell that waits; the record names it a moment before the kernel knows it."""
    return next(iter(kernel.standing()["wanted"]), "")
