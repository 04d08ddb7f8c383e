import json
from typing import Any, Literal, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.tools.base.schema import FunctionTool, Scalar


class Item(TypedDict):
    step: str
    state: Literal["open", "done"]


async def sample(
    ctx: Any,
    kind: Literal["a", "b"],
    size: int,
    rate: float = 0.5,
    loud: bool = False,
    items: list[Item] | None = None,
    values: dict[str, Scalar | list[Scalar]] | None = None,
) -> ToolResult:
    """Do a thing,
    in two lines.

    More for the manual.

    Args:
        kind: which
            sort of thing
        size: how big
        rate: how fast
        loud: with noise
        items: a list
        values: by name
    """
    return ToolResult(f"{kind} {size}")


async def idle(ctx: Any, name: str = "") -> ToolResult:
    """Do nothing.

    Args:
        name: of nothing
    """
    return ToolResult("")


TOOL = FunctionTool(sample, {"read"})
IDLE = FunctionTool(idle, {"read"})


def test_schema_says_types_choices_defaults_and_forbids_the_rest():
    parameters = TOOL.spec.parameters
    assert TOOL.spec.description == "Do a thing, in two lines."
    assert parameters["required"] == ["kind", "size"]
    assert parameters["additionalProperties"] is False
    properties = parameters["properties"]
    assert properties["kind"] == {
        "type": "string",
        "enum": ["a", "b"],
        "description": "which sort of thing",
    }
    assert properties["size"]["type"] == "integer"
    assert properties["rate"] == {"type": "number", "default": 0.5, "description": "how fast"}
    assert properties["items"]["items"]["additionalProperties"] is False
    assert properties["items"]["items"]["required"] == ["step", "state"]
    assert "ctx" not in properties
    assert "More for the manual." in TOOL.manual


def test_bound_arguments_are_complete_with_defaults():
    assert TOOL.bind('{"kind": "a", "size": 3, "rate": 2}') == {
        "kind": "a",
        "size": 3,
        "rate": 2,
        "loud": False,
        "items": None,
        "values": None,
    }


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("null", "not null"),
        ("[]", "not []"),
        ('"text"', 'not "text"'),
        ("7", "not 7"),
        ("{", "not valid JSON"),
        ('{"kind": "a", "size": 1', "not valid JSON"),
        ('{"kind": "a", "kind": "b", "size": 1}', '"kind" is given twice'),
        ('{"kind": "a", "size": 1, "rate": NaN}', "NaN"),
        ('{"kind": "a", "size": 1, "rate": -Infinity}', "-Infinity"),
        ('{"kind": "a", "size": 1, "rate": 1e309}', "rate"),
        ('{"kind": "a", "size": 1, "extra": 1}', '"extra"'),
        ('{"kind": "a"}', "needs size"),
        ("", "needs kind, size"),
        ('{"kind": "c", "size": 1}', "one of a, b"),
        ('{"kind": "a", "size": true}', "size is true, allowed is a whole number"),
        ('{"kind": "a", "size": 1.0}', "size is 1.0"),
        ('{"kind": "a", "size": "1"}', 'size is "1"'),
        ('{"kind": "a", "size": null}', "size is null"),
        ('{"kind": "a", "size": 1, "loud": 1}', "loud is 1"),
        ('{"kind": "a", "size": 1, "items": null}', "items is null"),
        ('{"kind": "a", "size": 1, "items": [{"step": "x"}]}', "items[0]"),
        ('{"kind": "a", "size": 1, "items": [{"step": "x", "state": "no"}]}', "items[0].state"),
        ('{"kind": "a", "size": 1, "values": {"x": {}}}', "values.x"),
        ('{"kind": "a", "size": 1, "values": {"x": "\\ud800"}}', "values.x"),
        ('{"kind": "\\ud800", "size": 1}', "kind"),
        ('{"\\ud800": 1, "kind": "a", "size": 1}', "no parameter"),
        ("[" * 100_000, "nested too deeply"),
        ('{"kind": "a", "size": ' + "9" * 5000 + "}", "not valid JSON"),
    ],
)
def test_refused_arguments_name_what_came_and_what_is_allowed(arguments, named):
    with pytest.raises(ToolError) as caught:
        TOOL.bind(arguments)
    assert named in str(caught.value)
    assert "kind: one of a, b" in str(caught.value)
    str(caught.value).encode()


def test_lone_surrogate_in_a_text_is_refused_and_named():
    with pytest.raises(ToolError, match="lone surrogate"):
        IDLE.bind('{"name": "a\\ud800"}')
    with pytest.raises(ToolError, match="lone surrogate"):
        IDLE.bind('{"name": "a\ud800"}')


@pytest.mark.parametrize("nothing", ["", "  ", "{}"])
def test_no_arguments_at_all_is_a_call_of_a_tool_that_needs_none(nothing):
    assert IDLE.bind(nothing) == {"name": ""}


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=8)


@settings(max_examples=150, deadline=None)
@given(st.text() | values.map(lambda v: json.dumps(v)))
def test_any_text_is_bound_or_refused_with_a_tool_error(text):
    try:
        bound = TOOL.bind(text)
    except ToolError as error:
        str(error).encode()
    else:
        assert bound["kind"] in {"a", "b"}
        assert type(bound["size"]) is int


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["a", "b"]), "size": st.integers(-(10**9), 10**9)},
        optional={
            "rate": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
            "loud": st.booleans(),
            "items": st.lists(
                st.fixed_dictionaries(
                    {"step": st.text(), "state": st.sampled_from(["open", "done"])}
                )
            ),
            "values": st.dictionaries(
                st.text(),
                st.text() | st.integers(-9, 9) | st.booleans() | st.lists(st.text()),
            ),
        },
    )
)
def test_every_argument_of_the_schema_comes_through_unchanged(arguments):
    bound = TOOL.bind(json.dumps(arguments))
    assert {name: bound[name] for name in arguments} == arguments
