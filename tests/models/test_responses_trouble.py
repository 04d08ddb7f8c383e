"""What goes wrong with the Responses API is judged as it is everywhere else."""

from __future__ import annotations

import asyncio
import gc
import socket
from dataclasses import replace
from typing import Any

import httpx
import pytest
from loop_clock import outwaited
from recording_server import Answer, json_answer, recording
from responses_rig import PATH, QUICK, START, TOOL, model_at, response, step, stream, words

from mlintern_jupyter.errors import ContextOverflow, ModelDown, ModelFailed, Paused
from mlintern_jupyter.messages import Message, View
from mlintern_jupyter.models.litellm import client as litellm_client
from mlintern_jupyter.models.litellm import request
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.stream_watch import StreamWatch, WatchedClient
from mlintern_jupyter.models.names import ModelPlan, resolve
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

KEY = "sk-canary-0123456789"
ENV = {"OPENAI_API_KEY": KEY}
BEGUN = {"type": "response.created", "response": response(status="in_progress", usage=None)}


def keyed(url: str) -> LitellmModel:
    """With a key although the address is private."""
    plan = resolve("openai/responses/m", api_base=url, price=None, env={})
    return LitellmModel(replace(plan, key_variable="OPENAI_API_KEY"), QUICK, env=ENV)


@pytest.mark.parametrize("cut", [900, -40, -2])
def test_a_cut_answer_is_asked_for_again_and_charged(cut: int) -> None:
    turn = Turn("word " * 200, (Call("add"),), faults=(Fault(cut_after=cut),))
    with ScriptedServer([turn]) as server:
        reply = step(model_at(server.base_url))
        assert len(server.requests) == 2
    assert reply.text == turn.text
    assert reply.dropped.input_tokens > 0


def test_an_answer_that_is_always_cut_is_given_up_with_what_it_cost() -> None:
    server = ScriptedServer([Turn("word " * 200, faults=(Fault(cut_after=-40),) * 3)])
    with pytest.raises(ModelFailed, match="cut off") as caught:
        step(model_at(server.base_url))
    server.stop()
    assert caught.value.charged is not None
    assert caught.value.charged.output_tokens > 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, body="{}", headers={"Retry-After": "0"}),
        Fault(status=503, body="<html>down</html>", headers={"Content-Type": "text/html"}),
        Fault(reset=True),
        Fault(cut_after=900, reset=True),
    ],
    ids=["429", "503 as a web page", "reset before the answer", "reset in the answer"],
)
def test_a_server_that_is_busy_or_down_is_asked_again(fault: Fault) -> None:
    with ScriptedServer([Turn("Back. " * 50, faults=(fault,))]) as server:
        assert step(model_at(server.base_url)).text.startswith("Back.")
        assert len(server.requests) == 2


def test_a_silent_server_is_given_up_and_asked_again() -> None:
    pieces: list[str] = []
    faults = (Fault(hold=True), Fault(cut_after=3000, hold=True))
    with ScriptedServer([Turn("Awake. " * 100, faults=faults)]) as server:
        asked = model_at(server.base_url).complete(View(START, (TOOL,), 512), pieces.append)
        silent = [lambda: server.requests, lambda: pieces]
        # A server of one's own gets five times the silence.
        reply = asyncio.run(outwaited(asked, silent, 5 * QUICK.silence_s + 1))
        assert [request.served for request in server.requests] == ["fault", "fault", "answer"]
    assert reply.text == "Awake. " * 100


def test_a_server_that_stays_busy_pauses_and_says_how_long_it_asked_for() -> None:
    slow = Fault(status=429, body='{"error": {"message": "slow"}}', headers={"Retry-After": "3600"})
    server = ScriptedServer([Turn("Never.", faults=(slow,) * 50)])
    with pytest.raises(ModelDown) as caught:
        step(model_at(server.base_url))
    server.stop()
    assert "3600 s" in caught.value.do


def test_nobody_there_is_a_model_that_is_down_and_nobody_else_is_asked() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(ModelDown, match="does not answer"):
            step(model_at(url))


def test_a_conversation_that_does_not_fit_is_an_overflow_and_asked_once() -> None:
    server = ScriptedServer([Turn("Never.")], context_tokens=520)
    with pytest.raises(ContextOverflow, match="no longer fits"):
        step(model_at(server.base_url), (*START, Message("user", "more words " * 50)))
    server.stop()
    assert len(server.requests) == 1


