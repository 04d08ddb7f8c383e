import pytest
from budget_double import Hand, books
from hypothesis import given, settings
from hypothesis import strategies as st

from mlintern_jupyter.errors import LimitReached, Paused
from mlintern_jupyter.events import Reserved
from mlintern_jupyter.usage import Limits, Spent, Usage


def budget(spent=None, clock=None, **limits):
    return books(Limits(**limits), spent, clock)


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
    lost = Spent(usage=Usage(300, 100), reserved_tokens=500)
    with pytest.raises(LimitReached, match="token"):
        budget(lost, tokens=1000).reserve(200, 0.0)
    budget(lost, tokens=1000).reserve(100, 0.0)


def test_tokens_are_held_with_what_is_reserved_and_charged_as_used():
    held = budget(tokens=1000)
    first = held.reserve(900, 0.0)
    with pytest.raises(LimitReached, match="token"):
        held.reserve(200, 0.0)
    held.settle(first, Usage(300, 100), 0.0)
    held.reserve(600, 0.0)
    with pytest.raises(LimitReached):
        held.reserve(1, 0.0)


def test_a_reservation_on_its_way_into_the_ledger_counts_once_before_and_after():
    held = budget(usd=1.0, tokens=100)
    first = held.budget.reserve(60, 0.7)
    assert (held.spent.reserved_usd, held.left().tokens) == (0.7, 40)
    with pytest.raises(LimitReached, match="token"):
        held.reserve(50, 0.1)
    held.folds[0].apply(Reserved(1, 60, 0.7))
    held.committed(first)
    assert (held.spent.reserved_usd, held.left().tokens) == (0.7, 40)
    assert held.exceeded() is None


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


@settings(deadline=None)
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
    held = books(Limits(usd=1.0), Spent(usd=0.3), Hand(), lambda: jobs)
    held.settle(held.reserve(1, 0.5), Usage(1, 1), 0.1)
    jobs = 0.5
    with pytest.raises(LimitReached, match="cost"):
        held.reserve(1, 0.2)
    held.reserve(1, 0.1)


class TestACallThatFailed:
    def test_stays_counted_in_full_where_nobody_knows_and_is_no_step(self):
        held = budget(usd=1.0, tokens=100, steps=1)
        held.settle(held.reserve(60, 0.6), None, None)
        assert (held.spent.steps, held.spent.usd, held.spent.reserved_usd) == (0, 0.0, 0.6)
        with pytest.raises(LimitReached, match="cost"):
            held.reserve(10, 0.5)
        with pytest.raises(LimitReached, match="token"):
            held.reserve(50, 0.1)
        held.reserve(40, 0.4)

    def test_is_charged_for_what_it_is_known_to_have_used_and_is_no_step(self):
        held = budget(usd=1.0, steps=1)
        held.settle(held.reserve(60, 0.6), Usage(10, 0), 0.1, replied=False)
        assert (held.spent.steps, held.spent.usd, held.spent.reserved_usd) == (0, 0.1, 0.0)
        held.reserve(60, 0.6)


def test_making_room_costs_but_is_no_step():
    held = budget(usd=1.0, steps=1)
    room = held.reserve(10, 0.1, "compaction")
    main = held.reserve(10, 0.1)
    held.settle(room, Usage(5, 5), 0.1)
    held.settle(main, Usage(5, 5), 0.1)
    assert (held.spent.steps, held.spent.usage.total) == (1, 20)
    held.settle(held.reserve(10, 0.1, "compaction"), Usage(5, 5), 0.1)
    with pytest.raises(LimitReached, match="step"):
        held.reserve(10, 0.1)


class TestWhatIsLeft:
    def test_names_only_what_is_limited(self):
        left = budget(steps=7).left()
        assert (left.usd, left.tokens, left.steps, left.seconds) == (None, None, 7, None)

    def test_is_after_open_calls_jobs_and_time(self):
        clock = Hand()
        held = books(
            Limits(usd=10.0, hours=1.0, steps=20, tokens=1000),
            Spent(steps=3, usd=1.0, seconds=60.0, reserved_usd=0.5),
            clock,
            lambda: 2.0,
        )
        held.settle(held.reserve(100, 1.0), Usage(30, 20), 0.25)
        held.reserve(100, 1.0)
        clock.now += 40
        left = held.left()
        assert left.usd == pytest.approx(10 - 1.0 - 0.5 - 2.0 - 0.25 - 1.0)
        assert (left.tokens, left.steps, left.seconds) == (850, 15, 3500.0)

    def test_is_never_below_zero_and_nothing_where_the_cost_is_not_known(self):
        over = budget(
            Spent(steps=9, usage=Usage(99, 0), usd=9.0, seconds=9e9),
            usd=1.0, tokens=10, steps=5, hours=1.0,
        )  # fmt: skip
        left = over.left()
        assert (left.usd, left.tokens, left.steps, left.seconds) == (0.0, 0, 0, 0.0)
        assert budget(Spent(usd=None), usd=5.0).left().usd == 0.0


