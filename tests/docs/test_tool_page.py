"""The examples of ``docs/extend/tool.md`` are tools, on each of the four ways."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from notebook_double import Notebook, granted
from pages import EXTEND, block, blocks

import mlintern_jupyter.tools.research
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.tools.custom.modules import load_custom_tools

PAGE = "tool.md"


def test_a_function_under_the_decorator_becomes_a_cell():
    (cell, *_) = (each for each in blocks(PAGE) if each.language == "python" and not each.name)
    namespace = {"__name__": "__main__"}
    exec(cell.text, namespace)
    notebook = Notebook(namespace=namespace)
    notebook.call("glossary", term="dev")
    (proposed,) = notebook.inserted.values()
    exec(cell.text + proposed.source, {"__name__": "__main__"})
    assert proposed.source == "print(glossary(term='dev'))"
    assert notebook.toolbox.find("glossary").terms({}).effects == {"read", "notebook", "execute"}


def test_a_function_of_a_module_is_called_in_a_process_of_its_own(tmp_path: Path):
    (tmp_path / "my_tools.py").write_text(block(PAGE, "my_tools.py"))
    (tmp_path / "train.jsonl").write_text('{"q": "one apple"}\n{"q": "two pears"}\n')
    (tool,) = asyncio.run(load_custom_tools(["my_tools:rows_with"], tmp_path)).tools
    bound = tool.bind(json.dumps({"word": "apple"}))
    context = replace(Notebook().context("c-1"), workdir=tmp_path)
    result = asyncio.run(tool(context, granted(tool.terms(bound), bound), **bound))
    assert "one apple" in result.text
    assert "two pears" not in result.text
    assert result.sources == ("tool:rows_with",)


@pytest.mark.parametrize("name", ["pyproject.toml", "example_plugin.py"])
def test_what_is_shown_of_the_plug_in_is_what_it_holds(name: str):
    shown = block(PAGE, f"example-plugin/{name}")
    assert shown in (EXTEND / "example-plugin" / name).read_text(encoding="utf-8")


def test_a_file_and_a_line_of_the_table_are_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "count_cells.py").write_text(block(PAGE, "count_cells.py"))
    research = mlintern_jupyter.tools.research
    monkeypatch.setattr(research, "__path__", [*research.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, f"{research.__name__}.count_cells", raising=False)
    line = eval(block(PAGE, "catalog.py").rstrip(",\n"), {"ToolFile": catalog.ToolFile})
    monkeypatch.setattr(catalog, "CATALOGUE", (*catalog.CATALOGUE, line))
    test: dict[str, object] = {}
    exec(block(PAGE, "test_count_cells.py"), test)
    test["test_cells_that_failed_are_counted"]()  # type: ignore[operator]
    assert "count_cells" in catalog.tool_names()
    assert "counted" in catalog.fact_keys()
