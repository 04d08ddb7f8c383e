"""Files that cannot be run as a notebook: each is refused with what to do, and kept as it is."""

import asyncio
import json

import nbformat
import pytest
from nbformat.v4 import new_notebook

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.peers.headless import HeadlessNotebook


@pytest.fixture
def path(tmp_path):
    return tmp_path / "n.ipynb"


def refused(path, cells=None):
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UsageError) as caught:
        HeadlessNotebook(path, cells=cells, on_event=print, say=print)
    assert caught.value.do
    assert (path.read_bytes() if path.is_file() else None) == before
    return str(caught.value)


def test_a_file_that_is_not_there_is_refused(path):
    assert "cannot be read" in refused(path)


def test_a_file_that_is_no_json_is_refused(path):
    path.write_text("print(1)")
    assert "not a sound notebook" in refused(path)


@pytest.mark.parametrize("text", ["[]", "{}", "3", '{"nbformat": 4}', '{"cells": 1}'])
def test_json_that_is_no_notebook_is_refused_and_kept(path, text):
    path.write_text(text)
    refused(path)


def test_a_notebook_of_an_old_format_is_refused(path):
    path.write_text(
        json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []})
    )
    assert "format 3" in refused(path)


def test_a_new_notebook_does_not_replace_a_file(path):
    path.write_text("precious")
    assert "was not changed" in refused(path, ["1"])


def test_a_folder_that_is_not_there_is_refused(path):
    assert "cannot be written" in refused(path / "deeper" / "n.ipynb", ["1"])


def test_a_kernel_that_is_not_installed_is_named(path):
    nb = new_notebook(metadata={"kernelspec": {"name": "klingon", "display_name": "K"}})
    nbformat.write(nb, path)
    notebook = HeadlessNotebook(path, cells=None, on_event=print, say=print)
    with pytest.raises(UsageError, match="klingon"):
        asyncio.run(notebook.run(None))
