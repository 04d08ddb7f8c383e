"""``@tool`` in a notebook cell."""

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from notebook_double import Notebook, Person, stdout

import mlintern_jupyter
from mlintern_jupyter.errors import ToolError, UsageError
from mlintern_jupyter.tools.custom.functions import describe, tool


def cell(source: str) -> dict[str, Any]:
    """The names of a notebook after a cell ran."""
    namespace: dict[str, Any] = {"__name__": "__main__", "tool": tool}
    exec(source, namespace)
    return namespace


GLOSSARY = '''
@tool(effects={"read"})
def glossary(term: str, many: int = 1) -> str:
    """Look a term up in the glossary.

    Said more exactly than anywhere else.

    Args:
        term: as it is spelled
    """
    return "a word"
'''


def test_a_function_of_a_cell_is_a_tool_with_schema_and_manual():
    notebook = Notebook(namespace=cell(GLOSSARY))
    found = notebook.toolbox.find("glossary")
    assert found.spec.description == "Look a term up in the glossary."
    assert found.spec.parameters == {
        "type": "object",
        "properties": {
            "term": {"type": "string", "description": "as it is spelled"},
            "many": {"type": "integer", "default": 1},
        },
        "required": ["term"],
        "additionalProperties": False,
    }
    assert "more exactly" in notebook.call("manual", tool="glossary").text
    assert found.timeout_s is None


def test_a_call_becomes_a_code_cell_and_its_text_the_result():
    notebook = Notebook(namespace=cell(GLOSSARY))
    notebook.persons = [Person(outputs=(stdout("a word"),))]
    result = notebook.call("glossary", term='a "b" \u202e\n', many=2)
    (ran,) = notebook.inserted.values()
    assert ran.source == "print(glossary(term='a \"b\" \\u202e\\n', many=2))"
    assert ran.mark.kind == "run"
    assert "a word" in result.text
    assert result.sources == (f"cell {ran.id}", "tool:glossary")


def test_the_person_may_skip_the_cell_of_a_call():
    notebook = Notebook(namespace=cell(GLOSSARY))
    notebook.persons = [Person("skipped", reason="not now")]
    result = notebook.call("glossary", term="x")
    assert not result.ok
    assert "not now" in result.text


def test_the_cell_of_a_call_is_found_again_when_it_is_made_again():
    notebook = Notebook(namespace=cell(GLOSSARY))
    notebook.call("glossary", term="x", call="c-1")
    notebook.call("glossary", term="x", call="c-1")
    assert len(notebook.inserted) == 1
    assert notebook.toolbox.find("glossary").resumes


def test_values_are_given_as_they_are_and_long_calls_get_a_line_each():
    notebook = Notebook(
        namespace=cell(
            "@tool(effects={'read'})\n"
            "async def ask(rows: list[dict[str, int | None]], how: str = 'a') -> int: ...\n"
        )
    )
    notebook.call("ask", rows=[{"a": 1, "b": None}])
    notebook.call("ask", rows=[{"key": number} for number in range(20)], how="b", call="c-2")
    first, second = (ran.source for ran in notebook.inserted.values())
    assert first == "await ask(rows=[{'a': 1, 'b': None}])"
    assert second.startswith("await ask(\n    rows=[{'key': 0}, ")
    assert second.endswith("\n    how='b',\n)")


def test_declared_effects_are_judged_with_the_cell_and_undeclared_ones_are_nobody_knows():
    notebook = Notebook(
        namespace=cell(
            "@tool\ndef bare(x: str): ...\n@tool(effects={'spend'})\ndef buy(x: str): ...\n"
        )
    )
    assert notebook.toolbox.find("bare").terms({}).effects == frozenset()
    assert notebook.toolbox.find("buy").terms({}).effects == {"spend", "notebook", "execute"}


def test_only_what_the_notebook_itself_defines_under_its_own_name_is_offered():
    namespace = cell(GLOSSARY + "again = glossary\ndef plain(x: str): ...\n")
    elsewhere = cell("@tool\ndef imported(x: str): ...\n")["imported"]
    elsewhere.__module__ = "my_tools"
    namespace["imported"] = elsewhere

    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("touched")

    namespace["odd"] = Odd()
    names = [spec.name for spec in Notebook(namespace=namespace).toolbox.specs()]
    assert names[-1] == "glossary"
    assert not {"again", "plain", "imported", "odd"} & set(names)
    del namespace["glossary"]
    assert "glossary" not in [s.name for s in Notebook(namespace=namespace).toolbox.specs()]


