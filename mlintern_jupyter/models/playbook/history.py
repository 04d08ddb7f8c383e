"""What a conversation holds for the playbook: the briefing, and steps with their results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from mlintern_jupyter.messages import Message, ToolCall

_MARK = "facts: "
_NOTES = (
    "[The person ran a cell",
    "[The person put your cell",
    "[Your cell",
    "The session goes on in a new kernel",
)
"""How the session begins what it says itself: nothing in these asks for an answer."""


@dataclass(frozen=True)
class Ask:
    """One tool call, before it has an id."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_json(self) -> str:
        """The arguments as they are sent; the same for the same arguments."""
        return json.dumps(self.arguments, ensure_ascii=False, sort_keys=True)

    def made(self, call: ToolCall) -> bool:
        """Whether a call in a conversation is this one."""
        return call.name == self.tool and call.arguments == self.as_json()


@dataclass(frozen=True)
class Move:
    """What the playbook says and asks for in one step."""

    text: str
    asks: tuple[Ask, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a tool call came back with."""

    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def state(self) -> str:
        """How the cell of the call ended; ``failed`` where there is none because of an error."""
        return str(self.facts.get("state") or "failed")

    @property
    def open_cell(self) -> str:
        """The cell the call came back from before it had ended; empty if it has."""
        return str(self.facts.get("cell") or "") if self.state in {"proposed", "running"} else ""

    @property
    def trouble(self) -> str:
        """One line that says what went wrong."""
        return str(self.facts.get("error") or self.text.strip().partition("\n")[0])[:200]

    def about(self, key: str) -> dict[str, Any]:
        """A fact that is an object, or an empty one."""
        found = self.facts.get(key)
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Step:
    """A reply that was given, and its results in the order of its calls."""

    calls: tuple[ToolCall, ...]
    results: list[Result]


@dataclass(frozen=True)
class History:
    """The running turn as the playbook needs it."""

    briefing: dict[str, Any]
    """Facts line of the request."""
    steps: tuple[Step, ...]
    unheard: tuple[Message, ...]
    """What the person, or a guard of the session, said since the last reply."""

    def find(self, asks: Sequence[Ask], start: int) -> int | None:
        """Number of the first step from ``start`` on that made just these calls."""
        for number in range(start, len(self.steps)):
            calls = self.steps[number].calls
            if len(calls) == len(asks) and all(
                ask.made(call) for ask, call in zip(asks, calls, strict=True)
            ):
                return number
        return None


def read_conversation(messages: Sequence[Message]) -> History:
    """The turn that runs: everything after the last request that carries a briefing."""
    start, briefing = -1, cast("dict[str, Any]", {})
    for number, message in enumerate(messages):
        if message.role == "user" and "goal" in (found := facts_in(message.text)):
            start, briefing = number, found
    turn = messages[start + 1 :]
    answers = {m.call_id: Result(m.text, facts_in(m.text)) for m in turn if m.role == "tool"}
    steps = tuple(
        Step(m.calls, [answers.get(call.id, Result()) for call in m.calls])
        for m in turn
        if m.role == "assistant" and m.calls
    )
    replies = [number for number, m in enumerate(turn) if m.role == "assistant"]
    since = turn[replies[-1] + 1 :] if replies else turn
    unheard = tuple(m for m in since if m.role == "user" and not m.text.startswith(_NOTES))
    return History(briefing, steps, unheard)


def facts_in(text: str) -> dict[str, Any]:
    """The object of the facts line a text ends with, or an empty one."""
    last = text.rstrip().rpartition("\n")[2]
    if not last.startswith(_MARK):
        return {}
    try:
        found = json.loads(last[len(_MARK) :])
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
