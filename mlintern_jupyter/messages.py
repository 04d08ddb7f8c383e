"""Messages as every model API knows them: pure values, without identity or storage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mlintern_jupyter.usage import Usage

Role = Literal["system", "user", "assistant", "tool"]
StopReason = Literal["stop", "tool_calls", "length"]
TOKENS_PER_PICTURE = 1_500
"""A cautious count: providers take about a token for 750 pixels."""
PICTURE_LONGEST_SIDE = 1_568
"""Pixels of a picture for a model; what is larger, providers make smaller themselves, or refuse."""
PICTURE_BASE64_LIMIT = 1_000_000
"""Characters of one picture for a model."""


@dataclass(frozen=True)
class ToolCall:
    """One call the model asks for. ``arguments`` is the raw JSON text as it came."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """One entry of the conversation."""

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    """Only on assistant messages."""
    call_id: str | None = None
    """Only on tool messages: the call this answers."""
    images: tuple[str, ...] = ()
    """Only on tool messages: pictures of the result, PNG in base64. The text speaks of them too."""
    thinking: tuple[dict[str, Any], ...] = ()
    """Only on assistant messages: what the provider wants back untouched with the calls, each one
    ``{"type": ..., ...}`` as it came: Anthropic's signed blocks, DeepSeek's reasoning."""
    passing: bool = False
    """Stands in one view only, at its end; a provider's cache should end before it."""


@dataclass(frozen=True)
class ToolSpec:
    """A tool as the model sees it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments: an object without additional properties."""


@dataclass(frozen=True)
class View:
    """Everything one model call is given."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    max_output_tokens: int


@dataclass(frozen=True)
class Reply:
    """One complete answer of a model. An incomplete one is never built."""

    text: str
    calls: tuple[ToolCall, ...]
    stop: StopReason
    usage: Usage
    model: str
    thinking: tuple[dict[str, Any], ...] = ()
    """See ``Message.thinking``; empty where the provider does not need it."""
    dropped: Usage = field(default_factory=Usage)
    """Of attempts before this one that were cut off or empty: charged all the same, estimated."""


@dataclass(frozen=True)
class ToolResult:
    """What a tool answers. ``facts`` is appended to the text as one ``facts: {json}`` line."""

    text: str
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    ok: bool = True
    images: tuple[str, ...] = ()
    """PNG in base64, for a model that can see; few and small (``tools.base.pictures``)."""
    sources: tuple[str, ...] = ()
    """Where untrusted text in it came from (``mcp:github``); empty: from us and the person."""
    whole: str = ""
    """The text before it was cut to what a model is given; empty where nothing was cut."""
