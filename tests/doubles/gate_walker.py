"""Every tool there is, leave for something else, and witnesses of what a tool does.

The witnesses are the notebook, the facts and the processes, not what a tool says of itself.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from notebook_double import Notebook, Person, stdout

from mlintern_jupyter.config import McpServer
from mlintern_jupyter.events import Answered, Asked
from mlintern_jupyter.policy.gate import Gate, Ruling
from mlintern_jupyter.policy.rules import load_rules
from mlintern_jupyter.protocols import CallTerms, Grant, Tool
from mlintern_jupyter.tools.custom.functions import tool as offered_tool
from mlintern_jupyter.tools.custom.modules import load_custom_tools
from mlintern_jupyter.tools.mcp.manifest import Offered
from mlintern_jupyter.tools.mcp.pins import Pins
from mlintern_jupyter.tools.mcp.server import ManagedServer
from mlintern_jupyter.tools.mcp.tools import McpTool, UseMcp
from mlintern_jupyter.tools.research import inspect_object

ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "plan": {"items": [{"step": "look", "state": "active"}]},
    "write_cell": {"kind": "run", "source": "1 + 1", "why": "to see"},
    "edit_cell": {"cell_id": "THERE", "source": "2 + 2", "why": "to see"},
    "wait_cell": {"cell_id": "THERE"},
    "read_notebook": {},
    "recall": {"query": "score"},
    "inspect_object": {"name": "json.dumps"},
    "recipe": {},
    "evaluate": {"task": "nano/mcq", "name": "base", "model": "m"},
    "compare": {"baseline": "one", "chosen": "two"},
    "experiments": {},
    "manual": {"tool": "plan"},
    "delegate": {"role": "critic", "task": "read it"},
    "mine": {"x": "a"},
    "touch": {"name": "a"},
}
"""Of a call that goes well. Any other tool is called with the simplest values that fit its schema;
such a call may mean nothing and fail, but it needs its grant as well."""

MODULE = """
from pathlib import Path

def touch(name: str):
    Path("touched").touch()
"""


@dataclass
class World:
    """Every tool there is, and all that any of them could do."""

    notebook: Notebook
    folder: Path
    started: list[str]

    def witnessed(self) -> object:
        """What has happened so far."""
        return (
            list(self.notebook.facts),
            dict(self.notebook.inserted),
            self.notebook.inserts,
            list(self.notebook.asked_to_run),
            list(self.notebook.spawned),
            sorted(path.name for path in self.folder.iterdir()),
            list(self.started),
        )

    def call(self, tool: Tool, grant: Any, arguments: Mapping[str, Any]) -> Any:
        context = replace(self.notebook.context("call-9"), workdir=self.folder)

        async def carried_out() -> Any:
            return await tool(context, grant, **arguments)

        return asyncio.run(carried_out())


def tools_of(folder: Path) -> tuple[Tool, ...]:
    (folder / "my_tools.py").write_text(MODULE)
    (module_tool,) = asyncio.run(load_custom_tools(["my_tools:touch"], folder)).tools
    witness = folder / "server-started"
    config = McpServer("s", command="/bin/sh", args=("-c", f"touch '{witness}'"))
    # One for each: a server that failed is left alone for the rest of a turn.
    pins = Pins(folder / "pins.json")
    first, second = (ManagedServer(config, os.environ, pins) for _ in range(2))
    look = Offered("look", "Look.", {"type": "object"})
    return module_tool, UseMcp({"s": first}), McpTool(second, look, "0" * 64)


def world_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Every tool of the catalogue, and one of each kind that a person brings."""
    started: list[str] = []
    ask = inspect_object.ask_python

    async def seen(*args: Any, **more: Any) -> Any:
        started.append("helper")
        return await ask(*args, **more)

    monkeypatch.setattr(inspect_object, "ask_python", seen)
    namespace: dict[str, Any] = {"__name__": "__main__", "tool": offered_tool}
    exec("@tool(effects={'read'})\ndef mine(x: str) -> str: ...", namespace)
    notebook = Notebook(namespace=namespace, more=tools_of(folder))
    for name in ("one", "two"):
        record = {"v": 1, "what": "eval", "name": name, "model": "m", "task": "t", "split": "dev"}
        notebook.persons.append(Person(records=(record,), outputs=(stdout("x"),)))
        notebook.call("evaluate", call=name, task="t", name=name, model="m")
    # A cell that waits to be edited, or waited for.
    notebook.persons.append(Person(speaks="before"))
    notebook.call("write_cell", call="there", kind="run", source="0", why="w")
    notebook.attention.clear()
    return World(notebook, folder, started)