class TestClosing:
    @pytest.mark.parametrize(
        ("spent", "limits", "near_limit"),
        [
            (Spent(), {}, False),
            (Spent(usd=9.0), {"usd": 10.0}, False),
            (Spent(usd=9.01), {"usd": 10.0}, True),
            (Spent(usage=Usage(901, 0)), {"tokens": 1000}, True),
            (Spent(seconds=3239.0), {"hours": 1.0}, False),
            (Spent(seconds=3241.0), {"hours": 1.0}, True),
            (Spent(steps=294), {"steps": 300}, False),
            (Spent(steps=295), {"steps": 300}, True),
            (Spent(steps=17), {"steps": 20}, False),
            (Spent(steps=18), {"steps": 20}, True),
            (Spent(steps=1), {"steps": 3}, False),
            (Spent(steps=2), {"steps": 3}, True),
        ],
        ids=str,
    )
    def test_is_when_only_the_reserve_is_left(self, spent, limits, near_limit):
        assert budget(spent, **limits).near_limit() is near_limit

    def test_is_not_always_under_a_limit_of_nothing_for_a_model_that_costs_nothing(self):
        assert budget(usd=0.0).near_limit() is False


class TestExceeding:
    def test_is_nothing_before_a_cap_is_passed(self):
        held = budget(usd=1.0, tokens=100, hours=1.0, steps=3)
        held.settle(held.reserve(100, 1.0), Usage(100, 0), 1.0)
        assert held.exceeded() is None

    def test_is_told_while_a_job_or_a_tool_runs(self):
        jobs, clock = 0.0, Hand()
        held = books(Limits(usd=1.0, hours=1.0), Spent(usd=0.3), clock, lambda: jobs)
        jobs = 0.71
        passed = held.exceeded()
        assert (passed.limit, passed.used, passed.allowed) == ("cost", pytest.approx(1.01), 1.0)
        jobs = 0.0
        assert held.exceeded() is None
        clock.now += 3600
        assert held.exceeded().limit == "time"

    def test_counts_no_time_in_which_a_person_is_waited_for(self):
        clock = Hand()
        held = budget(clock=clock, hours=1.0)
        with held.waiting():
            clock.now += 10**6
            assert held.exceeded() is None

    def test_counts_what_a_crash_left_reserved_but_not_what_an_open_call_may_cost(self):
        assert budget(Spent(usd=0.5, reserved_usd=0.6), usd=1.0).exceeded().limit == "cost"
        jobs = 0.0
        held = books(Limits(usd=1.0), Spent(), Hand(), lambda: jobs)
        held.reserve(1, 0.9)
        jobs = 0.5
        assert held.exceeded() is None

    def test_is_told_of_tokens_that_a_call_used_beyond_what_it_reserved(self):
        held = budget(tokens=100)
        held.settle(held.reserve(100, 0.0), Usage(90, 20), 0.0)
        assert held.exceeded().limit == "token"


class TestRunawayCost:
    """Cases of a catalogue of what goes wrong with money, at the one object that counts it."""

    def test_e05_tokens_that_run_out_in_a_step_refuse_the_next_one_only(self):
        held = budget(tokens=1000)
        held.settle(held.reserve(900, 0.0), Usage(800, 150), 0.0)
        with pytest.raises(LimitReached, match="token limit is reached: 950 of 1000") as caught:
            held.reserve(60, 0.0)
        assert "resume" in caught.value.do
        assert held.spent.usage.total == 950

    def test_e06_a_cap_that_is_passed_while_a_job_runs_is_told_to_who_watches(self):
        jobs = 0.5
        held = books(Limits(usd=1.0), Spent(usd=0.4), Hand(), lambda: jobs)
        assert held.exceeded() is None
        jobs = 0.7
        assert isinstance(held.exceeded(), LimitReached)

    def test_e07_three_at_once_each_under_the_cap_and_together_over_it(self):
        held = budget(usd=1.0)
        held.reserve(1, 0.6)
        for _ in range(2):
            with pytest.raises(LimitReached, match="cost"):
                held.reserve(1, 0.6)

    def test_e08_an_unknown_price_is_not_zero(self):
        with pytest.raises(Paused, match="not known"):
            budget(usd=1.0).reserve(1, None)

    def test_e09_no_share_and_no_call_raises_a_cap(self):
        held = budget(usd=1.0, steps=5)
        share = held.share(usd_fraction=1.0, steps=10**6)
        with pytest.raises(LimitReached, match="cost"):
            share.reserve(1, 0.91)
        with pytest.raises(ValueError, match="from 0 to 1"):
            held.share(usd_fraction=100.0, steps=1)
        assert held.limits == Limits(usd=1.0, steps=5)
