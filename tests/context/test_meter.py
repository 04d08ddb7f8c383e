"""Tokens of a prompt: guessed from bytes, corrected by what providers report."""

from context_worlds import TOOLS, step, talk, window

from mlintern_jupyter.context import meter as meter_module
from mlintern_jupyter.context.meter import LARGEST_RATIO, LEAST_RATIO, Meter
from mlintern_jupyter.messages import TOKENS_PER_PICTURE, Message, View


def view(*messages):
    return View(messages, (), 100)


def test_before_a_report_a_token_is_three_bytes():
    small, large = view(Message("user", "")), view(Message("user", "é" * 300))
    assert Meter().tokens(large, "m") - Meter().tokens(small, "m") == 200


def test_the_largest_of_the_last_five_reports_corrects_the_guess_for_that_model_only():
    meter, asked = Meter(), view(Message("user", "x" * 3_000))
    guess = meter.tokens(asked, "m")
    meter.reported(asked, "m", 2 * guess)
    for _ in range(4):
        meter.reported(asked, "m", guess)
    assert meter.tokens(asked, "m") == 2 * guess
    assert meter.tokens(asked, "other") == guess
    meter.reported(asked, "m", guess)
    assert meter.tokens(asked, "m") == guess


def test_a_report_of_nothing_or_of_something_else_does_no_harm():
    meter, asked = Meter(), view(Message("user", "x" * 3_000))
    guess = meter.tokens(asked, "m")
    meter.reported(asked, "m", 0)
    assert meter.tokens(asked, "m") == guess
    meter.reported(asked, "m", 1)
    assert meter.ratio("m") == LEAST_RATIO
    meter.reported(asked, "m", 10**12)
    assert meter.ratio("m") == LARGEST_RATIO


def test_pictures_calls_thinking_and_tools_count():
    bare = Message("assistant", "said")
    thought = Message("assistant", "said", thinking=({"type": "thinking", "thinking": "x" * 300},))
    seen = Message("tool", "plot", call_id="c", images=("A" * 90_000,))
    meter = Meter()
    assert meter.tokens(view(thought), "m") - meter.tokens(view(bare), "m") >= 100
    plain = Message("tool", "plot", call_id="c")
    assert meter.tokens(view(seen), "m") - meter.tokens(view(plain), "m") == TOKENS_PER_PICTURE
    assert meter.tokens(View((bare,), TOOLS, 1), "m") > meter.tokens(View((bare,), (), 1), "m")


def test_a_growing_conversation_is_counted_as_if_from_the_beginning():
    seen, messages = window(None), talk(30)
    for end in range(1, len(messages), 2):
        grown = seen.tokens(seen.view(messages[:end], TOOLS, None, "passing"))
        fresh = window(None)
        assert grown == fresh.tokens(fresh.view(messages[:end], TOOLS, None, "passing"))
    other = talk(5, size=2_000)
    fresh = window(None)
    assert seen.tokens(seen.view(other, TOOLS)) == fresh.tokens(fresh.view(other, TOOLS))


def test_each_message_is_measured_once_however_long_the_turn(monkeypatch):
    measured = []
    real = meter_module.message_bytes
    monkeypatch.setattr(meter_module, "message_bytes", lambda m: measured.append(m) or real(m))
    seen, messages = window(None), talk(0)
    for number in range(1, 1_001):
        messages += step(number)
        measured.clear()
        seen.tokens(seen.view(messages, TOOLS, None, f"step {number}"))
        if number > 1:
            assert len(measured) == 3  # the reply, its result, and what passes


def test_half_characters_and_made_up_bytes_are_counted_too():
    assert Meter().tokens(view(Message("user", "\ud800" * 300)), "m") >= 100
