"""Pictures of a cell's outputs for a model that can see.

A PNG of usual size goes as it is. Anything else (a plotly figure, a large picture, a JPEG) is made
into one by a helper process that is killed when it takes too long or the intern is stopped: the
kernel neither decodes pictures nor imports matplotlib for it. What cannot be shown is left out, and
the result says so; its text speaks of every picture anyway.

Not covered: SVG, animations, and pictures inside HTML or widgets.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from mlintern_jupyter.children import ask_python
from mlintern_jupyter.hosts.plots import PLOTLY_MIME
from mlintern_jupyter.messages import PICTURE_BASE64_LIMIT, PICTURE_LONGEST_SIDE, ToolResult

MOST = 2
"""Pictures of one result: its last ones."""
TIMEOUT_S = 60.0
ANSWER_LIMIT = 2 * MOST * PICTURE_BASE64_LIMIT

_PNG = b"\x89PNG\r\n\x1a\n"
_ENVIRONMENT = [
    "PATH",
    "HOME",
    "LANG",
    "PYTHONPATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "MPLCONFIGDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
]
"""What drawing needs. No key and no token is among them."""


async def with_pictures(
    result: ToolResult, outputs: Iterable[Mapping[str, Any]], sees: bool
) -> ToolResult:
    """The result with the last pictures among a cell's outputs; unchanged for who cannot see."""
    found = _found(outputs) if sees else []
    if not found:
        return result
    wanted = found[-MOST:]
    ready: list[str | None] = [g if isinstance(g, str) and _is_small(g) else None for g in wanted]
    to_make = [given for given, done in zip(wanted, ready, strict=True) if done is None]
    made = iter(await _made(to_make) if to_make else [])
    images = tuple(image for done in ready if (image := done or next(made)))
    notes = [f"[{len(found)} pictures; only the last {MOST} are shown]"] * (len(found) > MOST)
    if missing := len(wanted) - len(images):
        notes.append(f"[{missing} of the pictures could not be made small enough to be shown]")
    return replace(result, text="\n".join([result.text, *notes]), images=images)


def _found(outputs: Iterable[Mapping[str, Any]]) -> list[str | dict[str, Any]]:
    """Every picture in order: base64 text, or a figure as plotly's JSON where nothing is drawn."""
    found: list[str | dict[str, Any]] = []
    for output in outputs:
        data = cast("Mapping[str, Any]", output.get("data") or {})
        drawn = data.get("image/png") or data.get("image/jpeg")
        figure = data.get(PLOTLY_MIME)
        if drawn:
            lines = cast("list[str]", drawn) if isinstance(drawn, list) else [str(drawn)]
            found.append("".join("".join(lines).split()))
        elif isinstance(figure, dict):
            found.append(cast("dict[str, Any]", figure))
    return found


def _is_small(picture: str) -> bool:
    """A PNG, by its first bytes, within the limits."""
    if len(picture) > PICTURE_BASE64_LIMIT:
        return False
    try:
        head = base64.b64decode(picture, validate=True)[:24]
    except (binascii.Error, ValueError):
        return False
    sides = (int.from_bytes(head[16:20]), int.from_bytes(head[20:24]))
    return head.startswith(_PNG) and min(sides) > 0 and max(sides) <= PICTURE_LONGEST_SIDE


async def _made(wanted: list[str | dict[str, Any]]) -> list[str | None]:
    """What the helper makes of them; it and its children are gone when this returns."""
    environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    try:
        answer, _ = await ask_python(
            ["-m", "mlintern_jupyter.hosts.picture"],
            timeout_s=TIMEOUT_S,
            limit=ANSWER_LIMIT,
            env=environment | {"OMP_NUM_THREADS": "1"},
            given=json.dumps(wanted, default=str).encode(),
        )
        return json.loads(answer)
    except (TimeoutError, ValueError):
        # Too slow, or dead: the text has to do.
        return [None] * len(wanted)
