"""Is one checkpoint better than another on the same items? The mathematics is ``scipy.stats``.

All comparisons are paired: both checkpoints answered the same items in the same order. Items that
ask about one fact in two ways are not quite independent, which no test here corrects for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
from scipy import optimize as _optimize
from scipy import stats as _stats

VerdictWord = Literal["improved", "no evidence", "worse"]

# scipy publishes no types; everything taken from it is converted on the spot.
optimize: Any = _optimize
stats: Any = _stats

LEVEL = 0.05
"""Significance level of every verdict."""


def encode_bitmap(correct: Sequence[bool]) -> str:
    """The judgements as hex; bit ``i`` (from the least significant) is item ``i``."""
    number = sum(1 << place for place, right in enumerate(correct) if right)
    return f"{number:0{max(1, -(-len(correct) // 4))}x}"


def decode_bitmap(text: str, n: int) -> list[bool]:
    """The ``n`` judgements of a bitmap made by ``encode_bitmap``.

    Raises:
        ValueError: the text is not hex, or has a bit beyond item ``n - 1``.
    """
    number = int(text, 16)
    if number >> n:
        raise ValueError(f"the bitmap has more than {n} items")
    return [bool(number >> place & 1) for place in range(n)]


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of ``k`` right answers out of ``n``, as fractions."""
    interval: Any = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def _discordant(first: Sequence[bool], second: Sequence[bool]) -> tuple[int, int]:
    """How many items only the first and only the second got right.

    Raises:
        ValueError: they did not answer the same number of items, or none.
    """
    if len(first) != len(second) or not first:
        raise ValueError(
            f"a paired comparison needs equal items, not {len(first)} and {len(second)}"
        )
    pairs = list(zip(first, second, strict=True))
    return sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """The two-sided p of McNemar's exact test on the items that only one got right.

    Raises:
        ValueError: the two have not answered the same number of items.
    """
    only_first, only_second = _discordant(first, second)
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_second, only_first + only_second).pvalue)


def paired_difference(
    first: Sequence[bool], second: Sequence[bool], confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """The accuracy of ``second`` minus that of ``first`` with its interval, as fractions.

    The interval is a BCa bootstrap over items (deterministic for a seed). Where all items differ
    alike a bootstrap has no width; there the Wilson bound on the share of items that could differ
    otherwise stands in.

    Returns:
        The difference, the low and the high end.

    Raises:
        ValueError: the two have not answered the same number of items.
    """
    only_first, only_second = _discordant(first, second)
    n = len(first)
    difference = (only_second - only_first) / n
    if abs(difference) in (0.0, 1.0) and only_first * only_second == 0:
        slack = wilson(0, n, confidence)[1]
        return difference, max(-1.0, difference - slack), min(1.0, difference + slack)
    steps = np.array(
        [int(b) - int(a) for a, b in zip(first, second, strict=True)], dtype=np.float64
    )
    result: Any = stats.bootstrap(
        (steps,),
        np.mean,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    interval = result.confidence_interval
    return difference, float(interval.low), float(interval.high)


def smallest_detectable_effect(
    n: int, discordance: float, power: float = 0.8, alpha: float = LEVEL
) -> float:
    """The smallest true difference that a paired test on ``n`` items finds with ``power``.

    Args:
        n: number of items.
        discordance: share of items, between 0 and 1, on which the two checkpoints differ.
        power: probability of finding the difference.
        alpha: two-sided level of the test.

    Returns:
        A fraction of 1; never less than what ``n`` items with every difference in one direction
        could show.

    Source: Connor, Biometrics 43 (1987), sample size for McNemar's test.
    """
    outer, inner = float(stats.norm.ppf(1 - alpha / 2)), float(stats.norm.ppf(power))

    def lacking(effect: float, share: float) -> float:
        return effect * sqrt(n) - outer * sqrt(share) - inner * sqrt(max(0.0, share - effect**2))

    def one_sided(effect: float) -> float:
        return lacking(effect, effect)

    if one_sided(1.0) <= 0:
        return 1.0
    least = float(optimize.brentq(one_sided, 1e-9, 1.0))
    if discordance <= least:
        return least

    def observed(effect: float) -> float:
        return lacking(effect, discordance)

    return float(optimize.brentq(observed, 1e-9, discordance))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison allows to be said, and the numbers behind it."""

    word: VerdictWord
    reason: str
    """Why that word, as a part of a sentence."""
    n: int
    """Items that both answered."""
    baseline: float
    """Accuracy of the baseline, between 0 and 1, like all accuracies and differences here."""
    chosen: float
    """Accuracy of the chosen model."""
    difference: float
    """``chosen - baseline``."""
    low: float
    """Low end of the 95% interval of the difference."""
    high: float
    """High end of that interval."""
    p: float
    """Two-sided p of McNemar's exact test."""
    p_adjusted: float
    """The same after Holm for ``tests`` tests."""
    tests: int
    """Comparisons that are made in all."""
    smallest_detectable: float
    """Difference that this many items find with 80% power."""
    chance: float
    """Accuracy of guessing; 0 where there is no such level."""
    p_chance: float | None
    """One-sided exact p of the chosen model against guessing; None without a chance level."""


def verdict(
    baseline: Sequence[bool], chosen: Sequence[bool], chance: float = 0.0, tests: int = 1
) -> Verdict:
    """Compare a chosen model with its baseline on the same items.

    A task with a chance level is improved only if the chosen model also beats guessing: a model
    that has merely learnt the answer format leaves a baseline of zero far behind without knowing
    anything.

    Args:
        baseline: per item, whether the baseline was right.
        chosen: per item, whether the chosen model was right.
        chance: accuracy of guessing.
        tests: how many such comparisons are made; p is adjusted as Holm's first, strictest step
            does.

    Raises:
        ValueError: the two have not answered the same number of items.
    """
    only_baseline, only_chosen = _discordant(baseline, chosen)
    n = len(baseline)
    p = mcnemar(baseline, chosen)
    adjusted = min(1.0, p * tests)
    difference, low, high = paired_difference(baseline, chosen)
    p_chance = (
        float(stats.binomtest(sum(chosen), n, chance, "greater").pvalue) if chance > 0 else None
    )
    word, reason = _say(adjusted, difference, p_chance)
    return Verdict(
        word=word,
        reason=reason,
        n=n,
        baseline=sum(baseline) / n,
        chosen=sum(chosen) / n,
        difference=difference,
        low=low,
        high=high,
        p=p,
        p_adjusted=adjusted,
        tests=tests,
        smallest_detectable=smallest_detectable_effect(n, (only_baseline + only_chosen) / n),
        chance=chance,
        p_chance=p_chance,
    )


def _say(p: float, difference: float, p_chance: float | None) -> tuple[VerdictWord, str]:
    if p >= LEVEL:
        return "no evidence", "the difference is within what these items show by chance"
    if difference < 0:
        return "worse", "fewer items are right than before"
    if p_chance is not None and p_chance >= LEVEL:
        return (
            "no evidence",
            "not distinguishable from guessing: the answer format is learnt, the task is not",
        )
    return "improved", "more items are right than before"
