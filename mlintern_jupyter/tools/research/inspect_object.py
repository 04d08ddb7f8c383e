"""Looking names up in the installed libraries, in a helper process that can be killed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlintern_jupyter.child_environment import allowed
from mlintern_jupyter.children import ask_python
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import read_tool

TIMEOUT_S = 60.0
ANSWER_LIMIT = 64 * 1024
"""Bytes read of the helper; a longer answer is not one of ours."""

_CHILD = Path(__file__).with_name("inspect_child.py")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,9}")


class InspectionTools:
    """The tool ``inspect_object``."""

    async def inspect_object(self, ctx: ToolContext, name: str) -> ToolResult:
        """Signature, documentation and version of anything in an installed library.

        Say trl.SFTConfig, or trl.SFTConfig.packing for one of its parameters. Use it before writing
        code with a class you have not used in this session. It runs in a process of its own with a
        limit of 60 seconds, without tokens and without the notebook's folder on the path.

        Args:
            name: dotted path
        """
        if not _DOTTED.fullmatch(name) or len(name) > 200:
            raise ToolError(f"{name[:80]!r} is not a dotted name", do="say e.g. trl.SFTConfig")
        answer = await describe_name(name)
        if not answer.get("found"):
            raise _not_found(name, answer)
        facts = {
            key: answer[key] for key in ("name", "kind", "package", "version") if key in answer
        }
        return ToolResult(_as_text(answer), {"object": facts})


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tool of this file."""
    return [read_tool(InspectionTools().inspect_object)]


async def describe_name(name: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Ask the helper process; it and its children are gone when this returns.

    Raises:
        ToolError: it did not answer in time, died, or answered nonsense.
    """
    environment = allowed(os.environ) | {"HF_HUB_OFFLINE": "1"}
    try:
        answer, status = await ask_python(
            [str(_CHILD), name], timeout_s=timeout_s, limit=ANSWER_LIMIT, env=environment
        )
    except TimeoutError:
        raise ToolError(
            f"{name} was not found within {timeout_s:.0f} s", why="its library takes that to import"
        ) from None
    try:
        return json.loads(answer)
    except ValueError:
        raise ToolError(
            f"{name} could not be looked up", why=f"its import ended Python ({status})"
        ) from None


def _not_found(name: str, answer: dict[str, Any]) -> ToolError:
    if "error" in answer:
        return ToolError(f"{name} cannot be imported: {answer['error']}")
    return ToolError(
        f"{answer['at']} has no {answer['missing']!r}", do=f"nearest: {', '.join(answer['near'])}"
    )


def _as_text(answer: dict[str, Any]) -> str:
    lines = [f"{answer['kind']} {answer['name']}  ({answer['package']} {answer['version']})"]
    if "file" in answer:
        lines.append(f"{answer['file']}:{answer.get('line', 1)}")
    lines += [str(answer[key]) for key in ("signature", "value", "doc") if answer.get(key)]
    if "names" in answer:
        lines.append(f"names: {', '.join(answer['names'])}")
    return "\n".join(lines)
