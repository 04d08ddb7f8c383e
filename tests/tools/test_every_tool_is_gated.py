"""Nothing a tool does happens without leave for exactly that call: every tool, one by one."""

import contextlib

import pytest
from gate_walker import ARGUMENTS, WRONG, arguments_for, gate_of, leave, nothing, world_in

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.tools.catalog import tool_names

SEEN_TO_READ = {"inspect_object", "delegate", "use_mcp"}
"""They start something in order to read. Of other tools that read nothing can be seen but that they
do not answer."""
SILENT = {"use_mcp", "s__look"}
"""The server of these tests starts and says nothing."""


@pytest.fixture
def world(tmp_path, monkeypatch):
    return world_in(tmp_path, monkeypatch)


def test_the_walk_passes_every_tool_of_the_catalogue_and_some_of_a_persons_own(world):
    walked = [tool.spec.name for tool in world.notebook.tools]
    assert tool_names() <= set(walked)
    assert set(walked) - tool_names() == {"mine", "touch", "s__look"}


@pytest.mark.parametrize("wrong", WRONG)
def test_no_tool_does_anything_with_leave_for_something_else(world, wrong):
    for tool in world.notebook.tools:
        arguments = arguments_for(world, tool)
        before = world.witnessed()
        grant = wrong(gate_of(world), tool.terms(arguments), arguments)
        with pytest.raises(ToolError, match="was not carried out"):
            world.call(tool, grant, arguments)
        assert world.witnessed() == before, tool.spec.name


@pytest.mark.parametrize("forged", [None, object(), "grant"])
def test_no_tool_does_anything_with_what_is_no_grant(world, forged):
    for tool in world.notebook.tools:
        before = world.witnessed()
        with pytest.raises(AttributeError, match="use"):
            world.call(tool, forged, arguments_for(world, tool))
        assert world.witnessed() == before, tool.spec.name


def test_a_ruling_is_no_grant(world):
    gate = gate_of(world)
    for tool in world.notebook.tools:
        arguments = arguments_for(world, tool)
        with pytest.raises(AttributeError):
            world.call(tool, nothing(gate, tool.terms(arguments), arguments), arguments)


def test_every_tool_does_its_work_with_its_own_grant_and_only_once(world):
    """The proof that the witnesses above would have seen something."""
    for tool in world.notebook.tools:
        name, arguments = tool.spec.name, arguments_for(world, tool)
        terms = tool.terms(arguments)
        grant = leave(gate_of(world), terms, arguments)
        before = world.witnessed()
        fails = pytest.raises if name in SILENT else contextlib.suppress
        with contextlib.nullcontext() if name in ARGUMENTS else fails(ToolError):
            world.call(tool, grant, arguments)
        done = world.witnessed()
        if name in ARGUMENTS or name in SILENT:
            only_reads = terms.effects == {"read"} and name not in SEEN_TO_READ
            assert (done == before) == only_reads, name
        (world.folder / "server-started").unlink(missing_ok=True)
        done = world.witnessed()
        with pytest.raises(ToolError, match="used already"):
            world.call(tool, grant, arguments)
        assert world.witnessed() == done, name
