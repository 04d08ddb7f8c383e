"""Models, tools, servers and cost by kind, as `%intern` says them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.events import ModelChanged, Reserved, SessionStarted, Settled
from mlintern_jupyter.messages import ToolSpec
from mlintern_jupyter.policy.rules import Rules, parse_rules
from mlintern_jupyter.protocols import CallTerms, Effect
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.readouts.inventory import (
    kinds_text,
    models_text,
    on_fallback,
    servers_text,
    tools_text,
)
from mlintern_jupyter.usage import Usage

STARTED = SessionStarted(
    "s-1", "goal", "a/b", "review", {}, {"first_model": "a/b", "models": {"fallback": "c/d"}},
    "magic", "/w", "0",
)  # fmt: skip
RULES = Rules(
    parse_rules(
        '[[rule]]\neffect = "read"\nverdict = "allow"\n'
        '[[rule]]\neffect = "publish"\nverdict = "ask"\n'
        '[[rule]]\neffect = "delete"\nverdict = "deny"\n',
        "test",
    )
)


def state_with(*facts: Any) -> SessionState:
    return fold(NumberedFact(n, "", fact) for n, fact in enumerate((STARTED, *facts), 1))


class Named:
    """A tool that is never called here."""

    def __init__(self, name: str, *effects: Effect, price: float | None = 0.0) -> None:
        self.spec = ToolSpec(name, name, {})
        self.manual = ""
        self.timeout_s = None
        self.resumes = False
        self._terms = CallTerms(name, frozenset(effects), price)

    def bind(self, arguments: str) -> dict[str, Any]:
        raise AssertionError(arguments)

    def terms(self, arguments: Mapping[str, Any]) -> CallTerms:
        return self._terms

    def __call__(self, ctx: Any, grant: Any, /, **arguments: Any) -> Any:
        raise AssertionError(arguments)


class Behind(Named):
    """What it does depends on what it is told to call."""

    def terms(self, arguments: Mapping[str, Any]) -> CallTerms:
        return replace(self._terms, tool=arguments["tool"])


class Box:
    """A toolbox of these."""

    def __init__(self, *tools: Named) -> None:
        self._tools = {tool.spec.name: tool for tool in tools}

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self._tools.values())

    def find(self, name: str) -> Named:
        if name not in self._tools:
            raise ToolError(f"there is no tool {name}")
        return self._tools[name]


@dataclass
class Stands:
    name: str
    state: str
    problem: str = ""
    tools: tuple[str, ...] = ()


def test_tools_are_listed_with_what_they_do_and_whether_that_asks() -> None:
    box = Box(
        Named("recipe", "read"),
        Named("push", "read", "publish"),
        Named("wipe", "delete", "publish"),
        Named("mine"),
        Named("dear", "read", price=None),
        Behind("use_mcp", "read"),
    )
    assert tools_text(box, RULES).split("\n") == [
        "  recipe   read",
        "  push     publish, read; asks you first",
        "  wipe     delete, publish; denied by the rules",
        "  mine     undeclared; asks you first",
        "  dear     read; price unknown; asks you first",
        "  use_mcp  depends on what it is called with",
    ]
    assert "when a turn begins" in tools_text(None, RULES)


def test_a_server_that_is_dead_says_why() -> None:
    text = servers_text(
        [
            Stands("github", "on", tools=("a", "b")),
            Stands("files", "off"),
            Stands("wiki", "asks", tools=("a",)),
            Stands("papers", "down", "no such program\nat all\u202e"),
        ]
    )
    assert text.split("\n") == [
        "  github  on, 2 tools",
        "  files  not started: nothing of it was used yet",
        "  wiki  waits for your yes to what it offers, 1 tool",
        "  papers  down: no such program\\nat all\\u202e",
    ]
    assert "[mcp.NAME]" in servers_text([])


def test_cost_is_told_apart_by_kind_and_unknown_is_said() -> None:
    state = state_with(
        Reserved(1, 100, 0.5),
        Settled(1, Usage(900, 100, 800), 0.25, 2.0),
        Settled(1, Usage(50, 5), 0.5, 1.0, agent="a-1", kind="research"),
        Settled(2, Usage(50, 5), None, 1.0, agent="a-1", kind="research"),
        Settled(2, Usage(70, 7), 0.0, 1.0, kind="compaction"),
    )
    text = kinds_text(state.spending.by_kind, unmetered=False)
    assert text.split("\n") == [
        "  main        1 call, 900 prompt tokens (800 cached), 100 output tokens, $0.25",
        "  research    2 calls, 100 prompt tokens (0 cached), 10 output tokens, cost unknown",
        "  compaction  1 call, 70 prompt tokens (0 cached), 7 output tokens, $0.00",
    ]
    assert "unmetered" in kinds_text(state.spending.by_kind, unmetered=True).split("\n")[2]
    assert kinds_text({}, unmetered=False) == ""


def test_the_fallback_at_work_is_said() -> None:
    state = state_with()
    assert not on_fallback(state)
    assert "fallback    c/d" in models_text(state)
    down = state_with(ModelChanged("main", "c/d", "a/b does not answer"))
    assert on_fallback(down)
    assert "the fallback does the main model's work now" in models_text(down)
    back = state_with(
        ModelChanged("main", "c/d", "a/b does not answer"),
        ModelChanged("main", "a/b", "the person"),
    )
    assert not on_fallback(back)
