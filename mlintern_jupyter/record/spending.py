"""What a session used, folded from the facts about its model calls and tools."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from mlintern_jupyter.events import EffectSettled, Fact, Reserved, Settled
from mlintern_jupyter.usage import CallKind, KindSpent, Spent, Usage


@dataclass
class Spending:
    """Money, tokens, steps and time. A reservation that was never settled stays counted."""

    step_kind: CallKind = "main"
    """Model calls of this kind are steps when they gave a reply."""
    spent: Spent = field(default_factory=Spent)
    by_kind: dict[CallKind, KindSpent] = field(default_factory=dict[CallKind, KindSpent])
    """What model calls used, by what they were for."""
    last_usage: Usage = field(default_factory=Usage)
    """Of the intern's newest model call."""
    _open: list[Reserved] = field(default_factory=list[Reserved])

    def apply(self, fact: Fact) -> None:
        """Take a committed fact into account; most facts cost nothing."""
        if isinstance(fact, Reserved):
            self._open.append(fact)
            self._count_reserved()
        elif isinstance(fact, Settled):
            self._settled(fact)
        elif isinstance(fact, EffectSettled) and not fact.agent:
            self.spent = replace(self.spent, seconds=self.spent.seconds + fact.seconds)

    def _settled(self, fact: Settled) -> None:
        call = (fact.step, fact.agent, fact.kind)
        mine = [i for i, r in enumerate(self._open) if (r.step, r.agent, r.kind) == call]
        if mine:
            # The newest: an older one of the same step is a call that a crash made unaccountable.
            del self._open[mine[-1]]
        is_main = fact.kind == self.step_kind
        self.spent = replace(
            self.spent,
            steps=self.spent.steps + (is_main and fact.replied),
            usage=self.spent.usage + fact.usage,
            usd=_sum(self.spent.usd, fact.usd),
            # A call of the intern waits for its sub-agents: their time is in that call's.
            seconds=self.spent.seconds + (0.0 if fact.agent else fact.seconds),
        )
        if is_main and fact.replied:
            self.last_usage = fact.usage
        before = self.by_kind.get(fact.kind, KindSpent())
        self.by_kind[fact.kind] = KindSpent(
            before.calls + 1, before.usage + fact.usage, _sum(before.usd, fact.usd)
        )
        self._count_reserved()

    def _count_reserved(self) -> None:
        usd = math.fsum(r.usd for r in self._open if r.usd is not None)
        tokens = sum(r.tokens for r in self._open)
        self.spent = replace(self.spent, reserved_usd=usd, reserved_tokens=tokens)


def _sum(known: float | None, more: float | None) -> float | None:
    return None if known is None or more is None else known + more
