"""The tables of MCP servers in the person's configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlintern_jupyter.config import Config, expanded, load_config
from mlintern_jupyter.errors import UsageError

GOOD = """
max_steps = 7
usd_per_hour = 2.5

[mcp.notes]
command = "npx"
args = ["-y", "notes-mcp", "--place", "${PLACE:-home}"]
env = { NOTES_TOKEN = "${NOTES_TOKEN}" }
effects = { "search_*" = ["read"], "add_*" = ["network-write"], "*" = [] }
always = true
timeout_s = 5

[mcp.web]
url = "https://example.org/mcp"
headers = { Authorization = "Bearer ${WEB_KEY}" }
"""


def _loaded(folder: Path, text: str) -> Config:
    file = folder / "config.toml"
    file.write_text(text)
    return load_config(file)


def test_servers_are_read_beside_the_options(tmp_path: Path) -> None:
    config = _loaded(tmp_path, GOOD)
    assert config.problem == ""
    assert config.defaults == {"max_steps": 7}
    notes, web = config.mcp["notes"], config.mcp["web"]
    assert (notes.command, notes.timeout_s, notes.always) == ("npx", 5.0, True)
    assert notes.effects_of("search_all") == {"read"}
    assert notes.effects_of("add_note") == {"network-write"}
    assert notes.effects_of("delete_note") == frozenset()
    assert notes.secret_names == {"PLACE", "NOTES_TOKEN"}
    assert (web.url, web.secret_names) == ("https://example.org/mcp", {"WEB_KEY"})
    assert (web.timeout_s, web.always) == (60.0, False)


def test_the_values_of_tables_are_not_in_what_is_printed_of_them(tmp_path: Path) -> None:
    text = '[mcp.a]\nurl = "https://e.org"\nheaders = {X = "canary"}\n'
    text += '[mcp.b]\ncommand = "c"\nenv = {X = "canary"}\n'
    assert "canary" not in repr(_loaded(tmp_path, text))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("[mcp.x]", "either command or url"),
        ('[mcp.x]\ncommand = "a"\nurl = "https://e.org"', "either command or url"),
        ('[mcp.x]\nurl = "file:///etc"', "url: expected an address that begins with http"),
        ("[mcp.x]\ncommand = 3", "command: expected text, not a whole number"),
        ('[mcp.x]\ncommand = "a"\nargs = "b"', "args: expected a list, not text"),
        ('[mcp.x]\ncommand = "a"\nargs = [1]', "args[0]: expected text"),
        ('[mcp.x]\ncommand = "a"\nenv = {A = 1}', "env.A: expected text"),
        ('[mcp.x]\ncommand = "a"\nenv = "A"', "env: expected a table, not text"),
        (
            '[mcp.x]\ncommand = "a"\neffects = {"*" = ["fly"]}',
            "effects.*[0]: expected one of",
        ),
        ('[mcp.x]\ncommand = "a"\neffects = ["read"]', "effects: expected a table, not a list"),
        ('[mcp.x]\ncommand = "a"\nalways = "yes"', "always: expected true or false, not text"),
        (
            '[mcp.x]\ncommand = "a"\ntimeout_s = 0',
            "expected a number of seconds above 0",
        ),
        (
            '[mcp.x]\ncommand = "a"\ntimeout_s = true',
            "expected a number, not true or false",
        ),
        ('[mcp.x]\ncommand = "a"\ntrust = true', "trust: unknown; fields are command, args"),
        ('[mcp."No Name"]\ncommand = "a"', "its name must be"),
        ("[mcp]\nx = 3", "expected a table, not a whole number"),
    ],
)
def test_a_broken_table_is_named_and_costs_its_server_alone(
    tmp_path: Path, table: str, says: str
) -> None:
    config = _loaded(tmp_path, f"max_steps = 3\nusd_per_hour = 1.0\n{table}\n[mcp.ok]\ncommand='a'")
    assert config.problem == ""
    assert config.defaults == {"max_steps": 3}
    assert config.usd_per_hour == 1.0
    assert config.mcp["ok"].problem == ""
    (broken,) = (server for name, server in config.mcp.items() if name != "ok")
    assert says in broken.problem
    assert (broken.command, broken.url) == ("", "")


def test_what_is_no_table_at_all_is_named(tmp_path: Path) -> None:
    config = _loaded(tmp_path, "mcp = 3\nmax_steps = 3")
    assert config.defaults == {"max_steps": 3}
    assert "not a table" in config.mcp["mcp"].problem


def test_variables_are_expanded_with_their_defaults() -> None:
    env = {"A": "1", "EMPTY": "", "TRICK": "${A}"}
    assert expanded("${A}-${B:-two}-${EMPTY:-three}-$A-${A", env) == "1-two-three-$A-${A"
    assert expanded("${TRICK}", env) == "${A}"
    with pytest.raises(UsageError, match="the variable MISSING is not set"):
        expanded("x ${MISSING}", env)
