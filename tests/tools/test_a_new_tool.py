"""A tool is one file and one line of the catalogue: everything else about it follows."""

import json
import sys
from pathlib import Path

import pytest
from gate_walker import WRONG, arguments_for, gate_of, world_in
from notebook_double import Notebook, Person, stdout

import mlintern_jupyter.tools
from mlintern_jupyter.bench.catalogue import find
from mlintern_jupyter.errors import ToolError, UsageError
from mlintern_jupyter.session.wiring.briefing import briefing
from mlintern_jupyter.session.wiring.delegation import read_only
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.tools.build import build_tools
from mlintern_jupyter.tools.custom.functions import describe
from mlintern_jupyter.usage import Limits

FILE = '''
from collections.abc import Sequence
from pathlib import Path

from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import FunctionTool, read_tool


class PaperTools:
    def __init__(self, deps: ToolDeps) -> None:
        self._deps = deps

    async def find_papers(self, ctx: ToolContext, topic: str, most: int = 5) -> ToolResult:
        """Search papers by topic, the most cited ones first.

        Args:
            topic: in a few words
        """
        return ToolResult(f"{topic}: {len(self._deps.cells())} cells", {"papers": [topic]})

    async def keep_paper(self, ctx: ToolContext, name: str) -> ToolResult:
        """Keep the text of a paper beside the notebook.

        Args:
            name: its number
        """
        (ctx.workdir / name).write_text("kept")
        return ToolResult("kept")


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    tools = PaperTools(deps)
    return [read_tool(tools.find_papers), FunctionTool(tools.keep_paper, {"local-write"})]
'''
LINE = catalog.ToolFile("papers", "paper_search", ("find_papers", "keep_paper"), ("papers",))


@pytest.fixture
def entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file in its place, and the line in the table."""
    (tmp_path / "paper_search.py").write_text(FILE)
    where = [*mlintern_jupyter.tools.__path__, str(tmp_path)]
    monkeypatch.setattr(mlintern_jupyter.tools, "__path__", where)
    monkeypatch.delitem(sys.modules, "mlintern_jupyter.tools.paper_search", raising=False)
    at = next(n for n, file in enumerate(catalog.CATALOGUE) if file.toolset == "custom")
    table = (*catalog.CATALOGUE[:at], LINE, *catalog.CATALOGUE[at:])
    monkeypatch.setattr(catalog, "CATALOGUE", table)


@pytest.mark.usefixtures("entered")
class TestEntered:
    def test_the_model_is_sent_it_after_the_tools_there_were(self):
        specs = Notebook().toolbox.specs()
        assert [spec.name for spec in specs[-3:]] == ["delegate", "find_papers", "keep_paper"]
        assert specs[-2].parameters["required"] == ["topic"]
        assert Notebook().call("find_papers", topic="LoRA").facts == {"papers": ["LoRA"]}
        assert "most cited" in Notebook().call("manual", tool="find_papers").text

    def test_it_can_be_switched_off_and_on(self):
        off = catalog.switched(["-papers"], catalog.toolsets())
        names = {tool.spec.name for tool in build_tools(Notebook().deps, off)}
        assert not names & {"find_papers", "keep_paper"}
        assert "papers" in catalog.switched(["+papers"], off)

    def test_nobody_else_can_have_its_name(self):
        def find_papers(topic: str) -> str: ...

        find_papers.__qualname__ = "find_papers"
        with pytest.raises(UsageError, match="find_papers is a tool of the intern itself"):
            describe(find_papers)
        assert {"find_papers", "keep_paper"} <= catalog.tool_names()

    def test_no_cell_can_say_its_facts(self):
        printed = stdout(f"facts: {json.dumps({'papers': ['made up'], 'mine': 1})}\n")
        notebook = Notebook(persons=[Person(outputs=(printed,))])
        facts = notebook.call("write_cell", kind="run", source="0", why="w").facts
        assert facts["mine"] == 1
        assert "papers" not in facts

    def test_nothing_of_it_is_done_without_leave_for_exactly_that(self, tmp_path, monkeypatch):
        world = world_in(tmp_path, monkeypatch)
        mine = [tool for tool in world.notebook.tools if tool.spec.name in LINE.names]
        assert len(mine) == 2
        for tool in mine:
            arguments = arguments_for(world, tool)
            for wrong in WRONG:
                before = world.witnessed()
                grant = wrong(gate_of(world), tool.terms(arguments), arguments)
                with pytest.raises(ToolError, match="was not carried out"):
                    world.call(tool, grant, arguments)
                assert world.witnessed() == before

    def test_a_sub_agent_has_what_only_reads_of_it(self):
        names = [tool.spec.name for tool in read_only(build_tools(Notebook().deps))]
        assert "find_papers" in names
        assert "keep_paper" not in names

    def test_the_intern_is_no_longer_told_that_it_cannot_do_this(self):
        text = briefing("improve", find("nano/mcq"), Limits(), "review")
        assert "paper search" not in text
        assert "Slurm" in text
        assert "paper search and citation graphs" not in catalog.missing_abilities()


def test_what_is_not_there_is_said_and_goes_with_the_last_ability(monkeypatch):
    assert "paper search and citation graphs" in briefing("g", None, Limits(), "review")
    monkeypatch.setattr(catalog, "ABILITIES", {"notebook": "cells"})
    assert "Not in this version" not in briefing("g", None, Limits(), "review")
