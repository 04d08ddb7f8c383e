"""A question as a person reads it: with its arguments, and with nothing hidden in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.events import AgentStarted, Answered, Asked, EffectSettled, TurnEnded
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.readouts.card import card_text
from mlintern_jupyter.session.readouts.questions import (
    MOST,
    arguments_text,
    ask_text,
    ask_view,
    ask_views,
    named,
    visible,
)

ASKED = Asked(
    step=3,
    call="call_1",
    tool="github__create_issue",
    arguments={"title": "hello"},
    effects=("network-write", "publish"),
    why="rule: github__* network-write ask",
    price_usd=None,
    visibility="public",
    grant="sha",
    sources=("mcp:github", "cell k3"),
)


def state_with(*facts: Any) -> SessionState:
    return fold(NumberedFact(n, "", fact) for n, fact in enumerate(facts, 1))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, 日本語 é 😀\nnext", "plain, 日本語 é 😀\nnext"),
        ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("pay\u200bpal \u2066x\u2069", "pay\\u200bpal \\u2066x\\u2069"),
        ("a\u00a0b\u3000c", "a\\u00a0b\\u3000c"),
        ("tag\U000e0041\U000e007f", "tag\\U000e0041\\U000e007f"),
        ("x\ufe0f\U000e0100", "x\\ufe0f\\U000e0100"),
        ("fill\u3164er\u2800", "fill\\u3164er\\u2800"),
        ("a\r\x1b[2Kb\tc\x00", "a\\u000d\\u001b[2Kb\\u0009c\\u0000"),
        ("\u2028\u2029\ufeff\u00ad", "\\u2028\\u2029\\ufeff\\u00ad"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_text_of_several_lines_cannot_pass_for_another_argument() -> None:
    text = arguments_text({"body": "fine\nprice: 0\nto: me", "to": "everybody"})
    assert text == "body:\n    fine\n    price: 0\n    to: me\nto: everybody"


def test_the_name_of_an_argument_cannot_break_its_line() -> None:
    assert arguments_text({"a\nb\u202e": 1}) == "a\\nb\\u202e: 1"


def test_a_very_long_argument_shows_both_ends_and_says_how_much_is_missing() -> None:
    text = arguments_text({"body": "a" * 9000 + "the end"})
    assert len(text) < MOST + 100
    assert text.endswith("the end")
    assert f"{len('body: ') + 9007 - MOST:,} characters are not shown" in text


def test_a_call_without_arguments_says_so() -> None:
    assert arguments_text({}) == "(no arguments)"


def test_a_question_says_effects_price_visibility_sources_and_how_to_answer() -> None:
    said = ask_text(ask_view(ASKED))
    assert "the intern asks to use github__create_issue (call_1)" in said
    assert "network-write, publish; price unknown; seen by: public" in said
    assert "rule: github__* network-write ask" in said
    assert "untrusted text it had read: mcp:github, cell k3" in said
    assert "    title: hello" in said
    assert "`%intern approve call_1`" in said
    assert "`mlintern refuse call_1 [reason]`" in ask_text(ask_view(ASKED), command="mlintern")


def test_undeclared_effects_and_a_free_call_are_said() -> None:
    said = ask_text(ask_view(replace(ASKED, effects=(), price_usd=0.0, sources=())))
    assert "would do: nobody has said what; costs nothing" in said
    assert "untrusted" not in said
    assert "costs $2.50" in ask_text(ask_view(replace(ASKED, price_usd=2.5)))


def test_a_question_says_where_a_call_connects_to_and_which_keys_it_would_be_given() -> None:
    asked = replace(ASKED, hosts=("a.org", "b.org\u202e"), keys=("A_KEY",))
    (view,) = ask_views(state_with(asked))
    assert "\n  connects to: a.org, b.org\\u202e, given A_KEY\n" in ask_text(view)
    assert "connects to" not in ask_text(ask_view(ASKED))


def test_a_sub_agents_question_is_shown_under_its_role() -> None:
    started = AgentStarted("a-1", "literature", "find it", "call_0", "m")
    state = state_with(started, replace(ASKED, agent="a-1"))
    (view,) = ask_views(state)
    assert view.agent == "literature"
    assert "the literature sub-agent asks" in ask_text(view)


def test_the_card_names_an_open_question_and_how_to_answer_it() -> None:
    state = state_with(ASKED)
    text = card_text(state)
    assert "waits for your answer: `github__create_issue` (network-write, publish;" in text
    assert "`%intern approve call_1` allows it once, `%intern refuse call_1 [reason]`" in text
    for over in (
        Answered("call_1", yes=True),
        EffectSettled(3, "call_1", "github__create_issue", ok=True, text=""),
        TurnEnded(1, "interrupted", "stopped", ""),
    ):
        assert "waits for your answer" not in card_text(state_with(ASKED, over))


def test_a_name_from_a_server_cannot_leave_its_code_span_on_the_card() -> None:
    evil = replace(ASKED, tool="a` ![x](http://x/y) `b", call="c`\u202e`d")
    text = card_text(state_with(evil))
    assert "`a' ![x](http://x/y) 'b`" in text
    assert "`%intern approve c'\\u202e'd`" in text


def test_one_open_question_needs_no_name_and_several_do() -> None:
    assert named(["call_1"], "") == ("call_1", "")
    assert named(["call_1"], "far too dear") == ("call_1", "far too dear")
    assert named(["call_1", "other"], "other no good") == ("other", "no good")
    assert named(["call_1", "other"], "oth") == ("other", "")
    assert named(["call_1", "call_10"], "call_1") == ("call_1", "")
    with pytest.raises(UsageError, match="2 questions are open: call_1, call_2"):
        named(["call_1", "call_2"], "")
    with pytest.raises(UsageError, match="call names 2 of the open questions"):
        named(["call_1", "call_2"], "call")
    with pytest.raises(UsageError, match="too names none of the open questions"):
        named(["call_1", "call_2"], "too dear")
    with pytest.raises(UsageError, match="no question of the intern is open"):
        named([], "call_1")
