"""Toolsets switched off and on: on the line, in the configuration, and between two turns."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_rig
import pytest
from engine_rig import Engine, plan, sent

from mlintern_jupyter import cli
from mlintern_jupyter.config import Config, load_config
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.events import SessionStarted, ToolsetsChanged
from mlintern_jupyter.options import merged, parse_line
from mlintern_jupyter.protocols import ToolContext
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.state import fold
from mlintern_jupyter.session.wiring.prepare import prepare
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.tools import catalog

# litellm reads deprecated attributes of its own classes at every call; Python hides such warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
RESEARCH = {"inspect_object", "recipe", "delegate"}
COMPUTE = {"evaluate", "compare", "experiments"}


@pytest.fixture
def intern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    with engine_rig.engine(tmp_path, monkeypatch) as made:
        yield made


def offered(server: ScriptedServer, number: int = -1) -> set[str]:
    """Names of the tools in a request."""
    return {tool["function"]["name"] for tool in server.requests[number].body["tools"]}


def instructions(server: ScriptedServer, number: int = -1) -> str:
    return str(sent(server, number)[0]["content"])


def again(intern: Engine, server: ScriptedServer, words: str) -> str:
    """Change the session's cell and run it."""
    name = intern.session.state.session
    return intern.type(
        f"%%intern {words} --session {name} --model {engine_rig.MODEL} --api-base {server.base_url}"
    )


def started(**options: Any) -> SessionStarted:
    return SessionStarted("s", "g", "a/b", "review", {}, options, "c", "/w", "0")


def test_what_is_off_is_neither_offered_nor_spoken_of_and_the_record_says_so(intern: Engine):
    with ScriptedServer([Turn("done")]) as server:
        intern.run(server, "--tools -research,-mcp")
        assert COMPUTE | {"plan", "write_cell"} <= offered(server)
        assert not RESEARCH & offered(server)
        assert not RESEARCH & set(re.findall(r"`(\w+)`", instructions(server)))
    assert intern.facts(SessionStarted)[0].options["toolsets"] == ["notebook", "compute", "custom"]
    listed = intern.type("%intern tools")
    assert "toolsets on: notebook, compute, custom" in listed
    assert "toolsets off: research, mcp; `%intern tools +research` switches one on" in listed


def test_names_without_a_sign_are_all_that_is_on(intern: Engine):
    with ScriptedServer([Turn("done")]) as server:
        intern.run(server, "--tools compute")
        assert not RESEARCH & offered(server)
        assert COMPUTE | {"plan", "write_cell", "recall"} <= offered(server)


def test_a_toolset_is_switched_between_turns_and_the_price_is_said(intern: Engine):
    with ScriptedServer([Turn("one"), Turn("two"), Turn("three")]) as server:
        intern.run(server, "--tools -research")
        said = intern.type("%intern tools +research, -compute")
        assert "research on; compute off" in said
        assert "one cache miss" in said
        assert "it is so already" in intern.type("%intern tools +research")
        again(intern, server, "do more")
        intern.ended()
        assert offered(server, 1) >= RESEARCH
        assert "`recipe`" in instructions(server, 1)
        assert not COMPUTE & offered(server, 1)
        shown = again(intern, server, "do it all --tools +compute")
        intern.ended()
        assert "compute on" in shown
        assert "one cache miss" in shown
        assert offered(server, 2) >= COMPUTE
    assert [fact.toolsets for fact in intern.facts(ToolsetsChanged)] == [
        ("notebook", "research", "custom", "mcp"),
        catalog.toolsets(),
    ]


def test_a_turn_that_runs_keeps_its_tools(intern: Engine):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(ctx: ToolContext) -> str:
        """Wait for something to happen."""
        begun.set()
        await go_on.wait()
        return "it happened"

    intern.tools.append(engine_rig.tool(wait, timeout_s=None))
    script = [Turn(calls=(Call("wait", {}),)), Turn(calls=(plan("a"),)), Turn("done")]
    with ScriptedServer(script) as server:
        intern.start(server)
        intern.until(begun.is_set)
        assert "The turn that runs keeps its tools" in intern.type("%intern tools -compute")
        intern.session.worker.loop.call_soon_threadsafe(go_on.set)
        intern.ended()
        assert offered(server, 0) == offered(server, 1) == offered(server, 2) >= COMPUTE
        assert "toolsets off: compute" in intern.type("%intern tools")


