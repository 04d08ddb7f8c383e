"""What a compacted conversation always begins with, in the person's own words where they are.

The goal and the rules stand whatever they take; the rest fills up to ``pinned_tokens`` by rank:
the best result, the plan, the last edits, what the person said, older edits, known facts.

For the intern itself, from its state::

    pinned_text(
        goal=state.goal, request=state.turn_text, briefing=state.briefing,
        words=state.words,  # texts of Steered and of earlier TurnStarted, in order
        plan=state.plan, best=..., edits=edits_of(state.cells.values()), facts=state.facts,
        max_tokens=pinned_tokens(window.context_tokens),
    )

and for a sub-agent ``pinned_text(goal=task, max_tokens=...)``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mlintern_jupyter.cells import source_sha256
from mlintern_jupyter.context.meter import BYTES_PER_TOKEN, text_bytes
from mlintern_jupyter.context.reference import MARK, facts_in, facts_line, head_of
from mlintern_jupyter.events import CellProposed, CellStarted

SHARE = 0.15
UNKNOWN_WINDOW_TOKENS = 4_000
EDITS_WHOLE = 5
DIFF = 700
"""Characters of one edit."""
PREFERENCE = 160
WORDS = 1_500
"""Characters of one thing the person said."""


@dataclass(frozen=True)
class Edit:
    """What the person changed in a cell before it ran."""

    cell_id: str
    kind: str
    proposed: str
    ran: str

    def as_diff(self) -> str:
        """The changed lines with one around them, bounded."""
        text = "\n".join(self._changes(1))
        return text if len(text) <= DIFF else f"{text[:DIFF].rstrip()}\n[{len(text):,} characters]"

    def as_line(self) -> str:
        """The first thing that was changed."""
        changes = [line for line in self._changes(0) if not line.startswith("@@")]
        old = next((line[1:].strip() for line in changes if line.startswith("-")), "nothing")
        new = next((line[1:].strip() for line in changes if line.startswith("+")), "nothing")
        half = PREFERENCE // 2
        return f"{self.kind} cell {self.cell_id}: `{old[:half]}` became `{new[:half]}`"

    def _changes(self, around: int) -> list[str]:
        lines = self.proposed.splitlines(), self.ran.splitlines()
        return list(difflib.unified_diff(*lines, lineterm="", n=around))[2:]


class Cell(Protocol):
    """A cell of the session and what became of it (``record.cell_record.CellRecord``)."""

    @property
    def proposed(self) -> CellProposed:
        """As the intern wrote it."""
        ...

    @property
    def started(self) -> CellStarted | None:
        """As it ran last, if it did."""
        ...


def edits_of(cells: Iterable[Cell]) -> tuple[Edit, ...]:
    """The cells that ran with another text than was proposed, in the order given."""
    return tuple(
        Edit(cell.proposed.cell_id, cell.proposed.kind, cell.proposed.source, cell.started.source)
        for cell in cells
        if cell.started and source_sha256(cell.started.source) != source_sha256(_text(cell))
    )


def pinned_tokens(context_tokens: int | None) -> int:
    """The most that the pinned text should take of a window."""
    return UNKNOWN_WINDOW_TOKENS if context_tokens is None else int(SHARE * context_tokens)


def pinned_text(
    *,
    goal: str,
    max_tokens: int,
    request: str = "",
    briefing: str = "",
    words: Sequence[str] = (),
    plan: Sequence[Mapping[str, str]] = (),
    best: str = "",
    edits: Sequence[Edit] = (),
    facts: Mapping[str, Any] | None = None,
) -> str:
    """The text; it ends with a ``facts:`` line where there are facts.

    Args:
        goal: verbatim, always.
        max_tokens: at bytes / 3; goal, request and briefing may pass it.
        request: of the turn that runs, verbatim, always.
        briefing: what the session added to it, always; its facts go to the facts line.
        words: what the person said besides, the newest last.
        plan: items with ``step`` and ``state``.
        best: the best result so far in one line, with split and n.
        edits: by the person, the newest last.
        facts: what the results so far established.
    """
    sections = [f"The goal, in the person's words:\n{goal}"]
    if request and request != goal:
        sections.append(f"The request of this turn, in the person's words:\n{request}")
    rules, said = _without_facts(briefing)
    if rules:
        sections.append(f"Rules:\n{rules}")
    last = facts_line({}, 0, said)
    left = max_tokens * BYTES_PER_TOKEN - text_bytes("\n\n".join([*sections, last]))
    for title, parts in (
        ("Best result so far:", [best] if best else []),
        ("Plan:", ["\n".join(_plan_line(item) for item in plan)] if plan else []),
        ("What the person changed in your cells, the last first (it is what they want):",
         [f"{e.kind} cell {e.cell_id}:\n{e.as_diff()}" for e in edits[::-1][:EDITS_WHOLE]]),
        ("What the person said, the last first:",
         [f"- {head_of(text, WORDS, 'recall(query=...)')}" for text in words[::-1]]),
        ("Earlier changes of the person, as preferences:",
         [f"- {e.as_line()}" for e in edits[::-1][EDITS_WHOLE:]]),
    ):  # fmt: skip
        section = _fitting(title, parts, left)
        if section:
            sections.append(section)
            left -= text_bytes(section) + 2
    last = facts_line(facts or {}, max(0, left - 40), said)
    return "\n\n".join(part for part in (*sections, last) if part)


def _fitting(title: str, parts: Sequence[str], left: int) -> str:
    """As many parts as fit, with the number of the others and how to find them."""
    note = "[{} more: recall(query=...)]"
    left -= len(title) + len(note) + 8
    kept: list[str] = []
    for part in parts:
        size = text_bytes(part) + 1
        if size > left:
            break
        kept.append(part)
        left -= size
    if not kept:
        return ""
    more = len(parts) - len(kept)
    return "\n".join([title, *kept, *([note.format(more)] if more else [])])


def _without_facts(briefing: str) -> tuple[str, dict[str, Any]]:
    facts = facts_in(briefing)
    head, _, last = briefing.rstrip().rpartition("\n")
    return (head, facts) if facts and last.startswith(MARK) else (briefing, {})


def _plan_line(item: Mapping[str, str]) -> str:
    return f"- [{item.get('state', 'pending')}] {item.get('step', '')}"


def _text(cell: Cell) -> str:
    return cell.proposed.source
