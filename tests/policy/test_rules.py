import os
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlintern_jupyter.policy.rules import (
    UNDECLARED,
    Rule,
    Rules,
    load_rules,
    parse_rules,
    stricter,
)
from mlintern_jupyter.protocols import Effect

EFFECTS = [*get_args(Effect), UNDECLARED]
ASKING = {"network-write", "spend", "publish", "delete", UNDECLARED}


@pytest.fixture
def person(tmp_path, monkeypatch):
    """Where the person's own rules are looked for; the notebook's folder is its neighbour."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("MLINTERN_CONFIG", str(home / "config.toml"))
    return home / "rules.toml"


@pytest.fixture
def workspace(tmp_path, person):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    return folder / "mlintern-rules.toml"


def rule(verdict, **globs):
    lines = [f'{name} = "{value}"' for name, value in globs.items()]
    return "\n".join(["[[rule]]", *lines, f'verdict = "{verdict}"', ""])


def verdict(workspace, effect, tool="write_cell"):
    return load_rules(workspace.parent).verdict(tool, effect)[0]


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_shipped_rules_name_every_effect(workspace, effect):
    rules = load_rules(workspace.parent)
    assert rules.problem == ""
    found, why = rules.verdict("write_cell", effect)
    assert found == ("ask" if effect in ASKING else "allow")
    assert why.endswith("by the shipped rules")


def test_what_no_rule_names_asks(workspace):
    assert load_rules(workspace.parent).verdict("write_cell", "fly") == ("ask", "no rule names fly")
    assert Rules().verdict("write_cell", "read")[0] == "ask"


def test_the_persons_own_rules_come_before_the_shipped_ones(workspace, person):
    person.write_text(
        rule("deny", tool="github__delete*")
        + rule("allow", tool="github__*", effect="network-write")
        + rule("deny", effect="execute")
    )
    assert verdict(workspace, "network-write", "github__comment") == "allow"
    assert verdict(workspace, "network-write", "github__delete_repo") == "deny"
    assert verdict(workspace, "network-write", "gitlab__comment") == "ask"
    assert verdict(workspace, "network-write", "GITHUB__comment") == "ask"
    assert verdict(workspace, "execute") == "deny"
    why = load_rules(workspace.parent).verdict("github__delete_repo", "delete")[1]
    assert why == f"delete of github__delete* is denied by {person}"


def test_the_workspaces_rules_only_narrow(workspace, person):
    person.write_text(rule("deny", effect="publish"))
    workspace.write_text(rule("deny", effect="local-write") + rule("allow"))
    assert verdict(workspace, "local-write") == "deny"
    assert verdict(workspace, "publish") == "deny"
    for effect in ASKING - {"publish"}:
        assert verdict(workspace, effect) == "ask"


RULE = st.builds(
    Rule,
    st.sampled_from(["allow", "ask", "deny"]),
    st.sampled_from(["*", "a", "b", "a*", "?b"]),
    st.sampled_from(["*", *EFFECTS, "p*", "*-write"]),
)
LISTED = st.lists(RULE, max_size=6).map(tuple)
TOOL = st.sampled_from(["a", "b", "ab", "c"])


@given(LISTED, LISTED, TOOL, st.sampled_from([*EFFECTS, "fly"]))
def test_adding_a_workspace_file_never_widens_any_verdict(main, added, tool, effect):
    without, _ = Rules(main).verdict(tool, effect)
    together, _ = Rules(main, (added,)).verdict(tool, effect)
    assert not stricter(without, together)


@given(LISTED, LISTED, TOOL, st.sampled_from(EFFECTS))
def test_the_first_rule_of_a_file_that_matches_is_the_one_that_holds(before, after, tool, effect):
    mine = Rule("deny", tool, effect)
    unmatched = tuple(r for r in before if not r.matches(tool, effect))
    assert Rules((*unmatched, mine, *after)).verdict(tool, effect)[0] == "deny"
    allowed = Rule("allow", tool, effect)
    assert Rules((*unmatched, allowed, *after)).verdict(tool, effect)[0] == "allow"


BROKEN = {
    "no TOML": "[[rule]\n",
    "not text": b"\xff\xfe",
    "an unknown key beside the rules": "usd = 1000\n" + rule("allow"),
    "a cap": rule("allow") + "[limits]\nusd = 1000\n",
    "an unknown key in a rule": rule("deny", tools="x"),
    "no verdict": '[[rule]]\neffect = "read"\n',
    "an unknown verdict": rule("Allow"),
    "a verdict that is no text": '[[rule]]\nverdict = ["deny"]\n',
    "an effect nobody has": rule("deny", effect="network_write"),
    "a tool that is no text": '[[rule]]\ntool = 1\nverdict = "deny"\n',
    "rules that are no tables": "rule = [1]\n",
    "a rule that is no list": 'rule = "deny"\n',
    "one table": '[rule]\nverdict = "deny"\n',
    "nested without end": "rule = " + "[" * 5000 + "]" * 5000 + "\n",
    "larger than any rules": "#" * 1_000_001,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("whose", ["person", "workspace"])
def test_a_file_that_cannot_be_used_is_named_and_everything_it_may_have_denied_asks(
    request, workspace, person, whose, content
):
    path = {"person": person, "workspace": workspace}[whose]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rules = load_rules(workspace.parent)
    assert str(path) in rules.problem
    for effect in EFFECTS:
        free = effect in {"read", "notebook"}
        assert rules.verdict("write_cell", effect)[0] == ("allow" if free else "ask")


def test_a_broken_file_does_not_lift_what_the_other_one_denies(workspace, person):
    person.write_text(rule("deny", effect="read"))
    workspace.write_text("[[")
    assert verdict(workspace, "read") == "deny"
    person.write_text("[[")
    workspace.write_text(rule("deny", effect="notebook"))
    assert verdict(workspace, "notebook") == "deny"
    workspace.write_text("[[")
    problem = load_rules(workspace.parent).problem
    assert str(person) in problem
    assert str(workspace) in problem


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, os.mkdir, lambda path: path.symlink_to("nowhere")],
    ids=["pipe", "folder", "link to nowhere"],
)
def test_what_is_no_file_is_not_waited_for(workspace, make):
    make(workspace)
    assert str(workspace) in load_rules(workspace.parent).problem


def test_rules_that_only_comment_change_nothing(workspace, person):
    person.write_text("# none yet\n")
    assert load_rules(workspace.parent).problem == ""
    assert parse_rules("", "nobody") == ()


def test_a_folder_that_is_not_there_has_no_rules(person):
    assert load_rules(Path("/nowhere/at/all")).problem == ""
