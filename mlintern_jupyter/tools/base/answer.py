"""The form of every answer to the model: bounded text that ends with one ``facts: {json}`` line."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from mlintern_jupyter.messages import ToolResult

TEXT_LIMIT = 16_000
FACTS_LIMIT = 16_000
"""Characters. A rendered recipe is the largest fact and fits."""
WHOLE_LIMIT = 20_000_000
"""Characters of a result that the record keeps."""
DEPTH = 12
MOST = 20_000
"""Lists and objects in one value, together."""
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def finished(result: ToolResult) -> ToolResult:
    """The result as the model reads it."""
    facts = bounded(plain(result.facts))
    line = json.dumps(facts, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS)
    whole = encodable(result.text).rstrip()
    text = clipped(whole, TEXT_LIMIT)
    kept = "" if text == whole else clipped(whole, WHOLE_LIMIT)
    return replace(result, text=f"{text}\nfacts: {line}", facts=facts, whole=kept)


def as_result(value: Any) -> ToolResult:
    """A result of whatever a tool returned: a text as it is, data as JSON, the rest as it prints.

    Never raises.
    """
    if isinstance(value, ToolResult):
        return value
    return ToolResult(as_text(value))


def as_text(value: Any) -> str:
    """A value as text, whatever it is. Never raises."""
    try:
        return _as_text(value)
    except Exception as error:  # noqa: BLE001
        # How a stranger's object is read and printed is a stranger's code.
        return f"[{type(value).__name__} that cannot be printed: {type(error).__name__}]"


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if value is None:
        return "no value"
    if isinstance(value, bool | int | float | Mapping | list | tuple):
        return json.dumps(plain(value), ensure_ascii=False, indent=1)
    return str(value)


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


def plain(value: Any) -> Any:
    """JSON data of a value: not-a-number becomes null, keys texts, everything unknown its name.

    What is nested deeper than ``DEPTH`` or comes after ``MOST`` values becomes ``...``, so a value
    that holds itself ends too.
    """
    return _plain(value, 0, itertools.count())


def _plain(value: Any, depth: int, seen: Iterator[int]) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if value is None or isinstance(value, bool | int | float):
        return _plain_number(value)
    if depth >= DEPTH or next(seen) > MOST:
        return "..."
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {encodable(as_text(k)): _plain(v, depth + 1, seen) for k, v in items}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item, depth + 1, seen) for item in cast("Sequence[Any]", value)]
    return f"[{type(value).__name__}]"


def _plain_number(value: float | None) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    # Python refuses to print integers of more than 4300 digits.
    if isinstance(value, int) and value.bit_length() >= 1024:
        return "[large integer]"
    return value


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
