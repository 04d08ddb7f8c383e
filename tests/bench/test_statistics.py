"""Bitmaps in, words out."""

import pytest

from mlintern_jupyter.bench.statistics import (
    decode_bitmap,
    encode_bitmap,
    mcnemar,
    paired_difference,
    smallest_detectable_effect,
    verdict,
    wilson,
)


def answers(right: int, n: int = 300) -> list[bool]:
    return [place < right for place in range(n)]


def test_a_bitmap_survives_the_round_trip() -> None:
    correct = [True, False, False, True, True, False, True]
    assert encode_bitmap(correct) == "59"
    assert decode_bitmap("59", 7) == correct
    assert encode_bitmap([False] * 9) == "000"


def test_a_bitmap_of_more_items_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 4 items"):
        decode_bitmap("ff", 4)


def test_wilson_agrees_with_published_numbers() -> None:
    low, high = wilson(123, 448)  # 27.5% of GPQA main
    assert (round(low, 3), round(high, 3)) == (0.235, 0.318)
    assert wilson(0, 300)[0] == 0.0


def test_mcnemar_looks_only_at_items_that_differ() -> None:
    first = [True] * 100 + [False] * 6 + [True] * 1
    second = [True] * 100 + [True] * 6 + [False] * 1
    assert mcnemar(first, second) == pytest.approx(0.125)
    assert mcnemar(first, first) == 1.0


def test_a_paired_comparison_needs_the_same_items() -> None:
    with pytest.raises(ValueError, match="equal items"):
        mcnemar(answers(1, 3), answers(1, 4))
    with pytest.raises(ValueError, match="equal items"):
        paired_difference([], [])


def test_the_paired_interval_is_deterministic_and_holds_the_difference() -> None:
    first, second = answers(60), answers(150)[::-1]
    once, again = paired_difference(first, second), paired_difference(first, second)
    assert once == again
    difference, low, high = once
    assert difference == pytest.approx(0.3)
    assert low < difference < high


@pytest.mark.parametrize(
    ("first", "second", "difference"), [(0, 0, 0.0), (0, 300, 1.0), (300, 0, -1.0)]
)
def test_an_interval_has_width_even_where_all_items_differ_alike(
    first: int, second: int, difference: float
) -> None:
    value, low, high = paired_difference(answers(first), answers(second))
    assert value == difference
    assert high - low > 0.01
    assert -1.0 <= low <= difference <= high <= 1.0


def test_more_items_detect_smaller_effects() -> None:
    effects = [smallest_detectable_effect(n, 0.3) for n in (50, 150, 450, 1350)]
    assert effects == sorted(effects, reverse=True)
    assert effects[2] == pytest.approx(0.0723, abs=0.002)
    assert smallest_detectable_effect(300, 0.0) == pytest.approx(0.026, abs=0.003)
    assert smallest_detectable_effect(3, 0.5) == 1.0


def test_a_clear_gain_is_improved() -> None:
    told = verdict(answers(0), answers(200))
    assert (told.word, told.n, told.tests) == ("improved", 300, 1)
    assert told.low < told.difference < told.high
    assert told.p_chance is None


def test_a_clear_loss_is_worse() -> None:
    assert verdict(answers(200), answers(100)).word == "worse"


def test_a_small_gain_is_no_evidence() -> None:
    told = verdict(answers(100), answers(104))
    assert told.word == "no evidence"
    assert "by chance" in told.reason


def test_many_candidates_make_a_gain_harder_to_claim() -> None:
    first, second = answers(100), answers(108)
    assert verdict(first, second).word == "improved"
    assert verdict(first, second, tests=10).word == "no evidence"


def test_the_format_alone_is_no_improvement_on_a_task_one_can_guess() -> None:
    told = verdict(answers(0), answers(80), chance=0.25)
    assert told.word == "no evidence"
    assert "guessing" in told.reason
    assert verdict(answers(0), answers(120), chance=0.25).word == "improved"
