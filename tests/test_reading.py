"""Dataclasses from JSON, TOML and YAML: what fits, and what is said of what does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlintern_jupyter.reading import ReadingError, read


@dataclass(frozen=True)
class Place:
    host: str
    port: int = 80


@dataclass(frozen=True)
class Server:
    name: str
    args: tuple[str, ...] = ()
    mode: Literal["quick", "slow"] = "quick"
    places: Mapping[str, Place] = field(default_factory=dict[str, Place])
    span: tuple[float, str] | None = None
    tags: frozenset[Literal["a", "b"]] = frozenset()
    size: int | str = 0
    free: Any = None
    on: bool = False


def test_everything_that_an_annotation_may_say_is_read() -> None:
    data = {
        "name": "x",
        "args": ["a", "b"],
        "mode": "slow",
        "places": {"here": {"host": "h"}, "there": {"host": "t", "port": 1}},
        "span": [1, "s"],
        "tags": ["b"],
        "size": "big",
        "free": {"any": [1]},
        "on": True,
    }
    places = {"here": Place("h"), "there": Place("t", 1)}
    assert read(Server, data) == Server(
        "x", ("a", "b"), "slow", places, (1, "s"), frozenset({"b"}), "big", {"any": [1]}, True
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "name: missing"),
        ([], "expected a table, not a list"),
        ({"name": 3}, "name: expected text, not a whole number"),
        ({"name": None}, "name: expected text, not nothing"),
        ({"name": "x", "nome": 1}, "nome: unknown; fields are name, args, mode, places"),
        ({"name": "x", "args": "a"}, "args: expected a list, not text"),
        ({"name": "x", "args": ["a", 0.5]}, "args[1]: expected text, not a number"),
        ({"name": "x", "mode": "fast"}, "mode: expected one of quick, slow, not 'fast'"),
        ({"name": "x", "places": {"p": {}}}, "places.p.host: missing"),
        (
            {"name": "x", "places": {"p": {"host": "h", "port": True}}},
            "places.p.port: expected a whole number, not true or false",
        ),
        ({"name": "x", "places": {"p": {"host": "h", "port": 1.0}}}, "places.p.port: expected"),
        ({"name": "x", "places": {1: {"host": "h"}}}, "places: expected names as keys, not 1"),
        ({"name": "x", "span": [1]}, "span: expected 2 entries, not 1"),
        ({"name": "x", "span": ["1", "s"]}, "span[0]: expected a number, not text"),
        ({"name": "x", "tags": ["a", "c"]}, "tags[1]: expected one of a, b, not 'c'"),
        ({"name": "x", "size": []}, "size: expected a whole number or text, not a list"),
        ({"name": "x", "on": 1}, "on: expected true or false, not a whole number"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(data: Any, says: str) -> None:
    with pytest.raises(ReadingError) as refused:
        read(Server, data)
    assert str(refused.value).startswith(says)


def test_what_the_caller_knows_cannot_be_said_by_the_data() -> None:
    assert read(Place, {"host": "h"}, given={"port": 9}) == Place("h", 9)
    with pytest.raises(ReadingError, match="port: unknown; fields are host"):
        read(Place, {"host": "h", "port": 9}, given={"port": 9})


def test_an_error_can_be_put_into_a_larger_whole() -> None:
    error = ReadingError("expected text", "args", 0)
    assert str(error.within("mcp", "github")) == "mcp.github.args[0]: expected text"
    assert str(ReadingError("it is empty")) == "it is empty"


def test_a_class_with_a_field_that_no_format_has_is_a_mistake_of_ours() -> None:
    @dataclass(frozen=True)
    class Odd:
        where: Path

    with pytest.raises(TypeError, match="Path'> cannot be read"):
        read(Odd, {"where": "/"})


servers = st.builds(
    Server,
    name=st.text(),
    args=st.lists(st.text()).map(tuple),
    mode=st.sampled_from(["quick", "slow"]),
    places=st.dictionaries(st.text(), st.builds(Place, st.text(), st.integers())),
    span=st.none() | st.tuples(st.floats(allow_nan=False), st.text()),
    size=st.integers() | st.text(),
    on=st.booleans(),
)


@given(servers)
def test_what_was_written_as_json_is_read_as_it_was(server: Server) -> None:
    data = json.loads(json.dumps(asdict(server) | {"tags": sorted(server.tags)}))
    assert read(Server, data) == server