def arguments_for(world: World, tool: Tool) -> dict[str, Any]:
    """Those of a plain call, complete with defaults."""
    given = dict(ARGUMENTS.get(tool.spec.name, plain_value(tool.spec.parameters)))
    if given.get("cell_id") == "THERE":
        given["cell_id"] = list(world.notebook.inserted)[-1]
    return tool.bind(json.dumps(given))


def plain_value(schema: Mapping[str, Any]) -> Any:
    """The simplest value that fits a schema; of an object only what is required."""
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return plain_value(schema["anyOf"][0])
    kind = schema.get("type", "string")
    if kind == "object":
        fields = schema.get("properties", {})
        return {name: plain_value(fields[name]) for name in schema.get("required", ())}
    if kind == "array":
        return [plain_value(schema.get("items", {}))]
    numbers = schema.get("minimum", 1)
    return {"string": "x", "integer": numbers, "number": numbers, "boolean": False}.get(kind)


def gate_of(world: World) -> Gate:
    return Gate(load_rules(world.folder), lambda: "review", tuple)


def leave(gate: Gate, terms: CallTerms, arguments: Mapping[str, Any]) -> Grant:
    """The yes of the rules, or of a person."""
    ruling = gate.judge(terms, arguments)
    if ruling.verdict == "allow":
        return gate.grant(ruling)
    asked = Asked(
        1, "call-9", terms.tool, dict(arguments), tuple(sorted(terms.effects)), ruling.why,
        terms.price_usd, terms.visibility, ruling.sha256,
    )  # fmt: skip
    return gate.grant_answered(ruling, Answered("call-9", yes=True), asked)


def nothing(gate: Gate, terms: CallTerms, arguments: Mapping[str, Any]) -> Any:
    return Ruling("allow", "", "", terms, ())


def for_other_arguments(gate: Gate, terms: CallTerms, arguments: Mapping[str, Any]) -> Grant:
    return leave(gate, terms, {**arguments, "more": 1})


def for_another_tool(gate: Gate, terms: CallTerms, arguments: Mapping[str, Any]) -> Grant:
    return leave(gate, replace(terms, tool="another"), arguments)


def for_fewer_effects(gate: Gate, terms: CallTerms, arguments: Mapping[str, Any]) -> Grant:
    fewer = frozenset({"read"} if terms.effects != {"read"} else {"local-write"})
    return leave(gate, replace(terms, effects=fewer), arguments)


def for_another_price(gate: Gate, terms: CallTerms, arguments: Mapping[str, Any]) -> Grant:
    return leave(gate, replace(terms, price_usd=0.25), arguments)


def for_other_eyes(gate: Gate, terms: CallTerms, arguments: Mapping[str, Any]) -> Grant:
    return leave(gate, replace(terms, visibility="private"), arguments)


def used_before(gate: Gate, terms: CallTerms, arguments: Mapping[str, Any]) -> Grant:
    grant = leave(gate, terms, arguments)
    grant.use(terms, arguments)
    return grant


WRONG: list[Callable[[Gate, CallTerms, Mapping[str, Any]], Any]] = [
    for_other_arguments,
    for_another_tool,
    for_fewer_effects,
    for_another_price,
    for_other_eyes,
    used_before,
]
