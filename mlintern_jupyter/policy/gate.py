"""The one gate every tool call passes before its effect, and the leave it gives: a ``Grant``.

::

    judge(terms, arguments) ─► Ruling ─┬─ allow ─► grant
                                       ├─ ask ───► Asked, Answered(yes) ─► grant_answered
                                       └─ deny
    Grant.use(terms, arguments)        once, for exactly these; whatever differs is refused

A ruling gives one grant at most, and only by the gate that made it. No promise rests on the model:
what it read decides (``sources``), not what it says of it.

Not covered: Python that reaches into this module on purpose. Code in the kernel has the person's
rights; a cell is judged before it runs, not by this gate.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mlintern_jupyter.commands import Mode
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.events import Answered, Asked
from mlintern_jupyter.policy.autorun import may_run_unreviewed
from mlintern_jupyter.policy.rules import UNDECLARED, Rules, stricter
from mlintern_jupyter.protocols import CallTerms, Grant, Verdict

OUTWARD = frozenset({"network-write", "spend", "publish", "delete", UNDECLARED})
"""Effects that leave this machine or last: never by themselves after untrusted text was read."""
_SEEN_BY_OTHERS = frozenset({"public", "unknown"})
_SEAL_OF_THE_GATE = object()


@dataclass(frozen=True, eq=False)
class Ruling:
    """The gate's word on one call."""

    verdict: Verdict
    why: str
    """Which rule, and what for; empty where there is nothing to say."""
    sha256: str
    """Of tool, exact arguments and terms: what a yes would allow."""
    terms: CallTerms
    sources: tuple[str, ...]
    """Untrusted text that was read since the person spoke last."""


class Gate:
    """Judges the calls of one agent.

    Args:
        rules: from ``load_rules``.
        mode: as it stands now; ``unattended`` asks nobody.
        sources: tells what untrusted text the agent has read since the person spoke last.
    """

    def __init__(
        self, rules: Rules, mode: Callable[[], Mode], sources: Callable[[], tuple[str, ...]]
    ) -> None:
        self._rules = rules
        self._mode = mode
        self._sources = sources
        self._open: weakref.WeakSet[Ruling] = weakref.WeakSet()
        self._answered: set[tuple[str, int, str, str]] = set()

    def judge(self, terms: CallTerms, arguments: Mapping[str, Any]) -> Ruling:
        """The strictest verdict over everything a call would do.

        Raises:
            ToolError: the arguments cannot be told exactly, so nobody could agree to them.
        """
        sources = self._sources()
        verdict, why = self._verdict(terms, sources)
        ruling = Ruling(verdict, why, sha256_of(terms, arguments), terms, sources)
        self._open.add(ruling)
        return ruling

    def grant(self, ruling: Ruling) -> Grant:
        """Leave for a call that nobody has to be asked about.

        Raises:
            ToolError: it is not allowed, or this ruling gave its grant already.
        """
        if ruling.verdict != "allow":
            raise ToolError(f"{ruling.terms.tool} was not allowed", why=ruling.why)
        return self._give(ruling)

    def grant_answered(self, ruling: Ruling, answered: Answered, question: Asked) -> Grant:
        """Leave for a call that the person said yes to, exactly as they were asked.

        Raises:
            ToolError: they said no, were asked about something else, or the rules deny it.
        """
        tool = ruling.terms.tool
        if ruling.verdict == "deny":
            raise ToolError(f"{tool} was not allowed", why=ruling.why)
        if not answered.yes:
            raise ToolError(f"the person refused {tool}", why=answered.reason)
        if (question.call, question.tool, question.grant) != (answered.call, tool, ruling.sha256):
            raise ToolError(
                f"{tool} was not allowed",
                why="the person was asked about something else",
                do="call it again",
            )
        answer = (question.agent, question.step, question.call, question.grant)
        if answer in self._answered:
            raise ToolError(f"{tool} was not allowed", why="one yes is for one call")
        grant = self._give(ruling)
        self._answered.add(answer)
        return grant

    def _give(self, ruling: Ruling) -> Grant:
        if ruling not in self._open:
            raise ToolError(
                f"{ruling.terms.tool} was not allowed",
                why="this ruling was used already, or is not the gate's",
            )
        self._open.remove(ruling)
        return _Grant(ruling.sha256, _SEAL_OF_THE_GATE)

    def _verdict(self, terms: CallTerms, sources: tuple[str, ...]) -> tuple[Verdict, str]:
        verdict, why = self._by_rules(terms)
        outward = sorted(_effects(terms) & OUTWARD)
        if verdict == "allow" and outward and sources:
            shown = ", ".join(sources)
            verdict = "ask"
            why = f"{' and '.join(outward)} asks after untrusted text was read: {shown}"
        if verdict == "ask" and self._mode() == "unattended":
            return "deny", f"{why}; in unattended mode nobody is asked"
        return verdict, why

    def _by_rules(self, terms: CallTerms) -> tuple[Verdict, str]:
        verdict: Verdict = "allow"
        why = ""
        for effect in sorted(_effects(terms)):
            found, rule = self._rules.verdict(terms.tool, effect)
            if stricter(found, verdict):
                verdict, why = found, rule
        if verdict == "allow" and _price(terms) is None:
            verdict, why = "ask", "what it costs is not known"
        return verdict, why


