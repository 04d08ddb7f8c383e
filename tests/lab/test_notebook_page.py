"""What the other tests of this folder rely on: the page does and tells what it says."""

from __future__ import annotations

import nbformat
import pytest
from notebook_page import write_notebook
from peer_contract import LOAD

MANY = [f"# cell {n}\n" + "\n" * 8 for n in range(30)]


def test_a_page_is_typed_into_run_undone_saved_and_looked_at(open_notebook, tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", ["x = 1", *MANY])
    page = open_notebook(path)
    page.type(0, " + 1\nprint(x)")
    assert page.look().mode == "edit"
    assert page.look().cursor == [1, len("print(x)")]
    page.run_cell(0)
    page.wait_for("cells[0].outputs.length > 0")
    assert page.cells()[0].text == "2\n"
    page.command("notebook:delete-cell")
    assert len(page.cells()) == len(MANY)
    page.undo()
    assert len(page.cells()) == len(MANY) + 1
    page.save()
    assert nbformat.read(path, as_version=4).cells[0].source == "x = 1 + 1\nprint(x)"
    page.scroll_to(400)
    assert page.look().scroll_px == 400
    page.press("Escape")
    assert page.look().mode == "command"
    assert page.look().selected == [page.look().active]
    assert page.errors == []


def test_a_second_page_shares_the_kernel(open_notebook, tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", ["y = 41", "print(y + 1)"])
    first = open_notebook(path)
    first.run_cell(0)
    first.wait_for("cells[0].execution_count === 1")
    first.save()
    second = first.another()
    second.run_cell(1)
    second.wait_for("cells[1].execution_count === 2")
    assert second.cells()[1].text == "42\n"
    second.close()
    first.wait_for("testing.kernel(path).status === 'idle'", "the kernel is still there")


def test_a_restart_empties_the_kernel_and_a_reload_reads_the_file_again(open_notebook, tmp_path):
    page = open_notebook(write_notebook(tmp_path / "n.ipynb", ["y = 41", "print(y + 1)"]))
    page.run_cell(0)
    page.wait_for("cells[0].execution_count === 1")
    page.restart_kernel()
    page.run_cell(1)
    page.wait_for("cells[1].outputs.length > 0 && !cells[1].is_running")
    assert page.cells()[1].outputs[0]["ename"] == "NameError"
    assert page.reload().cells()[1].outputs == []


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_the_page_answers_the_kernel_in_both_applications(open_notebook, tmp_path, app):
    page = open_notebook(write_notebook(tmp_path / "n.ipynb", [LOAD, "%%intern twice\n\n"]), app)
    assert page.ask_kernel(2, kind="status") is None
    page.run_all()
    page.wait_for("cells[1]?.execution_count")
    page.wait_until_settled()
    assert page.cells()[0].text == "peer\n"
    assert page.ids()[2:] == ["same"]
    assert page.cell("same").text == "1\n"


def test_waiting_in_vain_tells_what_the_page_looked_like(open_notebook, tmp_path, monkeypatch):
    page = open_notebook(write_notebook(tmp_path / "n.ipynb", ["print('here I am')"]))
    monkeypatch.setattr("notebook_page.WAIT_S", 0.3)
    with pytest.raises(AssertionError, match=r"(?s)never: a miracle.*here I am"):
        page.wait_for("cells.length === 7", "a miracle")
