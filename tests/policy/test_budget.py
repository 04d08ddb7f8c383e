import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlintern_jupyter.errors import LimitReached, Paused
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.usage import Limits, Spent, Usage


class Hand:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def budget(spent=None, clock=None, **limits):
    return Budget(Limits(**limits), spent or Spent(), clock or Hand())


def test_the_step_that_would_pass_the_limit_is_refused_before_it_is_made():
    held = budget(steps=2)
    for _ in range(2):
        held.settle(held.reserve(10, 0.0), Usage(5, 5), 0.0)
    with pytest.raises(LimitReached) as caught:
        held.reserve(10, 0.0)
    assert (caught.value.limit, caught.value.used, caught.value.allowed) == ("step", 2, 2)


def test_what_an_earlier_process_used_counts():
    with pytest.raises(LimitReached):
        budget(Spent(steps=2), steps=2).reserve(1, 0.0)
    crashed = Spent(usd=0.4, reserved_usd=0.5)
    with pytest.raises(LimitReached, match="cost"):
        budget(crashed, usd=1.0).reserve(1, 0.2)
    budget(crashed, usd=1.0).reserve(1, 0.1)


def test_tokens_are_held_with_what_is_reserved_and_charged_as_used():
    held = budget(tokens=1000)
    first = held.reserve(900, 0.0)
    with pytest.raises(LimitReached, match="token"):
        held.reserve(200, 0.0)
    held.settle(first, Usage(300, 100), 0.0)
    held.reserve(600, 0.0)
    with pytest.raises(LimitReached):
        held.reserve(1, 0.0)


def test_an_open_reservation_is_charged_in_full_until_it_is_settled():
    held = budget(usd=1.0)
    first = held.reserve(1, 0.7)
    assert held.spent.reserved_usd == 0.7
    with pytest.raises(LimitReached):
        held.reserve(1, 0.4)
    held.settle(first, Usage(1, 1), 0.2)
    assert (held.spent.usd, held.spent.reserved_usd) == (0.2, 0.0)
    held.reserve(1, 0.8)


def test_a_limit_in_dollars_needs_a_price_and_says_how_to_give_one():
    with pytest.raises(Paused) as caught:
        budget(usd=5.0).reserve(100, None)
    assert "--price IN,OUT" in caught.value.do
    held = budget()
    held.settle(held.reserve(100, None), Usage(1, 1), None)
    assert held.spent.usd is None
    with pytest.raises(Paused):
        budget(held.spent, usd=5.0).reserve(100, 0.1)


def test_a_model_that_is_not_metered_runs_under_any_limit_in_dollars():
    held = budget(usd=0.01)
    held.settle(held.reserve(10**6, 0.0), Usage(10**6, 0), 0.0)
    assert held.spent.usd == 0.0


def test_hours_count_only_while_nobody_is_waited_for():
    clock = Hand()
    held = budget(Spent(seconds=1800.0), clock, hours=1.0)
    clock.now += 1000
    with held.waiting():
        clock.now += 10**6
        with held.waiting():
            clock.now += 10**6
        clock.now += 10**6
        assert held.spent.seconds == 2800.0
    assert held.spent.seconds == 2800.0
    held.reserve(1, 0.0)
    clock.now += 800
    with pytest.raises(LimitReached, match="time"):
        held.reserve(1, 0.0)


def test_a_wait_that_fails_starts_the_clock_again():
    clock = Hand()
    held = budget(clock=clock, hours=1.0)

    def fail():
        with held.waiting():
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    clock.now += 60
    assert held.spent.seconds == 60.0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=60))
def test_spending_never_passes_the_limit_when_calls_keep_to_what_they_reserved(calls):
    held = budget(usd=3.0)
    for most, share in calls:
        try:
            reservation = held.reserve(1, most)
        except LimitReached:
            continue
        held.settle(reservation, Usage(1, 1), most * share)
    assert held.spent.usd <= 3.0 + 1e-6


def test_a_reservation_is_settled_once():
    held = budget()
    reservation = held.reserve(1, 0.1)
    held.settle(reservation, Usage(), 0.1)
    with pytest.raises(ValueError, match="not in list"):
        held.settle(reservation, Usage(), 0.1)


def test_what_its_jobs_cost_is_not_there_for_model_calls():
    jobs = 0.0
    held = Budget(Limits(usd=1.0), Spent(usd=0.3), Hand(), lambda: jobs)
    held.settle(held.reserve(1, 0.5), Usage(1, 1), 0.1)
    jobs = 0.5
    with pytest.raises(LimitReached, match="cost"):
        held.reserve(1, 0.2)
    held.reserve(1, 0.1)
