"""What every peer must do, whoever it is: run by ``test_headless_contract.py``, and by a Lab page.

A suite subclasses ``PeerContract`` and gives ``run``: open a notebook of these code cells in a
folder, run them all, wait until no session is at work, save, return the file's path.
"""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
import stub_intern

STUB_FOLDER = Path(__file__).parent
LOAD = "%load_ext stub_intern"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Played:
    """What one run left on disk."""

    def __init__(self, path):
        self.nb = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        nbformat.validate(self.nb)
        self.facts = lines(path.parent / "facts.jsonl")
        self.outcomes = {o["cell_id"]: o for o in lines(path.parent / "outcomes.jsonl")}
        self.read = lines(path.parent / "read.jsonl")
        self.cells = {cell.id: cell for cell in self.nb.cells}
        self.ids = [cell.id for cell in self.nb.cells]

    def types(self, cell_id):
        return [f["type"] for f in self.facts if f.get("cell_id") == cell_id]


def plain(outputs):
    """Outputs without what differs from kernel to kernel."""
    return [dict(o) | ({"traceback": ...} if o["output_type"] == "error" else {}) for o in outputs]


class PeerContract:
    @pytest.fixture
    def play(self, tmp_path):
        def play(scenario, *after):
            return Played(self.run(tmp_path, [LOAD, f"%%intern {scenario}\n\n", *after]))

        return play

    def run(self, folder, cells):
        raise NotImplementedError

    def test_cells_land_after_the_magic_cell_in_order_with_the_ids_of_the_kernel(self, play):
        played = play("work", "print('mine')")
        assert played.ids[2:-1] == ["note", "ok", "bad", "loop", "record"]
        assert played.nb.cells[-1].source == "print('mine')"
        assert played.cells["note"].cell_type == "markdown"
        self.check_outputs(played)
        self.check_facts(played)
        self.check_marks(played)

    def check_outputs(self, played):
        for cell_id in ("ok", "bad", "loop", "record"):
            captured = played.outcomes[cell_id]["outputs"]
            assert plain(captured) == plain(played.cells[cell_id].outputs), cell_id
        assert played.outcomes["loop"]["outputs"][0]["text"] == "step 4\n"
        assert played.outcomes["ok"]["outputs"][-1]["data"] == {"text/plain": "42"}
        assert [r["accuracy"] for r in played.outcomes["record"]["records"]] == [0.75]
        states = {k: o["state"] for k, o in played.outcomes.items()}
        assert states == {"ok": "done", "bad": "failed", "loop": "done", "record": "done"}
        assert played.outcomes["bad"]["error"] == "ZeroDivisionError: division by zero"

    def check_facts(self, played):
        for cell_id in ("ok", "bad", "loop", "record"):
            assert played.types(cell_id) == ["CellStarted", "CellEnded"]
        ended = {f["cell_id"]: f for f in played.facts if f["type"] == "CellEnded"}
        assert list(ended["bad"]["outputs"]) == played.outcomes["bad"]["outputs"]
        assert ended["loop"]["seconds"] > 0

    def check_marks(self, played):
        mark = played.cells["ok"].metadata["mlintern"]
        assert (mark["state"], mark["session"]) == ("done", stub_intern.SESSION)
        assert mark["run_sha256"] == mark["proposed_sha256"]
        assert played.cells["bad"].metadata["mlintern"]["state"] == "failed"
        assert played.cells["note"].metadata["mlintern"]["state"] == "proposed"

    def test_the_notebook_changes_and_answers_while_a_cell_runs(self, play):
        played = play("while_running")
        assert played.ids[2:] == ["slow", "n0", "n1", "n2"]
        assert [c["id"] for c in played.read[0]][2:] == ["slow", "n0", "n1", "n2"]
        assert played.cells["slow"].outputs[0].text == "step 4\n"
        assert [played.cells[f"n{i}"].source for i in range(3)] == [f"note {i}" for i in range(3)]

    def test_a_lost_message_is_asked_for_again(self, play):
        played = play("lost")
        assert played.ids[2:] == ["first", "second"]
        assert played.cells["second"].outputs[0].text == "2\n"

    def test_a_message_lost_just_before_the_end_is_not_missing_from_the_file(self, play):
        assert play("lost_at_the_end").cells["last"].source == "the end"

    def test_inserting_twice_is_inserting_once(self, play):
        played = play("twice")
        assert played.ids[2:] == ["same"]
        assert played.types("same") == ["CellStarted", "CellEnded"]

    def test_a_proposal_can_be_changed_and_taken_back_before_it_runs(self, play):
        played = play("edit")
        assert played.ids[2:] == ["draft"]
        assert played.outcomes["draft"]["source"] == "print('second')"
        assert played.cells["draft"].outputs[0].text == "second\n"

    def test_a_cell_without_code_is_skipped_and_nobody_waits_for_it(self, play):
        played = play("empty")
        assert played.outcomes["nothing"]["state"] == "skipped"
        assert played.types("nothing") == ["Decided"]

    def test_a_cell_whose_start_cannot_be_recorded_does_not_run(self, play, tmp_path):
        played = play("unwritable")
        assert not (tmp_path / "effect.txt").exists()
        assert played.facts[-1]["outcome"] == "failed"
        assert played.cells["effect"].outputs[0].ename == "CellRefused"
