"""What is taken for a loop, what is done about it, and how many calls one can waste."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from looping_models import Scene, play_looping, play_working

from mlintern_jupyter.agent.doom import canonical, error_fingerprint
from mlintern_jupyter.agent.doom_policy import LoopGoesOn
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.errors import Paused
from mlintern_jupyter.events import EffectSettled
from mlintern_jupyter.messages import Reply, ToolCall
from mlintern_jupyter.usage import Usage


def read(what="a", text="same", **more):
    return "read", json.dumps({"what": what, **more}), text


def test_two_identical_calls_are_silent_and_the_third_is_named():
    scene = Scene()
    assert scene.reply(read()) is None
    assert scene.reply(read()) is None
    rule, text = scene.reply(read())
    assert rule == "loop"
    assert 'read({"what":"a"})' in text
    assert "3 times" in text


def test_a_loop_is_named_once_and_again_only_after_it_broke():
    scene = Scene()
    for _ in range(3):
        scene.reply(read())
    for number in range(9):
        scene.reply(read(f"other {number}", text=str(number)))
    assert scene.rules() == ["loop"]
    for _ in range(3):
        scene.reply(read())
    assert scene.rules() == ["loop", "loop"]


def test_order_of_keys_and_white_space_do_not_matter_and_order_of_a_list_does():
    assert canonical('{"a": 1, "b": [1, 2]}') == canonical(' {"b":[1,2],\n"a":1}')
    assert canonical("[1, 2]") != canonical("[2, 1]")
    scene = Scene()
    scene.reply(("read", '{"a": 1, "b": 2}', "same"))
    scene.reply(("read", '{"b":2,"a":1}', "same"))
    assert scene.reply(("read", '{ "a":1 , "b":2 }', "same"))[0] == "loop"


@pytest.mark.parametrize("broken", ["{", "", "null", "[" * 100_000, '{"a": "\ud800"}', "1e999"])
def test_arguments_that_are_no_json_are_compared_as_they_are(broken):
    scene = Scene()
    for _ in range(3):
        nudge = scene.reply(("read", broken, "same"))
    assert nudge[0] == "loop"


def test_two_calls_in_turn_are_named_after_the_second_round():
    scene = Scene()
    for what in "aba":
        assert scene.reply(read(what)) is None
    rule, text = scene.reply(read("b"))
    assert rule == "loop"
    assert 'read({"what":"a"}), read({"what":"b"}) came back the same 2 times' in text


def test_two_things_read_twice_in_another_order_are_no_loop():
    scene = Scene()
    for what in "abba":
        assert scene.reply(read(what)) is None


def test_polling_whose_results_change_is_no_loop():
    scene = Scene()
    for number in range(30):
        assert scene.reply(read(text=f"step {number}")) is None


@pytest.mark.parametrize("state", ["proposed", "running"])
def test_waiting_on_for_a_cell_that_came_back_early_is_no_loop(state):
    scene = Scene()
    for _ in range(30):
        early = "wait_cell", '{"cell_id": "k"}', "still open", True, {"cell": "k", "state": state}
        assert scene.reply(early) is None


def test_the_same_cell_proposed_again_is_the_same_call_whatever_its_id_and_time():
    scene = Scene()
    for number in range(3):
        text = f"cell id-{number} done after {number}.5 s\n0.25"
        facts = {"cell": f"id-{number}", "state": "done"}
        nudge = scene.reply(("write_cell", '{"source": "1"}', text, True, facts))
    assert nudge[0] == "loop"


def test_many_cells_written_one_after_the_other_are_no_loop():
    scene = Scene()
    for number in range(30):
        facts = {"cell": f"id-{number}", "state": "written"}
        written = "write_cell", json.dumps({"source": f"n {number}"}), f"cell id-{number} written"
        assert scene.reply((*written, True, facts)) is None


def test_proposals_the_person_skips_are_not_one_error():
    scene = Scene()
    for number in range(6):
        facts = {"cell": f"id-{number}", "state": "skipped"}
        skipped = "write_cell", json.dumps({"source": f"n {number}"}), f"cell id-{number} skipped"
        assert scene.reply((*skipped, False, facts)) is None


def test_a_loop_that_goes_on_is_refused_then_handed_over_with_the_evidence():
    scene = Scene()
    for _ in range(4):
        scene.reply(read())
    assert scene.rules() == ["loop", "loop"]
    assert "Stop:" in scene.said[-1][1]
    assert "`plan`" in scene.said[-1][1]
    assert scene.reply(read()) is None
    assert "Not carried out" in scene.refusals[0]
    with pytest.raises(LoopGoesOn) as caught:
        scene.reply(read())
    assert isinstance(caught.value, Paused)
    assert caught.value.evidence == ('4 x read({"what":"a"}) -> same',)
    assert caught.value.evidence[0] in str(caught.value)
    assert "%intern steer" in str(caught.value)
    assert len(scene.carried_out) == 4


def test_evidence_lists_every_call_of_a_cycle_with_how_often_it_was_made():
    scene = Scene()
    with pytest.raises(LoopGoesOn) as caught:
        scene.go_on_for_ever(lambda number: read("ab"[number % 2], text="x"))
    assert sorted(caught.value.evidence) == [
        '3 x read({"what":"a"}) -> x',
        '3 x read({"what":"b"}) -> x',
    ]


def test_another_call_ends_the_refusal():
    scene = Scene()
    for _ in range(4):
        scene.reply(read())
    scene.reply(read("other", "new"))
    scene.reply(read())
    assert scene.refusals == []


def test_a_new_plan_ends_the_refusal_and_going_on_after_it_does_not_pass():
    scene = Scene()
    for _ in range(4):
        scene.reply(read())
    scene.reply(("plan", '{"items": ["new"]}', "plan: 0 of 1 done"))
    scene.reply(read())
    assert scene.refusals == []
    with pytest.raises(LoopGoesOn):
        scene.reply(read())
    assert len([c for c in scene.carried_out if c[0] == "read"]) - 1 <= 6


def test_a_new_plan_and_another_result_end_the_loop():
    scene = Scene()
    for _ in range(4):
        scene.reply(read())
    scene.reply(("plan", '{"items": ["new"]}', "plan: 0 of 1 done"))
    for number in range(6):
        assert scene.reply(read(text=f"step {number}")) is None
    assert scene.refusals == []


def test_a_loop_that_was_refused_and_comes_back_is_refused_earlier():
    scene = Scene()
    for _ in range(4):
        scene.reply(read())
    scene.reply(read("other", "new"))
    for _ in range(3):
        scene.reply(read())
    assert "Stop:" in scene.said[-1][1]


def test_a_plan_that_is_the_loop_is_no_way_out_of_it():
    scene = Scene()
    same = "plan", '{"items": ["same"]}', "plan: 0 of 1 done"
    for _ in range(4):
        scene.reply(same)
    assert "`plan`" not in scene.said[-1][1]
    scene.reply(same)
    assert len(scene.refusals) == 1


def test_without_a_plan_tool_nobody_is_told_to_call_it():
    scene = Scene(can_plan=False)
    for _ in range(5):
        scene.reply(read())
    assert "plan" not in f"{scene.said} {scene.refusals}"


def test_ten_identical_calls_in_one_reply_are_not_all_carried_out():
    scene = Scene()
    scene.reply(*[read()] * 10)
    assert len(scene.carried_out) == 4


def test_calls_side_by_side_count_before_they_come_back_and_in_the_order_they_were_made():
    guards = Guards(plan=lambda: ())
    calls = [ToolCall(f"c{n}", "read", json.dumps({"what": "ab"[n % 2]})) for n in range(12)]
    let_through = [call for call in calls if guards.refusal(call) is None]
    assert len(let_through) == 6
    for call in reversed(let_through):
        guards.saw(EffectSettled(1, call.id, "read", True, "same"), call.arguments)
    nudge = guards.nudge(Reply("", tuple(calls), "tool_calls", Usage(), "m"))
    assert "came back the same 3 times" in nudge[1]


def test_a_call_that_never_came_back_is_forgotten():
    scene = Scene()
    scene.reply(read())
    scene.reply(read())
    lost = ToolCall("lost", *read()[:2])
    assert scene.guards.refusal(lost) is None
    assert scene.guards.nudge(Reply("", (lost,), "tool_calls", Usage(), "m")) is None
    assert scene.reply(read())[0] == "loop"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("line 3: no file '/a/b.csv'", "line 17: no file '/c/d.csv'"),
        ("KeyError: 'loss'\nfacts: {}", "noise\nKeyError: 'accuracy'\nfacts: {}"),
        ("job 0x7ffe12ab lost", "job 0x1234beef lost"),
        ("bad id 3f2a9c1d-aa", "bad id 9b1c2d3e-ff"),
        ("ValueError: 1.5e-3 is too small", "ValueError: 2 is too small"),
    ],
)
def test_errors_that_differ_in_names_numbers_paths_or_ids_are_the_same(one, other):
    assert error_fingerprint(one) == error_fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("KeyError: 'a'", "TypeError: 'a'"), ("can't open it", "don't open it"), ("no rows", "rows")],
)
def test_different_errors_stay_different(one, other):
    assert error_fingerprint(one) != error_fingerprint(other)


def test_the_same_error_with_other_arguments_gets_more_patience_and_then_ends():
    def failing(number):
        arguments = json.dumps({"path": f"/data/{number}.csv"})
        return "load", arguments, f"FileNotFoundError: '/data/{number}.csv'", False

    scene = Scene()
    with pytest.raises(LoopGoesOn) as caught:
        scene.go_on_for_ever(failing)
    assert len(scene.carried_out) == 5
    assert "same error" in scene.refusals[0]
    assert "FileNotFoundError" in caught.value.evidence[0]


def test_an_irrelevant_argument_that_changes_does_not_hide_a_loop():
    scene = Scene()
    with pytest.raises(LoopGoesOn):
        scene.go_on_for_ever(lambda number: read(nonce=number))
    assert len(scene.carried_out) == 9
    assert "same answer" in scene.refusals[0]


def test_a_new_plan_opens_the_way_to_a_tool_that_gave_the_same_answers():
    scene = Scene()
    for number in range(9):
        scene.reply(read(nonce=number))
    scene.reply(("plan", '{"items": ["new"]}', "plan: 0 of 1 done"))
    scene.reply(read(nonce="x", text="found"))
    assert scene.refusals == []


def test_calls_in_any_order_that_bring_nothing_new_are_a_loop_too():
    scene = Scene()
    order = "abcacbbcabacbacb"
    with pytest.raises(LoopGoesOn):
        scene.go_on_for_ever(lambda number: read(order[number % len(order)]))
    assert len(scene.carried_out) == 3 + 6
    assert "nothing new" in scene.refusals[0]


def test_a_circle_within_a_circle_wastes_no_more():
    scene = Scene()
    inner = ["abbbb"[n % 5] for n in range(400)]
    pairs = iter(zip(inner[::2], inner[1::2], strict=True))
    replies = (scene.reply(*[read(what, text=what) for what in pair]) for pair in pairs)
    with pytest.raises(LoopGoesOn):
        list(replies)
    assert len(scene.carried_out) <= 15


def test_a_model_that_only_repeats_itself_wastes_at_most_six_calls_or_two_periods():
    for seed in range(600):
        played = play_looping(seed)
        assert played.handed_over, played.model
        assert played.wasted <= played.bound, played.model


def test_a_model_that_works_and_reads_some_things_again_is_never_refused():
    for seed in range(50):
        assert play_working(seed).refusals == [], seed


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abcd"), max_size=40))
def test_calls_that_bring_something_new_are_never_refused(letters):
    scene = Scene()
    for number, letter in enumerate(letters):
        assert scene.reply(read(letter, text=f"news {number}")) is None
    assert len(scene.carried_out) == len(letters)
