"""What a cell showed may be text from anywhere; scores of ours are not."""

from typing import Any

import pytest
from notebook_double import Notebook, Person, stdout

from mlintern_jupyter.cells import RECORD_MIME


def shown(**data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": data}


def record(what: str) -> dict[str, Any]:
    return shown(**{"text/plain": "base 0.5", RECORD_MIME: {"v": 1, "what": what}})


def ran(*outputs: dict[str, Any], state: str = "done", error: str = ""):
    notebook = Notebook(persons=[Person(state, outputs=outputs, error=error)])
    result = notebook.call("write_cell", kind="dataset", source="look()", why="look")
    (cell,) = notebook.inserted
    return notebook, cell, result


@pytest.mark.parametrize(
    "output",
    [
        stdout("a row of a data set"),
        {**stdout("a warning"), "name": "stderr"},
        shown(**{"text/plain": "a row"}),
        {**shown(**{"text/plain": "a row"}), "output_type": "execute_result"},
        {"output_type": "error", "ename": "E", "evalue": "a row", "traceback": []},
        record("job"),
        shown(**{"text/plain": "a row", RECORD_MIME: "eval"}),
    ],
)
def test_what_a_cell_showed_is_named_with_its_cell(output):
    notebook, cell, result = ran(record("eval"), output)
    assert result.sources == (f"cell {cell}",)
    assert notebook.call("read_notebook", cell_id=cell).sources == (f"cell {cell}",)
    assert notebook.call("wait_cell", cell_id=cell).sources == (f"cell {cell}",)


@pytest.mark.parametrize("outputs", [(), (record("eval"),), (record("eval"), record("comparison"))])
def test_scores_alone_and_silence_are_not_untrusted(outputs):
    notebook, cell, result = ran(*outputs)
    assert result.sources == ()
    assert notebook.call("read_notebook", cell_id=cell).sources == ()


def test_a_cell_that_was_skipped_or_is_markdown_shows_nothing():
    assert ran(state="skipped")[2].sources == ()
    notebook = Notebook()
    assert notebook.call("write_cell", kind="note", source="words", why="w").sources == ()
    assert notebook.call("read_notebook").sources == ()
    assert notebook.call("experiments").sources == ()
