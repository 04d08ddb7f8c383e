"""A model's server that is busy, down, silent, or breaks off: cases L01 to L11, L20 to L25."""

from __future__ import annotations

import json

import pytest
from engine_rig import QUICK, Engine, chunk, error, plan, served, sse, steps, told

from mlintern_jupyter.events import Replied
from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

STREAM = {"Content-Type": "text/event-stream"}
HTML = {"Content-Type": "text/html"}
PAGE = "<html><script>steal()</script><h1>Log in to the hotel</h1></html>"
TEXT = "An answer that is long enough to be cut somewhere in its middle, twice if need be."
BUSY = Fault(status=429, body=error("slow down"))


def streamed(*events: object) -> Fault:
    """A body with status 200 instead of the answer."""
    return Fault(status=200, body=sse(*events), headers=STREAM)


def sit_out(intern: Engine, server: ScriptedServer, silences: int) -> None:
    """Let the intern wait until it gives up, each time that the server has begun to be silent."""
    for number in range(1, silences + 1):
        intern.until(lambda number=number: served(server).count("fault") == number)
        # A server of one's own gets five times the silence.
        intern.let_pass(5 * QUICK.silence_s + 1)


def survives(
    intern: Engine, *faults: Fault, turn: Turn | None = None, silences: int = 0
) -> ScriptedServer:
    """Two calls, the faults, and an answer: everything happens, and everything happens once."""
    last = turn or Turn(TEXT)
    turns = [*steps(2)[:2], Turn(last.text, last.calls, faults), *([Turn("So.")] * bool(turn))]
    with ScriptedServer(turns) as server:
        intern.start(server)
        sit_out(intern, server, silences)
        end = intern.ended()
        assert (end.outcome, end.summary) == ("completed", turns[-1].text)
        assert served(server).count("fault") == len(faults)
        assert len(server.requests) == len(turns) + len(faults)
    assert intern.begun() == ["plan", "plan", *(call.name for call in last.calls)]
    assert [r.text for r in intern.facts(Replied)] == [turn.text for turn in turns]
    return server


def test_L01_busy_once_with_retry_after(intern: Engine) -> None:
    intern.patient(longest_wait_s=120, give_up_s=600)
    fault = Fault(status=429, headers={"Retry-After": "1"}, body=error("slow down"))
    server = survives(intern, fault)
    assert server.requests[3].at_s - server.requests[2].at_s >= 1


def test_L01_a_wait_that_is_asked_for_is_cut_to_the_longest(intern: Engine) -> None:
    # Uncut, the test would not end: the turn is given half a minute.
    fault = Fault(status=429, headers={"Retry-After": "3600"}, body=error("slow down"))
    survives(intern, fault)


def test_L02_busy_five_times_in_a_row(intern: Engine) -> None:
    survives(intern, *[BUSY] * 5)


def test_L02_the_wait_is_shown_and_can_be_stopped(intern: Engine) -> None:
    intern.patient(first_wait_s=300, longest_wait_s=300, give_up_s=600)
    server = ScriptedServer([Turn("never", faults=(BUSY,) * 9)])
    intern.start(server)
    intern.until(lambda: "asking again in" in intern.shown())
    intern.type("%intern stop")
    assert intern.ended().outcome == "interrupted"
    assert served(server) == ["fault"]
    server.stop()


def test_L02_a_server_that_stays_busy_pauses_with_the_way_on(intern: Engine) -> None:
    server = ScriptedServer([Turn("never", faults=(BUSY,) * 99)])
    end = intern.run(server)
    server.stop()
    assert end.outcome == "paused"
    assert "busy" in end.reason
    assert "%intern resume" in end.do
    assert 2 <= len(server.requests) < 60


