"""The model client against the scripted server, through the real litellm."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from typing import Any

import pytest
from loop_clock import outwaited

from mlintern_jupyter.errors import InternError, ModelFailed, Paused
from mlintern_jupyter.messages import Message, Reply, ToolCall, ToolSpec, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import ModelPlan, resolve
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.usage import Price

# litellm reads deprecated attributes of its own classes at every call; Python hides such warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
QUICK = RetryPolicy(first_wait_s=0.01, longest_wait_s=0.05, give_up_s=0.3, retries=2)
ADD = ToolSpec(
    "add",
    "Add two numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    },
)
ASK = View((Message("system", "Be brief."), Message("user", "What is 1 + 2?")), (ADD,), 512)


def local(base_url: str) -> ModelPlan:
    return resolve("openai/scripted", api_base=base_url, price=None, env={})


def ask(
    base_url: str, view: View = ASK, *, patience: RetryPolicy = QUICK, plan: ModelPlan | None = None
) -> tuple[Reply, list[str]]:
    pieces: list[str] = []
    model = LitellmModel(plan or local(base_url), patience)
    return asyncio.run(model.complete(view, pieces.append)), pieces


def failure(
    base_url: str, plan: ModelPlan | None = None, patience: RetryPolicy = QUICK
) -> InternError:
    with pytest.raises((ModelFailed, Paused)) as caught:
        ask(base_url, plan=plan, patience=patience)
    return caught.value


def test_text_is_streamed_in_pieces_and_returned_whole() -> None:
    text = "The sum of one and two is three, as everybody knows."
    with ScriptedServer([Turn(text)]) as server:
        reply, pieces = ask(server.base_url)
    assert (reply.text, reply.calls, reply.stop, reply.model) == (
        text,
        (),
        "stop",
        "openai/scripted",
    )
    assert "".join(pieces) == text
    assert len(pieces) > 1


def test_two_parallel_tool_calls_are_assembled_in_order() -> None:
    calls = (Call("add", {"a": 1, "why": "a long enough reason"}), Call("add", {"a": 2}))
    with ScriptedServer([Turn("Let me add.", calls)]) as server:
        reply, _ = ask(server.base_url)
    assert reply.stop == "tool_calls"
    assert [json.loads(call.arguments) for call in reply.calls] == [c.arguments for c in calls]
    assert len({call.id for call in reply.calls}) == 2


def test_the_request_carries_tools_limit_and_nothing_a_strict_server_refuses() -> None:
    with ScriptedServer([Turn("3")]) as server:
        ask(server.base_url)
        (request,) = server.requests
    assert request.body["max_tokens"] == 512
    assert request.body["tools"][0]["function"]["name"] == "add"
    assert request.body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_conversation_with_results_broken_arguments_and_surrogates_is_accepted() -> None:
    view = replace(
        ASK,
        messages=(
            *ASK.messages,
            Message("assistant", "", (ToolCall("x", "add", '{"a": '), ToolCall("y", "add", "{}"))),
            Message("tool", "broken arguments: lone \ud800 surrogate", call_id="x"),
            Message("tool", "", call_id="y"),
        ),
    )
    with ScriptedServer([Turn(calls=(Call("add"),)), Turn("Done.")]) as server:
        ask(server.base_url)
        reply, _ = ask(server.base_url, view)
        sent = server.requests[1].body["messages"]
    assert reply.text == "Done."
    assert sent[2]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert "\ufffd" in sent[3]["content"]


@pytest.mark.parametrize("ids", [("", ""), ("same", "same"), ("used", "fresh")])
def test_empty_and_repeated_call_ids_are_replaced_by_stable_ones(ids: tuple[str, str]) -> None:
    earlier = (
        Message("assistant", "", (ToolCall("used", "add", "{}"),)),
        Message("tool", "0", call_id="used"),
    )
    view = replace(ASK, messages=(*ASK.messages, *earlier))
    calls = tuple(Call("add", {"a": number}, id=id_) for number, id_ in enumerate(ids))
    turns = [Turn(calls=(Call("add"),)), Turn(calls=calls)]
    with ScriptedServer(turns) as server:
        ask(server.base_url)
        first, _ = ask(server.base_url, view)
        second, _ = ask(server.base_url, view)
    made = [call.id for call in first.calls]
    assert len({*made, "used"}) == 3
    assert all(made)
    assert first == second


CUTS = [
    pytest.param(Fault(cut_after=600), id="clean end in the middle"),
    pytest.param(Fault(cut_after=-215), id="clean end inside the finish reason"),
    pytest.param(Fault(cut_after=600, reset=True), id="reset in the middle"),
    pytest.param(
        Fault(status=200, body="<html>Log in</html>", headers={"Content-Type": "text/html"})
    ),
    pytest.param(
        Fault(status=200, body="data: {garbage\n\n", headers={"Content-Type": "text/event-stream"})
    ),
    pytest.param(
        Fault(
            status=200,
            body='data: {"error": {"message": "overloaded", "code": 529}}\n\ndata: [DONE]\n\n',
            headers={"Content-Type": "text/event-stream"},
        ),
        id="error inside the stream",
    ),
    pytest.param(
        Fault(
            status=200,
            body='data: {"id":"x","object":"chat.completion.chunk","created":0,"model":"m",'
            '"choices":[]}\n\ndata: [DONE]\n\n',
            headers={"Content-Type": "text/event-stream"},
        ),
        id="no choices",
    ),
]


@pytest.mark.parametrize("fault", CUTS)
def test_an_answer_without_its_end_is_dropped_and_asked_for_again(fault: Fault) -> None:
    turn = Turn("A text long enough to be cut.", (Call("add", {"a": 1}),), (fault,))
    with ScriptedServer([turn]) as server:
        reply, _ = ask(server.base_url)
        assert len(server.requests) == 2
    assert reply.text == turn.text
    assert [call.arguments for call in reply.calls] == ['{"a": 1}']


def test_a_cut_answer_is_marked_where_its_pieces_were_shown() -> None:
    turn = Turn("A text long enough to be cut somewhere.", faults=(Fault(cut_after=700),))
    with ScriptedServer([turn]) as server:
        reply, pieces = ask(server.base_url)
    assert reply.text == turn.text
    shown = "".join(pieces)
    assert shown.endswith(f"asking again]\n{turn.text}")
    assert shown.startswith("A text")


def test_an_answer_that_is_always_cut_fails_with_the_reason() -> None:
    faults = tuple(Fault(cut_after=300) for _ in range(3))
    server = ScriptedServer([Turn("Never whole.", faults=faults)])
    error = failure(server.base_url)
    assert len(server.requests) == 3
    server.stop()
    assert isinstance(error, ModelFailed)
    assert "cut off" in error.what
    assert "end marker" in error.why


def test_a_server_that_sends_no_done_marker_is_believed_by_its_finish_reason() -> None:
    with ScriptedServer([Turn("Complete.", done_marker=False)]) as server:
        reply, _ = ask(server.base_url)
        assert len(server.requests) == 1
    assert reply.text == "Complete."


def test_an_answer_that_ran_out_of_room_says_so_and_its_half_call_can_be_sent_back() -> None:
    turn = Turn("So far", (Call("add", '{"a": 1'),), finish="length")
    with ScriptedServer([turn, Turn("Better.")]) as server:
        reply, _ = ask(server.base_url)
        assert (reply.text, reply.stop) == ("So far", "length")
        (call,) = reply.calls
        made_up = replace(call, name="no such.tool")
        told = Message("tool", "cut off, not carried out", call_id=call.id)
        again = (*ASK.messages, Message("assistant", reply.text, (made_up,)), told)
        assert ask(server.base_url, replace(ASK, messages=again))[0].text == "Better."


def test_a_filtered_answer_says_so() -> None:
    with ScriptedServer([Turn("Well", finish="content_filter")]) as server:
        assert "content filter" in failure(server.base_url).what


def test_an_empty_answer_is_asked_for_once_more_and_then_named() -> None:
    with ScriptedServer([Turn("")]) as server:
        assert "answered with nothing" in failure(server.base_url).what
        assert len(server.requests) == 2


def paid(base_url: str) -> ModelPlan:
    plan = resolve("openai/gpt-5.1", api_base=None, price=None, env={"OPENAI_API_KEY": "x"})
    return replace(plan, route="openai/scripted", api_base=base_url)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_pauses_at_once_and_names_the_variable(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    body = json.dumps({"error": {"message": "bad key sk-secret-0123456789 of yours"}})
    server = ScriptedServer([Turn("x", faults=(Fault(status=status, body=body),))])
    error = failure(server.base_url, paid(server.base_url))
    assert len(server.requests) == 1
    server.stop()
    assert isinstance(error, Paused)
    assert "OPENAI_API_KEY" in str(error) or status == 402
    assert "%intern resume" in error.do
    assert "sk-secret" not in str(error) + repr(error.__context__ or "")


def test_a_busy_server_is_asked_again_after_the_time_it_names() -> None:
    fault = Fault(status=429, headers={"Retry-After": "0"}, body='{"error": {"message": "slow"}}')
    with ScriptedServer([Turn("Now.", faults=(fault,) * 3)]) as server:
        reply, _ = ask(server.base_url)
    assert reply.text == "Now."


def test_a_server_that_stays_busy_pauses_and_says_how_long_to_wait() -> None:
    fault = Fault(
        status=429, headers={"Retry-After": "3600"}, body='{"error": {"message": "slow"}}'
    )
    server = ScriptedServer([Turn("Never.", faults=(fault,) * 50)])
    error = failure(server.base_url)
    server.stop()
    assert isinstance(error, Paused)
    assert "3600 s" in error.do
    assert error.why == "slow"
    # Every single wait is cut to the longest one, and all together to the patience there is.
    assert 2 <= len(server.requests) <= 8


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, body='{"error": {"message": "oops"}}'),
        Fault(status=503, body="<html>down</html>", headers={"Content-Type": "text/html"}),
        Fault(reset=True),
    ],
    ids=["500", "503 as a web page", "reset before the answer"],
)
def test_a_server_in_trouble_is_asked_again(fault: Fault) -> None:
    with ScriptedServer([Turn("Back.", faults=(fault,))]) as server:
        reply, _ = ask(server.base_url)
        assert len(server.requests) == 2
    assert reply.text == "Back."


def test_nobody_listening_pauses_and_names_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        error = failure(base_url)
    assert isinstance(error, Paused)
    assert base_url in error.what
    assert "start the server" in error.do


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "at most 1500 tokens or 429 items"), (404, "no such model"), (422, "bad field")],
)
def test_a_refused_request_fails_at_once_with_the_servers_words(status: int, message: str) -> None:
    body = json.dumps({"error": {"message": message}})
    with ScriptedServer([Turn("Fine.", faults=(Fault(status=status, body=body),))]) as server:
        error = failure(server.base_url)
        assert len(server.requests) == 1
        ask(server.base_url)
    assert isinstance(error, ModelFailed)
    assert error.why == message


def test_a_conversation_that_does_not_fit_says_what_to_do() -> None:
    message = {"message": "This model's maximum context length is 8192 tokens", "code": None}
    for error in (message, {"message": "too long", "code": "context_length_exceeded"}):
        fault = Fault(status=400, body=json.dumps({"error": error}))
        server = ScriptedServer([Turn("x", faults=(fault,))])
        raised = failure(server.base_url)
        server.stop()
        assert "no longer fits" in raised.what
        assert "larger context" in raised.do


def test_a_silent_server_is_given_up_and_asked_again() -> None:
    pieces: list[str] = []
    faults = (Fault(hold=True), Fault(cut_after=700, hold=True))
    with ScriptedServer([Turn("Awake, and was so all the time.", faults=faults)]) as server:
        model = LitellmModel(local(server.base_url), QUICK)
        silent = [lambda: server.requests, lambda: pieces]
        # A server of one's own gets five times the silence.
        waited = outwaited(model.complete(ASK, pieces.append), silent, 5 * QUICK.silence_s + 1)
        reply = asyncio.run(waited)
        assert [request.served for request in server.requests] == ["fault", "fault", "answer"]
    assert reply.text == "Awake, and was so all the time."


def test_an_answer_that_never_ends_is_cut_off_by_the_total_limit() -> None:
    quick = replace(QUICK, total_s=0.5, restarts=0)
    server = ScriptedServer([Turn("Endless.", faults=(Fault(cut_after=300, hold=True),))])
    error = failure(server.base_url, patience=quick)
    server.stop()
    assert "still answering after 0.5 s" in error.what


def test_cancelling_closes_the_connection() -> None:
    async def cancel_in_the_middle(server: ScriptedServer) -> None:
        started = asyncio.Event()
        model = LitellmModel(local(server.base_url))
        task = asyncio.create_task(model.complete(ASK, lambda _: started.set()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_until_unconnected, 60)

    server = ScriptedServer([Turn("Long text here.", faults=(Fault(cut_after=600, hold=True),))])
    asyncio.run(cancel_in_the_middle(server))
    server.stop()


def test_usage_is_what_the_server_counted() -> None:
    with ScriptedServer([Turn("Forty characters of text for the counter.")]) as server:
        reply, _ = ask(server.base_url)
        (request,) = server.requests
    assert reply.usage.output_tokens == 9
    assert reply.usage.input_tokens == request.tokens


def test_usage_that_was_not_counted_is_estimated_not_zero() -> None:
    with ScriptedServer([Turn("A few words.", count_tokens=False)]) as server:
        reply, _ = ask(server.base_url)
    assert reply.usage.input_tokens > 20
    assert reply.usage.output_tokens > 0


def test_a_local_model_is_unmetered_and_has_no_price() -> None:
    model = LitellmModel(local("http://127.0.0.1:9/v1"))
    assert model.unmetered
    assert model.price is None
    assert model.context_tokens is None


def test_a_listed_model_has_its_listed_price_and_context() -> None:
    env = {"ANTHROPIC_API_KEY": "x"}
    plan = resolve("anthropic/claude-sonnet-4-5", api_base=None, price=None, env=env)
    model = LitellmModel(plan)
    # 3.0 for what is read, 3.75 for what is written into the cache, which every prompt is.
    assert model.price == Price(3.75, 15.0, "litellm")
    assert model.context_tokens == 200_000
    assert LitellmModel(replace(plan, price=Price(1, 2, "--price"))).price == Price(1, 2, "--price")


@pytest.mark.parametrize(
    ("name", "api_base"),
    [("openai/not-a-model", None), ("openai/gpt-5.1", "https://gateway.example.com/v1")],
)
def test_an_unlisted_model_or_address_has_an_unknown_price(name: str, api_base: str | None) -> None:
    plan = resolve(name, api_base=api_base, price=None, env={"OPENAI_API_KEY": "x"})
    assert LitellmModel(plan).price is None


def test_nothing_is_printed_whatever_happens(capfd: pytest.CaptureFixture[str]) -> None:
    faults = (Fault(status=500), Fault(cut_after=400), Fault(status=400))
    server = ScriptedServer([Turn("x" * 50, faults=faults)])
    failure(server.base_url)
    server.stop()
    printed: Any = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
