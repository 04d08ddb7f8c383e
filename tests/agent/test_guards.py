"""What is said to a model that goes wrong in other ways than going round."""

from mlintern_jupyter.agent.guards import CUT_OFF, Guards
from mlintern_jupyter.events import EffectSettled, Nudged, Replied
from mlintern_jupyter.messages import Reply, ToolCall
from mlintern_jupyter.usage import Usage

OPEN = ({"step": "train", "state": "active"},)


def calls(count=1):
    made = tuple(ToolCall(f"c{n}", "do", "{}") for n in range(count))
    return Reply("", made, "tool_calls", Usage(), "m")


def says(text, stop="stop"):
    return Reply(text, (), stop, Usage(), "m")


def settle(guards, tool, ok, text, number, **facts):
    guards.saw(EffectSettled(1, f"c{number}", tool, ok, text, facts), f'{{"n": {number}}}')


def test_two_broken_calls_of_one_tool_are_named_once_in_a_row():
    guards = Guards(plan=lambda: ())
    said = []
    for number, problem in enumerate(["no list", "no text", "too deep"]):
        settle(guards, "read", False, problem, number)
        said.append(guards.nudge(calls()))
    assert [nudge and nudge[0] for nudge in said] == [None, "broken call", None]
    assert "2 calls of read" in said[1][1]


def test_broken_calls_of_another_tool_are_named_too():
    guards = Guards(plan=lambda: ())
    said = []
    for number, tool in enumerate(["read", "read", "load", "load"]):
        settle(guards, tool, False, f"problem {'abcd'[number]}", number)
        said.append(guards.nudge(calls()))
    assert [nudge and nudge[0] for nudge in said] == [None, "broken call", None, "broken call"]


def test_what_was_said_before_a_restart_is_not_said_again():
    def step(number, **settled):
        made = ToolCall(f"c{number}", "read", f'{{"n": {number}}}')
        yield Replied(number, "", (made,), "tool_calls", "m")
        yield EffectSettled(number, made.id, "read", False, f"problem {'abc'[number]}", **settled)

    begun = [*step(0), *step(1)]
    told = Guards(plan=lambda: OPEN, near_limit=lambda: True)
    told.recall([*begun, Nudged(1, "broken call", "..."), *step(2)])
    assert told.nudge(calls())[0] == "closing"
    told.recall([Nudged(2, "closing", "...")])
    assert told.nudge(calls()) is None
    untold = Guards(plan=lambda: OPEN)
    untold.recall(begun)
    assert untold.nudge(calls())[0] == "broken call"
    other = Guards(plan=lambda: OPEN)
    other.recall(begun, "a1-critic")
    assert other.nudge(calls()) is None


def test_an_answer_in_pieces_and_a_patience_used_up_outlive_a_restart():
    guards = Guards(plan=lambda: OPEN)
    cut = [Replied(1, "one, ", (), "length", "m"), Nudged(1, "cut off", "go on")]
    guards.recall(cut)
    assert guards.answer(says("two")) == "one, two"
    said = Replied(2, "done", (), "stop", "m")
    guards.recall([said, Nudged(2, "unfinished plan", "..."), said])
    assert guards.nudge(says("done"))[0] == "unfinished plan"
    assert guards.nudge(says("done")) is None


def test_two_broken_calls_in_one_reply_are_named_too():
    guards = Guards(plan=lambda: ())
    for number, problem in enumerate(["no list", "no text", "too deep"]):
        settle(guards, "read", False, problem, number)
    assert guards.nudge(calls(3))[0] == "broken call"


def test_broken_calls_of_two_tools_or_with_a_good_one_between_are_not_named():
    guards = Guards(plan=lambda: ())
    for number, (tool, ok) in enumerate(
        [("read", False), ("load", False), ("read", False), ("read", True), ("read", False)]
    ):
        settle(guards, tool, ok, f"text {number} {tool}", number)
        assert guards.nudge(calls()) is None


def test_what_the_person_skipped_is_not_broken():
    guards = Guards(plan=lambda: ())
    for number in range(3):
        settle(guards, "write_cell", False, f"cell {number} skipped", number, state="skipped")
        assert guards.nudge(calls()) is None


def test_an_unfinished_plan_is_named_twice_and_again_after_a_call():
    guards = Guards(plan=lambda: OPEN)
    rules = [guards.nudge(says("done")) for _ in range(3)]
    assert [nudge and nudge[0] for nudge in rules] == ["unfinished plan"] * 2 + [None]
    assert "'train'" in rules[0][1]
    assert guards.nudge(calls()) is None
    assert guards.nudge(says("done"))[0] == "unfinished plan"


def test_a_reply_that_was_cut_off_is_continued_three_times_and_the_pieces_are_one_answer():
    guards = Guards(plan=lambda: ())
    for piece in ("a", "b", "c"):
        assert guards.nudge(says(piece, "length"))[0] == "cut off"
    last = says("d", "length")
    assert guards.nudge(last) is None
    assert guards.answer(last) == f"abcd {CUT_OFF}"


def test_a_continued_reply_that_ends_is_whole():
    guards = Guards(plan=lambda: ())
    guards.nudge(says("one, ", "length"))
    last = says("two")
    assert guards.nudge(last) is None
    assert guards.answer(last) == "one, two"


def test_pieces_before_a_call_are_no_part_of_the_answer():
    guards = Guards(plan=lambda: ())
    guards.nudge(says("old ", "length"))
    guards.nudge(calls())
    assert guards.answer(says("new")) == "new"


def test_the_end_of_the_budget_is_said_once_and_nothing_holds_the_answer_up_then():
    near_limit = []
    guards = Guards(plan=lambda: OPEN, near_limit=lambda: bool(near_limit))
    assert guards.nudge(calls()) is None
    near_limit.append(True)
    rule, text = guards.nudge(calls())
    assert rule == "closing"
    assert "final evaluation" in text
    assert guards.nudge(calls()) is None
    assert guards.nudge(says("done")) is None


def test_the_end_of_the_budget_is_said_after_a_loop_was_named():
    guards = Guards(plan=lambda: (), near_limit=lambda: True)
    for number in range(3):
        guards.saw(EffectSettled(1, f"c{number}", "read", True, "same"), "{}")
    assert guards.nudge(calls())[0] == "loop"
    assert guards.nudge(calls())[0] == "closing"
