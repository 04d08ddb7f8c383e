"""Loops and cut-off replies through the real loop and dispatch: E01 to E03 of the fault list."""

import asyncio
import json

import pytest
from turn_double import Scripted, Tool, Turn

from mlintern_jupyter.agent.doom_policy import LoopGoesOn
from mlintern_jupyter.agent.guards import CUT_OFF
from mlintern_jupyter.events import EffectIntended, EffectSettled, Nudged
from mlintern_jupyter.messages import Reply, ToolCall, ToolResult
from mlintern_jupyter.usage import Usage


class Endless:
    """Says what a function of the number of its call says, for ever."""

    price, unmetered, context_tokens, sees = None, True, None, False

    def __init__(self, says, name="m"):
        self.says, self.name, self.asked = says, name, 0

    async def probe(self):
        pass

    async def complete(self, view, on_text):
        said = self.says(self.asked)
        self.asked += 1
        if isinstance(said, tuple):
            return Reply(said[0], (), said[1], Usage(1, 1), self.name)
        return Reply("", (said,), "tool_calls", Usage(1, 1), self.name)


def looping(*cycle):
    return Endless(lambda n: ToolCall(f"c{n}", *cycle[n % len(cycle)]))


def tools(executed, text="same", ok=True):
    def act(name):
        async def carried_out():
            executed.append(name)
            return ToolResult(text, ok=ok)

        return carried_out

    effects = {name: ("execute",) if name == "b" else ("read",) for name in "abcde"}
    return [Tool(act(name), name, effects[name]) for name in effects]


@pytest.mark.parametrize(
    ("cycle", "most"),
    [
        ([("a", "{}")], 7),
        ([("b", "{}")], 7),
        ([("a", "{}"), ("b", "{}")], 8),
        ([("a", "{}"), ("b", "{}"), ("c", "{}")], 9),
        ([(name, "{}") for name in "abcde"], 15),
    ],
)
@pytest.mark.parametrize("ok", [True, False])
def test_calls_in_a_circle_pause_the_turn_with_the_evidence(cycle, most, ok):
    executed = []
    turn = Turn(looping(*cycle), tools=tools(executed, ok=ok))
    with pytest.raises(LoopGoesOn) as caught:
        asyncio.run(turn.agent.run_turn())
    assert len(cycle) < len(executed) <= most
    assert len(turn.of(EffectIntended)) == len(executed)
    assert all(" x " in line for line in caught.value.evidence)
    assert [f.rule for f in turn.of(Nudged) if f.rule == "loop"] == ["loop", "loop"]
    assert not turn.state.main.pending


@pytest.mark.parametrize("cycle", ["a", "b", "ab", "abc", "abcde"])
def test_a_circle_is_not_given_another_round_by_a_restart_at_any_point(cycle):
    whole = Turn(looping(*((name, "{}") for name in cycle)), tools=tools([]))
    with pytest.raises(LoopGoesOn):
        asyncio.run(whole.agent.run_turn())
    for cut in range(2, len(whole.facts)):
        turn = Turn(Endless(None), tools=tools([]), facts=whole.facts[2:cut])
        at = turn.state.main.step
        turn.model.says = lambda n, at=at: ToolCall(
            f"c{at + n}", cycle[(at + n) % len(cycle)], "{}"
        )
        with pytest.raises(LoopGoesOn):
            asyncio.run(turn.agent.run_turn())
        # A call that the restart cut off is carried out again; one that was refused is not.
        again = len(turn.of(EffectIntended)) - len(whole.of(EffectIntended))
        assert again in (0, 1), whole.facts[cut - 1]


def test_an_argument_that_changes_does_not_hide_the_circle():
    executed = []
    model = Endless(lambda n: ToolCall(f"c{n}", "a", json.dumps({"nonce": n})))
    turn = Turn(model, tools=tools(executed))
    with pytest.raises(LoopGoesOn):
        asyncio.run(turn.agent.run_turn())
    assert len(executed) <= 11


def test_the_fallback_takes_over_and_is_told_what_went_round():
    executed = []
    fallback = Scripted(("done another way",), name="other")
    turn = Turn(looping(("a", "{}")), tools=tools(executed), fallback=fallback)
    assert asyncio.run(turn.agent.run_turn()) == "done another way"
    assert "4 x a() -> same" in turn.of(Nudged)[-1].text
    assert fallback.views[0].messages[-1].text == turn.of(Nudged)[-1].text


def test_a_fallback_that_goes_round_too_wastes_no_further_call():
    executed = []
    turn = Turn(looping(("a", "{}")), tools=tools(executed), fallback=looping(("a", "{}")))
    with pytest.raises(LoopGoesOn):
        asyncio.run(turn.agent.run_turn())
    assert len(executed) <= 7


def test_ids_of_calls_that_come_again_do_not_confuse_what_was_refused():
    executed = []
    model = Endless(lambda n: ToolCall("call_0", "a", "{}"))
    turn = Turn(model, tools=tools(executed))
    with pytest.raises(LoopGoesOn):
        asyncio.run(turn.agent.run_turn())
    assert len(executed) <= 7
    assert "Not carried out" in turn.of(EffectSettled)[-1].text


def test_a_reply_that_is_cut_off_is_continued_and_returned_whole():
    replies = [("one ", "length"), ("two ", "length"), ("three", "stop")]
    turn = Turn(Endless(lambda n: replies[n]), tools=tools([]))
    assert asyncio.run(turn.agent.run_turn()) == "one two three"
    assert [f.rule for f in turn.of(Nudged)] == ["cut off", "cut off"]


def test_a_reply_that_never_ends_comes_back_marked_after_three_more():
    turn = Turn(Endless(lambda n: (f"{n} ", "length")), tools=tools([]))
    assert asyncio.run(turn.agent.run_turn()) == f"0 1 2 3  {CUT_OFF}"
    assert turn.model.asked == 4
