"""At most one sentence to the model after a step: a loop, broken calls, an unfinished answer.

Everything the guards know comes from what was committed in this turn, so a turn that goes on in
another process is watched as if it had never stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mlintern_jupyter.agent.doom import (
    REMEMBERED,
    Identity,
    Loop,
    LoopGoesOn,
    Seen,
    canonical,
    expected,
    find_loop,
    nothing_new,
    seen,
)
from mlintern_jupyter.events import EffectSettled, Fact, Nudged, Replied
from mlintern_jupyter.messages import Reply, ToolCall

PATIENCE = 2
"""How often an unfinished plan is named without a call in between; and how many replies may go on
with calls that are refused."""
CONTINUED = 3
"""How often a reply that was cut off is continued."""
WRAP_UP = (
    "The budget is nearly used up. Begin nothing new: make the final evaluation of the best model"
    " so far, save it, write the report, then answer."
)
CUT_OFF = "[cut off at the length limit]"
_EARLY = frozenset({"proposed", "running"})
"""States of a cell whose call came back because the person spoke; to wait on is right."""


@dataclass
class _OpenCall:
    call: str
    guess: Seen
    came: Seen | None = None


@dataclass
class LoopWatch:
    """Names a loop once, then refuses its next call, then hands the turn over."""

    can_plan: bool
    loop: Loop | None = None
    refusing: bool = False
    """The loop was named as one whose next call is refused."""
    named: bool = False
    replanned: bool = False
    strikes: int = 0
    """Replies that went on with the loop after that."""
    went_on: bool = False
    left: dict[Identity, int] = field(default_factory=dict[Identity, int])
    """Strikes of loops that came this far and were left a few calls ago: there is less patience
    with them when they come back."""
    calls: deque[Seen] = field(default_factory=lambda: deque[Seen](maxlen=REMEMBERED))
    on_their_way: list[_OpenCall] = field(default_factory=list[_OpenCall])
    refused: list[str] = field(default_factory=list[str])

    def refusal(self, call: ToolCall) -> str | None:
        """Why a call is not carried out; None lets it through.

        Calls of the same reply that have not come back count as if they came back as before.
        """
        before = [*self.calls, *(o.came or o.guess for o in self.on_their_way)]
        loop = nothing_new(before) or (self.loop if self.refusing else find_loop(before))
        if loop is not None and self._refuses(loop, call):
            self.refused.append(call.id)
            self.went_on = True
            return f"Not carried out, because {loop.said()}. {self._instead(loop)}"
        guess = expected(call.name, call.arguments, before)
        self.on_their_way.append(_OpenCall(call.id, guess))
        return None

    def saw(self, settled: EffectSettled, arguments: str) -> None:
        """Take a settled call into account, in the order in which the calls were made."""
        if settled.call in self.refused:
            self.refused.remove(settled.call)
            return
        item = next((o for o in self.on_their_way if o.call == settled.call and not o.came), None)
        early = settled.facts.get("state") in _EARLY
        if early and item is not None:
            self.on_their_way.remove(item)
        elif not early:
            came = seen(settled, arguments)
            if item is None:
                self.on_their_way.append(_OpenCall(settled.call, came, came))
            else:
                item.came = came
        while self.on_their_way and (first := self.on_their_way[0].came):
            del self.on_their_way[0]
            self._take(first)

    def _take(self, call: Seen) -> None:
        if self.refusing and self.loop is not None and self._does_not_leave(self.loop, call):
            return
        self.calls.append(call)
        loop = find_loop(self.calls)
        if self.loop is not None and (loop is None or loop.identity != self.loop.identity):
            if self.refusing:
                self.left[self.loop.identity] = self.strikes + self.went_on
            self.refusing = self.named = self.replanned = self.went_on = False
        self.left = {loop: n for loop, n in self.left.items() if self._is_recent(loop)}
        self.loop = loop

    def _is_recent(self, loop: Identity) -> bool:
        return any(loop[2] & {call.outcome, call.answer} for call in self.calls)

    def _does_not_leave(self, loop: Loop, call: Seen) -> bool:
        """Whether a call that was carried out leaves the model where it was: in a refused loop."""
        if loop.holds(call):
            self.calls.append(call)
            self.went_on = True
            return True
        if call.tool == "plan" and not call.failed:
            # One new plan opens the way; planning on and on is no way either.
            self.replanned, self.went_on = True, self.went_on or self.replanned
            return True
        return False

    def sentence(self) -> str | None:
        """What to say after a step.

        Raises:
            LoopGoesOn: the loop was named and refused, and it goes on.
        """
        # What never came back was lost with an error that ended the step.
        self.on_their_way = [o for o in self.on_their_way if o.came]
        loop, went_on, self.went_on = self.loop, self.went_on, False
        if loop is None:
            return None
        told = self.refusing
        if told:
            self.strikes += went_on
        elif len(loop.calls) >= self._refused_at(loop):
            # To come back to a loop is to go on with it.
            self.refusing, went_on = True, loop.identity in self.left
            self.strikes = self.left.get(loop.identity, 0) + went_on
        if self.refusing:
            if went_on and self.strikes >= PATIENCE:
                raise LoopGoesOn(loop.evidence())
            stop = f"Stop: {loop.said()}, and the next one is refused. {self._instead(loop)}"
            return None if told else stop
        if self.named:
            return None
        self.named = True
        return f"Change the approach or say what is in the way, because {loop.said()}."

    def fresh(self) -> None:
        """Another model has taken over: it gets its own warnings, but not its own round."""
        self.strikes, self.replanned, self.went_on = 0, False, False

    def _refuses(self, loop: Loop, call: ToolCall) -> bool:
        if len(loop.calls) < self._refused_at(loop):
            return False
        if self.replanned and loop is self.loop:
            # A new plan may begin with one of the old calls, until nothing new comes of it.
            return False
        return loop.goes_on_with(call.name, canonical(call.arguments))

    def _refused_at(self, loop: Loop) -> int:
        return loop.named_at if loop.identity in self.left else loop.refused_at

    def _instead(self, loop: Loop) -> str:
        if self.can_plan and all(call.tool != "plan" for call in loop.calls):
            return "Call `plan` with what you will try instead, or make another call."
        return "Make another call, or answer."


@dataclass
class Guards:
    """What is said to the model when it goes wrong, and when it must come to an end."""

    plan: Callable[[], Sequence[dict[str, str]]]
    near_limit: Callable[[], bool] = lambda: False
    """Only the reserve for ending well is left of the budget."""
    wrap_up: str = WRAP_UP
    can_plan: bool = True
    """There is a tool ``plan``."""
    watch: LoopWatch = field(init=False)
    _broken: tuple[str, int] = ("", 0)
    """The tool whose calls failed in a row up to now, and how many of them."""
    _broken_said: bool = False
    _closing_said: bool = False
    _plan_said: int = 0
    _pieces: list[str] = field(default_factory=list[str])
    """Texts of the replies before this one that were cut off."""

    def __post_init__(self) -> None:
        self.watch = LoopWatch(self.can_plan)

    def refusal(self, call: ToolCall) -> str | None:
        """Why a call must not be carried out; None lets it through."""
        return self.watch.refusal(call)

    def saw(self, settled: EffectSettled, arguments: str) -> None:
        """Remember one settled call, a refused one too."""
        self.watch.saw(settled, arguments)
        state = settled.facts.get("state")
        if settled.ok:
            self._broken, self._broken_said = ("", 0), False
        elif state not in _EARLY and state != "skipped":
            tool, times = self._broken
            if tool != settled.tool:
                times, self._broken_said = 0, False
            self._broken = (settled.tool, times + 1)

    def nudge(self, reply: Reply) -> tuple[str, str] | None:
        """The rule that speaks now and its sentence, or None.

        Raises:
            LoopGoesOn: the same calls went on after they were named and refused.
        """
        found = self._after_calls() if reply.calls else self._after_text(reply)
        if found is not None:
            self._said(found[0], reply.text)
        return found

    def recall(self, facts: Iterable[Fact], agent: str = "") -> None:
        """Take into account what happened in this turn before the process began.

        Args:
            facts: in their order.
            agent: whose facts count; the others are skipped.
        """
        said, calls, cut_off = "", dict[str, ToolCall](), False
        for fact in facts:
            if isinstance(fact, Replied) and fact.agent == agent:
                said, calls = fact.text, {call.id: call for call in fact.calls}
                cut_off = fact.stop == "length"
            elif isinstance(fact, EffectSettled) and fact.agent == agent and fact.call in calls:
                call = calls.pop(fact.call)
                if not cut_off:
                    self.refusal(call)
                self.saw(fact, call.arguments)
                if not calls:
                    self._step_over()
            elif isinstance(fact, Nudged) and fact.agent == agent:
                self._said(fact.rule, said)

    def _step_over(self) -> None:
        self._plan_said = 0
        self._pieces.clear()
        try:
            self.watch.sentence()
        except LoopGoesOn:
            self.fresh()  # the turn went on, so another model took over

    def _said(self, rule: str, text: str) -> None:
        """A sentence was said after a reply with this text."""
        if rule == "broken call":
            self._broken_said = True
        elif rule == "closing":
            self._closing_said = True
        elif rule == "cut off":
            self._pieces.append(text)
        elif rule == "unfinished plan":
            self._plan_said += 1
            self._pieces.clear()

    def answer(self, reply: Reply) -> str:
        """The final answer, with the pieces of it that were cut off before."""
        rest = f"{reply.text} {CUT_OFF}" if reply.stop == "length" else reply.text
        return "".join([*self._pieces, rest])

    def fresh(self) -> None:
        """Another model has taken over."""
        self.watch.fresh()
        self._broken, self._broken_said, self._plan_said = ("", 0), False, 0

    def _after_calls(self) -> tuple[str, str] | None:
        self._plan_said = 0
        self._pieces.clear()
        if text := self.watch.sentence():
            return "loop", text
        tool, times = self._broken
        if times >= 2 and not self._broken_said:
            return "broken call", (
                f"{times} calls of {tool} in a row did not work. Read what came back, look what"
                f" {tool} takes, then try another way."
            )
        if self.near_limit() and not self._closing_said:
            return "closing", self.wrap_up
        return None

    def _after_text(self, reply: Reply) -> tuple[str, str] | None:
        if reply.stop == "length" and len(self._pieces) < CONTINUED:
            return "cut off", (
                "Your reply was cut off at its length limit. What you wrote is kept: go on exactly"
                " where it stops, and come to an end soon."
            )
        unfinished = [item["step"] for item in self.plan() if item.get("state") != "done"]
        if unfinished and self._plan_said < PATIENCE and not self.near_limit():
            return "unfinished plan", (
                f"The plan still has open items, the first is {unfinished[0]!r}. Go on with it, or"
                " update the plan to say why it is dropped."
            )
        return None
