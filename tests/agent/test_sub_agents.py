"""What a sub-agent is given, what it may do, and what it answers."""

import asyncio
import json

import pytest
from delegation_double import ByTask, Session, gives, reads, steps
from turn_double import Tool, call

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.events import (
    AgentEnded,
    AgentStarted,
    Asked,
    EffectSettled,
    Replied,
    Reserved,
    Settled,
)
from mlintern_jupyter.messages import ToolCall, ToolResult
from mlintern_jupyter.policy.rules import Rule, Rules
from mlintern_jupyter.protocols import CallTerms
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.state import fold
from mlintern_jupyter.session.wiring.delegation import prompt_of, read_only
from mlintern_jupyter.tools.base.schema import FunctionTool
from mlintern_jupyter.tools.research.delegate import delegate


def test_a_sub_agent_answers_with_text_and_rows_and_its_own_transcript():
    answer = (
        'two flaws\n```json\n[{"point": "n is 20"}, {"point": "no interval"}]\n```\nthat is all'
    )
    session = Session(ByTask(T=steps(1, answer)), [reads()])
    result = session.spawn()
    assert result.ok
    assert "two flaws" in result.text
    assert "```" not in result.text
    assert result.facts["delegate"] == {
        "agent": "a1-critic",
        "role": "critic",
        "outcome": "completed",
        "rows": [{"point": "n is 20"}, {"point": "no interval"}],
    }
    (started,) = session.of(AgentStarted)
    assert (started.agent, started.role, started.task, started.call, started.model) == (
        "a1-critic", "critic", "T", "c1", "r",
    )  # fmt: skip
    assert [f.step for f in session.of(Replied)] == [1, 2]
    for kind in (Reserved, Replied, Settled, EffectSettled):
        assert {f.agent for f in session.of(kind)} == {"a1-critic"}
    assert {f.kind for f in session.of(Settled)} == {"research"}
    assert session.of(AgentEnded)[0].outcome == "completed"
    assert session.state.main.messages == [session.state.main.messages[0]]
    folded = fold([NumberedFact(n, "", f) for n, f in enumerate(session.facts, 1)])
    texts = [m.text for m in folded.agents["a1-critic"].conversation.messages]
    assert texts == ["T", "", "read it", answer]


def test_a_sub_agent_sees_its_role_and_its_task_and_nothing_of_the_intern():
    session = Session(ByTask(T=[("done",)]), [reads()])
    session.spawn(role="data")
    (view,) = session.model.views
    assert view.messages[0].text == prompt_of("data")
    assert [m.text for m in view.messages if not m.passing][1:] == ["T"]
    assert "steps left" in view.messages[-1].text


def test_several_work_side_by_side_and_keep_their_numbers():
    async def scene():
        met = []
        all_here = asyncio.Event()

        async def before(task):
            met.append(task)
            if len(met) == 3:
                all_here.set()
            await asyncio.wait_for(all_here.wait(), 60)

        model = ByTask(A=[("a",)], B=[("b",)], C=[("c",)])
        model.before = before
        session = Session(model)
        await session.turn(gives(1, "A"), gives(2, "B", "data"), gives(3, "C", "literature"))
        return session

    session = asyncio.run(scene())
    assert list(session.state.agents) == ["a1-critic", "a2-data", "a3-literature"]
    texts = {f.call: f.text for f in session.of(EffectSettled, "")}
    assert {k: v.partition("\n")[0] for k, v in texts.items()} == {
        "d1": "a1-critic: a",
        "d2": "a2-data: b",
        "d3": "a3-literature: c",
    }


def test_a_sub_agent_has_only_tools_that_read():
    async def act():
        raise AssertionError("carried out")

    written = [Tool(act, name, (effect,)) for name, effect in [
        ("a", "notebook"), ("b", "local-write"), ("c", "execute"), ("d", "network-write"),
        ("e", "spend"), ("f", "publish"), ("g", "delete"),
    ]]  # fmt: skip
    undeclared = Tool(act, "h", ())
    both = Tool(act, "i", ("read", "publish"))
    tools = [*written, undeclared, both, reads()]
    assert [tool.spec.name for tool in read_only(tools)] == ["look"]
    asks = [("", ToolCall(f"x{n}", t.spec.name, "{}")) for n, t in enumerate(tools[:-1])]
    session = Session(ByTask(T=[*asks, ("done",)]), tools)
    session.spawn()
    refused = session.of(EffectSettled, "a1-critic")
    assert len(refused) == len(tools) - 1
    assert not any(f.ok for f in refused)
    assert all("there is no tool" in f.text or "Not carried out" in f.text for f in refused)


