"""A sub-agent through the real model client, against the scripted server."""

import asyncio

import pytest
from delegation_double import Session, gives

from mlintern_jupyter.errors import ModelDown
from mlintern_jupyter.events import AgentStarted, EffectSettled, Replied
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.tools.base.schema import FunctionTool

# litellm reads deprecated attributes of its own classes at every call; Python hides such warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
QUICK = RetryPolicy(first_wait_s=0.01, longest_wait_s=0.05, give_up_s=0.3, retries=2)
BUSY_AT = 40


def model(server):
    plan = resolve("openai/scripted", api_base=server.base_url, price=None, env={})
    return LitellmModel(plan, QUICK)


def test_two_sub_agents_side_by_side_outlive_a_server_that_is_busy_at_call_40():
    busy, read = [True], []

    async def look(ctx, page: int) -> ToolResult:
        """Read one page."""
        read.append(page)
        return ToolResult(f"page {page}", sources=("mcp:book",))

    def script(body):
        task = body["messages"][1]["content"]
        place = sum(message["role"] == "assistant" for message in body["messages"])
        if task.startswith("short"):
            return Turn("a short answer")
        faults = (Fault(status=429),) * 500 if busy[0] and place == BUSY_AT - 1 else ()
        if place < BUSY_AT + 2:
            return Turn(calls=(Call("look", {"page": place}),), faults=faults)
        return Turn('pages\n```json\n[{"pages": 42}]\n```', faults=faults)

    tools = [FunctionTool(look, {"read"})]
    with ScriptedServer(script) as server:
        first = Session(model(server), tools)
        with pytest.raises(ModelDown):
            asyncio.run(first.turn(gives(1, "long"), gives(2, "short")))
        assert len(first.of(Replied, "a1-critic")) == BUSY_AT - 1
        (settled,) = first.of(EffectSettled, "")
        assert settled.text.startswith("a2-critic: a short answer")
        busy[0] = False
        later = first.again(model(server))
        asyncio.run(later.carry_out())
        answers = [r for r in server.requests if r.served == "answer"]
    assert len(later.of(AgentStarted)) == 2
    assert read == list(range(BUSY_AT + 2))
    assert len(answers) == BUSY_AT + 2 + 1 + 1
    done = later.of(EffectSettled, "")[-1]
    assert done.facts["delegate"]["rows"] == [{"pages": 42}]
    assert done.sources == ("mcp:book",)
