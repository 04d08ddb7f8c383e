"""Bad input of a model, case by case: every tool answers it with what is wrong, and does nothing.

The cases are those of the fault study (B01 and on) that are a tool's to answer.
"""

import asyncio
import json
from typing import Any

import pytest
from notebook_double import Notebook, granted

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.policy.autorun import may_run_unreviewed
from mlintern_jupyter.tools.base.schema import FunctionTool

NO_OBJECT = {
    "b01_a_list": "[]",
    "b01_a_list_of_one_object": "[{}]",
    "b02_a_string": '"{}"',
    "b02_an_object_within_a_string": '"{\\"kind\\": \\"run\\"}"',
    "b03_null": "null",
    "a_number": "7",
    "true": "true",
    "half_an_object": '{"kind": "ru',
    "two_objects": "{}{}",
    "python": "{'kind': 'run'}",
    "deep": '{"a":' * 50_000,
    "deep_and_closed": "[" * 50_000 + "]" * 50_000,
}
NO_VALUE = {
    "b07_unknown_parameter": {"no_such": 1},
    "b08_not_a_number": '{"count": NaN}',
    "b08_infinite": '{"count": Infinity}',
    "b08_too_large": '{"count": 1e309}',
    "b08_text_for_a_number": {"count": "forever"},
    "b08_negative": {"count": -5},
    "b08_too_many": {"count": 10**30},
    "b08_a_fraction": {"first": 0.5},
    "b08_true_for_a_number": {"first": True},
    "b08_null": {"first": None},
    "b08_given_twice": '{"first": 1, "first": 2}',
    "b11_half_a_character": '{"cell_id": "\\ud800"}',
    "digits_without_end": '{"first": ' + "9" * 5000 + "}",
}


def text_of(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


@pytest.mark.parametrize("arguments", NO_OBJECT.values(), ids=NO_OBJECT)
def test_what_is_no_object_is_refused_by_every_tool(arguments):
    notebook = Notebook()
    for tool in notebook.tools:
        with pytest.raises(ToolError) as caught:
            tool.bind(arguments)
        assert str(caught.value).startswith(f"{tool.spec.name}: arguments ")
        assert len(str(caught.value)) < 2_000
        str(caught.value).encode()


def test_b04_no_arguments_are_those_of_a_tool_that_needs_none():
    for tool in Notebook().tools:
        for empty in ("", " \n", "{}"):
            if tool.spec.parameters["required"]:
                with pytest.raises(ToolError, match="needs "):
                    tool.bind(empty)
            else:
                assert isinstance(tool.bind(empty), dict)


def test_b05_an_unknown_tool_is_answered_with_the_nearest_and_all():
    notebook = Notebook()
    for name in ("write_cel", "", "\x00", "bash", "plan ", "x" * 100_000):
        with pytest.raises(ToolError) as caught:
            notebook.toolbox.find(name)
        assert "experiments" in str(caught.value)
        assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("arguments", NO_VALUE.values(), ids=NO_VALUE)
def test_a_wrong_value_is_named_with_what_is_allowed(arguments):
    with pytest.raises(ToolError) as caught:
        Notebook().toolbox.find("read_notebook").bind(text_of(arguments))
    assert "count: a whole number from 1 to 100 (optional)" in str(caught.value)
    assert "first: a whole number of 0 or more (optional)" in str(caught.value)
    str(caught.value).encode()


def test_b07_every_tool_says_that_it_takes_nothing_else():
    for spec in Notebook().toolbox.specs():
        assert spec.parameters["additionalProperties"] is False


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {"nan": float("nan"), "bytes": b"\xff", 3: {1, 2}}
    value["me"] = [value, value]
    return value


def explosive() -> list[Any]:
    value: list[Any] = []
    value.extend([value] * 10)
    return value


RETURNED = {
    "b10_five_megabytes": "x" * 5_000_000,
    "b11_half_a_character": "a\ud800",
    "b12_bytes": b"\xff\x00",
    "b12_nothing": None,
    "b12_cyclic": cyclic(),
    "b12_cyclic_many_times": explosive(),
    "b12_a_set": {1},
    "b12_rude": Rude(),
    "b12_rude_key": {Rude(): Rude()},
    "a_number": 10**5000,
    "rude_facts": ToolResult("t\ud800", {"f": Rude(), "n": float("inf"), "\ud800": b""}),
}


@pytest.mark.parametrize("value", RETURNED.values(), ids=RETURNED)
def test_whatever_a_tool_returns_can_be_written_down_and_sent(value):
    async def odd(ctx: Any) -> Any:
        """Return something."""
        return value

    tool = FunctionTool(odd, {"read"})
    result = asyncio.run(tool(Notebook().context("c"), granted(tool.terms({}), {})))
    assert result.text.rsplit("\n", 1)[1].startswith("facts: {")
    assert len(result.text) < 40_000
    json.dumps([result.text, result.facts], allow_nan=False, ensure_ascii=False).encode()


PLACES = ["../../x", "/etc/passwd", "~/x", "~root/x", "a/../../x", "C:\\x"]


@pytest.mark.parametrize("place", PLACES)
def test_b14_a_cell_that_writes_outside_the_folder_never_runs_alone(place):
    for source in (
        f"open({place!r}, 'w').write('x')",
        f"import pathlib\npathlib.Path({place!r}).write_text('x')",
    ):
        assert may_run_unreviewed(source), source


@pytest.mark.parametrize("place", [*PLACES, "a\x00b"])
def test_b14_a_place_is_no_name_of_anything(place):
    notebook = Notebook()
    for tool, given in (
        ("inspect_object", {"name": place}),
        ("recipe", {"name": place}),
        ("read_notebook", {"cell_id": place}),
        ("edit_cell", {"cell_id": place, "source": "1", "why": "w"}),
        ("manual", {"tool": place}),
        ("evaluate", {"task": "t", "name": place, "model": "m"}),
    ):
        with pytest.raises(ToolError):
            notebook.call(tool, **given)
    assert not notebook.inserted


def test_b14_a_nul_byte_is_put_into_no_cell():
    for kind in ("run", "note"):
        notebook = Notebook()
        with pytest.raises(ToolError, match=r"U\+0000"):
            notebook.call("write_cell", kind=kind, source="a\x00b", why="w")
        assert not notebook.inserted
    with pytest.raises(ToolError, match=r"parse|U\+0000|secret|name"):
        Notebook().call("evaluate", task="t\x00", name="n\x00", model="m\x00")