def test_a_resumed_session_has_the_tools_it_had(intern: Engine):
    refused = Turn("done", faults=(Fault(status=401),))
    with ScriptedServer([Turn(calls=(plan("a"),)), refused]) as server:
        assert intern.run(server, "--tools -compute").outcome == "paused"
        intern.close()
        intern.open()
        assert intern.resume().outcome == "completed"
        assert not COMPUTE & offered(server)
        assert offered(server) >= RESEARCH


def test_a_server_of_a_toolset_that_is_off_is_not_started(intern: Engine, monkeypatch, tmp_path):
    witness, config = tmp_path / "server-started", tmp_path / "config.toml"
    config.write_text(
        f'tools = "-mcp"\n[mcp.s]\ncommand = "/bin/sh"\nargs = ["-c", "touch {witness}"]\n'
        "always = true\n"
    )
    monkeypatch.setenv("MLINTERN_CONFIG", str(config))
    with ScriptedServer([Turn("one"), Turn("two")]) as server:
        intern.run(server)
        assert not witness.exists()
        assert "use_mcp" not in offered(server)
        intern.type("%intern tools +mcp")
        again(intern, server, "do more")
        intern.ended()
        assert witness.exists()
        assert "use_mcp" in offered(server)


def test_the_playbook_says_which_tools_it_misses_and_does_nothing(intern: Engine):
    intern.type("%%intern improve nano/mcq --model playbook --tools -research,-compute")
    end = intern.ended()
    assert "needs the tools recipe, evaluate, compare" in end.summary
    assert "`%intern tools`" in end.summary
    assert not intern.begun()


def test_a_record_from_before_toolsets_opens_with_all_of_them():
    state = fold([NumberedFact(1, "", started(tools=["my.tools:one"]))])
    assert state.toolsets is None
    assert catalog.known(state.toolsets) == catalog.toolsets()


def test_the_last_word_on_toolsets_counts():
    changes = [ToolsetsChanged(("notebook",)), ToolsetsChanged(("notebook", "compute"))]
    facts = [started(toolsets=["notebook", "mcp"]), *changes]
    state = fold(NumberedFact(n, "", fact) for n, fact in enumerate(facts, 1))
    assert catalog.known(state.toolsets) == ("notebook", "compute")


def test_the_line_comes_before_the_file(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text('tools = ["-research", "-mcp"]\n')
    file = load_config(path)
    assert not file.problem
    assert merged(parse_line("tidy")[1], file.defaults).tools == ("-research", "-mcp")
    assert merged(parse_line("tidy --tools compute")[1], file.defaults).tools == ("compute",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tidy --tools -notebook", "the toolset notebook cannot be switched off"),
        ("tidy --tools -reserch", "did you mean research?"),
        ("tidy --tools -research,compute", "with a sign or without one, not both"),
        ("tidy --tools compute --tool json:dumps", "--tools compute switches those off"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_starts(line: str, said: str):
    goal, options = parse_line(f"{line} --model playbook")
    with pytest.raises(UsageError) as caught:
        prepare(goal, "", options, Config(), nobody_to_ask=False, env={})
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "-", "--research", "my tools", "a:b"])
def test_what_is_no_name_of_a_toolset_is_refused_with_an_example(text: str):
    with pytest.raises(UsageError, match="names of toolsets, e"):
        parse_line(f"tidy --tools '{text}'")


def test_a_sign_is_no_option_on_the_command_line(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["run", "improve nano/mcq", "--notebook", "n.ipynb", "--model", "playbook"]
    assert cli.main([*words, "--tools", "-reserch", "--mode", "unattended", "--budget", "1"]) == 2
    assert "there is no toolset reserch" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
