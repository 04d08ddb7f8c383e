"""Each arrow of the drawing in ``doom_policy``, and that the state is a fold over the ledger."""

import json
import random

import pytest
from looping_models import Scene

from mlintern_jupyter.agent.doom import REMEMBERED
from mlintern_jupyter.agent.doom_policy import STRIKES, LoopGoesOn, LoopState
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.events import EffectSettled
from mlintern_jupyter.messages import ToolCall

SAME = "read", "{}", "same"
OTHER = "read", '{"a": 1}', "other"
THIRD = "read", '{"a": 2}', "third"
OTHER_RESULT = "read", "{}", "other"
PLAN = "plan", '{"items": ["new"]}', "plan: 0 of 1 done"
WARNED = [[SAME]] * 3
REFUSING = [[SAME]] * 4
REPLANNING = [*REFUSING, [PLAN]]
INSISTING = [*REFUSING, SAME]


def played(*replies):
    """The state after replies, which are lists of calls; a call alone leaves its reply open."""
    state = LoopState()
    actions = []
    for reply in replies:
        for number, (tool, arguments, text) in enumerate(
            reply if isinstance(reply, list) else [reply]
        ):
            call = ToolCall(f"c{number}", tool, arguments)
            state, refused = state.before_call(call)
            ok = refused is None
            text = refused.words(can_plan=True) if refused else text
            state = state.after_call(EffectSettled(1, call.id, tool, ok, text), arguments)
            actions += [refused.do] if refused else []
        if isinstance(reply, list):
            state, action = state.after_reply()
            actions += [action.do] if action else []
    return state.stage, actions


@pytest.mark.parametrize(
    ("replies", "stage", "last"),
    [
        pytest.param([[SAME]] * 2, "free", None, id="free: nothing wasted but one call"),
        pytest.param(WARNED, "warned", "warn", id="free to warned"),
        pytest.param([*WARNED, [OTHER]], "free", "warn", id="warned to free, by another call"),
        pytest.param([*WARNED, [OTHER_RESULT]], "free", "warn", id="warned to free, by a result"),
        pytest.param(REFUSING, "refusing", "announce", id="warned to refusing"),
        pytest.param([[SAME] * 10], "refusing", "announce", id="free to refusing in one reply"),
        pytest.param([*REFUSING, [OTHER]], "free", "announce", id="refusing to free"),
        pytest.param(INSISTING, "insisting", "refuse", id="refusing to insisting"),
        pytest.param(REPLANNING, "replanning", "announce", id="refusing to replanning"),
        pytest.param([*REFUSING, [SAME]], "refusing", "refuse", id="insisting to refusing"),
        pytest.param([*REFUSING, [SAME] * 9], "refusing", "refuse", id="a strike for each reply"),
        pytest.param([*INSISTING, OTHER], "free", "refuse", id="insisting to free"),
        pytest.param([*INSISTING, PLAN], "insisting", "refuse", id="a plan while insisting"),
        pytest.param([*REPLANNING, SAME], "insisting", "announce", id="replanning to insisting"),
        pytest.param([*REPLANNING, PLAN], "insisting", "announce", id="planning on and on"),
        pytest.param([*REPLANNING, OTHER], "free", "announce", id="replanning to free"),
        pytest.param([*REPLANNING, OTHER_RESULT], "free", "announce", id="a plan that helped"),
        pytest.param(
            [*REFUSING, *[[SAME]] * STRIKES], "handed over", "hand over", id="to handed over"
        ),
        pytest.param(
            [*REFUSING, [OTHER], *WARNED], "refusing", "announce", id="back in a refused loop"
        ),
        pytest.param(
            [*REFUSING, [OTHER], *WARNED, [THIRD], *WARNED],
            "handed over",
            "hand over",
            id="back in it twice",
        ),
    ],
)
def test_an_arrow_of_the_drawing(replies, stage, last):
    reached, actions = played(*replies)
    assert reached == stage
    assert (actions[-1] if actions else None) == last


def test_a_loop_that_was_refused_long_ago_is_only_warned():
    others = [[("read", json.dumps({"n": n}), f"news {n}")] for n in range(REMEMBERED)]
    assert played(*REFUSING, *others, *WARNED) == ("warned", ["warn", "announce", "warn"])


def test_a_loop_to_be_refused_goes_before_a_shorter_one_to_be_named():
    stage, actions = played(*[[{"a": SAME, "b": OTHER}[letter]] for letter in "ababbb"])
    assert stage == "refusing"
    assert actions == ["warn", "announce"]


def test_a_plan_opens_the_way_to_a_loop_of_three_calls_not_again():
    period = [("read", json.dumps({"n": n}), "same") for n in range(3)]
    stage, actions = played(*[[call] for call in period * 3], [PLAN], period[0])
    assert actions[-1] == "refuse"
    assert stage == "insisting"


def test_another_model_gets_its_own_strikes_but_not_its_own_period():
    scene = Scene()
    for _ in range(2):
        with pytest.raises(LoopGoesOn):
            scene.go_on_for_ever(lambda _: SAME)
        scene.guards.fresh()
    assert len(scene.carried_out) == 4
    assert len(scene.refusals) == 2 * STRIKES


def test_the_state_is_the_fold_over_what_the_ledger_has():
    for seed in range(12):
        rng, scene = random.Random(seed), Scene()
        for number, letter in enumerate(rng.choices("aaaabp", k=40)):
            plan = "plan", json.dumps({"n": number}), "plan"
            call = plan if letter == "p" else ("read", json.dumps({"what": letter}), letter)
            try:
                scene.reply(*[call] * rng.choice((1, 1, 5)))
            except LoopGoesOn:
                scene.guards.fresh()
            again = Guards(plan=scene.guards.plan)
            again.recall(scene.facts)
            assert again == scene.guards, (seed, number)
