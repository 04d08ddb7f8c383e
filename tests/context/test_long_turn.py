"""Five hundred calls in one turn in a window of 32k, and what is still known at its end."""

import pytest
from long_turn_rig import ASKED, EXPECTED, GOAL, LongTurn, text_of

from mlintern_jupyter.context.window import NOTES

# litellm reads deprecated attributes of its own classes at every call; Python hides such warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
WINDOW = 32_768


def test_five_hundred_calls_in_one_turn_and_the_questions_at_its_end_are_answered():
    turn = LongTurn(500, WINDOW, at_once=4).run()
    assert turn.answer == EXPECTED
    assert len(turn.cell_results) == 500
    assert all(fact.ok for fact in turn.cell_results)
    assert len(turn.compactions) >= 5
    for fact in turn.compactions:
        assert fact.tokens_after < fact.tokens_before
        assert fact.tokens_after <= 0.6 * WINDOW
    main = [r for r in turn.requests if not text_of(r.body["messages"][0]).startswith("You keep")]
    assert all(GOAL in "".join(map(text_of, request.body["messages"])) for request in main)
    assert turn.overflows <= len(turn.compactions)
    # The questions were asked where call 3 was long out of the window.
    last = "".join(map(text_of, main[-1].body["messages"]))
    assert NOTES in last
    assert ASKED in last
    assert sum(fact.text == ASKED for fact in turn.facts if hasattr(fact, "text")) == 1
