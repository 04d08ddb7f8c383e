"""The form of every answer to the model: bounded text that ends with one ``facts: {json}`` line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from mlintern_jupyter.messages import ToolResult

TEXT_LIMIT = 16_000
FACTS_LIMIT = 16_000
"""Characters. A rendered recipe is the largest fact and fits."""
DEPTH = 12
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def finished(result: ToolResult) -> ToolResult:
    """The result as the model reads it."""
    facts = bounded(plain(result.facts))
    line = json.dumps(facts, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS)
    text = clipped(encodable(result.text).rstrip(), TEXT_LIMIT)
    return replace(result, text=f"{text}\nfacts: {line}", facts=facts)


def as_result(value: Any) -> ToolResult:
    """A result of whatever a tool returned: a text as it is, anything else as plain JSON."""
    if isinstance(value, ToolResult):
        return value
    if isinstance(value, str):
        return ToolResult(value)
    if isinstance(value, bytes | bytearray):
        return ToolResult(bytes(value).decode("utf-8", "replace"))
    if value is None:
        return ToolResult("no value")
    return ToolResult(json.dumps(plain(value), ensure_ascii=False, indent=1))


def clipped(text: str, limit: int) -> str:
    """Head and tail of a text that is too long, with what was left out named."""
    if len(text) <= limit:
        return text
    head = limit * 2 // 5
    tail = limit - head
    return f"{text[:head]}\n[... {len(text) - limit:,} characters left out ...]\n{text[-tail:]}"


def encodable(text: str) -> str:
    """The text with half characters replaced: one of them would break every later request."""
    return text.encode("utf-8", "replace").decode("utf-8")


def plain(value: Any, depth: int = 0) -> Any:
    """JSON data of a value: not-a-number becomes null, keys texts, everything unknown its name."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        # Python refuses to print integers of more than 4300 digits.
        return value if value.bit_length() < 1024 else "[large integer]"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return encodable(value)
    if depth >= DEPTH:
        return "..."
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {encodable(str(k)): plain(v, depth + 1) for k, v in items}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item, depth + 1) for item in cast("Sequence[Any]", value)]
    return f"[{type(value).__name__}]"


def bounded(facts: dict[str, Any], limit: int = FACTS_LIMIT) -> dict[str, Any]:
    """Facts without the largest entries, those named under ``left_out``, until they fit."""
    sizes = {key: len(json.dumps({key: value})) for key, value in facts.items()}
    kept = dict(facts)
    left_out: list[str] = []
    while kept and sum(sizes[key] for key in kept) > limit:
        largest = max(kept, key=lambda key: sizes[key])
        del kept[largest]
        left_out.append(largest[:80])
    return {**kept, "left_out": left_out} if left_out else kept
