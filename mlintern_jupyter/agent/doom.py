"""Doom loops: the same calls with the same outcome, again and again.

A call is the same as an earlier one if tool, arguments (whatever the order of their keys) and
result are; a failed one also if its error is the same and only arguments, numbers, paths, ids or
quoted names in it differ. Cycles of one to five calls are looked for at the end of what was
carried out, so a loop that was left is not named again; so are many calls in whatever order that
bring nothing new. Polling is no loop: its results differ.

A loop is named once (hint), then its next call is refused, then the turn is handed over. A model
that only repeats itself wastes at most ``max(6, two periods)`` calls beyond its first period.

Not covered: a loop whose every result differs, by a clock in it for instance; budgets end that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mlintern_jupyter.errors import Paused
from mlintern_jupyter.events import EffectSettled

Identity = tuple[str, int, frozenset[str]]
"""Kind and period of a loop, and the fingerprints of its calls."""
LONGEST_CYCLE = 5
ANSWERS = (6, 9)
"""The same answer of one tool to changing arguments: when that is named, and when it is refused."""
REMEMBERED = 5 * LONGEST_CYCLE
"""Calls that are looked at: more than the longest loop that can come about."""
_ERROR_LINE = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b.*")
_MASKS = (
    (re.compile(r"(?<!\w)'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"), "<name>"),
    (re.compile(r"[\w.~:-]*[/\\][^\s,;)\]]*"), "<path>"),
    (re.compile(r"\b(?:0x[0-9a-f]+|(?=[a-f-]*\d)[0-9a-f][0-9a-f-]{5,})\b"), "<id>"),
    (re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?"), "<n>"),
)
# The first line of a cell's result says how long it took.
_SECONDS = re.compile(r" after \d+(?:\.\d+)? s\b")


class LoopGoesOn(Paused):
    """The same calls went on after they were named and refused; another model may do better."""

    def __init__(self, evidence: Sequence[str]) -> None:
        self.evidence = tuple(evidence)
        super().__init__(
            "the intern repeats the same calls and gets the same results",
            why=f"it was told so and went on: {'; '.join(self.evidence)}.",
            do="say what to do instead with `%intern steer ...`, then `%intern resume`",
        )


@dataclass(frozen=True)
class Seen:
    """One call that was carried out, as far as loops go."""

    tool: str
    arguments: str
    """Canonical, so that the order of keys and white space do not matter."""
    outcome: str
    """Fingerprint that is equal for calls taken for the same."""
    answer: str
    """Fingerprint of tool and result alone; empty where the result only says that it was done."""
    failed: bool
    shown: str
    """First line of the result."""


@dataclass(frozen=True)
class Loop:
    """Calls at the end of what was carried out that lead nowhere."""

    kind: Literal["cycle", "answer", "nothing new"]
    period: int
    calls: tuple[Seen, ...]
    """All of them, the oldest first; the last period may be incomplete."""

    @property
    def identity(self) -> Identity:
        """Equal for the same loop later on, wherever in its cycle it stands."""
        return self.kind, self.period, frozenset(self._by_mark())

    @property
    def varies(self) -> bool:
        """Whether a call came with other arguments the next time: its outcome is what repeats."""
        return any(len({c.arguments for c in calls}) > 1 for calls in self._by_mark().values())

    @property
    def named_at(self) -> int:
        """Calls after which the loop is named: two periods, and at least three calls."""
        if self.kind == "cycle":
            return max(3, 2 * self.period)
        return ANSWERS[0] if self.kind == "answer" else self.refused_at

    @property
    def refused_at(self) -> int:
        """Calls after which it is refused: three periods; more patience with attempts that vary."""
        if self.kind == "cycle":
            return max(5 if self.varies else 4, 3 * self.period)
        return ANSWERS[1] if self.kind == "answer" else max(6, 2 * self.period)

    def holds(self, call: Seen) -> bool:
        """Whether a carried-out call came back as one of its calls did."""
        return self._mark(call) in self._by_mark()

    def goes_on_with(self, tool: str, arguments: str) -> bool:
        """Whether a call not made yet belongs to it."""
        varies = self.varies
        return any(
            tool == c.tool
            and (arguments == c.arguments or (varies and (c.failed or self.kind == "answer")))
            for c in self.calls
        )

    def evidence(self) -> list[str]:
        """One line for each of its calls: how often, and what came back."""
        return [
            f"{len(calls)} x {_short(calls[-1])} -> {calls[-1].shown}"
            for calls in self._by_mark().values()
        ]

    def said(self) -> str:
        """What happened, as a part of a sentence."""
        calls = [calls[-1] for calls in self._by_mark().values()]
        names = ", ".join(dict.fromkeys(_short(call) for call in calls))
        times = len(self.calls) // self.period
        if self.kind == "nothing new":
            return f"the last {len(self.calls)} calls brought nothing new: {names}"
        if not self.varies:
            return f"{names} came back the same {times} times"
        tools = ", ".join(dict.fromkeys(call.tool for call in calls))
        same = "answer" if self.kind == "answer" else "error"
        return f"calls of {tools} with other arguments came back with the same {same} {times} times"

    def _mark(self, call: Seen) -> str:
        return call.answer if self.kind == "answer" else call.outcome

    def _by_mark(self) -> dict[str, list[Seen]]:
        found: dict[str, list[Seen]] = {}
        for call in self.calls:
            found.setdefault(self._mark(call), []).append(call)
        return found


def seen(settled: EffectSettled, arguments: str) -> Seen:
    """A carried-out call with its fingerprints."""
    cell = str(settled.facts.get("cell") or "")
    text = settled.text
    if cell:
        # A new cell has a new id and takes its own time; the same cell again is the same call.
        head, newline, rest = text.replace(cell, "").partition("\n")
        text = _SECONDS.sub("", head) + newline + rest
    given = canonical(arguments)
    # What the person refused is their word on each proposal, not one error for all of them.
    failed = not settled.ok and settled.facts.get("state") != "skipped"
    same = error_fingerprint(text) if failed else f"{given}\0{text}"
    says_something = not failed and not cell and settled.tool != "plan"
    return Seen(
        tool=settled.tool,
        arguments=given,
        outcome=_mark(settled.tool, str(failed), same),
        answer=_mark(settled.tool, text) if says_something else "",
        failed=failed,
        shown=settled.text.partition("\n")[0][:100],
    )


def expected(tool: str, arguments: str, before: Sequence[Seen]) -> Seen:
    """A call that is on its way, as if it came back the way it did the last time."""
    given = canonical(arguments)
    for call in reversed(before):
        if (call.tool, call.arguments) == (tool, given):
            return call
    return Seen(tool, given, _mark(tool, "on its way", given), "", False, "on its way")


def find_loop(carried_out: Iterable[Seen]) -> Loop | None:
    """The loop at the end of the calls: one to be refused before one to be named, short first."""
    calls = tuple(carried_out)
    outcomes, answers = [c.outcome for c in calls], [c.answer for c in calls]
    lengths = {p: _repeated(outcomes, p) for p in range(1, LONGEST_CYCLE + 1)}
    loops = [Loop("cycle", p, calls[len(calls) - n :]) for p, n in lengths.items()]
    loops += [loop for loop in [nothing_new(calls)] if loop]
    if answers and answers[-1]:
        loops.append(Loop("answer", 1, calls[len(calls) - _repeated(answers, 1) :]))
    found = [loop for loop in loops if len(loop.calls) >= loop.named_at]
    late = [loop for loop in found if len(loop.calls) >= loop.refused_at]
    return next(iter(late or found), None)


def nothing_new(carried_out: Iterable[Seen]) -> Loop | None:
    """The calls at the end that all came back as one did before, if they are too many."""
    calls = tuple(carried_out)
    old = calls[len(calls) - _known_before([c.outcome for c in calls]) :]
    loop = Loop("nothing new", max(1, len({c.outcome for c in old})), old)
    return loop if len(old) >= loop.refused_at else None


def canonical(arguments: str) -> str:
    """The same text for the same JSON; what is no JSON stays as it is."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments.strip()
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def error_fingerprint(text: str) -> str:
    """What stays of an error when everything that changes from try to try is masked."""
    named = _ERROR_LINE.findall(text)
    kept = named[-1] if named else text.partition("\nfacts: ")[0]
    kept = kept[:600]
    for pattern, mask in _MASKS:
        kept = pattern.sub(mask, kept)
    return " ".join(kept.lower().split())


def _repeated(marks: Sequence[str], period: int) -> int:
    """How many marks at the end go round with this period, the first round included."""
    length = min(period, len(marks))
    while length < len(marks) and marks[-1 - length] == marks[-1 - length + period]:
        length += 1
    return length


def _known_before(marks: Sequence[str]) -> int:
    """How many marks at the end stand further in front as well: calls in whatever order."""
    first: dict[str, int] = {}
    for place, mark in enumerate(marks):
        first.setdefault(mark, place)
    length = 0
    while length < len(marks) and first[marks[-1 - length]] < len(marks) - 1 - length:
        length += 1
    return length


def _mark(*parts: str) -> str:
    text = "\0".join(parts)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _short(call: Seen) -> str:
    given = "" if call.arguments in {"", "{}"} else call.arguments
    return f"{call.tool}({given if len(given) <= 80 else f'{given[:77]}...'})"
