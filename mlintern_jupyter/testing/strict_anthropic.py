"""What is wrong with a messages request, by Anthropic's rules.

Neighbours of one role are one message, as there. Beyond Anthropic: the last message is the user's,
because newer models take no beginning of their own answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from mlintern_jupyter.testing.strict import schema_problems, surrogates

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_FIELDS = frozenset(
    {
        "model",
        "messages",
        "system",
        "max_tokens",
        "stream",
        "tools",
        "tool_choice",
        "temperature",
        "stop_sequences",
        "thinking",
        "metadata",
    }
)
_TOOL_FIELDS = frozenset({"name", "description", "input_schema", "cache_control", "type"})
_LEAST_THOUGHT = 1024
_MOST_MARKS = 4
_THOUGHT = frozenset({"thinking", "redacted_thinking"})


def sign(thinking: str) -> str:
    """The signature only this server can make of what it thought."""
    digest = hmac.digest(b"scripted", thinking.encode("utf-8", "replace"), hashlib.sha256)
    return base64.b64encode(digest).decode()


def violations(request: Any, headers: Mapping[str, str]) -> list[str]:
    """One sentence for each rule the request breaks; empty when it is fine."""
    if not isinstance(request, dict):
        return ["the body is not a JSON object"]
    body = cast("dict[str, Any]", request)
    return [
        *([] if headers.get("anthropic-version") else ["anthropic-version: header is required"]),
        *(f"{name}: Extra inputs are not permitted" for name in sorted(set(body) - _FIELDS)),
        *_options(body),
        *_tools(body.get("tools")),
        *_system(body.get("system")),
        *_conversation(body),
        *_marks(body),
        *surrogates(body),
    ]


def _options(body: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if not isinstance(body.get("model"), str) or not body["model"]:
        found.append("model: Field required")
    most = body.get("max_tokens")
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        return [*found, "max_tokens: Field required, a whole number above zero"]
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and cast("dict[str, Any]", thinking).get("type") == "enabled":
        thought = cast("dict[str, Any]", thinking).get("budget_tokens")
        if not isinstance(thought, int) or not _LEAST_THOUGHT <= thought < most:
            found.append("thinking.budget_tokens: from 1024 to less than max_tokens")
        if body.get("temperature", 1) != 1:
            found.append("temperature: may only be 1 when thinking is enabled")
    return found


def _tools(tools: Any) -> list[str]:
    if tools is None:
        return []
    if not isinstance(tools, list) or not tools:
        return ["tools: not a list with something in it"]
    found: list[str] = []
    names: list[str] = []
    for tool in cast("list[dict[str, Any]]", tools):
        name = str(tool.get("name"))
        names.append(name)
        unknown = sorted(set(tool) - _TOOL_FIELDS)
        found += [f"tools.{name}.{field}: Extra inputs are not permitted" for field in unknown]
        if not _TOOL_NAME.fullmatch(name):
            found.append(f"tools.{name}.name: String should match pattern")
        if not tool.get("description"):
            found.append(f"tools.{name}: no description")
        found += [f"tools.{name}: {p}" for p in schema_problems(tool.get("input_schema"))]
    if len(set(names)) != len(names):
        found.append("tools: Tool names must be unique.")
    return found


def _system(system: Any) -> list[str]:
    if system is None or (isinstance(system, str) and system.strip()):
        return []
    blocks = _list(system)
    if not blocks or any(b.get("type") != "text" or not _filled(b.get("text")) for b in blocks):
        return ["system: text content blocks must be non-empty"]
    return []


def _conversation(body: Mapping[str, Any]) -> list[str]:
    messages = _list(body.get("messages"))
    if not messages:
        return ["messages: at least one message is required"]
    found: list[str] = []
    for at, message in enumerate(messages):
        if message.get("role") not in {"user", "assistant"}:
            found.append(f"messages.{at}: unexpected role {message.get('role')!r}")
        for block in _blocks(message):
            found += [f"messages.{at}: {p}" for p in _block(block, str(message.get("role")))]
        if not _blocks(message):
            found.append(f"messages.{at}: content must be non-empty")
    turns = _merged(messages)
    if turns[0][0] != "user" or turns[-1][0] != "user":
        found.append("messages: first and last message must use the user role")
    return found + _pairs(turns) + _thoughts(body, turns)


def _merged(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        role = str(message.get("role"))
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].extend(_blocks(message))
    return turns


def _block(block: Mapping[str, Any], role: str) -> list[str]:
    kind = block.get("type")
    if kind == "text":
        return [] if _filled(block.get("text")) else ["text content blocks must be non-empty"]
    if kind in _THOUGHT:
        return _thought(block, role)
    if kind == "tool_use":
        return _use(block, role)
    if kind == "tool_result" and role == "user":
        return [p for part in _blocks(block) for p in _block(part, role)]
    if kind == "image" and role == "user":
        return _picture(block)
    return [f"content blocks of type {kind!r} are not allowed for {role}"]


def _use(block: Mapping[str, Any], role: str) -> list[str]:
    found = [] if role == "assistant" else ["only an assistant uses tools"]
    if not _ID.fullmatch(str(block.get("id"))):
        found.append(f"tool_use.id: {block.get('id')!r} should match pattern")
    if not _TOOL_NAME.fullmatch(str(block.get("name"))):
        found.append(f"tool_use.name: {block.get('name')!r} should match pattern")
    if not isinstance(block.get("input"), dict):
        found.append("tool_use.input: Input should be a valid dictionary")
    return found


def _thought(block: Mapping[str, Any], role: str) -> list[str]:
    if role != "assistant":
        return ["only an assistant thinks"]
    if block.get("cache_control"):
        return ["thinking blocks take no cache_control"]
    if block.get("type") == "thinking" and block.get("signature") != sign(
        str(block.get("thinking"))
    ):
        return ["Invalid `signature` in `thinking` block"]
    return []


def _picture(block: Mapping[str, Any]) -> list[str]:
    source = block.get("source")
    known = cast("dict[str, Any]", source) if isinstance(source, dict) else {}
    if known.get("type") != "base64" or known.get("media_type") != "image/png":
        return ["a picture is not a PNG in the request itself"]
    try:
        data = base64.b64decode(str(known.get("data")), validate=True)
    except ValueError:
        data = b""
    return [] if data.startswith(b"\x89PNG\r\n\x1a\n") else ["a picture is not a PNG in base64"]


def _pairs(turns: Sequence[tuple[str, list[dict[str, Any]]]]) -> list[str]:
    """Every use is answered at the beginning of the next message, and nothing else is."""
    found: list[str] = []
    open_: list[str] = []
    ids: set[str] = set()
    for role, blocks in turns:
        if role == "user":
            found += _answers(blocks, open_)
            continue
        open_ = [str(b.get("id")) for b in blocks if b.get("type") == "tool_use"]
        if len(set(open_)) != len(open_) or ids & set(open_):
            found.append("tool_use ids must be unique")
        ids |= set(open_)
    return found


def _answers(blocks: Sequence[Mapping[str, Any]], open_: list[str]) -> list[str]:
    answered = [str(b.get("tool_use_id")) for b in blocks if b.get("type") == "tool_result"]
    found = [f"tool_use {id_} without tool_result after it" for id_ in open_ if id_ not in answered]
    for id_ in answered:
        if answered.count(id_) > 1 or id_ not in open_:
            found.append(f"unexpected tool_use_id {id_!r} in a tool_result block")
    kinds = [b.get("type") == "tool_result" for b in blocks]
    if kinds != sorted(kinds, reverse=True):
        found.append("tool_result blocks must come first in the message")
    return found


def _thoughts(
    body: Mapping[str, Any], turns: Sequence[tuple[str, list[dict[str, Any]]]]
) -> list[str]:
    """While tools are in use, a model that thinks wants its thought of this turn back."""
    thinking = body.get("thinking")
    on = isinstance(thinking, dict) and cast("dict[str, Any]", thinking).get("type") != "disabled"
    said = [blocks for role, blocks in turns if role == "assistant"]
    if not on or not said or not any(b.get("type") == "tool_use" for b in said[-1]):
        return []
    if turns[-1][1] and turns[-1][1][0].get("type") != "tool_result":
        return []
    if said[-1][0].get("type") not in _THOUGHT:
        kind = said[-1][0].get("type")
        return [f"Expected `thinking` or `redacted_thinking`, but found `{kind}`"]
    return []


def _marks(body: Mapping[str, Any]) -> list[str]:
    blocks = [*_list(body.get("tools")), *_list(body.get("system"))]
    for message in _list(body.get("messages")):
        for block in _blocks(message):
            blocks += [block, *_blocks(block)] if block.get("type") == "tool_result" else [block]
    marks = sum(1 for block in blocks if block.get("cache_control"))
    if marks > _MOST_MARKS:
        return [f"A maximum of 4 blocks with cache_control may be provided. Found {marks}."]
    return []


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return _list(content)


def _list(value: Any) -> list[dict[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _filled(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())
