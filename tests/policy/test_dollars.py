import pytest

from mlintern_jupyter.usage import Limits, dollars


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "cost unknown"),
        (0.0, "$0.00"),
        (0.00042, "$0.00042"),
        (0.0049, "$0.0049"),
        (0.005, "$0.01"),
        (0.25, "$0.25"),
        (20, "$20.00"),
        (1234.5, "$1234.50"),
    ],
)
def test_a_sum_is_in_cents_never_zero_when_it_is_not_and_unknown_when_it_is(usd, text):
    assert dollars(usd) == text


def test_a_limit_is_written_as_what_is_left_of_it():
    assert Limits(usd=20, hours=6).as_text() == "300 steps, $20.00, 6 h"
