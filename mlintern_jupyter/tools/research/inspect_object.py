"""Looking names up in the installed libraries, in a helper process that can be killed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from mlintern_jupyter.child_environment import allowed
from mlintern_jupyter.children import ask_python
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import ToolContext

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
        told = await look_up(name)
        if not told.get("found"):
            raise _not_found(name, told)
        facts = {key: told[key] for key in ("name", "kind", "package", "version") if key in told}
        return ToolResult(_as_text(told), {"object": facts})


async def look_up(name: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
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


def _not_found(name: str, told: dict[str, Any]) -> ToolError:
    if "error" in told:
        return ToolError(f"{name} cannot be imported: {told['error']}")
    return ToolError(
        f"{told['at']} has no {told['missing']!r}", do=f"nearest: {', '.join(told['near'])}"
    )


def _as_text(told: dict[str, Any]) -> str:
    lines = [f"{told['kind']} {told['name']}  ({told['package']} {told['version']})"]
    if "file" in told:
        lines.append(f"{told['file']}:{told.get('line', 1)}")
    lines += [str(told[key]) for key in ("signature", "value", "doc") if told.get(key)]
    if "names" in told:
        lines.append(f"names: {', '.join(told['names'])}")
    return "\n".join(lines)
