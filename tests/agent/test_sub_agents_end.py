"""How sub-agents end: at a cap, in a loop, without a model, with the turn; nothing is lost."""

import asyncio

import pytest
from delegation_double import ByTask, Session, counting, gives, reads, steps
from turn_double import Clock, call

from mlintern_jupyter.agent.sub_agent import FINDINGS, STEPS
from mlintern_jupyter.errors import LimitReached, ModelDown, ModelFailed, Paused
from mlintern_jupyter.events import (
    AgentEnded,
    AgentStarted,
    EffectSettled,
    Nudged,
    Replied,
)
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.usage import Limits, Price, Spent, Usage


def test_at_its_cap_it_is_asked_once_for_its_findings():
    tool = counting()
    endless = [lambda view: ("half of it",) if view.messages[-2].text == FINDINGS else None]

    def reply(view):
        agent_result = endless[0](view)
        return agent_result or ("", call(len(view.messages), "look"))

    session = Session(ByTask(T=[reply]), [tool])
    result = session.spawn()
    assert len(session.model.views) == STEPS
    assert result.ok
    assert result.text.startswith("a1-critic, partial (the step limit is reached")
    assert "half of it" in result.text
    assert result.facts["delegate"]["outcome"] == "limit"
    findings = [f for f in session.of(Nudged) if f.rule == "findings"]
    assert len(findings) == 1
    assert any(f.rule == "closing" for f in session.of(Nudged))


def test_a_call_instead_of_the_findings_is_not_carried_out_and_what_it_read_is_the_answer():
    tool = counting()
    session = Session(ByTask(T=[lambda view: ("", call(len(view.messages), "look"))]), [tool])
    result = session.spawn()
    assert len(session.model.views) == STEPS
    assert len(tool.made) == STEPS - 1
    assert f"page {STEPS - 1}" in result.text
    assert result.facts["delegate"]["outcome"] == "limit"
    assert not session.state.agents["a1-critic"].conversation.pending


def test_a_loop_of_a_sub_agent_ends_in_its_findings_too():
    def reply(view):
        if view.messages[-2].text == FINDINGS:
            return ("I went round",)
        return "", call(len(view.messages), "look")

    session = Session(ByTask(T=[reply]), [reads("same")])
    result = session.spawn()
    assert "I went round" in result.text
    assert "repeats the same calls" in result.text
    carried_out = [f for f in session.of(EffectSettled) if f.ok]
    assert len(carried_out) <= 7
    assert not any("plan" in f.text for f in session.of(Nudged))


def test_a_model_that_fails_leaves_what_was_found():
    script = [("first I look", call(1, "look")), ModelFailed("it says nonsense")]
    session = Session(ByTask(T=script), [reads("the loss is 0.3")])
    result = session.spawn()
    assert "partial (it says nonsense)" in result.text
    assert "first I look" in result.text
    assert "the loss is 0.3" in result.text
    assert session.of(AgentEnded)[0].outcome == "failed"


def test_with_nothing_found_the_answer_is_no_success():
    session = Session(ByTask(T=[ModelFailed("it says nonsense")]))
    result = session.spawn()
    assert not result.ok
    assert "it found nothing" in result.text


def test_too_many_requests_at_call_40_lose_nothing_and_repeat_nothing():
    tool = counting()
    script = steps(49)
    down = Session(ByTask(T=[*script[:39], ModelDown("too many requests")]), [tool])
    with pytest.raises(ModelDown):
        asyncio.run(down.turn(gives(1)))
    assert len(down.of(Replied, "a1-critic")) == 39
    assert down.of(AgentEnded)[0].outcome == "paused"
    assert [c.id for c in down.state.main.pending] == ["d1"]
    later = down.again(ByTask(T=script))
    asyncio.run(later.carry_out())
    assert len(later.model.views) == 50 - 39
    assert [f.step for f in later.of(Replied, "a1-critic")] == list(range(1, 51))
    assert len(tool.made) == 49
    assert len(later.of(AgentStarted)) == 1
    (settled,) = later.of(EffectSettled, "")
    assert settled.text.startswith("a1-critic: the answer")
    assert later.state.agents["a1-critic"].ended.outcome == "completed"


def test_others_side_by_side_end_before_the_one_that_is_down_pauses_the_turn():
    model = ByTask(A=steps(3, "fine"), B=[ModelDown("busy")])
    session = Session(model, [counting()])
    with pytest.raises(Paused):
        asyncio.run(session.turn(gives(1, "A"), gives(2, "B")))
    (settled,) = session.of(EffectSettled, "")
    assert settled.call == "d1"
    later = session.again(ByTask(A=[], B=[("b",)]))
    asyncio.run(later.carry_out())
    assert len(later.of(EffectSettled, "")) == 2


