import ast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.recipes.book import PAGES, Book, read_page
from mlintern_jupyter.recipes.conditions import parse_condition
from mlintern_jupyter.recipes.rendering import literal, plain_word

FRONT = {
    "name": "name: page",
    "title": "title: A page",
    "stage": "stage: audit",
    "kind": "kind: dataset",
    "values": "values: {path: {help: a file}}",
}
BLOCK = "```python\nrows = open({{path}})\n```"


def page(body: str = f"First line.\n\n{BLOCK}\n", **changed: str) -> str:
    front = "\n".join(line for line in {**FRONT, **changed}.values() if line)
    return f"---\n{front}\n---\n{body}"


def test_page_is_read_with_prose_and_code_apart():
    found = read_page(page())
    assert (found.line, found.prose) == ("First line.", "First line.")
    assert found.template == "rows = open({{path}})"
    assert found.render(found.fill({"path": 'a"b\n'})) == 'rows = open("a\\"b\\n")'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no front matter", "front matter"),
        (page(extra="colour: red"), "colour: unknown; fields are name, title"),
        (page(stage="stage: later"), "stage 'later'"),
        (page(kind="kind: poem"), "kind 'poem'"),
        (page(name="name: Big Name"), "name 'Big Name'"),
        (page(title=""), "title: missing"),
        (page(title="title: 3"), "title: expected text, not a whole number"),
        (page(title="title: ''"), "title: is empty"),
        (page(values=""), "differ in: path"),
        (page(values="values: {path: {help: x}, more: {help: x}}"), "differ in: more"),
        (page(values="values: {path: {default: 1}}"), "values.path.help: missing"),
        (page(values="values: {path: {help: x, default: {a: 1}}}"), "no literal"),
        (page(values="values: {path: {help: x, default: .inf}}"), "no literal"),
        (page(values="values: [path]"), "values: expected a table, not a list"),
        (page(kind=""), "no kind"),
        (page("Nothing here.\n"), "exactly one fenced block"),
        (page(f"{BLOCK}\n\n{BLOCK}\n"), "exactly one fenced block"),
        (page(kind="kind: report"), "```markdown"),
        (page(when="when: {a: sometimes}"), "no condition"),
        (page(when='when: {a: "<big"}'), "needs a number"),
        (page(when="when: {a: 3}"), "when.a: expected a list, not a whole number"),
        (page(f"```python\n{{{{path}}}}{'x' * 12_001}\n```\n"), "12000 are allowed"),
    ],
)
def test_page_that_breaks_a_rule_is_refused_with_the_rule(text, said):
    with pytest.raises(ValueError, match=r"\S") as caught:
        read_page(text)
    assert said in str(caught.value)


def test_broken_page_is_listed_and_takes_no_other_away(tmp_path):
    (tmp_path / "page.md").write_text(page())
    (tmp_path / "other.md").write_text(page())
    (tmp_path / "yaml.md").write_text("---\na: [\n---\n")
    (tmp_path / "bytes.md").write_bytes(b"\xff\xfe")
    book = Book.load(tmp_path)
    assert list(book.pages) == ["page"]
    assert [p.split(":")[0] for p in book.problems] == ["bytes.md", "other.md", "yaml.md"]


def test_shipped_pages_all_read():
    assert Book.load(PAGES).problems == ()


def test_advice_page_has_no_code():
    found = read_page(page("Just words.\n", kind="", values=""))
    assert (found.template, found.kind) == ("", "")


def test_markdown_page_is_filled_with_plain_text():
    body = "How to report.\n\n````markdown\n# {{path}}\n```text\nx\n```\n````\n"
    found = read_page(page(body, kind="kind: report"))
    assert found.render({"path": "a b"}) == "# a b\n```text\nx\n```"
    with pytest.raises(ToolError, match="path"):
        found.render({"path": ["a"]})


def test_magic_line_takes_plain_words_only():
    found = read_page(page("Run.\n\n```python\n%%job {{path}}\nx = {{path}}\n```\n"))
    assert found.render({"path": "sft-1"}) == '%%job sft-1\nx = "sft-1"'
    with pytest.raises(ToolError, match="path"):
        found.render({"path": "sft; rm -rf x"})


def test_value_takes_the_type_of_its_default():
    found = read_page(page(values="values: {path: {help: x, default: 0.5}}"))
    assert found.fill({}) == {"path": 0.5}
    assert found.fill({"path": 1}) == {"path": 1}
    for wrong in ("0.5", True, None, [0.5]):
        with pytest.raises(ToolError, match="must be float"):
            found.fill({"path": wrong})


FACTS = {"eval": {"accuracy": 0.4, "rates": {"stopped": 1}, "voided": True}, "audit": {"who": "x"}}


@pytest.mark.parametrize(
    ("path", "text", "holds"),
    [
        ("eval.accuracy", "<0.5", True),
        ("eval.accuracy", "< 0.4", False),
        ("eval.accuracy", "<=0.4", True),
        ("eval.accuracy", ">0.4", False),
        ("eval.rates.stopped", ">=1", True),
        ("eval.rates.stopped", "==1", True),
        ("eval.voided", "==1", False),
        ("eval.voided", "==true", True),
        ("eval.voided", ">0", False),
        ("audit.who", "==x", True),
        ("audit.who", '!="y"', True),
        ("audit.who", "<3", False),
        ("audit", "present", True),
        ("audit", "absent", False),
        ("audit.who.deeper", "present", False),
        ("job", "absent", True),
        ("job.loss", "<1", False),
        ("job.loss", "!=1", False),
    ],
)
def test_conditions_hold_strictly(path, text, holds):
    assert parse_condition(path, text).holds(FACTS) is holds


def test_a_page_fits_where_all_its_conditions_hold():
    found = read_page(page(when='when: {eval.accuracy: [">0.3", "<0.5"], job: absent}'))
    assert found.fits(FACTS)
    assert not found.fits({**FACTS, "job": 1})
    assert not found.fits({"eval": {"accuracy": 0.5}})
    assert read_page(page()).fits({})


relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
scalar = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)


@relaxed
@given(scalar | st.lists(scalar))
def test_literals_read_back_as_the_same_value(value):
    assert ast.literal_eval(literal(value)) == value


@relaxed
@given(st.text())
def test_a_plain_word_never_holds_more_than_a_word(text):
    try:
        word = plain_word(text)
    except ValueError:
        return
    assert word == text
    assert not set(word) & set(" \t\n\r;&|`$\"'\\<>(){}*?!#")
