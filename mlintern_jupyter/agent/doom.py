"""What counts as a doom loop: the same calls with the same outcome, again and again.

A call is the same as an earlier one if tool, arguments (whatever the order of their keys) and
result are; a failed one also if its error is the same and only arguments, numbers, paths, ids or
quoted names in it differ. A loop is made of the last calls that are of so few kinds that most of
them, in whatever order, brought nothing new::

    read load plan  x y  y x y x      two kinds, x and y; the last four calls are wasted

Polling is no loop: its results differ. What is done about a loop is in ``doom_policy``.

Not covered: a loop whose every result differs, by a clock in it for instance; budgets end that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mlintern_jupyter.events import EffectSettled

LONGEST = 8
"""Kinds of calls in one loop."""
REMEMBERED = 3 * LONGEST + 1
"""Calls that are looked at: all until the longest loop is refused."""
_ERROR_LINE = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b.*")
_MASKS = (
    (re.compile(r"(?<!\w)'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"), "<name>"),
    (re.compile(r"[\w.~:-]*[/\\][^\s,;)\]]*"), "<path>"),
    (re.compile(r"\b(?:0x[0-9a-f]+|(?=[a-f-]*\d)[0-9a-f][0-9a-f-]{5,})\b"), "<id>"),
    (re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?"), "<n>"),
)
# The first line of a cell's result says how long it took.
_SECONDS = re.compile(r" after \d+(?:\.\d+)? s\b")


@dataclass(frozen=True)
class PastCall:
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


class Thresholds(NamedTuple):
    """Wasted calls at which something is done about a loop."""

    warned: int
    """One period in the same order, at least two calls: it is named."""
    refused: int
    """Two periods in any order, at least three calls, four if arguments vary."""
    bound: int
    """From here on it is refused even if a new plan was made."""


@dataclass(frozen=True)
class Loop:
    """The last calls of a turn, which lead nowhere."""

    same: Literal["outcome", "answer"]
    """What repeats: the whole call, or only the answer of one tool to changing arguments."""
    calls: tuple[PastCall, ...]
    """The oldest first."""

    @property
    def kinds(self) -> list[str]:
        """For each call the fingerprint of what repeats."""
        return [c.answer if self.same == "answer" else c.outcome for c in self.calls]

    @property
    def identity(self) -> frozenset[str]:
        """Equal for the same loop later on, wherever in its period it stands."""
        return frozenset(self.kinds)

    @property
    def wasted(self) -> int:
        """Calls after the last one that brought something new."""
        kinds = self.kinds
        return len(kinds) - 1 - kinds.index(list(dict.fromkeys(kinds))[-1])

    @property
    def thresholds(self) -> Thresholds:
        """When something is done about it."""
        kinds, period = self.kinds, len(self.identity)
        if self.same == "answer":
            return Thresholds(5, 8, 11)
        refused = max(4 if self._varies() else 3, 2 * period)
        in_order = kinds[-period:] == kinds[-2 * period : -period]
        return Thresholds(max(2, period) if in_order else refused, refused, max(6, 2 * period))

    def goes_on_with(self, tool: str, arguments: str) -> bool:
        """Whether a call not made yet, with canonical arguments, belongs to it."""
        varies = self._varies()
        return any(
            tool == c.tool
            and (arguments == c.arguments or (varies and (c.failed or self.same == "answer")))
            for c in self.calls
        )

    def evidence(self) -> list[str]:
        """One line for each kind of its calls: how often, and what came back."""
        times = Counter(self.kinds)
        return [f"{times[k]} x {_short(call)} -> {call.shown}" for k, call in self._last().items()]

    def said(self) -> str:
        """What happened, as a part of a sentence."""
        last, kinds = self._last(), self.kinds
        times = f"{len(kinds) // len(last)} times"
        if self._varies():
            tools = ", ".join(dict.fromkeys(call.tool for call in last.values()))
            same = "answer" if self.same == "answer" else "error"
            return f"calls of {tools} with other arguments came back with the same {same} {times}"
        names = ", ".join(dict.fromkeys(map(_short, last.values())))
        if kinds[len(last) :] == kinds[: -len(last)]:
            return f"{names} came back the same {times}"
        return f"the last {len(kinds)} calls brought nothing new: {names}"

    def _varies(self) -> bool:
        """Whether a call came with other arguments the next time: its outcome is what repeats."""
        return len({(c.outcome, c.arguments) for c in self.calls}) > len(self.identity)

    def _last(self) -> dict[str, PastCall]:
        return dict(zip(self.kinds, self.calls, strict=True))


def past_call(settled: EffectSettled, arguments: str) -> PastCall:
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
    return PastCall(
        tool=settled.tool,
        arguments=given,
        outcome=_fingerprint(settled.tool, str(failed), same),
        answer=_fingerprint(settled.tool, text) if says_something else "",
        failed=failed,
        shown=settled.text.partition("\n")[0][:100],
    )


def expected(tool: str, arguments: str, before: Sequence[PastCall]) -> PastCall:
    """A call that has not come back yet, as if it came back the way it did the last time."""
    given = canonical(arguments)
    for call in reversed(before):
        if (call.tool, call.arguments) == (tool, given):
            return call
    return PastCall(tool, given, _fingerprint(tool, "on its way", given), "", False, "on its way")


def find_loop(calls: tuple[PastCall, ...]) -> Loop | None:
    """The loop at the end of the calls: one to be refused before one to be named, short first."""
    ends = _ends([call.outcome for call in calls])
    loops = [Loop("outcome", calls[-n:]) for kinds, n in enumerate(ends, 1) if n >= 2 * kinds]
    if calls and calls[-1].answer:
        loops.append(Loop("answer", calls[-_ends([call.answer for call in calls])[0] :]))
    found = [loop for loop in loops if loop.wasted >= loop.thresholds.warned]
    late = [loop for loop in found if loop.wasted >= loop.thresholds.refused]
    return next(iter(late or found), None)


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


def _ends(kinds: Sequence[str]) -> list[int]:
    """How many calls at the end are of one kind, of two kinds, of three and so on."""
    found: set[str] = set()
    lengths: list[int] = []
    for length, kind in enumerate(reversed(kinds), 1):
        if kind not in found:
            if len(found) == LONGEST:
                break
            found.add(kind)
            lengths.append(length)
        lengths[-1] = length
    return lengths


def _fingerprint(*parts: str) -> str:
    text = "\0".join(parts)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _short(call: PastCall) -> str:
    given = "" if call.arguments in {"", "{}"} else call.arguments
    return f"{call.tool}({given if len(given) <= 80 else f'{given[:77]}...'})"
