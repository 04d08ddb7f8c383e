"""What is done about a doom loop: it is named, then refused, then the turn is handed over.

::

           one period wasted         two periods wasted             `plan` was called
      free ----------------> warned -----------------> refusing -------------------> replanning
       ^                       |                        |    ^                           |
       |                       |        one of its calls|    |first such          a result |
       | another call or result|                        v    |reply ends          as before|
       +-----------------------+--------------------- insisting <------------------------+
                                                         |second such reply ends
                                                         v
                                                    handed over --another model--> refusing

free          Nothing is said and nothing refused.
warned        One sentence named the loop.
refusing      One sentence said that its next call is refused, and so it is.
replanning    Its calls are let through until one comes back as before.
insisting     In this reply the loop went on: a strike. Its calls are refused, after a plan too.
handed over   The fallback model goes on, or the person is shown the evidence.

From each of them another call, or another result of the same one, leads back to free. A loop that
was refused and comes back is refused as soon as it is seen; that is a strike as well. A model that
only repeats itself wastes at most ``max(6, two periods)`` calls.

The state is a fold over settled calls and ends of replies, as the ledger has them: a turn that
goes on in another process is watched as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Literal

from mlintern_jupyter.agent import doom
from mlintern_jupyter.agent.doom import Loop, PastCall
from mlintern_jupyter.errors import Paused
from mlintern_jupyter.events import EffectSettled
from mlintern_jupyter.messages import ToolCall

STRIKES = 2
"""Replies that may go on with a loop after it was said that its calls are refused."""
REFUSED = "Not carried out, because "
EARLY = frozenset({"proposed", "running"})
"""States of a cell whose call came back because the person spoke; to wait on is right."""


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
class Action:
    """What is to be done about a loop."""

    do: Literal["warn", "announce", "refuse", "hand over"]
    loop: Loop

    def words(self, can_plan: bool) -> str:
        """What the model is told; ``can_plan`` if there is a tool ``plan``."""
        said = self.loop.said()
        if self.do == "warn":
            return f"Change the approach or say what is in the way, because {said}."
        instead = "Make another call, or answer."
        if can_plan and all(call.tool != "plan" for call in self.loop.calls):
            instead = "Call `plan` with what you will try instead, or make another call."
        if self.do == "refuse":
            return f"{REFUSED}{said}. {instead}"
        return f"Stop: {said}, and the next one is refused. {instead}"


@dataclass(frozen=True)
class InFlight:
    """A call that was let through, until all calls before it came back."""

    result: PastCall
    """Until it came back: what it brought the last time."""
    came: bool = False


@dataclass(frozen=True)
class LoopState:
    """Where a turn stands with its loops. Each method is a transition to another state."""

    stage: Literal["free", "warned", "refusing", "replanning", "insisting", "handed over"] = "free"
    loop: Loop | None = None
    """The loop at the end of the calls; in the stage ``free`` one that was not named yet."""
    strikes: Mapping[frozenset[str], int] = field(default_factory=dict[frozenset[str], int])
    """Strikes of each loop that was refused, by identity, while its calls are remembered."""
    calls: tuple[PastCall, ...] = ()
    in_flight: Mapping[str, InFlight] = field(default_factory=dict[str, InFlight])
    """By the id of the call, in the order in which they were made."""

    def before_call(self, call: ToolCall) -> tuple[LoopState, Action | None]:
        """Judge a call that is about to be made.

        Calls of the same reply that have not come back count as if they came back as before.
        """
        sent = [sent.result for sent in self.in_flight.values()]
        ahead = reduce(LoopState._carried_out, sent, self)
        loop, given = ahead.loop, doom.canonical(call.arguments)
        if loop is not None and loop.goes_on_with(call.name, given):
            planned = ahead.stage == "replanning"
            if loop.wasted >= (loop.thresholds.bound if planned else ahead._refused_at(loop)):
                return self, Action("refuse", loop)
        guess = InFlight(doom.expected(call.name, given, ahead.calls))
        return replace(self, in_flight={**self.in_flight, call.id: guess}), None

    def after_call(self, settled: EffectSettled, arguments: str) -> LoopState:
        """Take a settled call into account, in the order in which the calls were made."""
        if settled.text.startswith(REFUSED) and not settled.ok:
            return self._strike()
        state, in_flight = self, dict(self.in_flight)
        if settled.facts.get("state") in EARLY:
            in_flight.pop(settled.call, None)
        else:
            in_flight[settled.call] = InFlight(doom.past_call(settled, arguments), came=True)
        for call, sent in tuple(in_flight.items()):
            if not sent.came:
                break
            state = state._carried_out(in_flight.pop(call).result)
        return replace(state, in_flight=in_flight)

    def after_reply(self) -> tuple[LoopState, Action | None]:
        """End a reply whose calls have settled; a call that never came back is forgotten."""
        came = [sent.result for sent in self.in_flight.values() if sent.came]
        state = replace(reduce(LoopState._carried_out, came, self), in_flight={})
        loop, action = state.loop, None
        if loop is None or state.stage in {"refusing", "replanning"}:
            return state, None
        if state.stage in {"free", "warned"}:
            if loop.wasted < state._refused_at(loop):
                action = Action("warn", loop) if state.stage == "free" else None
                return replace(state, stage="warned"), action
            # To come back to a loop that was refused is to go on with it.
            strikes = state.strikes.get(loop.identity, -1) + 1
            state = replace(state, strikes={**state.strikes, loop.identity: strikes})
            action = Action("announce", loop)
        if state.strikes[loop.identity] >= STRIKES:
            return replace(state, stage="handed over"), Action("hand over", loop)
        return replace(state, stage="refusing"), action

    def another_model(self) -> LoopState:
        """Let another model take over: it gets its own warnings, but not its own period."""
        stage = self.stage if self.stage in {"free", "warned"} else "refusing"
        return replace(self, stage=stage, strikes=dict.fromkeys(self.strikes, 0))

    def _carried_out(self, call: PastCall) -> LoopState:
        loop, calls = self.loop, (*self.calls, call)[-doom.REMEMBERED :]
        if loop is not None and self.stage not in {"free", "warned"}:
            longer = Loop(loop.same, (*loop.calls, call))
            if longer.identity == loop.identity:
                return replace(self, loop=longer, calls=calls)._strike()
            if call.tool == "plan" and not call.failed:
                opens = self.stage == "refusing"
                return replace(self, stage="replanning") if opens else self._strike()
        found = doom.find_loop(calls)
        goes_on = loop is not None and found is not None and found.identity == loop.identity
        recent = {c.outcome for c in calls} | {c.answer for c in calls}
        strikes = {kinds: n for kinds, n in self.strikes.items() if kinds & recent}
        stage = self.stage if goes_on else "free"
        return replace(self, stage=stage, loop=found, strikes=strikes, calls=calls)

    def _strike(self) -> LoopState:
        """The loop goes on although its calls are refused: counted once in a reply."""
        if self.loop is None or self.stage not in {"refusing", "replanning"}:
            return self
        strikes = {**self.strikes, self.loop.identity: self.strikes[self.loop.identity] + 1}
        return replace(self, stage="insisting", strikes=strikes)

    def _refused_at(self, loop: Loop) -> int:
        return loop.thresholds.warned if loop.identity in self.strikes else loop.thresholds.refused
