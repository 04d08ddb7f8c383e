import pytest

from mlintern_jupyter.policy.gate import load_rules, review, runs_alone

INSIDE, OUTSIDE = "print(1 + 1)", "import subprocess\nsubprocess.run(['ls'])"


@pytest.mark.parametrize(
    ("mode", "allowed", "source", "alone"),
    [
        ("unattended", (), OUTSIDE, True),
        ("auto", (), INSIDE, True),
        ("auto", (), OUTSIDE, False),
        ("review", (), INSIDE, False),
        ("review", ("plot",), INSIDE, False),
        ("review", ("plot", "eval"), INSIDE, True),
        ("review", ("eval",), OUTSIDE, False),
    ],
)
def test_who_runs_a_cell_follows_mode_kind_and_guard(mode, allowed, source, alone):
    assert runs_alone(mode, allowed, "eval", source) is alone


@pytest.mark.parametrize("mode", ["review", "auto", "unattended"])
def test_cells_and_reading_pass_the_gate_and_an_unknown_effect_does_not(mode):
    rules = load_rules()
    assert review({"read", "notebook", "execute"}, mode, rules)[0] == "allow"
    verdict, reason = review({"read", "fly"}, mode, rules)
    assert verdict == ("deny" if mode == "unattended" else "ask")
    assert "fly" in reason
