"""The instructions a model is given: Markdown files, with the parts on tools that are there."""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib.resources import files

_PART = re.compile(r"<!-- if (\w+) -->\n?(.*?)<!-- end -->\n?", re.DOTALL)
"""``<!-- if compute -->, `evaluate` for numbers<!-- end -->``: said while that toolset is on."""


def system_prompt(toolsets: Collection[str]) -> str:
    """What the intern is told first.

    Args:
        toolsets: those that are on; nothing is said of the others.
    """
    text = files("mlintern_jupyter.context").joinpath("prompts/system.md").read_text("utf-8")
    return _PART.sub(lambda part: part[2] if part[1] in toolsets else "", text)
