"""MCP servers in daily use: listing, calling, pictures, arguments, what a person said yes to."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mcp_double import Desk, at_desk, bare, friend, web_server

from mlintern_jupyter.config import McpServer
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.tools.base.toolbox import TurnToolbox
from mlintern_jupyter.tools.mcp.checking import problem


def test_a_server_is_introduced_to_the_person_before_the_model_is_shown_a_word(
    tmp_path: Path,
) -> None:
    async def do(desk: Desk) -> None:
        assert desk.servers.status()[0].state == "off"
        first = await desk.use('{"server": "s"}')
        assert "search_notes" not in first.text
        assert desk.servers.status()[0].state == "asks"
        bound = desk.tool("use_mcp").bind('{"server": "s"}')
        assert "search_notes [says that it only reads]: Search the notes." in bound["changes"]
        terms = desk.tool("use_mcp").terms(bound)
        assert (terms.tool, terms.effects, terms.price_usd) == ("s__*", frozenset(), None)
        listed = await desk.use('{"server": "s"}')
        assert '"query"' in listed.text
        assert listed.sources == ("mcp:s",)
        assert desk.servers.status()[0].state == "on"

    at_desk(tmp_path, friend(), do=do)


def test_a_tool_is_called_and_its_answer_says_where_it_came_from(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        await desk.welcome()
        told = await desk.use('{"server":"s","tool":"search_notes","arguments":{"query":"lora"}}')
        assert told.ok
        assert told.text.startswith("3 notes about lora\nfacts: ")
        assert told.sources == ("mcp:s",)
        assert desk.asked[-1].tool == "s__search_notes"
        failed = await desk.use('{"server": "s", "tool": "fails"}')
        assert not failed.ok
        assert failed.sources == ("mcp:s",)
        structured = await desk.use('{"server":"s","tool":"add_note","arguments":{"text":"x"}}')
        assert '"written": "x"' in structured.text

    at_desk(tmp_path, friend(), do=do)


def test_over_http_the_same_server_answers_the_same(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        assert "search_notes" in (await desk.welcome()).text
        told = await desk.use('{"server":"s","tool":"search_notes","arguments":{"query":"lora"}}')
        assert told.text.startswith("3 notes about lora")

    with web_server(tmp_path) as (url, _):
        at_desk(tmp_path, McpServer("s", url=url), do=do)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_picture_reaches_a_model_that_sees(tmp_path: Path, kind: str) -> None:
    async def do(desk: Desk) -> None:
        await desk.welcome()
        call = json.dumps({"server": "s", "tool": "picture", "arguments": {"kind": kind}})
        told = await desk.use(call)
        assert f"[image: image/{kind}" in told.text
        assert len(told.images) == 1
        assert told.images[0].startswith("iVBOR")

    at_desk(tmp_path, friend(), do=do)


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        await desk.welcome()
        told = await desk.use('{"server": "s", "tool": "tell"}')
        assert not told.images
        assert "could not be made small enough" in told.text
        assert "[audio: audio/wav" in told.text
        assert "[note://1]\na note" in told.text
        assert "[note://2: 20 characters of data, not shown]" in told.text

    at_desk(tmp_path, bare("blocks"), do=do)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('{"server": "s", "tool": "tell"}', "'query' is a required property"),
        ('{"server":"s","tool":"tell","arguments":{"query":3}}', "query: 3 is not of type"),
        ('{"server":"s","tool":"tell","arguments":{"q":"x"}}', "has no parameter 'q'"),
        ('{"server":"s","tool":"tel"}', "has no tool 'tel'"),
        ('{"server":"t"}', "there is no server 't'"),
        ('{"server":"s","toll":"x"}', "has no parameter 'toll'"),
        ('{"server":"s","manifest":"x"}', "has no parameter 'manifest'"),
        ('{"server":"s","tool":["x"]}', "tool is not a text"),
        ('{"server":"s","arguments":[]}', "arguments is not an object"),
        ('{"server":"s","server":"s"}', "given twice"),
        ('{"server":"s","arguments":{"x":NaN}}', "not JSON"),
        ('{"server":"s","tool":"\\ud800"}', "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "one JSON object"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, arguments: str, says: str) -> None:
    schema = {"properties": {"query": {"type": "string"}}, "required": ["query"]}
    (tmp_path / "schema").write_text(json.dumps({"type": "object"} | schema))

    async def do(desk: Desk) -> None:
        await desk.welcome()
        assert says in await desk.refusal(arguments)

    at_desk(tmp_path, bare("schema", env={"SCHEMA": str(tmp_path / "schema")}), do=do)


@pytest.mark.parametrize(
    ("schema", "arguments", "says"),
    [
        ({"$ref": "http://127.0.0.1:9/schema"}, {}, "refers to another place"),
        ({"$ref": "file:///etc/passwd"}, {}, "refers to another place"),
        ({"$ref": "#"}, {}, "refers to itself without end"),
        ({"properties": {"a": {"pattern": "(a|a)*$"}}}, {"a": "a" * 5_000 + "b"}, ""),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, {"xy": 1}, ""),
        ({"properties": {"a": {"type": 3}}}, {"a": 1}, "is broken"),
        ({"properties": {"a": {}}}, {"b": 1}, "has no parameter 'b'"),
        ({"properties": {"a": {}}, "additionalProperties": True}, {"b": 1}, ""),
    ],
)
def test_a_strange_schema_costs_its_tool_and_nothing_else(
    tmp_path: Path, schema: dict[str, Any], arguments: dict[str, Any], says: str
) -> None:
    (tmp_path / "schema").write_text(json.dumps({"type": "object"} | schema))

    async def do(desk: Desk) -> None:
        await desk.welcome()
        call = json.dumps({"server": "s", "tool": "tell", "arguments": arguments})
        if says:
            assert says in await desk.refusal(call)
        else:
            assert (await desk.use(call)).text.startswith("told")

    at_desk(tmp_path, bare("schema", env={"SCHEMA": str(tmp_path / "schema")}), do=do)


def test_what_a_schema_refers_to_is_not_fetched() -> None:
    asked: list[str] = []

    class Listening(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            schema = {"$ref": f"http://127.0.0.1:{server.server_port}/schema"}
            assert "refers to another place" in problem(schema, {})
        finally:
            server.shutdown()
            serving.join()
    assert asked == []


def test_a_schema_that_doubles_at_every_step_is_given_up() -> None:
    steps = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    schema = {"type": "object", "$defs": {**steps, "a40": {}}, "$ref": "#/$defs/a0"}
    assert "refers to itself without end" in problem(schema, {})


def test_effects_are_what_the_person_declared(tmp_path: Path) -> None:
    effects = {
        "search_*": frozenset({"read"}),
        "add_note": frozenset({"network-write"}),
        "*": frozenset[Any](),
    }

    async def do(desk: Desk) -> None:
        await desk.welcome()
        use = desk.tool("use_mcp")
        found = use.terms(
            use.bind('{"server":"s","tool":"search_notes","arguments":{"query":"x"}}')
        )
        assert (found.effects, found.visibility, found.price_usd) == ({"read"}, "here", 0.0)
        added = use.terms(use.bind('{"server":"s","tool":"add_note","arguments":{"text":"x"}}'))
        assert (added.effects, added.visibility) == ({"network-write"}, "private")
        other = use.terms(use.bind('{"server":"s","tool":"fails"}'))
        assert (other.effects, other.visibility, other.price_usd) == (frozenset(), "unknown", None)

    at_desk(tmp_path, friend(effects=effects), do=do)


def test_tools_that_are_always_on_stand_in_the_toolbox_of_the_next_turn(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        assert [tool.spec.name for tool in desk.tools] == ["use_mcp"]
        await desk.welcome()
        await desk.turn()
        assert "s__search_notes" in [tool.spec.name for tool in desk.tools]
        told = await desk.call("s__search_notes", '{"query": "x"}')
        assert told.text.startswith("3 notes about x")
        assert "has no parameter 'q'" in await desk.refusal('{"q": 1}', "s__search_notes")
        assert TurnToolbox(desk.tools).find("s__search_notes").spec.parameters["type"] == "object"

    at_desk(tmp_path, friend(always=True), do=do)


def test_a_yes_is_kept_for_the_next_session_and_for_this_user_alone(tmp_path: Path) -> None:
    async def first(desk: Desk) -> None:
        await desk.welcome()

    async def second(desk: Desk) -> None:
        assert "tell" in (await desk.use('{"server": "s"}')).text
        assert [terms.tool for terms in desk.asked] == ["use_mcp"]

    at_desk(tmp_path, bare("plain"), do=first)
    pins = tmp_path / "pins" / "mcp_pins.json"
    assert stat.S_IMODE(pins.stat().st_mode) == 0o600
    assert [p.name for p in pins.parent.iterdir()] == ["mcp_pins.json"]
    at_desk(tmp_path, bare("plain"), do=second)
    pins.write_text("{damaged")
    at_desk(tmp_path, bare("plain"), do=_must_ask)


def test_the_same_name_at_another_place_asks_again(tmp_path: Path) -> None:
    async def welcome(desk: Desk) -> None:
        await desk.welcome()

    at_desk(tmp_path, bare("plain"), do=welcome)
    at_desk(tmp_path, bare("other"), do=_must_ask)


async def _must_ask(desk: Desk) -> None:
    await desk.use('{"server": "s"}')
    assert desk.servers.status()[0].state == "asks"


def test_variables_are_looked_up_when_the_server_starts(tmp_path: Path) -> None:
    server = bare("environment", env={"NOTES_TOKEN": "${TOKEN_OF_NOTES}", "PLACE": "${X:-here}"})
    missing = bare("plain", name="t", env={"A": "${NOT_SET_ANYWHERE}"})
    assert server.secret_names == {"TOKEN_OF_NOTES", "X"}
    env = dict(os.environ)

    async def do(desk: Desk) -> None:
        env["TOKEN_OF_NOTES"] = "canary-own"
        await desk.welcome()
        told = await desk.use('{"server": "s", "tool": "tell"}')
        assert '"NOTES_TOKEN": "canary-own"' in told.text
        assert '"PLACE": "here"' in told.text
        assert "NOT_SET_ANYWHERE is not set" in await desk.refusal('{"server": "t"}')
        assert {s.name: s.state for s in desk.servers.status()} == {"s": "on", "t": "down"}

    at_desk(tmp_path, server, missing, do=do, env=env)


def test_a_long_list_is_named_and_asked_for_by_pattern(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        listed = await desk.welcome()
        assert "200 tools of s" in listed.text
        assert "tell_199" in listed.text
        assert len(listed.text) < 17_000
        some = await desk.use('{"server": "s", "tool": "tell_00*"}')
        assert "10 tools of s" in some.text

    at_desk(tmp_path, bare("many"), do=do)


def test_without_servers_there_is_no_tool(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        assert desk.tools == []
        assert desk.servers.status()[0].problem == "[mcp.x] was not used: no command"

    at_desk(tmp_path, McpServer("x", problem="[mcp.x] was not used: no command"), do=do)


def test_the_description_of_all_servers_is_cheap(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        spec = desk.tool("use_mcp").spec
        assert len(json.dumps([spec.name, spec.description, spec.parameters])) / 3 < 200

    at_desk(tmp_path, bare("plain"), do=do)


def test_nothing_of_the_sdk_is_imported_before_a_server_is_used() -> None:
    code = (
        "import sys, mlintern_jupyter.tools.mcp.servers;"
        "print([m for m in ('mcp', 'mcp_types', 'jsonschema', 'httpx2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_call_cannot_be_made_without_its_grant(tmp_path: Path) -> None:
    class NoGrant:
        sha256 = ""

        def use(self, *_: object) -> None:
            raise ToolError("no grant")

    async def do(desk: Desk) -> None:
        await desk.welcome()
        tool = desk.tool("use_mcp")
        bound = tool.bind('{"server": "s", "tool": "tell"}')
        with pytest.raises(ToolError, match="no grant"):
            await tool(None, NoGrant(), **bound)  # type: ignore[arg-type]

    at_desk(tmp_path, bare("crash"), do=do)
