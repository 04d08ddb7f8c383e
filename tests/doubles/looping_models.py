"""Models that go round in circles and models that work, played before the guards; by seed.

``Scene`` lets a test say what the model calls and what comes back. The populations are drawn from a
seed: the tests play some of them, ``make loops`` many.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from mlintern_jupyter.agent.doom_policy import LoopGoesOn
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.events import EffectSettled, Fact, Nudged, Replied
from mlintern_jupyter.messages import Reply, ToolCall
from mlintern_jupyter.usage import Usage

GIVEN_UP = 200
"""Replies after which a scene is ended: the guards let it go on for ever."""


class Scene:
    """A model that says what the test wants, and tools that answer what the test wants."""

    def __init__(self, plan: Any = (), *, can_plan: bool = True) -> None:
        self.guards = Guards(plan=lambda: plan, can_plan=can_plan)
        self.carried_out: list[tuple[str, str]] = []
        self.said: list[tuple[str, str] | None] = []
        self.refusals: list[str] = []
        self.facts: list[Fact] = []
        """What the ledger would hold."""
        self.number = 0

    def reply(self, *calls: Any, shuffled: random.Random | None = None) -> tuple[str, str] | None:
        """One reply with calls ``(tool, arguments, text, ok, facts)``; what is said after it.

        Args:
            calls: what the model calls and what comes back.
            shuffled: the calls are carried out side by side and come back in this order.
        """
        made = [ToolCall(f"c{self.number + n}", c[0], c[1]) for n, c in enumerate(calls)]
        self.number += len(calls)
        step = len(self.said) + 1
        reply = Reply("", tuple(made), "tool_calls", Usage(), "m")
        self.facts.append(Replied(step, "", reply.calls, reply.stop, "m"))
        let_through: list[tuple[EffectSettled, str]] = []
        for call, (_, _, text, *rest) in zip(made, calls, strict=True):
            ok, facts = (rest + [True, {}][len(rest) :])[:2]
            refusal = self.guards.refusal(call)
            if refusal:
                self.refusals.append(refusal)
                self._settle(EffectSettled(step, call.id, call.name, False, refusal), call)
                continue
            self.carried_out.append((call.name, call.arguments))
            settled = EffectSettled(step, call.id, call.name, ok, text, facts)
            if shuffled is None:
                self._settle(settled, call)
            else:
                let_through.append((settled, call))
        if shuffled is not None:
            shuffled.shuffle(let_through)
        for settled, call in let_through:
            self._settle(settled, call)
        nudge = self.guards.nudge(reply)
        self.said.append(nudge)
        if nudge:
            self.facts.append(Nudged(step, *nudge))
        return nudge

    def go_on_for_ever(self, call: Any) -> None:
        """Replies with ``call(number)`` each, until the guards end it."""
        for number in range(GIVEN_UP):
            self.reply(call(number))

    def rules(self) -> list[str]:
        """The rules that spoke, in their order."""
        return [nudge[0] for nudge in self.said if nudge]

    def _settle(self, settled: EffectSettled, call: ToolCall) -> None:
        self.facts.append(settled)
        self.guards.saw(settled, call.arguments)


@dataclass(frozen=True)
class Played:
    """What became of a model that only repeats itself."""

    wasted: int
    """Calls carried out beyond the first period."""
    bound: int
    handed_over: bool
    model: str
    """What it did, for the message of a failed test."""


def play_looping(seed: int) -> Played:
    """A random cycle of calls, which a model repeats until the turn is handed over."""
    rng = random.Random(seed)
    made_of = [
        (tool, a) for tool in ("read", "load", "plan") for a in ('{"a": 1}', '{"a": 2}', "{")
    ]
    cycle = [rng.choice(made_of) for _ in range(rng.randint(1, 8))]
    texts = ("x", "ValueError: 1", "KeyError: 'k'")
    comes_back = {call: (rng.choice(texts), rng.random() < 0.5) for call in cycle}
    in_one_reply = rng.choice((1, 1, rng.randint(2, 12)))
    insists, plans, fallback, side_by_side = (rng.random() < 0.5 for _ in range(4))
    scene, place, handed_over = Scene(), 0, 0
    for _ in range(GIVEN_UP):
        calls = [cycle[(place + i) % len(cycle)] for i in range(in_one_reply)]
        refused = len(scene.refusals)
        try:
            scene.reply(
                *[(*call, *comes_back[call]) for call in calls],
                shuffled=rng if side_by_side else None,
            )
            again = len(scene.refusals) > refused
            place += 0 if insists and again else in_one_reply
            if plans and again:
                scene.reply(("plan", json.dumps({"n": len(scene.said)}), "plan"))
        except LoopGoesOn:
            handed_over += 1
            scene.guards.fresh()
        if handed_over > fallback:
            break
    period = _shortest_period(cycle)
    return Played(
        wasted=sum(call in cycle for call in scene.carried_out) - period,
        bound=max(6, 2 * period),
        handed_over=handed_over > fallback,
        model=f"{seed}: {cycle} -> {comes_back}, {in_one_reply} in a reply, {insists=} {plans=}"
        f" {fallback=} {side_by_side=}",
    )


def play_working(seed: int, calls: int = 60) -> Scene:
    """A model whose calls bring something new, and that reads again what it read now and then."""
    rng = random.Random(seed)
    scene, read = Scene(), [("read", '{"n": -1}', "first")]
    again = rng.uniform(0, 0.3)
    for number in range(calls):
        if rng.random() < again:
            scene.reply(rng.choice(read[-10:]))
        else:
            read.append(("read", json.dumps({"n": number}), f"news {number}"))
            scene.reply(read[-1])
    return scene


def _shortest_period(cycle: list[tuple[str, str]]) -> int:
    for period in range(1, len(cycle)):
        if len(cycle) % period == 0 and cycle == cycle[:period] * (len(cycle) // period):
            return period
    return len(cycle)
