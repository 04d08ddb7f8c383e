"""A wire format as the scripted server knows it: its path, its rules, its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlintern_jupyter.testing.script import Turn


@dataclass(frozen=True)
class Counted:
    """Tokens of one request and its answer, as the server bills them."""

    prompt: int
    """The cached ones included."""
    completion: int
    cached: int
    """Read from the cache."""
    stored: int = 0
    """Written into it, where a provider says so."""


def _replies(body: Mapping[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def longest(body: Mapping[str, Any]) -> int:
    """The longest answer a request allows, whatever the field is called."""
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    return next((int(body[name]) for name in names if body.get(name)), 0)


@dataclass(frozen=True)
class Dialect:
    """One wire format."""

    path: str
    violations: Callable[[Any, Mapping[str, str]], list[str]]
    """One sentence for each rule that a body and its headers break."""
    completion: Callable[[Turn, Mapping[str, Any], int, Counted], bytes]
    """The answer in one piece; the number is the place in the conversation."""
    stream: Callable[[Turn, Mapping[str, Any], int, Counted], list[bytes]]
    """The same as server-sent events."""
    refusal: Callable[[str], bytes]
    """The body of a 400."""
    overflow: Callable[[int, int, int], bytes]
    """The body of the 400 for a conversation that does not fit: prompt, answer, allowed tokens."""
    marks: bool
    """Only what the request marks is cached; otherwise every prefix is."""
    conversation: str = "messages"
    """The field with the conversation."""
    place: Callable[[Mapping[str, Any]], int] = _replies
    """How many replies of the model a request holds."""
