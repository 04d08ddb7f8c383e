"""Fenced blocks of a Markdown page, as a reader sees them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTEND = ROOT / "docs" / "extend"
FENCED = re.compile(r"^(`{3,4})(\w*)[ \t]*([^\n`]*)\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What stands between two fences, with its language and the name behind it."""

    language: str
    name: str
    text: str


def blocks(page: str) -> list[Block]:
    """Every block of a page of ``docs/extend``, in order."""
    text = (EXTEND / page).read_text(encoding="utf-8")
    return [Block(m[2], m[3].strip(), m[4]) for m in FENCED.finditer(text)]


def block(page: str, name: str) -> str:
    """The text of the one block of this name."""
    (found,) = (each for each in blocks(page) if each.name == name)
    return found.text
