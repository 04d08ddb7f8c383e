"""What always stays in the window, and the standing at its end."""

import json

import pytest

from mlintern_jupyter.context.meter import text_bytes
from mlintern_jupyter.context.pinned import (
    EDITS_WHOLE,
    edits_of,
    pinned_text,
    pinned_tokens,
)
from mlintern_jupyter.context.reference import facts_in
from mlintern_jupyter.context.status import status_text
from mlintern_jupyter.events import CellProposed, CellStarted
from mlintern_jupyter.record.cell_record import CellRecord
from mlintern_jupyter.usage import Limits, Spent, Usage

BRIEFING = (
    'Mode: auto. Never open the held-out file.\nfacts: {"goal": "add", "limits": {"steps": 9}}'
)


def cell(number, proposed, ran=None):
    started = None if ran is None else CellStarted(f"k{number}", "", ran)
    return CellRecord(CellProposed(f"k{number}", "c", "script", "code", proposed), started)


def edited(count):
    return edits_of(cell(n, f"a = 0\nlr = {n}e-5\n", f"a = 0\nlr = {n}e-6\n") for n in range(count))


def pinned(**more):
    given = {"goal": "Add two numbers.", "briefing": BRIEFING, "max_tokens": 1_000}
    return pinned_text(**(given | more))


def test_only_cells_that_ran_with_another_text_are_edits():
    cells = [cell(1, "x = 1", "x = 2"), cell(2, "x = 1", "x = 1 \n"), cell(3, "x = 1")]
    assert [e.cell_id for e in edits_of(cells)] == ["k1"]


def test_the_last_five_edits_are_diffs_and_older_ones_a_line():
    text = pinned(edits=edited(8))
    assert text.count("\n-lr = ") == text.count("\n+lr = ") == EDITS_WHOLE
    assert "script cell k7:\n@@ -1,2 +1,2 @@\n a = 0\n-lr = 7e-5\n+lr = 7e-6" in text
    assert "- script cell k2: `lr = 2e-5` became `lr = 2e-6`" in text
    assert text.index("k7:") < text.index("k3:") < text.index("k2:")


def test_goal_and_rules_stand_whatever_the_room():
    goal = "Make it add. " * 400
    text = pinned(goal=goal, max_tokens=10, best="accuracy 0.5", words=["be quick"], plan=[])
    assert goal in text
    assert "Never open the held-out file." in text
    assert facts_in(text) == {"goal": "add", "limits": {"steps": 9}}
    assert "accuracy" not in text
    assert "be quick" not in text


@pytest.mark.parametrize("room", [150, 400, 1_000, 5_000])
def test_everything_else_fills_the_room_by_rank_and_no_more(room):
    text = pinned(
        max_tokens=room,
        request="Go on.",
        best="eval k5: accuracy 0.81 (dev, n=200)",
        plan=[{"step": "measure", "state": "done"}, {"step": "train", "state": "active"}],
        words=[f"wish {n} " + "w" * 300 for n in range(20)],
        edits=edited(12),
        facts={"code": "x" * 9_000, "goal": "changed by a cell", "loss": 0.5},
    )
    assert text_bytes(text) <= 3 * room
    assert "accuracy 0.81 (dev, n=200)" in text
    assert facts_in(text)["goal"] == "add"
    if room >= 1_000:
        assert "- [active] train" in text
        assert "wish 19" in text
        assert ("more: recall(query=...)]" in text) == (room == 1_000)
        assert facts_in(text)["loss"] == 0.5
    if room < 5_000:
        assert "code" not in facts_in(text)


def test_the_request_of_the_turn_stands_beside_the_goal_and_not_twice():
    assert pinned(request="Add two numbers.").count("Add two numbers.") == 1
    assert "Now with three." in pinned(request="Now with three.")


def test_words_without_end_are_shortened_so_that_the_others_stay():
    text = pinned(words=["be quick", "log " * 9_000])
    assert "be quick" in text
    assert "[36,000 characters: recall(query=...)]" in text


def test_a_task_of_a_sub_agent_needs_nothing_else():
    assert pinned_text(goal="Read papers.", max_tokens=100).endswith("Read papers.")


def test_pinned_takes_at_most_fifteen_percent():
    assert pinned_tokens(32_768) == 4_915
    assert pinned_tokens(None) > 0


def test_status_says_what_is_left_and_what_is_unknown():
    limits = Limits(usd=5.0, hours=2.0, steps=300, tokens=1_000_000)
    spent = Spent(steps=88, usage=Usage(200_000, 0), usd=1.5, seconds=3_600, reserved_usd=0.25)
    text = status_text(limits, spent, compute_usd=0.25, tokens=21_000, context_tokens=32_768)
    for part in (
        "212 of 300 steps",
        "$3.00 of $5.00",
        "800,000 of 1,000,000",
        "1.00 of 2 h",
        "64 %",
    ):
        assert part in text
    unknown = status_text(limits, Spent(usd=None))
    assert "not known" in unknown
    assert "of a limit of $5.00" in unknown
    assert "$" not in status_text(Limits(), Spent(), unmetered=True)


def test_status_names_untrusted_sources_and_the_end():
    text = status_text(
        Limits(), Spent(), sources=("mcp:github", "cell k3"), near_limit="2 steps left"
    )
    assert "not trusted: mcp:github, cell k3" in text
    assert "Wrap up now: 2 steps left" in text
    assert json.dumps(text)
