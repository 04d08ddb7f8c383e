"""Keys for functions of modules: those they declare, of those that are installed, and no others."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from notebook_double import Notebook, granted

from mlintern_jupyter.errors import ToolError, UsageError
from mlintern_jupyter.protocols import Tool
from mlintern_jupyter.tools.custom.modules import load_custom_tools

KEYED = """
import os
from mlintern_jupyter import tool

@tool(effects={"read"}, hosts={"api.example.org"}, keys={"EXAMPLE_API_KEY"})
def keyed(what: str) -> object:
    if what == "shadow":
        import shadowed
        return shadowed.__file__
    return dict(os.environ)
"""
CREDENTIALS = {"EXAMPLE_API_KEY": "example-canary", "OTHER_API_KEY": "other-canary"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The notebook's."""
    return tmp_path


@pytest.fixture
def beside(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed modules, on the path of every process."""
    installed = tmp_path_factory.mktemp("installed")
    (installed / "keyed_tools.py").write_text(KEYED)
    (installed / "shadowed.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(installed))
    return installed


def load_keyed(folder: Path, credentials: dict[str, str]) -> Tool:
    (keyed,) = asyncio.run(load_custom_tools(["keyed_tools:keyed"], folder, credentials)).tools
    return keyed


def call(tool: Tool, folder: Path, **arguments: Any) -> str:
    bound = tool.bind(json.dumps(arguments))
    context = replace(Notebook().context("c-1"), workdir=folder)
    return asyncio.run(tool(context, granted(tool.terms(bound), bound), **bound)).text


def test_a_function_gets_the_keys_that_it_declares_and_no_other(folder, beside, monkeypatch):
    monkeypatch.setenv("OTHER_API_KEY", "other-canary")
    keyed = load_keyed(folder, CREDENTIALS)
    assert (keyed.terms({}).hosts, keyed.terms({}).keys) == (
        ("api.example.org",),
        ("EXAMPLE_API_KEY",),
    )
    assert keyed.terms({}).effects == {"read", "network-write"}
    assert not keyed.resumes
    text = call(keyed, folder, what="environment")
    assert '"EXAMPLE_API_KEY": "example-canary"' in text
    assert "other-canary" not in text


def test_a_key_that_is_gone_when_it_is_called_is_said(folder, beside):
    credentials = dict(CREDENTIALS)
    keyed = load_keyed(folder, credentials)
    del credentials["EXAMPLE_API_KEY"]
    with pytest.raises(ToolError, match="EXAMPLE_API_KEY is not set any more"):
        call(keyed, folder, what="environment")


def test_a_named_tool_without_its_key_stops_the_turn_and_says_so(folder, beside):
    with pytest.raises(UsageError, match="keyed_tools:keyed needs EXAMPLE_API_KEY"):
        load_keyed(folder, {})


def test_what_lies_in_the_notebooks_folder_is_given_no_key(folder, beside):
    (folder / "keyed_tools.py").write_text(KEYED)
    with pytest.raises(UsageError) as caught:
        load_keyed(folder, CREDENTIALS)
    assert "keyed_tools lies in the notebook's folder and wants keys" in str(caught.value)


def test_nothing_of_the_notebooks_folder_is_imported_where_keys_are(folder, beside):
    keyed = load_keyed(folder, CREDENTIALS)
    (folder / "shadowed.py").write_text("")
    assert str(beside / "shadowed.py") in call(keyed, folder, what="shadow")
