"""Limits in prose: what is taken, what is said not to be, and what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlintern_jupyter.policy.prose_limits import parse_prose_limits


@pytest.mark.parametrize(
    ("text", "usd", "hours", "steps"),
    [
        ("Base model Qwen/Qwen3-1.7B-Base. LoRA is fine. Stay under $20 and 6 hours.", 20, 6, None),
        ("at most 50 steps", None, None, 50),
        ("$20, 6 hours", 20, 6, None),
        ("- $20\n- 3 h", 20, 3, None),
        ("Budget: $20", 20, None, None),
        ("A $20 budget and a 6-hour limit", 20, 6, None),
        ("max 30 minutes", None, 0.5, None),
        ("within half an hour", None, 0.5, None),
        ("within a day and $1,000", 1000, 24, None),
        ("Spend no more than 15 USD, finish within 90 min.", 15, 1.5, None),
        ("don't spend more than $5", 5, None, None),
        ("never spend more than $10 or 2 hours", 10, 2, None),
        ("2h30m max", None, 2.5, None),
        ("2 hours and 30 minutes at most", None, 2.5, None),
        ("under $20.50.", 20.5, None, None),
        ("no more than US$ 20", 20, None, None),
        ("Stay under 20$", 20, None, None),
        ("$2k budget", 2000, None, None),
        ("twenty dollars at most", 20, None, None),
        ("you have 6 hours and $20", 20, 6, None),
        ("I want <6h", None, 6, None),
        ("keep the total cost below $20", 20, None, None),
        ("up to $5 and up to 3 hours and up to 40 steps", 5, 3, 40),
    ],
)
def test_an_upper_bound_in_a_known_unit_is_taken(
    text: str, usd: float | None, hours: float | None, steps: int | None
) -> None:
    wishes = parse_prose_limits(text)
    assert (wishes.usd, wishes.hours, wishes.steps) == (usd, hours, steps)
    assert wishes.not_understood == ()
    assert len(wishes.understood) == sum(v is not None for v in (usd, hours, steps))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("under 10 €", "under 10 €"),
        ("Stay below 15 EUR", "Stay below 15 EUR"),
        ("under C$20", "under C$20"),
        ("under 7B parameters", "under 7B parameters"),
        ("use 2 GPUs", "2 GPUs"),
        ("6 GPU hours at most", "6 GPU hours"),
        ("under 6 hours of GPU time", "under 6 hours"),
        ("Each run under 2 hours", "Each run under 2 hours"),
        ("Train for at most 500 steps", "Train for at most 500 steps"),
        ("at most 50 training steps", "at most 50 training steps"),
        ("GPUs at under $3 per hour", "under $3 per hour"),
        ("at most 2048 tokens per answer", "at most 2048 tokens per answer"),
        ("under 4-6 hours", "under 4-6 hours"),
        ("between $10-20", "$10-20"),
        ("under 1,5 h", "under 1,5 h"),
        ("under 1e3 dollars", "under 1e3 dollars"),
        ("under $0", "under $0"),
        ("within 2 weeks", "within 2 weeks"),
        ("less than twenty-five dollars", "less than twenty-five dollars"),
        ("at least 6 hours", "6 hours"),
        ("no less than 6 hours", "less than 6 hours"),
        ("don't worry about staying under $20", "under $20"),
        ("It may exceed 6 hours", "6 hours"),
        ("not limited to 6 hours", "limited to 6 hours"),
        ("Finish in 6 hours", "6 hours"),
        ("done by tomorrow", "by tomorrow"),
        ("in a few hours", "a few hours"),
        ("let it run overnight", "overnight"),
    ],
)
def test_what_looks_like_a_limit_and_is_not_taken_is_said(text: str, said: str) -> None:
    wishes = parse_prose_limits(text)
    assert (wishes.usd, wishes.hours, wishes.steps) == (None, None, None)
    assert wishes.understood == ()
    assert said in wishes.not_understood


@pytest.mark.parametrize(
    "text",
    [
        "",
        "improve GPQA",
        "Use GPT-4 style prompts, Qwen3-4B, LoRA r=16, max_length 2048 and max_steps=50.",
        "{x} and $X stay as typed, $HOME too",
        "Think step by step within a notebook and a reasonable budget",
        "Reach 60% on AIME 2025, see arXiv 2311.12022",
        "Base model Qwen/Qwen3-1.7B-Base.",
    ],
)
def test_words_that_are_no_limit_are_left_alone(text: str) -> None:
    assert parse_prose_limits(text) == parse_prose_limits("")


def test_one_sentence_may_hold_a_limit_and_something_not_understood() -> None:
    wishes = parse_prose_limits("Stay under $20 and 2 GPUs, and keep training under 6 hours.")
    assert wishes.usd == 20
    assert wishes.hours is None
    assert wishes.not_understood == ("2 GPUs", "keep training under 6 hours")


def test_of_two_limits_of_one_kind_the_tighter_holds_and_the_other_says_so() -> None:
    wishes = parse_prose_limits("baseline within 1 hour; everything within 6 hours")
    assert wishes.hours == 1
    assert [meaning for _, meaning in wishes.understood] == [
        "at most 1 h of wall clock",
        "a tighter limit of this kind was said too, and holds",
    ]


def test_what_was_understood_is_shown_in_the_persons_own_words() -> None:
    wishes = parse_prose_limits("LoRA is fine. Stay under $20 and 6 hours.")
    assert wishes.understood == (
        ("Stay under $20", "at most $20.00 for language model and compute together"),
        ("6 hours", "at most 6 h of wall clock"),
    )


@given(st.text(alphabet="$€ 0123456789.,hundermaxostpGPU-\n%dyi", max_size=60))
def test_any_text_is_read_without_an_error_and_no_limit_is_zero(text: str) -> None:
    wishes = parse_prose_limits(text)
    for value in (wishes.usd, wishes.hours, wishes.steps):
        assert value is None or value > 0


@given(st.integers(1, 10_000), st.integers(1, 1000))
def test_numbers_come_through_unchanged(usd: int, steps: int) -> None:
    wishes = parse_prose_limits(f"Stay under ${usd:,} and {steps} steps, please")
    assert (wishes.usd, wishes.steps) == (usd, steps)
