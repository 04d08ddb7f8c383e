"""At most one sentence to the model after a reply: a loop, broken calls, an unfinished answer.

Everything the guards know comes from what was committed in this turn, so a turn that goes on in
another process is watched as if it had never stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mlintern_jupyter.agent.doom_policy import EARLY, Action, LoopGoesOn, LoopState
from mlintern_jupyter.events import EffectSettled, Fact, Nudged, Replied
from mlintern_jupyter.messages import Reply, ToolCall

PATIENCE = 2
"""How often an unfinished plan is named without a call in between."""
CONTINUED = 3
"""How often a reply that was cut off is continued."""
WRAP_UP = (
    "The budget is nearly used up. Begin nothing new: make the final evaluation of the best model"
    " so far, save it, write the report, then answer."
)
CUT_OFF = "[cut off at the length limit]"


@dataclass
class Guards:
    """What is said to the model when it goes wrong, and when it must come to an end."""

    plan: Callable[[], Sequence[dict[str, str]]]
    near_limit: Callable[[], bool] = lambda: False
    """Only the reserve for ending well is left of the budget."""
    wrap_up: str = WRAP_UP
    can_plan: bool = True
    """There is a tool ``plan``."""
    _loops: LoopState = field(default=LoopState(), init=False)
    _broken: tuple[str, int] = field(default=("", 0), init=False)
    """The tool whose calls failed in a row up to now, and how many of them."""
    _said: Counter[str] = field(default_factory=Counter[str], init=False)
    """How often each rule spoke since there was last no reason for it."""
    _pieces: list[str] = field(default_factory=list[str], init=False)
    """Texts of the replies before this one that were cut off."""

    def refusal(self, call: ToolCall) -> str | None:
        """Why a call must not be carried out; None lets it through."""
        self._loops, action = self._loops.before_call(call)
        return action and action.words(self.can_plan)

    def saw(self, settled: EffectSettled, arguments: str) -> None:
        """Remember one settled call, a refused one too."""
        self._loops = self._loops.after_call(settled, arguments)
        state = settled.facts.get("state")
        if settled.ok:
            self._broken, self._said["broken call"] = ("", 0), 0
        elif state not in EARLY and state != "skipped":
            tool, times = self._broken
            if tool != settled.tool:
                times = self._said["broken call"] = 0
            self._broken = (settled.tool, times + 1)

    def nudge(self, reply: Reply) -> tuple[str, str] | None:
        """The rule that speaks now and its sentence, or None.

        Raises:
            LoopGoesOn: the same calls went on after they were named and refused.
        """
        found = self._after_calls() if reply.calls else self._after_text(reply)
        if found is not None:
            self._spoke(found[0], reply.text)
        return found

    def recall(self, facts: Iterable[Fact], agent: str = "") -> None:
        """Take into account what happened in this turn before the process began.

        Args:
            facts: in their order.
            agent: whose facts count; the others are skipped.
        """
        said, calls = "", dict[str, ToolCall]()
        for fact in facts:
            if isinstance(fact, Replied) and fact.agent == agent:
                said, calls = fact.text, {call.id: call for call in fact.calls}
            elif isinstance(fact, EffectSettled) and fact.agent == agent and fact.call in calls:
                self.saw(fact, calls.pop(fact.call).arguments)
                if not calls and (action := self._end_of_calls()) and action.do == "hand over":
                    self.fresh()  # the turn went on, so another model took over
            elif isinstance(fact, Nudged) and fact.agent == agent:
                self._spoke(fact.rule, said)

    def answer(self, reply: Reply) -> str:
        """The final answer, with the pieces of it that were cut off before."""
        rest = f"{reply.text} {CUT_OFF}" if reply.stop == "length" else reply.text
        return "".join([*self._pieces, rest])

    def fresh(self) -> None:
        """Another model has taken over."""
        self._loops = self._loops.another_model()
        self._broken = ("", 0)
        self._said["broken call"] = self._said["unfinished plan"] = 0

    def _spoke(self, rule: str, text: str) -> None:
        """A sentence was said after a reply with this text."""
        self._said[rule] += 1
        if rule == "cut off":
            self._pieces.append(text)
        elif rule == "unfinished plan":
            self._pieces.clear()

    def _end_of_calls(self) -> Action | None:
        self._said["unfinished plan"] = 0
        self._pieces.clear()
        self._loops, action = self._loops.after_reply()
        return action

    def _after_calls(self) -> tuple[str, str] | None:
        if action := self._end_of_calls():
            if action.do == "hand over":
                raise LoopGoesOn(action.loop.evidence())
            return "loop", action.words(self.can_plan)
        tool, times = self._broken
        if times >= 2 and not self._said["broken call"]:
            return "broken call", (
                f"{times} calls of {tool} in a row did not work. Read what came back, look what"
                f" {tool} takes, then try another way."
            )
        if self.near_limit() and not self._said["closing"]:
            return "closing", self.wrap_up
        return None

    def _after_text(self, reply: Reply) -> tuple[str, str] | None:
        if reply.stop == "length" and len(self._pieces) < CONTINUED:
            return "cut off", (
                "Your reply was cut off at its length limit. What you wrote is kept: go on exactly"
                " where it stops, and come to an end soon."
            )
        unfinished = [item["step"] for item in self.plan() if item.get("state") != "done"]
        if unfinished and self._said["unfinished plan"] < PATIENCE and not self.near_limit():
            return "unfinished plan", (
                f"The plan still has open items, the first is {unfinished[0]!r}. Go on with it, or"
                " update the plan to say why it is dropped."
            )
        return None