class _Grant:
    """``protocols.Grant``. Only this module has the seal it is made with."""

    def __init__(self, sha256: str, seal: object) -> None:
        if seal is not _SEAL_OF_THE_GATE:
            raise TypeError("a grant is made by the gate alone")
        self.sha256 = sha256
        self._unused = threading.Lock()

    def use(self, terms: CallTerms, arguments: Mapping[str, Any]) -> None:
        """Consume it. Raises ``ToolError`` if it is for anything else, or was used."""
        if not self._unused.acquire(blocking=False):
            raise ToolError(f"{terms.tool} was not carried out", why="its grant was used already")
        if sha256_of(terms, arguments) != self.sha256:
            raise ToolError(
                f"{terms.tool} was not carried out",
                why="what it would do now is not what was allowed",
                do="call it again",
            )


def sha256_of(terms: CallTerms, arguments: Mapping[str, Any]) -> str:
    """Of tool, exact arguments and terms, in one spelling.

    Raises:
        ToolError: something in the arguments is not plain JSON.
    """
    given = dict(arguments)
    bound = {
        "tool": terms.tool,
        "arguments": given,
        "effects": sorted(terms.effects),
        "price_usd": _price(terms),
        "visibility": terms.visibility,
    }
    # Only where there are any: what was asked before there were such terms keeps its grant.
    if terms.hosts or terms.keys:
        bound |= {"hosts": sorted(terms.hosts), "keys": sorted(terms.keys)}
    try:
        text = json.dumps(bound, sort_keys=True, allow_nan=False, separators=(",", ":"))
        # Two values that are spelled alike, as the keys 1 and "1" are, would share a yes.
        if json.loads(text)["arguments"] != given:
            raise ValueError("they are not plain JSON")
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(
            f"the arguments of {terms.tool} cannot be told exactly", why=str(error)
        ) from None
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _effects(terms: CallTerms) -> frozenset[str]:
    """What a call does besides what it declares: a price spends, a public trace publishes."""
    found: set[str] = set(terms.effects or {UNDECLARED})
    if (_price(terms) or 0) > 0:
        found.add("spend")
    if terms.visibility in _SEEN_BY_OTHERS:
        found.add("publish")
    return frozenset(found)


def _price(terms: CallTerms) -> float | None:
    """In USD; ``None`` where it is not known, or not a price."""
    price = terms.price_usd
    return float(price) if price is not None and 0 <= price < math.inf else None


def runs_unreviewed(mode: Mode, allowed_kinds: Collection[str], kind: str, source: str) -> bool:
    """Whether a code cell runs without waiting for a person.

    Args:
        mode: as it stands now; ``unattended`` waits for nobody.
        allowed_kinds: kinds the person said yes to for this turn.
        kind: what the cell is.
        source: its text, which the static guard must pass in every other mode.
    """
    if mode == "unattended":
        return True
    if mode == "review" and kind not in allowed_kinds:
        return False
    return not may_run_unreviewed(source)
