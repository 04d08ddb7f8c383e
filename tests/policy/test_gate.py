import ast
import copy
import dataclasses
import pickle
import threading
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import mlintern_jupyter
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.events import Answered, Asked
from mlintern_jupyter.policy.gate import Gate, Ruling, runs_unreviewed
from mlintern_jupyter.policy.rules import Rule, Rules, load_rules
from mlintern_jupyter.protocols import CallTerms

INSIDE, OUTSIDE = "print(1 + 1)", "import subprocess\nsubprocess.run(['ls'])"
ALL = Rules((Rule("allow"),))
OUTWARD = ["network-write", "spend", "publish", "delete"]
ARGUMENTS = {"source": "print(1)", "cell_id": "k3"}


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
    assert runs_unreviewed(mode, allowed, "eval", source) is alone


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    monkeypatch.setenv("MLINTERN_CONFIG", str(tmp_path / "config.toml"))
    return load_rules(tmp_path)


def make(rules=ALL, mode="review", sources=()):
    return Gate(rules, lambda: mode, lambda: sources)


def terms(*effects, tool="t", price=0.0, visibility="here"):
    return CallTerms(tool, frozenset(effects), price, visibility)


def asked_for(ruling, call="c1", **changed):
    asked = Asked(
        1, call, ruling.terms.tool, ARGUMENTS, tuple(sorted(ruling.terms.effects)), ruling.why,
        ruling.terms.price_usd, ruling.terms.visibility, ruling.sha256, ruling.sources,
    )  # fmt: skip
    return dataclasses.replace(asked, **changed)


class TestJudging:
    @pytest.mark.parametrize("mode", ["review", "auto", "unattended"])
    def test_cells_and_reading_pass_and_an_unknown_effect_does_not(self, shipped, mode):
        gate = make(shipped, mode)
        ruling = gate.judge(terms("read", "notebook", "local-write", "execute"), ARGUMENTS)
        assert (ruling.verdict, ruling.why) == ("allow", "")
        ruling = gate.judge(terms("read", "fly"), ARGUMENTS)
        assert ruling.verdict == ("deny" if mode == "unattended" else "ask")
        assert "fly" in ruling.why

    def test_the_strictest_effect_decides(self):
        rules = Rules((Rule("deny", effect="delete"), Rule("ask", effect="spend"), Rule("allow")))
        gate = make(rules)
        assert gate.judge(terms("read", "spend"), {}).verdict == "ask"
        assert gate.judge(terms("read", "spend", "delete"), {}).verdict == "deny"

    def test_a_tool_that_declares_nothing_asks(self, shipped):
        ruling = make(shipped).judge(terms(), ARGUMENTS)
        assert ruling.verdict == "ask"
        assert "does not declare what it does" in ruling.why

    @pytest.mark.parametrize("price", [None, float("nan"), float("inf"), -1.0])
    def test_an_unknown_price_asks_even_where_everything_is_allowed(self, price):
        ruling = make().judge(terms("read", price=price), {})
        assert (ruling.verdict, ruling.why) == ("ask", "what it costs is not known")

    def test_what_has_a_price_spends_and_what_others_see_publishes(self, shipped):
        gate = make(shipped)
        assert gate.judge(terms("read", price=0.01), {}).why.startswith("spend asks")
        for visibility in ("public", "unknown"):
            ruling = gate.judge(terms("read", visibility=visibility), {})
            assert ruling.why.startswith("publish asks")
        for visibility in ("here", "private"):
            assert gate.judge(terms("read", visibility=visibility), {}).verdict == "allow"

    def test_the_mode_is_read_when_a_call_is_judged(self, shipped):
        mode = "review"
        gate = Gate(shipped, lambda: mode, lambda: ())
        assert gate.judge(terms("delete"), {}).verdict == "ask"
        mode = "unattended"
        ruling = gate.judge(terms("delete"), {})
        assert ruling.verdict == "deny"
        assert ruling.why.endswith("in unattended mode nobody is asked")


class TestAfterUntrustedText:
    @pytest.mark.parametrize("effect", OUTWARD)
    def test_what_leaves_or_lasts_asks_whatever_the_rules_allow(self, effect):
        assert make().judge(terms(effect), {}).verdict == "allow"
        ruling = make(sources=("mcp:github", "cell k3")).judge(terms(effect), {})
        assert ruling.verdict == "ask"
        assert ruling.sources == ("mcp:github", "cell k3")
        assert "mcp:github, cell k3" in ruling.why
        assert make(mode="unattended", sources=("cell k3",)).judge(terms(effect), {}).verdict == (
            "deny"
        )

    def test_what_may_be_outward_without_saying_so_asks_too(self):
        gate = make(sources=("cell k3",))
        assert gate.judge(terms(), {}).verdict == "ask"
        assert gate.judge(terms("read", price=1.0), {}).verdict == "ask"
        assert gate.judge(terms("read", visibility="public"), {}).verdict == "ask"

    def test_work_that_stays_here_goes_on(self):
        gate = make(mode="unattended", sources=("cell k3",))
        ruling = gate.judge(terms("read", "notebook", "local-write", "execute"), {})
        assert ruling.verdict == "allow"

    def test_a_denial_stays_one(self):
        gate = make(Rules((Rule("deny"),)), sources=("cell k3",))
        assert gate.judge(terms("publish"), {}).verdict == "deny"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)  # fmt: skip
