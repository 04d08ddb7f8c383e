"""A message as a reference: short, still naming what it was, and saying how to read it whole.

The cells and the ledger are the memory; what is left out here is in them, and ``recall`` or
``read_notebook`` brings it back. Calls keep their ids and stay next to their results.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from mlintern_jupyter.messages import Message, ToolCall

TEXT = 240
"""Characters of what the intern said between calls."""
ARGUMENTS = 240
"""Characters of arguments that stay as they are."""
ARGUMENT = 80
"""Characters of one text in longer arguments."""
SAID = 1_200
"""Characters of what the person or the session said."""
RESULT = 260
"""Characters of a result that stays as it is."""
FIRST_LINE = 160
FACTS = 240
ITEMS = 6
DEPTH = 3
MARK = "facts: "


def referenced(message: Message) -> Message:
    """The short form of a message; of a short one, itself."""
    if message.role == "assistant":
        calls = tuple(_call(call) for call in message.calls)
        if calls == message.calls and len(message.text) <= TEXT and not message.thinking:
            return message
        return replace(message, text=head_of(message.text, TEXT), calls=calls, thinking=())
    if message.role == "tool":
        if len(message.text) <= RESULT and not message.images:
            return message
        return replace(message, text=_result(message), images=())
    if len(message.text) <= SAID:
        return message
    words = " ".join(message.text.split()[:6])[:60]
    said = head_of(message.text, SAID)
    return replace(message, text=f"{said}\n[whole: recall(query={json.dumps(words)})]")


def head_of(text: str, limit: int, way: str = "") -> str:
    """The beginning of a text that is too long, with its length and the way to the rest."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()} [{len(text):,} characters{f': {way}' if way else ''}]"


def how_to_read(call: str | None) -> str:
    """How the model reads a call and its result whole."""
    return f'recall(call="{call}")'


def facts_in(text: str) -> dict[str, Any]:
    """The object of the ``facts:`` line a text ends with, or an empty one."""
    last = text.rstrip().rpartition("\n")[2]
    if not last.startswith(MARK):
        return {}
    try:
        found = json.loads(last[len(MARK) :])
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def facts_line(
    facts: Mapping[str, Any], limit: int, always: Mapping[str, Any] | None = None
) -> str:
    """A ``facts:`` line of at most ``limit`` characters: entries go whole, the largest first.

    Args:
        facts: what may go.
        limit: in characters, without what must stay.
        always: entries that stay whatever they take; they win over others of the same name.
    """
    stays = dict(always or {})
    sizes = {k: len(_json({k: v})) for k, v in facts.items() if k not in stays}
    kept = {key: facts[key] for key in sizes}
    total = sum(sizes.values())
    for key in sorted(sizes, key=lambda key: -sizes[key]):
        if total <= limit:
            break
        total -= sizes[key]
        del kept[key]
    found = {**stays, **kept}
    return f"{MARK}{_json(found)}" if found else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _call(call: ToolCall) -> ToolCall:
    if len(call.arguments) <= ARGUMENTS:
        return call
    try:
        given = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return replace(call, arguments=_left_out(call))
    if not isinstance(given, dict):
        return replace(call, arguments=_left_out(call))
    short = _json(_shortened(given, how_to_read(call.id)))
    if len(short) > 4 * ARGUMENTS:
        names = list(cast("dict[str, Any]", given))[:ITEMS]
        short = _json({name[:ARGUMENT]: f"[{how_to_read(call.id)}]" for name in names})
    return replace(call, arguments=short)


def _left_out(call: ToolCall) -> str:
    return _json({"left_out": head_of(call.arguments, ARGUMENT, how_to_read(call.id))})


def _shortened(value: Any, way: str, depth: int = 0) -> Any:
    if isinstance(value, str):
        return head_of(value, ARGUMENT, way)
    if isinstance(value, dict):
        return _shortened_object(cast("dict[str, Any]", value), way, depth)
    if isinstance(value, list):
        entries = cast("list[Any]", value)
        if depth >= DEPTH:
            return f"[list of {len(entries)}: {way}]"
        more = [f"[{len(entries)} items: {way}]"] if len(entries) > ITEMS else []
        return [*(_shortened(v, way, depth + 1) for v in entries[:ITEMS]), *more]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and value.bit_length() > 256:
        return f"[large number: {way}]"
    return value


def _shortened_object(value: dict[str, Any], way: str, depth: int) -> dict[str, Any]:
    if depth >= DEPTH or len(value) > 4 * ITEMS:
        return {"left_out": f"[object of {len(value)}: {way}]"}
    return {k[:ARGUMENT]: _shortened(v, way, depth + 1) for k, v in value.items()}


def _result(message: Message) -> str:
    text, facts = message.text, facts_in(message.text)
    first = next((line.strip() for line in text.split("\n") if line.strip()), "(no output)")
    line = facts_line(facts, FACTS)
    if first.startswith(MARK) and line:
        first = "(facts only)"
    shown = first if len(first) <= FIRST_LINE else f"{first[:FIRST_LINE].rstrip()}..."
    cell = facts.get("cell")
    way = how_to_read(message.call_id)
    if isinstance(cell, str) and cell:
        way += f" or read_notebook(cell_id={json.dumps(cell)})"
    return "\n".join(part for part in (f"{shown} [{len(text):,} characters: {way}]", line) if part)
