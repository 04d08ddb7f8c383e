"""What an MCP server offers: the words a person says yes to, and what changed in them.

The hash covers where the server is and every name, description and schema to the letter. What is
shown of them, to the person and to the model alike, is the same text without invisible characters,
cut at the same length.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

MOST_TOOLS = 200
DESCRIPTION_LIMIT = 1_500
SCHEMA_LIMIT = 20_000
"""Characters; a tool that needs more to say its parameters is left out."""
MANIFEST_LIMIT = 1_000_000
CHANGES_LIMIT = 16_000
NAME_LIMIT = 64
"""Characters of a tool's name that every provider takes."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


@dataclass(frozen=True)
class Offered:
    """One tool in its server's words."""

    name: str
    description: str
    schema: dict[str, Any]
    read_only: bool = False
    """The server's claim; nobody has checked it."""

    @property
    def shown_description(self) -> str:
        """The description as anybody is shown it."""
        return seen(self.description)[:DESCRIPTION_LIMIT]

    @property
    def shown_schema(self) -> dict[str, Any]:
        """The schema as anybody is shown it."""
        return cast("dict[str, Any]", _seen_data(self.schema))


@dataclass(frozen=True)
class Manifest:
    """Everything a server offers."""

    where: str
    """Program or address, without any variable's value."""
    tools: tuple[Offered, ...]
    left_out: tuple[str, ...] = field(default=(), compare=False)
    """Names of tools that are not offered on: said twice, too many or too long."""

    @property
    def sha256(self) -> str:
        """Of where it is and of all its words."""
        return hashlib.sha256(json.dumps(self.data(), sort_keys=True).encode()).hexdigest()

    def find(self, name: str) -> Offered | None:
        """The tool of that name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def data(self) -> dict[str, Any]:
        """As JSON data."""
        return {"where": self.where, "tools": [asdict(tool) for tool in self.tools]}

    @classmethod
    def of(cls, where: str, tools: list[Offered]) -> Manifest:
        """In a fixed order, without what no model should be handed."""
        kept: dict[str, Offered] = {}
        left_out: list[str] = []
        size = 0
        for tool in sorted(tools, key=lambda t: t.name):
            length = len(json.dumps(asdict(tool)))
            fits = len(kept) < MOST_TOOLS and size + length <= MANIFEST_LIMIT
            if tool.name in kept or not fits or len(json.dumps(tool.schema)) > SCHEMA_LIMIT:
                left_out.append(seen(tool.name)[:80])
                continue
            kept[tool.name] = tool
            size += length
        return cls(where, tuple(kept.values()), tuple(left_out[:MOST_TOOLS]))

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Manifest:
        """What ``data`` wrote. Raises KeyError or TypeError for anything else."""
        return cls(data["where"], tuple(Offered(**tool) for tool in data["tools"]))


def public_name(server: str, tool: str) -> str:
    """``SERVER__TOOL`` in the letters and the length every provider takes; never the same for two.

    No tool of ours has two underscores in its name.
    """
    name = f"{server}__{re.sub(r'[^a-zA-Z0-9_-]', '_', tool)}"
    if name == f"{server}__{tool}" and len(name) <= NAME_LIMIT:
        return name
    mark = hashlib.sha256(tool.encode("utf-8", "replace")).hexdigest()[:6]
    return f"{name[: NAME_LIMIT - 7]}_{mark}"


def changes(old: Manifest | None, new: Manifest) -> str:
    """What a person reads before saying yes to a server, or to what became of it."""
    if old is None:
        lines = [f"new server at {seen(new.where)}, in its own words:"]
        lines += [_introduced(tool) for tool in new.tools]
        return _bounded("\n".join(lines))
    lines = [f"was at {seen(old.where)}, is at {seen(new.where)}"] * (old.where != new.where)
    lines += [f"no longer there: {seen(t.name)}" for t in old.tools if not new.find(t.name)]
    for tool in new.tools:
        before = old.find(tool.name)
        if before is None:
            lines.append(f"new: {_introduced(tool)}")
        elif before != tool:
            lines += [f"changed: {seen(tool.name)}", *_difference(before, tool)]
    return _bounded("\n".join(lines))


def seen(text: str) -> str:
    """The text without characters that nobody sees: controls, formats, private ones, half ones."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _UNSEEN)


def _seen_data(value: Any) -> Any:
    if isinstance(value, str):
        return seen(value)
    if isinstance(value, list):
        return [_seen_data(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {seen(k): _seen_data(v) for k, v in cast("dict[str, Any]", value).items()}
    return value


def _introduced(tool: Offered) -> str:
    claim = " [says that it only reads]" if tool.read_only else ""
    schema = json.dumps(tool.shown_schema, ensure_ascii=False)
    return f"- {seen(tool.name)}{claim}: {tool.shown_description}\n  parameters: {schema}"


def _difference(before: Offered, after: Offered) -> list[str]:
    texts = [
        json.dumps(asdict(tool), indent=1, ensure_ascii=False)[: 2 * SCHEMA_LIMIT]
        for tool in (before, after)
    ]
    # One sentence a line: a description is one long line of JSON.
    old, new = ([seen(line) for line in re.split(r"\n|(?<=[.!?]) |\\n", text)] for text in texts)
    return list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]


def _bounded(text: str) -> str:
    if len(text) <= CHANGES_LIMIT:
        return text
    return f"{text[:CHANGES_LIMIT]}\n[... {len(text) - CHANGES_LIMIT:,} characters more ...]"
