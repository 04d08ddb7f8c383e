"""What attempts cost that gave no answer: counted, and apart from the answer's own count."""

from __future__ import annotations

import asyncio

import pytest

from mlintern_jupyter.errors import ModelDown, ModelFailed
from mlintern_jupyter.messages import Message, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.testing.script import Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.usage import Usage

QUICK = RetryPolicy(first_wait_s=0.01, longest_wait_s=0.02, give_up_s=1, retries=1)
VIEW = View((Message("system", "be brief"), Message("user", "say something long")), (), 100)


def ask(server):
    plan = resolve("openai/scripted", api_base=server.base_url, price=None, env={})
    model = LitellmModel(plan, QUICK)
    return asyncio.run(model.complete(VIEW, lambda _: None))


def test_a_cut_attempt_is_counted_beside_the_answer_that_came_at_last():
    with ScriptedServer([Turn("word " * 400, faults=(Fault(cut_after=4000),))]) as server:
        reply = ask(server)
    assert reply.dropped.input_tokens > 0
    assert reply.dropped.output_tokens > 0


def test_an_answer_that_came_at_once_dropped_nothing():
    with ScriptedServer([Turn("word")]) as server:
        assert ask(server).dropped == Usage()


def test_attempts_that_were_all_cut_are_charged_with_the_error():
    faults = (Fault(cut_after=4000),) * 3
    server = ScriptedServer([Turn("word " * 400, faults=faults)])
    with pytest.raises(ModelFailed) as caught:
        ask(server)
    server.stop()
    assert caught.value.charged is not None
    assert caught.value.charged.output_tokens > 0


def test_a_server_that_refused_to_work_charged_nothing():
    faults = (Fault(status=503, body="{}"),) * 2
    server = ScriptedServer([Turn("word", faults=faults)])
    with pytest.raises(ModelDown) as caught:
        ask(server)
    server.stop()
    assert caught.value.charged == Usage()