def failed(code: str) -> dict[str, Any]:
    error = {"code": code, "message": "a late word"}
    ended = response(status="failed", error=error, usage=None)
    return {"type": "response.failed", "response": ended}


def error(code: str) -> dict[str, Any]:
    return {"type": "error", "code": code, "message": "a late word", "param": None}


@pytest.mark.parametrize("event", [failed, error])
@pytest.mark.parametrize(
    ("code", "kind", "asked"),
    [
        ("context_length_exceeded", ContextOverflow, 1),
        ("rate_limit_exceeded", ModelDown, 2),
        ("insufficient_quota", ModelDown, 2),
        ("server_error", ModelDown, 3),
        ("invalid_prompt", ModelFailed, 1),
        ("something_else", ModelDown, 2),
    ],
)
def test_an_error_inside_a_stream_counts_by_its_code(
    event: Any, code: str, kind: type[Exception], asked: int
) -> None:
    late = stream(BEGUN, event(code))
    with recording(lambda _: late) as server, pytest.raises(kind) as caught:
        step(model_at(server.url))
    assert type(caught.value) is kind
    assert "a late word" in str(caught.value)
    assert len(server.seen) >= asked
    assert (asked > 1) is (len(server.seen) > 1)


def test_an_expired_key_pauses_and_is_never_quoted() -> None:
    said = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}
    refused = json_answer(said, 401)
    with (
        recording(lambda _: refused) as server,
        pytest.raises(Paused, match="OPENAI_API_KEY") as caught,
    ):
        step(keyed(server.url))
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with recording(lambda _: stream()) as other:
        away = (status, {"Location": f"{other.url}{PATH}"}, b"")
        with recording(lambda _: away) as first, pytest.raises(ModelFailed, match="sends us on"):
            step(keyed(first.url))
    assert len(first.seen) == 3
    assert other.seen == []


def test_a_request_for_another_host_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(lambda _: stream()) as other, recording(lambda _: stream()) as right:

        def elsewhere(plan: ModelPlan, client: WatchedClient, key: str | None) -> Any:
            """As if the client knew better than the address it is given."""
            away = replace(plan, api_base=f"{other.url}/v1")
            return request.openai_client(away, client, key)

        monkeypatch.setattr(litellm_client, "openai_client", elsewhere)
        with pytest.raises(ModelFailed, match="would have gone to"):
            step(keyed(right.url))
    assert other.seen == right.seen == []


def test_cancelling_closes_the_connection() -> None:
    async def cancel_in_the_middle(server: ScriptedServer) -> None:
        started = asyncio.Event()
        model = model_at(server.base_url)
        view = View(START, (TOOL,), 512)
        task = asyncio.create_task(model.complete(view, lambda _: started.set()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    turn = Turn("word " * 100, faults=(Fault(cut_after=3000, hold=True),))
    server = ScriptedServer([turn])
    asyncio.run(cancel_in_the_middle(server))
    assert server.wait_until_unconnected(60)
    server.stop()


def test_nothing_is_printed_or_warned_of(
    capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    # What tests before this one left behind warns when it is collected.
    gc.collect()
    recwarn.clear()
    faults = (Fault(status=500), Fault(cut_after=900))
    with ScriptedServer([Turn("x" * 50, (Call("add"),), faults=faults)]) as server:
        step(model_at(server.base_url))
    printed: Any = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert [str(warning.message) for warning in recwarn] == []


def feed(watch: StreamWatch, answer: Answer, place: int = 0) -> None:
    status, headers, data = answer
    watch.begin(httpx.Response(status, headers=headers))
    watch.feed(data[:place])
    watch.feed(data[place:])
    watch.end()


@pytest.mark.parametrize(
    "events",
    [
        [BEGUN],
        [BEGUN, {"type": "response.output_text.delta", "delta": "response.completed"}],
        [{"type": "response.output_text.done", "text": '{"type":"response.completed"}'}],
    ],
)
def test_words_that_look_like_an_end_are_not_one(events: list[dict[str, Any]]) -> None:
    watch = StreamWatch()
    feed(watch, stream(*events))
    assert not watch.complete


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_the_end_is_seen_wherever_the_bytes_are_cut(status: str) -> None:
    ended = {"type": f"response.{status}", "response": response(words("3"), status=status)}
    _, _, data = answer = stream(BEGUN, ended)
    for place in range(0, len(data), 7):
        watch = StreamWatch()
        feed(watch, answer, place)
        assert watch.complete, place
        assert watch.counted