GIVEN = st.dictionaries(st.text(max_size=4), JSON, max_size=3)
WHAT = st.builds(
    CallTerms,
    st.sampled_from(["a", "b"]),
    st.frozensets(st.sampled_from(["read", "spend", "publish"])),
    st.sampled_from([None, 0.0, 0.5]),
    st.sampled_from(["here", "private", "public", "unknown"]),
)


def spelled(value):
    if isinstance(value, dict):
        return sorted((key, spelled(item)) for key, item in value.items())
    if isinstance(value, list):
        return [spelled(item) for item in value]
    return f"{type(value).__name__} {value!r}"


def grant_for(what, given):
    gate = make()
    ruling = gate.judge(what, given)
    if ruling.verdict == "allow":
        return gate.grant(ruling)
    asked = asked_for(ruling)
    return gate.grant_answered(ruling, Answered("c1", True), asked)


class TestAGrant:
    @given(WHAT, GIVEN)
    def test_is_used_for_exactly_what_was_judged_and_once(self, what, given):
        grant = grant_for(what, given)
        grant.use(dataclasses.replace(what), copy.deepcopy(given))
        with pytest.raises(ToolError, match="was not carried out"):
            grant.use(what, given)

    @given(WHAT, GIVEN, WHAT, GIVEN)
    @example(terms("read"), {"x": 1}, terms("read"), {"x": True})
    @example(terms("read"), {"x": -0.0}, terms("read"), {"x": 0.0})
    @example(terms("read"), {"x": "1"}, terms("read"), {"x": 1})
    def test_is_refused_for_anything_else_and_gone_then(self, what, given, other, others):
        grant = grant_for(what, given)
        # Spelled out, as True == 1 == 1.0 in Python.
        if what == other and spelled(given) == spelled(others):
            grant.use(other, others)
            return
        with pytest.raises(ToolError, match="was not carried out"):
            grant.use(other, others)
        with pytest.raises(ToolError, match="used already"):
            grant.use(what, given)

    @pytest.mark.parametrize(
        "changed",
        [
            {"tool": "u"},
            {"effects": frozenset({"read", "delete"})},
            {"effects": frozenset()},
            {"price_usd": 0.01},
            {"price_usd": None},
            {"visibility": "public"},
        ],
        # Processes that share the tests must call them alike; a set prints in any order.
        ids=["tool", "more effects", "no effects", "price", "unknown price", "visibility"],
    )
    def test_is_bound_to_each_of_the_terms(self, changed):
        what = terms("read")
        with pytest.raises(ToolError, match="not what was allowed"):
            grant_for(what, ARGUMENTS).use(dataclasses.replace(what, **changed), ARGUMENTS)

    @pytest.mark.parametrize(
        "others",
        [{}, {"x": True}, {"x": 1.0}, {"x": "1"}, {"x": [1]}, {"x": 1, "y": None}, {"X": 1}],
        ids=str,
    )
    def test_is_bound_to_the_exact_arguments(self, others):
        with pytest.raises(ToolError, match="not what was allowed"):
            grant_for(terms("read"), {"x": 1}).use(terms("read"), others)

    def test_is_not_for_arguments_that_were_changed_since(self):
        given = {"files": ["a.py"]}
        grant = grant_for(terms("delete"), given)
        given["files"].append("/etc/passwd")
        with pytest.raises(ToolError):
            grant.use(terms("delete"), given)

    def test_does_not_depend_on_the_order_of_keys(self):
        grant_for(terms("read"), {"x": {"a": 1, "b": 2}, "y": 1}).use(
            terms("read"), {"y": 1, "x": {"b": 2, "a": 1}}
        )

    @pytest.mark.parametrize(
        "given",
        [
            {"x": float("nan")},
            {"x": {1, 2}},
            {"x": (1, 2)},
            {"x": b"bytes"},
            {"x": {1: "a"}},
            {"x": "\ud83d\ude00"},
        ],
        ids=ascii,
    )
    def test_is_not_given_for_what_cannot_be_told_exactly(self, given):
        with pytest.raises(ToolError, match="cannot be told exactly"):
            make().judge(terms("read"), given)

    def test_is_used_by_one_of_many_threads(self):
        grant = grant_for(terms("read"), ARGUMENTS)
        done = []

        def use():
            try:
                grant.use(terms("read"), ARGUMENTS)
                done.append(True)
            except ToolError:
                done.append(False)

        threads = [threading.Thread(target=use) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == [False] * 15 + [True]


class TestGettingAGrant:
    def test_takes_a_verdict_that_allows(self):
        gate = make(Rules((Rule("ask"),)))
        with pytest.raises(ToolError, match="was not allowed"):
            gate.grant(gate.judge(terms("read"), {}))

    def test_takes_a_ruling_of_this_gate_each_of_which_gives_one(self):
        gate, other = make(), make()
        ruling = gate.judge(terms("read"), {})
        with pytest.raises(ToolError, match="not the gate's"):
            other.grant(ruling)
        gate.grant(ruling)
        with pytest.raises(ToolError, match="used already"):
            gate.grant(ruling)

    def test_does_not_take_a_ruling_made_elsewhere(self):
        gate = make(Rules((Rule("ask"),)))
        ruling = gate.judge(terms("delete"), {})
        with pytest.raises(ToolError):
            gate.grant(dataclasses.replace(ruling, verdict="allow"))
        with pytest.raises(ToolError):
            gate.grant(Ruling("allow", "", ruling.sha256, ruling.terms, ()))

    def test_takes_the_persons_yes_to_this_very_question(self):
        gate = make(Rules((Rule("ask"),)))
        ruling = gate.judge(terms("publish"), ARGUMENTS)
        asked = asked_for(ruling)
        refused = [
            (Answered("c1", False, "too early"), asked, "refused t"),
            (Answered("c2", True), asked, "something else"),
            (Answered("c1", True), dataclasses.replace(asked, grant="0" * 64), "something else"),
            (Answered("c1", True), dataclasses.replace(asked, tool="u"), "something else"),
        ]
        for answered, question, why in refused:
            with pytest.raises(ToolError, match=why):
                gate.grant_answered(ruling, answered, question)
        gate.grant_answered(ruling, Answered("c1", True), asked).use(terms("publish"), ARGUMENTS)

    def test_by_one_yes_works_once(self):
        gate = make(Rules((Rule("ask"),)))
        first, second = (gate.judge(terms("publish"), ARGUMENTS) for _ in range(2))
        asked = asked_for(first)
        gate.grant_answered(first, Answered("c1", True), asked)
        with pytest.raises(ToolError, match="one yes is for one call"):
            gate.grant_answered(second, Answered("c1", True), asked)

    def test_a_yes_does_not_lift_what_is_denied(self):
        gate = make(Rules((Rule("deny"),)))
        ruling = gate.judge(terms("publish"), ARGUMENTS)
        with pytest.raises(ToolError, match="was not allowed"):
            gate.grant_answered(ruling, Answered("c1", True), asked_for(ruling))

    def test_is_not_by_making_copying_or_pickling_one(self):
        grant = grant_for(terms("read"), ARGUMENTS)
        with pytest.raises(TypeError, match="by the gate alone"):
            type(grant)(grant.sha256, object())
        for clone in (copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                clone(grant)
        same = copy.copy(grant)
        grant.use(terms("read"), ARGUMENTS)
        with pytest.raises(ToolError, match="used already"):
            same.use(terms("read"), ARGUMENTS)


PACKAGE = Path(mlintern_jupyter.__file__).parent
MINE = {"_Grant", "_SEAL_OF_THE_GATE", "Ruling"}


def makes_grants(tree):
    """Names of what makes, forges or stands in for a grant."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            found |= MINE & {name}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").endswith("policy.gate"):
            found |= {"_Grant", "_SEAL_OF_THE_GATE"} & {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            found |= {"_Grant", "_SEAL_OF_THE_GATE"} & {name}
        elif isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            methods = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
            if ("use" in methods and "Protocol" not in bases) or bases & {"Grant", "_Grant"}:
                found.add(f"class {node.name}")
    return found


def test_nothing_outside_policy_makes_forges_or_stands_in_for_a_grant():
    files = [p for p in PACKAGE.rglob("*.py") if PACKAGE / "policy" not in p.parents]
    files += (PACKAGE.parent / "magics").rglob("*.py")
    assert len(files) > 50
    found = {str(path): makes_grants(ast.parse(path.read_text("utf-8"))) for path in files}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    "code",
    [
        "from mlintern_jupyter.policy.gate import _Grant",
        "import mlintern_jupyter.policy.gate as g\ng._Grant('x', g._SEAL_OF_THE_GATE)",
        "Ruling('allow', '', 'x', terms, ())",
        "class Free:\n    sha256 = ''\n    def use(self, terms, arguments): pass",
        "class Free(Grant):\n    pass",
    ],
)
def test_that_search_finds_who_would(code):
    assert makes_grants(ast.parse(code))
