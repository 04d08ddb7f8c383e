import pytest
from budget_double import Hand, books
from hypothesis import given, settings
from hypothesis import strategies as st

from mlintern_jupyter.errors import LimitReached, Paused
from mlintern_jupyter.usage import Limits, Spent, Usage


def budget(clock=None, **limits):
    return books(Limits(**limits), clock=clock)


class TestAShare:
    def test_is_set_aside_at_once_and_what_was_not_used_comes_back(self):
        held = budget(usd=10.0, tokens=1000, steps=50)
        share = held.share(usd_fraction=0.5, steps=4)
        # The reserve for the end is not shared: half of 10 - 1, of 1000 - 100.
        assert (share.left().usd, share.left().tokens, share.left().steps) == (4.5, 450, 4)
        assert (held.left().usd, held.left().tokens, held.left().steps) == (5.5, 550, 50)
        with pytest.raises(LimitReached, match="cost"):
            held.reserve(1, 5.6)
        share.settle(share.reserve(100, 1.0, "research"), Usage(50, 25), 0.5)
        assert (held.left().usd, held.left().tokens) == (5.5, 550)
        share.close()
        assert (held.left().usd, held.left().tokens) == (9.5, 925)
        assert (held.spent.usd, held.spent.usage.total, held.spent.steps) == (0.5, 75, 0)
        share.close()
        assert held.left().usd == 9.5

    def test_is_a_cap_of_its_own(self):
        held = budget(usd=10.0, tokens=1000)
        share = held.share(usd_fraction=0.1, steps=2)
        with pytest.raises(LimitReached, match="cost"):
            share.reserve(1, 0.91)
        with pytest.raises(LimitReached, match="token"):
            share.reserve(91, 0.0)
        for _ in range(2):
            share.settle(share.reserve(10, 0.1), Usage(5, 5), 0.1)
        share.settle(share.reserve(10, 0.1, "compaction"), Usage(5, 5), 0.1)
        with pytest.raises(LimitReached, match="step"):
            share.reserve(1, 0.1)

    def test_shows_its_open_calls_in_the_whole(self):
        held = budget()
        share = held.share(usd_fraction=0.5, steps=4)
        first = share.reserve(100, 0.7)
        assert held.spent.reserved_usd == 0.7
        share.settle(first, Usage(10, 0), 0.2)
        assert (held.spent.usd, held.spent.reserved_usd) == (0.2, 0.0)

    def test_that_is_closed_with_an_open_call_leaves_it_counted(self):
        held = budget(usd=10.0, tokens=1000)
        share = held.share(usd_fraction=0.5, steps=4)
        share.reserve(100, 1.0)
        share.close()
        assert (held.left().usd, held.left().tokens, held.spent.reserved_usd) == (9.0, 900, 1.0)

    def test_without_a_limit_has_none_but_its_steps(self):
        held = budget()
        share = held.share(usd_fraction=0.25, steps=3)
        assert (share.left().usd, share.left().tokens, share.left().seconds) == (None, None, None)
        share.settle(share.reserve(10**9, None), Usage(10**9, 0), None)
        assert held.spent.usd is None
        assert held.spent.usage.total == 10**9

    def test_ends_with_the_time_of_the_whole(self):
        clock = Hand()
        held = budget(clock=clock, hours=1.0)
        share = held.share(usd_fraction=0.5, steps=4)
        with share.waiting():
            clock.now += 10**6
        assert held.spent.seconds == 0.0
        clock.now += 3000
        assert share.left().seconds == 600.0
        clock.now += 600
        assert share.exceeded().limit == "time"
        with pytest.raises(LimitReached, match="time"):
            share.reserve(1, 0.0)

    def test_stops_when_the_whole_was_passed_by_a_job(self):
        jobs = 0.0
        held = books(Limits(usd=10.0), Spent(), Hand(), lambda: jobs)
        share = held.share(usd_fraction=0.5, steps=4)
        jobs = 6.0
        with pytest.raises(LimitReached, match="cost"):
            share.reserve(1, 0.1)
        jobs = 10.5
        assert share.exceeded().limit == "cost"

    def test_does_not_end_the_turn_by_what_its_open_call_may_cost_until_that_is_lost(self):
        jobs = 0.0
        held = books(Limits(usd=10.0), Spent(), Hand(), lambda: jobs)
        share = held.share(usd_fraction=0.5, steps=4)
        share.reserve(100, 4.0)
        jobs = 9.0
        assert held.exceeded() is share.exceeded() is None
        share.close()
        assert held.exceeded().limit == "cost"

    def test_needs_a_price_where_dollars_are_limited(self):
        share = budget(usd=10.0).share(usd_fraction=0.5, steps=4)
        with pytest.raises(Paused):
            share.reserve(1, None)

    def test_is_not_shared_again(self):
        share = budget().share(usd_fraction=0.5, steps=4)
        with pytest.raises(ValueError, match="not shared again"):
            share.share(usd_fraction=0.5, steps=1)

    def test_of_several_at_once_leaves_the_reserve_for_the_end(self):
        held = budget(usd=10.0)
        shares = [held.share(usd_fraction=1.0, steps=9) for _ in range(3)]
        assert [share.left().usd for share in shares] == [9.0, 0.0, 0.0]
        assert held.left().usd == 1.0
        for share in shares:
            share.close()
        assert held.left().usd == 10.0


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["main", "share", "open", "close"]), st.floats(0, 1), st.floats(0, 1)
    ),
    max_size=60,
)


@settings(deadline=None)
@given(MOVES)
def test_all_that_is_shared_and_spent_stays_within_the_limit_and_comes_back(moves):
    """Calls that keep to what they reserved, of the intern and of its sub-agents in any order."""
    held, shares, charged = budget(usd=3.0, tokens=1000, steps=10**6), [], 0.0
    for move, much, part in moves:
        if move == "open":
            shares.append(held.share(usd_fraction=much, steps=5))
        elif move == "close" and shares:
            shares.pop(0).close()
        elif move in {"main", "share"}:
            who = shares[-1] if move == "share" and shares else held
            try:
                reservation = who.reserve(int(100 * much), much)
            except LimitReached:
                continue
            who.settle(reservation, Usage(int(100 * much * part), 0), much * part)
            charged += much * part
        left = held.left()
        out = sum(share.left().usd for share in shares)
        assert left.usd + out + charged <= 3.0 + 1e-6
        assert held.spent.usage.total + left.tokens <= 1000
        assert held.exceeded() is None
    for share in shares:
        share.close()
    assert held.left().usd == pytest.approx(max(0.0, 3.0 - charged), abs=1e-6)
    assert held.spent.usd == pytest.approx(charged)
