"""What a session works with, in words: its models, its tools, its MCP servers, its cost by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, get_args

from mlintern_jupyter.commands import ModelRole
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.policy.rules import UNDECLARED, Rules, stricter
from mlintern_jupyter.protocols import Tool, Toolbox, Verdict
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.readouts.questions import one_line, price_text, reach_text
from mlintern_jupyter.usage import CallKind, KindSpent, dollars

_WITHOUT: dict[ModelRole, str] = {
    "research": "as main",
    "compaction": "as main",
    "fallback": "none: a turn pauses while the main model is down",
}

_SERVER_STATES = {
    "off": "not started: nothing of it was used yet",
    "asks": "waits for your yes to what it offers",
}


def models_text(state: SessionState) -> str:
    """Which model has which role, a line each."""
    roles: tuple[ModelRole, ...] = get_args(ModelRole)
    lines = [
        f"  {role:<10}  {state.models.get(role) or _WITHOUT.get(role, state.model)}"
        for role in roles
    ]
    if on_fallback(state):
        lines.append("  the fallback does the main model's work now")
    return "\n".join([f"models of {state.session}:", *lines])


def on_fallback(state: SessionState) -> bool:
    """Whether the fallback took the main model's place."""
    first = state.options.get("first_model", "")
    return state.model == state.models.get("fallback") and state.model != first


def kinds_text(kinds: Mapping[CallKind, KindSpent], *, unmetered: bool) -> str:
    """What model calls of each kind used, a line each; kinds without a call are left out."""
    names: tuple[CallKind, ...] = get_args(CallKind)
    rows = [(name, kinds[name]) for name in names if name in kinds and kinds[name].calls]
    return "\n".join(
        f"  {name:<10}  {_calls(spent.calls)}, {spent.usage.input_tokens:,} prompt tokens"
        f" ({spent.usage.cached_tokens:,} cached), {spent.usage.output_tokens:,} output tokens,"
        f" {'unmetered' if unmetered and spent.usd == 0 else dollars(spent.usd)}"
        for name, spent in rows
    )


class ListedServer(Protocol):
    """How an MCP server stands."""

    @property
    def name(self) -> str:
        """As in the configuration."""
        ...

    @property
    def state(self) -> str:
        """In a word."""
        ...

    @property
    def problem(self) -> str:
        """Why its tools cannot be used; empty if they can."""
        ...

    @property
    def tools(self) -> Sequence[str]:
        """Names of its tools, as far as it was asked."""
        ...


def tools_text(toolbox: Toolbox | None, rules: Rules) -> str:
    """Every tool with what it may do and whether that asks first, a line each.

    Args:
        toolbox: of the turn that runs or ran last; ``None`` before the first one of this kernel.
        rules: those that hold in the session's folder.
    """
    if toolbox is None:
        return "tools are put together when a turn begins; none has begun in this kernel"
    tools = [toolbox.find(spec.name) for spec in toolbox.specs()]
    width = max((len(tool.spec.name) for tool in tools), default=0)
    return "\n".join(f"  {tool.spec.name:<{width}}  {_about(tool, rules)}" for tool in tools)


def toolsets_text(on: Sequence[str], every: Sequence[str]) -> str:
    """The toolsets that the next turn has, and those that are off.

    Args:
        on: names of those that are on.
        every: names of all.
    """
    off = [name for name in every if name not in on]
    lines = [f"toolsets on: {', '.join(on)}"]
    if off:
        lines.append(f"toolsets off: {', '.join(off)}; `%intern tools +{off[0]}` switches one on")
    return "\n".join(lines)


def servers_text(servers: Sequence[ListedServer]) -> str:
    """The MCP servers, a line each, with what is wrong where something is."""
    if not servers:
        return "no MCP server is configured; `[mcp.NAME]` in the configuration file adds one"
    lines: list[str] = []
    for server in servers:
        number = len(server.tools)
        tools = "" if not number else ", 1 tool" if number == 1 else f", {number} tools"
        problem = f": {one_line(server.problem)}" if server.problem else ""
        state = _SERVER_STATES.get(server.state, server.state)
        lines.append(f"  {one_line(server.name)}  {state}{tools}{problem}")
    return "\n".join(lines)


def _about(tool: Tool, rules: Rules) -> str:
    try:
        terms = tool.terms({})
    except (ToolError, KeyError):
        return "depends on what it is called with"
    effects: list[str] = sorted(terms.effects) or [UNDECLARED]
    verdict: Verdict = "allow"
    for effect in effects:
        found, _ = rules.verdict(terms.tool, effect)
        verdict = found if stricter(found, verdict) else verdict
    if verdict == "allow" and terms.price_usd is None:
        verdict = "ask"
    price = "" if terms.price_usd == 0 else f"; {price_text(terms.price_usd)}"
    reach = f"; {reach_text(terms.hosts, terms.keys)}" if terms.hosts else ""
    return f"{', '.join(effects)}{reach}{price}" + {"allow": "", "ask": "; asks you first"}.get(
        verdict, "; denied by the rules"
    )


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"