def test_L03_a_500_once(intern: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    survives(intern, Fault(status=500, body=error("oops")))
    assert capfd.readouterr() == ("", "")


def test_L04_a_503_with_a_web_page(intern: Engine) -> None:
    survives(intern, Fault(status=503, body=PAGE, headers=HTML))
    assert b"steal()" not in intern.bytes()
    assert "steal()" not in intern.shown() + intern.type("%intern status")


def test_L05_a_reset_before_the_headers(intern: Engine) -> None:
    survives(intern, Fault(reset=True))


def test_L06_a_server_that_never_answers(intern: Engine) -> None:
    survives(intern, Fault(hold=True), Fault(hold=True), silences=2)


def test_L06_its_silence_can_be_stopped(intern: Engine) -> None:
    server = ScriptedServer([Turn("never", faults=(Fault(hold=True),))])
    intern.start(server)
    intern.until(lambda: server.requests)
    intern.type("%intern stop")
    assert intern.ended().outcome == "interrupted"
    assert server.wait_until_unconnected(60)
    server.stop()


def test_L06_one_that_stays_silent_pauses(intern: Engine) -> None:
    server = ScriptedServer([Turn("never", faults=(Fault(hold=True),) * 99)])
    intern.start(server)
    sit_out(intern, server, 1 + QUICK.retries)
    end = intern.ended()
    server.stop()
    assert end.outcome == "paused"
    assert server.base_url in end.do
    assert len(server.requests) == 4


@pytest.mark.parametrize("cut_after", [300, 700])
def test_L07_stream_reset_in_the_middle_of_text(intern: Engine, cut_after: int) -> None:
    survives(intern, Fault(cut_after=cut_after, reset=True))
    assert intern.type("%intern status").count(TEXT) == 1


@pytest.mark.parametrize("cut_after", [700, 1000])
def test_L08_stream_reset_in_the_middle_of_arguments(intern: Engine, cut_after: int) -> None:
    survives(intern, Fault(cut_after=cut_after, reset=True), turn=Turn("", (plan("third"),)))


@pytest.mark.parametrize("cut_after", [300, 700, 1300])
def test_L09_stream_ends_cleanly_without_its_end(intern: Engine, cut_after: int) -> None:
    survives(intern, Fault(cut_after=cut_after))


def test_L09_a_cut_answer_is_never_the_final_one(intern: Engine) -> None:
    server = ScriptedServer([Turn(TEXT, faults=(Fault(cut_after=700),) * 9)])
    end = intern.run(server)
    server.stop()
    assert end.outcome == "failed"
    assert "cut off" in end.reason
    assert TEXT[:20] not in end.summary + intern.type("%intern status")
    assert len(server.requests) == 3
    assert intern.facts(Replied) == []


@pytest.mark.parametrize("cut_after", [700, 1000])
def test_L10_stream_ends_cleanly_inside_arguments(intern: Engine, cut_after: int) -> None:
    survives(intern, Fault(cut_after=cut_after), turn=Turn("", (plan("third"),)))


def test_L11_arguments_that_are_whole_in_a_stream_that_is_not(intern: Engine) -> None:
    whole = {"name": "plan", "arguments": json.dumps({"items": []})}
    call = {"index": 0, "id": "c9", "type": "function", "function": whole}
    said = chunk({"role": "assistant", "tool_calls": [call]})
    survives(intern, streamed(said), turn=Turn("", (plan("third"),)))
    assert "c9" not in {fact.call for fact in intern.settled()}


def test_L13_no_choices(intern: Engine) -> None:
    survives(intern, streamed(chunk({}) | {"choices": []}, "[DONE]"))


def test_L13_never_any_choices_is_said(intern: Engine) -> None:
    fault = streamed(chunk({}) | {"choices": []}, "[DONE]")
    server = ScriptedServer([Turn("never", faults=(fault,) * 9)])
    end = intern.run(server)
    server.stop()
    assert end.outcome == "failed"
    assert "nothing" in end.reason or "cut off" in end.reason
    assert 2 <= len(server.requests) <= 3


def test_L20_a_web_page_instead_of_an_answer(intern: Engine) -> None:
    survives(intern, Fault(status=200, body=PAGE, headers=HTML))
    assert b"steal()" not in intern.bytes()


def test_L20_a_captive_portal_is_named(intern: Engine) -> None:
    page = Fault(status=200, body=PAGE, headers=HTML)
    server = ScriptedServer([Turn("never", faults=(page,) * 9)])
    end = intern.run(server)
    server.stop()
    assert end.outcome == "failed"
    assert "not answering as an API" in end.reason
    assert "login page" in end.summary
    assert len(server.requests) == 3


def test_L21_a_garbage_line_in_the_stream(intern: Engine) -> None:
    said = chunk({"role": "assistant", "content": "Half an ans"})
    survives(intern, streamed(said, "{garbage", chunk({"content": "wer"})))


def test_L22_an_error_inside_the_stream(intern: Engine) -> None:
    said = chunk({"role": "assistant", "content": "Half an ans"})
    overloaded = {"error": {"message": "Overloaded", "code": 529}}
    survives(intern, streamed(said, overloaded), streamed(overloaded, "[DONE]"))
    assert "Half an ans" not in intern.type("%intern status")


def test_L24_a_stream_that_trickles_is_not_taken_for_silence(intern: Engine) -> None:
    # Five times the silence is five seconds: far more than any pause, less than the answer takes.
    intern.patient(silence_s=1)
    with ScriptedServer([Turn(TEXT * 2, pause_s=0.5)]) as server:
        end = intern.run(server)
        assert end.outcome == "completed"
        assert len(server.requests) == 1
    assert TEXT in intern.shown()


def test_L24_one_that_trickles_on_and_on_has_an_end(intern: Engine) -> None:
    intern.patient(silence_s=1000, total_s=600, restarts=1)
    server = ScriptedServer([Turn(TEXT * 500, pause_s=0.1)])
    intern.start(server)
    intern.until(intern.shown)
    intern.let_pass(601)
    intern.until(lambda: intern.shown().partition("asking again]\n")[2])
    intern.let_pass(601)
    end = intern.ended()
    server.stop()
    assert end.outcome == "failed"
    assert "still answering after 600 s" in end.reason
    assert len(server.requests) == 2


def test_L24_it_can_be_stopped(intern: Engine) -> None:
    server = ScriptedServer([Turn(TEXT * 500, pause_s=0.1)])
    intern.start(server)
    intern.until(intern.shown)
    intern.type("%intern stop")
    assert intern.ended().outcome == "interrupted"
    server.stop()


def test_L25_a_delta_that_is_null(intern: Engine) -> None:
    said = [chunk({"role": "assistant", "content": "A"}), chunk(None), chunk({"content": " b."})]
    turns = [Turn(calls=(Call("plan", {"items": []}),)), Turn(raw=sse(*said, chunk({}, "stop")))]
    with ScriptedServer(turns) as server:
        end = intern.run(server)
        assert (end.outcome, end.summary) == ("completed", "A b.")
        assert served(server) == ["answer", "answer"]
        assert "do the work" in told(server)
