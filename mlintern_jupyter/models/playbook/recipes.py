"""Which page of the recipe book comes next, and what to fill into it.

The order: stage, then what a page says it comes ``after`` (the order of evidence), then the more
specific page (more conditions), then the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

Entry = Mapping[str, Any]
"""One page in the list that ``recipe`` gives."""


def ordered(entries: Sequence[Entry], stages: Sequence[str], seed: int) -> list[Entry]:
    """The pages of some stages that make a cell, in the order in which to try them."""
    by_name = {str(e["name"]): e for e in entries}

    def key(entry: Entry) -> tuple[int, int, int, str]:
        name = str(entry["name"])
        conditions = cast("Mapping[str, Any]", entry.get("when") or {})
        tie = hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
        return (stages.index(entry["stage"]), _depth(name, by_name, ()), -len(conditions), tie)

    return sorted((e for e in entries if e.get("kind") and e.get("stage") in stages), key=key)


def _depth(name: str, entries: Mapping[str, Entry], above: tuple[str, ...]) -> int:
    """How many pages come before a page, counting only those that are there."""
    before = [str(n) for n in entries[name].get("after") or () if n in entries and n not in above]
    return max((1 + _depth(n, entries, (*above, name)) for n in before), default=0)


def lacks(entry: Entry, known: Collection[str]) -> list[str]:
    """What a page needs and nobody knows."""
    return [str(n) for n in entry.get("needs") or () if n not in known]


def filled(entry: Entry, known: Mapping[str, Any]) -> dict[str, Any]:
    """Values for a page out of what is known; its defaults stand for the rest."""
    names = [*(entry.get("needs") or ()), *(entry.get("values") or ())]
    return {name: known[name] for name in names if name in known}


def default_steps(entry: Entry) -> int:
    """Optimizer steps a page takes by itself; 0 if it trains nothing."""
    values = cast("Mapping[str, Any]", entry.get("values") or {})
    return int(values.get("steps") or 0)
