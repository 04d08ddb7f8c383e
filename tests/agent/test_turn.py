"""One turn with doubles: what is waited for, what it costs, what the guards take for a loop."""

import asyncio

import pytest

from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.agent.loop import Agent
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.events import EffectSettled, SessionStarted, TurnStarted
from mlintern_jupyter.messages import Reply, ToolCall, ToolResult, ToolSpec
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.record.chain import Numbered
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.usage import Limits, Spent, Usage

STARTED = SessionStarted("s-1", "goal", "m", "review", {}, {}, "magic", "/w", "0")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Scripted:
    """Says its replies in order; before each, what the test wants to know is called."""

    name, price, unmetered, context_tokens, sees = "m", None, True, None, False

    def __init__(self, *replies, asked=lambda: None):
        self.replies = list(replies)
        self.asked = asked

    async def complete(self, view, on_text):
        del view, on_text
        self.asked()
        text, *calls = self.replies.pop(0)
        return Reply(text, tuple(calls), "tool_calls" if calls else "stop", Usage(1, 1), "m")


class Tool:
    """Does what the test says."""

    spec = ToolSpec("do", "", {})
    effects = frozenset()
    manual = ""

    def __init__(self, act):
        self.act = act

    def bind(self, arguments):
        del arguments
        return {}

    async def __call__(self, ctx):
        return await self.act()


class Toolbox:
    def __init__(self, tool):
        self.tool = tool

    def specs(self):
        return (self.tool.spec,)

    def find(self, name):
        del name
        return self.tool


class Turn:
    def __init__(self, model, act=None):
        self.clock, self.facts, self.state = Clock(), [], SessionState()
        self.attention, self.going = asyncio.Event(), asyncio.Event()
        self.going.set()
        self.budget = Budget(Limits(), Spent(), self.clock)
        guards = Guards(plan=lambda: ())
        toolbox = Toolbox(Tool(act))
        dispatch = Dispatch(
            toolbox=toolbox,
            review=lambda *_: ("allow", ""),
            context=lambda *_: None,
            commit=self.commit,
            signal=lambda _: None,
            guards=guards,
            clock=lambda: self.budget.spent.seconds,
        )
        self.agent = Agent(
            model=model,
            toolbox=toolbox,
            window=Window("", None),
            budget=self.budget,
            dispatch=dispatch,
            guards=guards,
            commit=self.commit,
            signal=lambda _: None,
            conversation=lambda: tuple(self.state.messages),
            pending=lambda: tuple(self.state.pending),
            steps_taken=lambda: self.state.step,
            attention=self.attention,
            going=self.going,
        )
        self.commit(STARTED)
        self.commit(TurnStarted(1, "go", "%%intern go"))

    def commit(self, fact):
        self.facts.append(fact)
        self.state.apply(Numbered(len(self.facts), "", fact))
        return len(self.facts)


def call(number):
    return ToolCall(f"c{number}", "do", "{}")


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