def test_the_built_in_tools_come_first_whatever_the_person_adds():
    builtin = [spec.name for spec in Notebook().toolbox.specs()]
    assert [s.name for s in Notebook(namespace=cell(GLOSSARY)).toolbox.specs()] == [
        *builtin,
        "glossary",
    ]


def test_two_tools_of_one_name_are_refused():
    class Other:
        spec = Notebook().toolbox.find("plan").spec

    with pytest.raises(UsageError, match="two tools are named plan"):
        Notebook(more=(Other(),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("@tool\ndef plan(x: str): ...", "plan is a tool of the intern itself"),
        ("@tool\ndef f(x): ...", "parameter x has no type hint"),
        ("@tool\ndef f(x: set): ...", "hint of parameter x is not understood: set"),
        ("@tool\ndef f(x: list): ...", "not understood: list"),
        ("@tool\ndef f(x: 'Frame'): ...", "'Frame' is not defined"),
        ("@tool\ndef f(*x: str): ...", "cannot be given by name"),
        ("@tool\ndef f(**x: str): ...", "cannot be given by name"),
        ("@tool\ndef f(x: str, /): ...", "cannot be given by name"),
        ("@tool\ndef _f(x: str): ...", "cannot be the name of a tool"),
        ("@tool\ndef a__b(x: str): ...", "cannot be the name of a tool"),
        ("tool(lambda: 1)", "cannot be the name of a tool"),
        ("@tool\nclass F: ...", "not from type"),
        ("@tool\ndef f(x: str):\n    yield x", "yields"),
        ("class A:\n    @tool\n    def f(self: str): ...", "inside something else"),
        ("@tool(effects={'fly'})\ndef f(x: str): ...", "there is no effect fly"),
        ("@tool(effects='reads')\ndef f(x: str): ...", "there is no effect reads"),
        ("@tool(timeout_s=0)\ndef f(x: str): ...", "timeout_s must be seconds above zero"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_where_it_is_decorated(source, said):
    with pytest.raises(UsageError) as caught:
        cell(source)
    assert said in str(caught.value)


def test_hints_that_are_understood():
    @dataclass
    class Row:
        a: int

    def f(
        a: Literal[1, 2],
        b: str | None,
        c: dict[str, list[float]],
        d: Any,
        e: bool | None = None,
        g: "list[int]" = [],  # noqa: B006
    ) -> "Unknown":  # type: ignore[name-defined] # noqa: F821
        return None

    f.__qualname__ = "f"
    spec = describe(f).spec
    assert spec.parameters["properties"] == {
        "a": {"enum": [1, 2]},
        "b": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "c": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "number"}},
        },
        "d": {},
        "e": {"type": "boolean"},
        "g": {"type": "array", "items": {"type": "integer"}},
    }
    assert spec.parameters["required"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "arguments",
    ['{"term": 1}', '{"term": "x", "y": 1}', "{}", "[]", '{"term": "\\ud800"}', '{"many": 1e309}'],
)
def test_arguments_of_a_tool_of_ones_own_are_as_strict_as_any(arguments):
    with pytest.raises(ToolError):
        Notebook(namespace=cell(GLOSSARY)).toolbox.find("glossary").bind(arguments)


def test_the_decorated_function_stays_as_it_is():
    assert cell(GLOSSARY)["glossary"]("x") == "a word"
    assert mlintern_jupyter.tool is tool


def test_decorating_loads_nothing_heavy():
    code = (
        "import sys, json\nfrom mlintern_jupyter import tool\n"
        "@tool\ndef f(x: str): ...\n"
        "print(json.dumps([m for m in ('IPython', 'litellm', 'numpy', 'markdown_it', 'mcp',"
        " 'torch', 'httpx') if m in sys.modules]))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == []


def test_a_call_without_leave_proposes_no_cell():
    notebook = Notebook(namespace=cell(GLOSSARY))
    found = notebook.toolbox.find("glossary")

    class Nothing:
        sha256 = ""

        def use(self, terms: Any, arguments: Any) -> None:
            raise ToolError("not allowed")

    with pytest.raises(ToolError, match="not allowed"):
        asyncio.run(found(notebook.context("c"), Nothing(), term="x"))
    assert not notebook.inserted
    assert not notebook.facts