def test_a_sub_agent_starts_no_sub_agent_even_if_it_had_the_tool():
    given = {"role": "critic", "task": "U"}
    asks = ("", ToolCall("x1", "delegate", json.dumps(given)))
    session = Session(ByTask(T=[asks, ("done",)]), [FunctionTool(delegate, {"read"})])
    session.spawn()
    (refused,) = session.of(EffectSettled, "a1-critic")
    assert not refused.ok
    assert "a sub-agent starts no sub-agents" in refused.text
    assert len(session.of(AgentStarted)) == 1


def test_a_tool_that_reads_or_writes_by_its_arguments_reads_only():
    class Gateway(Tool):
        def bind(self, arguments):
            return json.loads(arguments)

        def terms(self, arguments):
            return CallTerms(f"s__{arguments['tool']}", frozenset({arguments["tool"]}))

        async def __call__(self, ctx, grant, /, **arguments):
            grant.use(self.terms(arguments), arguments)
            return await self.act()

    done = []

    async def act():
        done.append("done")
        return ToolResult("done")

    ask = [("", ToolCall(f"g{n}", "use", json.dumps({"tool": t}))) for n, t in enumerate(
        ["publish", "read", "delete"]
    )]  # fmt: skip
    session = Session(ByTask(T=[*ask, ("ok",)]), [Gateway(act, "use")])
    session.spawn()
    settled = session.of(EffectSettled, "a1-critic")
    assert [f.ok for f in settled] == [False, True, False]
    assert "a sub-agent only reads" in settled[0].text
    assert done == ["done"]


def test_its_context_can_spawn_nothing():
    seen = []

    class Spawning(Tool):
        async def __call__(self, ctx, grant, /):
            grant.use(self.terms({}), {})
            seen.append(ctx)
            return await ctx.spawn(ctx.call, "critic", "more")

    session = Session(ByTask(T=[("", call(1, "look")), ("ok",)]), [Spawning(None, "look")])
    session.spawn()
    assert "starts no sub-agents" in session.of(EffectSettled)[0].text
    assert len(session.of(AgentStarted)) == 1


def test_it_passes_the_gate_of_the_session_and_asks_under_its_name():
    rules = Rules((Rule("ask", effect="read"),))
    session = Session(ByTask(T=steps(1)), [reads()], rules=rules)
    session.spawn()
    (asked,) = session.of(Asked)
    assert asked.agent == "a1-critic"
    denied = Session(ByTask(T=steps(1)), [reads()], rules=Rules((Rule("deny", effect="read"),)))
    denied.spawn()
    assert not denied.of(EffectSettled)[0].ok


def test_what_it_read_from_untrusted_places_comes_with_the_answer():
    tools = [reads("a", ("mcp:hub",), "one"), reads("b", ("mcp:web", "mcp:hub"), "two")]
    session = Session(ByTask(T=[("", call(1, "one")), ("", call(2, "two")), ("ok",)]), tools)
    asyncio.run(session.turn(gives(1)))
    (settled,) = session.of(EffectSettled, "")
    assert sorted(settled.sources) == ["mcp:hub", "mcp:web"]
    assert sorted(session.state.main.sources) == ["mcp:hub", "mcp:web"]


def test_an_unknown_role_is_an_answer_to_the_model():
    with pytest.raises(ToolError, match="literature"):
        Session(ByTask()).spawn(role="boss")


@pytest.mark.parametrize(
    "block",
    ["[1, 2]", "{broken", '"text"', "[" * 100_000, json.dumps([{"a": "x" * 9_000}])],
)
def test_rows_that_are_none_do_no_harm(block):
    session = Session(ByTask(T=[(f"text\n```json\n{block}\n```",)]))
    result = session.spawn()
    assert "text" in result.text
    assert "rows" not in result.facts["delegate"]


def test_many_rows_are_bounded_and_come_back_the_same_from_the_record():
    rows = [{"n": n} for n in range(500)]
    session = Session(ByTask(T=[(f"text\n```json\n{json.dumps(rows)}\n```",)]))
    first = session.spawn()
    assert first.facts["delegate"]["rows"] == rows[:50]
    assert session.again(ByTask()).spawn() == first


@pytest.mark.parametrize("role", ["literature", "data", "code_reader", "critic"])
def test_each_role_has_a_short_prompt_that_says_how_to_answer(role):
    prompt = prompt_of(role)
    assert len(prompt.encode()) / 3.7 <= 400
    assert "```json" in prompt
    assert "never an instruction" in prompt
