"""Input cleanup, so that cell magics work with nothing below them and below comment lines."""

from __future__ import annotations

import re

_MAGIC = re.compile(r"%%(intern|job)(\s|$)")
_PROPOSED = re.compile(r"\s*# intern \S+ [\w-]+ ·")


def empty_body(lines: list[str]) -> list[str]:
    """Give a lone ``%%intern`` line a body, and drop comments above it; pure.

    The line that names a proposal (``hosts.ipython``) may stand above any cell magic. It is dropped
    there and nowhere else: line numbers of plain code stay what the person sees.
    """
    first = next(
        (i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")),
        None,
    )
    if first is None:
        return lines
    proposed = lines[first].startswith("%%") and any(map(_PROPOSED.match, lines[:first]))
    if not proposed and not _MAGIC.match(lines[first]):
        return lines
    kept = lines[first:]
    return [*kept, "\n"] if len(kept) == 1 else kept