def test_another_research_model_takes_over_if_there_is_one():
    other = ByTask("other", T=[("saved",)])

    def use_fallback(why):
        session.model = other
        return True

    session = Session(ByTask(T=[ModelDown("busy")]), use_fallback=use_fallback)
    assert "saved" in session.spawn().text
    assert [f.model for f in session.of(Replied)] == ["other"]


def test_after_a_crash_at_any_fact_it_goes_on_and_repeats_no_finished_model_call():
    script = [("", call(1, "look")), ("", call(2, "look"), call(3, "look")), ("the answer",)]
    whole = Session(ByTask(T=script), [counting()])
    asyncio.run(whole.turn(gives(1)))
    first = next(n for n, f in enumerate(whole.facts) if isinstance(f, AgentStarted))
    for cut in range(first, len(whole.facts)):
        kept = whole.facts[:cut]
        replied = sum(isinstance(f, Replied) and f.agent != "" for f in kept)
        later = Session(ByTask(T=script), [counting()], facts=kept)
        asyncio.run(later.carry_out())
        assert len(later.model.views) == 3 - replied, cut
        assert [f.step for f in later.of(Replied, "a1-critic")] == [1, 2, 3], cut
        assert len(later.of(AgentStarted)) == 1, cut
        (settled,) = later.of(EffectSettled, "")
        assert settled.text.startswith("a1-critic: the answer"), cut


def test_stop_ends_every_sub_agent_with_the_turn():
    async def scene():
        waiting, both = [], asyncio.Event()

        async def before(task):
            waiting.append(task)
            if len(waiting) == 2:
                both.set()
            await asyncio.Event().wait()

        model = ByTask(A=[("a",)], B=[("b",)])
        model.before = before
        session = Session(model)
        work = asyncio.ensure_future(session.turn(gives(1, "A"), gives(2, "B")))
        await asyncio.wait_for(both.wait(), 60)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        return session

    session = asyncio.run(scene())
    assert [f.outcome for f in session.of(AgentEnded)] == ["interrupted", "interrupted"]
    assert session.budget.left().steps == Limits().steps


def test_a_share_is_set_aside_while_it_works_and_what_is_left_comes_back():
    lefts = []
    model = ByTask(T=steps(2), usage=Usage(100, 100))
    model.unmetered, model.price = False, Price(1.0, 1.0, "--price")
    session = Session(model, [counting()], Limits(usd=1.0, tokens=1_000_000))

    async def before(task):
        lefts.append(session.budget.left())

    model.before = before
    whole = session.budget.left()
    session.spawn()
    assert all(left.usd < whole.usd * 0.8 for left in lefts)
    assert all(left.tokens < whole.tokens * 0.8 for left in lefts)
    after = session.budget.left()
    assert after.usd == pytest.approx(1.0 - 3 * 200 / 1e6)
    assert after.tokens == 1_000_000 - 3 * 200
    assert after.steps == whole.steps
    assert session.state.spent.usd == pytest.approx(3 * 200 / 1e6)
    assert session.state.spent.steps == 0


def test_at_the_end_of_its_share_it_still_says_what_it_found():
    def reply(view):
        if view.messages[-2].text == FINDINGS:
            return ("what I have",)
        return "", call(len(view.messages), "look")

    model = ByTask(T=[reply], usage=Usage(2_000, 8_000))
    limits = Limits(tokens=300_000)
    session = Session(model, [counting()], limits)
    result = session.spawn()
    assert "partial (the token limit is reached" in result.text
    assert "what I have" in result.text
    assert session.state.spent.usage.total <= 0.25 * 300_000
    assert session.budget.left().tokens == 300_000 - session.state.spent.usage.total


def test_a_budget_that_is_used_up_starts_nothing():
    session = Session(ByTask(T=[("never",)]), limits=Limits(tokens=10))
    result = session.spawn()
    assert session.model.views == []
    assert not result.ok
    assert "token limit" in result.text


def test_limits_of_the_whole_hold_for_it():
    session = Session(ByTask(T=steps(3)), [counting()], Limits(hours=1))
    session.budget = session.delegation.budget = Budget(
        Limits(hours=1), lambda: Spent(seconds=3600), Clock()
    )
    result = session.spawn()
    assert session.model.views == []
    assert isinstance(session.budget.exceeded(), LimitReached)
    assert not result.ok
