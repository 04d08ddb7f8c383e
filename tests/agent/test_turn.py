"""One turn with doubles: what is waited for, what it costs, who takes over, what runs at once."""

import asyncio

import pytest
from turn_double import Scripted, Tool, Turn, call

from mlintern_jupyter.errors import LimitReached, ModelDown, Paused
from mlintern_jupyter.events import (
    Asked,
    EffectIntended,
    EffectSettled,
    Replied,
    Settled,
)
from mlintern_jupyter.messages import ToolCall, ToolResult
from mlintern_jupyter.policy.rules import Rules
from mlintern_jupyter.usage import Usage


async def ticks(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_held_turn_makes_no_model_call_and_no_clock_runs():
    asked = []

    async def scene():
        turn = Turn(Scripted(("done",), asked=lambda: asked.append("asked")))
        turn.going.clear()
        work = asyncio.ensure_future(turn.agent.run_turn())
        await ticks()
        assert asked == []
        turn.clock.now += 1000
        turn.going.set()
        assert await work == "done"
        assert turn.budget.spent.seconds == 0.0

    asyncio.run(scene())
    assert asked == ["asked"]


def test_a_held_turn_can_be_stopped():
    async def scene():
        turn = Turn(Scripted(("done",)))
        turn.going.clear()
        work = asyncio.ensure_future(turn.agent.run_turn())
        await ticks()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(scene())


def test_attention_is_lowered_when_the_words_are_about_to_be_read():
    raised = []

    async def scene():
        async def act():
            turn.attention.set()
            return ToolResult("early")

        model = Scripted(
            ("", call(1)), ("done",), asked=lambda: raised.append(turn.attention.is_set())
        )
        turn = Turn(model, act)
        await turn.agent.run_turn()

    asyncio.run(scene())
    assert raised == [False, False]


def test_seconds_of_a_call_are_working_time():
    async def scene():
        async def act():
            turn.clock.now += 2
            with turn.budget.waiting():
                turn.clock.now += 5000
            turn.clock.now += 3
            return ToolResult("ran")

        turn = Turn(Scripted(("", call(1)), ("done",)), act)
        await turn.agent.run_turn()
        return turn

    turn = asyncio.run(scene())
    (settled,) = [fact for fact in turn.facts if isinstance(fact, EffectSettled)]
    assert settled.seconds == 5.0
    assert turn.state.spent.seconds < 6


def test_waiting_on_for_a_cell_again_and_again_is_no_loop():
    async def scene():
        async def act():
            return ToolResult("not yet", {"cell": "a", "state": "running"})

        replies = [("", call(number)) for number in range(6)]
        turn = Turn(Scripted(*replies, ("done",)), act)
        await turn.agent.run_turn()
        return turn

    turn = asyncio.run(scene())
    assert "Nudged" not in {type(fact).__name__ for fact in turn.facts}


def test_reading_calls_run_side_by_side_and_others_alone_and_in_order():
    running, most, order = [], [], []

    def tool(name, effects):
        async def act():
            running.append(name)
            most.append(len(running))
            await ticks()
            running.remove(name)
            order.append(name)
            return ToolResult(name)

        return Tool(act, name, effects)

    tools = [tool("look", ("read",)), tool("do", ("execute",))]
    calls = [call(1, "look"), call(2, "look"), call(3, "do"), call(4, "do"), call(5, "look")]
    turn = Turn(Scripted(("", *calls), ("done",)), tools=tools)
    asyncio.run(turn.agent.run_turn())
    assert most == [1, 2, 1, 1, 1]
    assert order == ["look", "look", "do", "do", "look"]
    assert {s.call for s in turn.of(EffectSettled)} == {"c1", "c2", "c3", "c4", "c5"}


def test_time_of_calls_side_by_side_is_counted_once():
    async def act():
        await ticks()
        turn.clock.now = 10.0
        return ToolResult("")

    turn = Turn(Scripted(("", call(1), call(2), call(3)), ("done",)), act)
    asyncio.run(turn.agent.run_turn())
    assert sum(s.seconds for s in turn.of(EffectSettled)) == 10.0


def test_a_call_that_fails_takes_none_beside_it_down():
    async def bad():
        raise ValueError("broken")

    async def good():
        await ticks()
        return ToolResult("fine")

    tools = [Tool(bad, "bad"), Tool(good, "good")]
    turn = Turn(Scripted(("", call(1, "bad"), call(2, "good")), ("done",)), tools=tools)
    asyncio.run(turn.agent.run_turn())
    texts = {s.call: s.text for s in turn.of(EffectSettled)}
    assert "ValueError: broken" in texts["c1"]
    assert texts["c2"] == "fine"


def test_a_pause_beside_other_calls_lets_them_finish_first():
    async def paused():
        raise Paused("no credit")

    async def slow():
        await ticks(20)
        return ToolResult("found")

    tools = [Tool(paused, "paused"), Tool(slow, "slow")]
    turn = Turn(Scripted(("", call(1, "paused"), call(2, "slow"))), tools=tools)
    with pytest.raises(Paused, match="no credit"):
        asyncio.run(turn.agent.run_turn())
    assert [s.text for s in turn.of(EffectSettled)] == ["found"]
    assert [c.id for c in turn.state.pending] == ["c1"]


def test_a_tool_that_hangs_is_stopped_at_its_time_and_the_turn_goes_on():
    async def hang():
        await asyncio.Event().wait()

    turn = Turn(Scripted(("", call(1)), ("done",)), tools=[Tool(hang, timeout_s=0.05)])
    assert asyncio.run(turn.agent.run_turn()) == "done"
    (settled,) = turn.of(EffectSettled)
    assert not settled.ok
    assert "longer than 0.05 s" in settled.text


class TestWhatNobodyRuledOn:
    def acted(self, turn):
        return len(turn.of(EffectIntended))

    def turn(self, *answers, mode="review"):
        async def act():
            return ToolResult("sent")

        tools = [Tool(act, effects=("network-write",))]
        model = Scripted(("", call(1)), ("done",))
        return Turn(model, tools=tools, rules=Rules(), answers=answers, mode=mode)

    def test_waits_for_a_yes_that_is_bound_to_the_very_call(self):
        turn = self.turn((True,))
        asyncio.run(turn.agent.run_turn())
        (asked,), (intended,) = turn.of(Asked), turn.of(EffectIntended)
        assert asked.effects == ("network-write",)
        assert asked.grant == intended.grant
        assert turn.of(EffectSettled)[0].text == "sent"

    def test_does_not_happen_after_a_no(self):
        turn = self.turn((False, "too public"))
        asyncio.run(turn.agent.run_turn())
        assert self.acted(turn) == 0
        assert "too public" in turn.of(EffectSettled)[0].text

    def test_is_denied_where_nobody_is_asked(self):
        turn = self.turn(mode="unattended")
        asyncio.run(turn.agent.run_turn())
        assert turn.of(Asked) == []
        assert self.acted(turn) == 0


def test_a_call_that_was_begun_by_an_earlier_process_is_made_again_only_if_it_finds_what_it_did():
    async def act():
        made.append(1)
        return ToolResult("")

    for resumes in (False, True):
        made = []
        begun = [
            Replied(1, "", (call(1),), "tool_calls", "m"),
            Settled(1, Usage(1, 1), 0.0, 0.0),
            EffectIntended(1, "c1", "do", {}),
        ]
        tools = [Tool(act, effects=("execute",), resumes=resumes)]
        turn = Turn(Scripted(("done",)), tools=tools, facts=begun)
        asyncio.run(turn.agent.run_turn())
        assert len(made) == resumes
        (settled,) = turn.of(EffectSettled)
        assert settled.ok == resumes


def test_the_fallback_takes_over_from_a_model_that_is_down():
    down = ModelDown("nobody answers at m")
    turn = Turn(Scripted(down), fallback=Scripted(("from the other",), name="other"))
    assert asyncio.run(turn.agent.run_turn()) == "from the other"
    assert turn.of(Replied)[0].model == "other"


def test_without_a_fallback_a_model_that_is_down_pauses_the_turn():
    turn = Turn(Scripted(ModelDown("nobody answers at m")))
    with pytest.raises(ModelDown):
        asyncio.run(turn.agent.run_turn())


def test_a_call_that_failed_is_charged_what_it_used_and_else_stays_reserved():
    refused, cut = Paused("refused"), Paused("cut")
    refused.charged = Usage(7, 0)
    for error, tokens in ((refused, 7), (cut, None)):
        turn = Turn(Scripted(error))
        with pytest.raises(Paused):
            asyncio.run(turn.agent.run_turn())
        settled = turn.of(Settled)
        assert [s.usage.total for s in settled] == ([] if tokens is None else [tokens])
        assert turn.state.spent.steps == 0


def test_a_limit_of_steps_ends_the_turn():
    from mlintern_jupyter.usage import Limits

    async def act():
        return ToolResult("")

    replies = [("", call(number)) for number in range(5)]
    turn = Turn(Scripted(*replies), act, limits=Limits(steps=2))
    with pytest.raises(LimitReached):
        asyncio.run(turn.agent.run_turn())
    assert len(turn.of(Replied)) == 2


def test_a_server_that_uses_its_ids_again_does_not_mix_two_calls_up():
    async def act():
        return ToolResult("")

    same = ToolCall("call_0", "do", "{}")
    turn = Turn(Scripted(("", same), ("", same), ("done",)), act)
    asyncio.run(turn.agent.run_turn())
    ids = [call.id for reply in turn.of(Replied) for call in reply.calls]
    assert len(set(ids)) == 2
    assert [settled.call for settled in turn.of(EffectSettled)] == ids
