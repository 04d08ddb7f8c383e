"""What a model reads of an MCP server's answer: text and pictures, never anything fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.tools.base.answer import TEXT_LIMIT, clipped, finished, plain
from mlintern_jupyter.tools.base.pictures import with_pictures
from mlintern_jupyter.tools.mcp.manifest import seen

_PICTURES = frozenset({"image/png", "image/jpeg", "image/webp"})
MOST_BLOCKS = 500


@dataclass(frozen=True)
class McpAnswer:
    """An answer as it came, in plain data."""

    blocks: Sequence[Mapping[str, Any]]
    structured: Any = None
    ok: bool = True
    requested: tuple[str, ...] = ()
    """What the server wanted of the person or of our model meanwhile, and was refused."""


async def as_result(answer: McpAnswer, server: str, tool: str, sees: bool) -> ToolResult:
    """The answer, bounded, with where it came from."""
    blocks = answer.blocks[:MOST_BLOCKS]
    parts = [_text_of(block) for block in blocks]
    if len(answer.blocks) > MOST_BLOCKS:
        parts.append(f"[{len(answer.blocks) - MOST_BLOCKS} parts more, not shown]")
    # Servers repeat structured content as text for readers that know nothing else.
    if answer.structured is not None and not any(b.get("type") == "text" for b in blocks):
        parts.append(json.dumps(plain(answer.structured), ensure_ascii=False))
    parts += [f"[refused: the server asked for {words}]" for words in answer.requested]
    result = ToolResult(
        clipped("\n".join(parts) or "[nothing]", TEXT_LIMIT),
        {"mcp": {"server": server, "tool": tool[:80]}},
        ok=answer.ok,
        sources=(f"mcp:{server}",),
    )
    return finished(await with_pictures(result, _pictures(blocks), sees))


def _pictures(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    # The helper that makes pictures small enough goes by their bytes, not by this name.
    return [
        {"data": {"image/png": block.get("data", "")}}
        for block in blocks
        if block.get("type") == "image" and block.get("mimeType") in _PICTURES
    ]


def _text_of(block: Mapping[str, Any]) -> str:
    kind = block.get("type")
    if kind == "text":
        return str(block.get("text", ""))
    if kind in {"image", "audio"}:
        return (
            f"[{kind}: {_short(block.get('mimeType'))}, {len(str(block.get('data'))):,} characters]"
        )
    if kind == "resource_link":
        return f"[link, not fetched: {_short(block.get('name'))} {_short(block.get('uri'))}]"
    if kind == "resource":
        resource = cast("Mapping[str, Any]", block.get("resource") or {})
        name = _short(resource.get("uri"))
        if "text" in resource:
            return f"[{name}]\n{resource['text']}"
        return f"[{name}: {len(str(resource.get('blob'))):,} characters of data, not shown]"
    return f"[a part of kind {_short(kind)}, not shown]"


def _short(value: Any) -> str:
    return seen(str(value))[:200]
