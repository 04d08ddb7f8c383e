"""The page keeps the same contract as the headless notebook."""

from __future__ import annotations

import json

import pytest
from notebook_page import write_notebook
from peer_contract import PeerContract


class TestLab(PeerContract):
    @pytest.fixture(autouse=True)
    def in_lab(self, open_notebook):
        self.open_notebook = open_notebook

    def run(self, folder, cells):
        path = folder / "n.ipynb"
        write_notebook(path, cells)
        page = self.open_notebook(path)
        page.run_all()
        page.wait_for("cells[0].outputs.length > 0 && !cells[0].is_running", "loaded")
        assert page.cells()[0].text == "peer\n"
        page.wait_for("!cells[1].is_running && cells[1].execution_count", "the turn began")
        page.wait_until_settled()
        facts = (folder / "facts.jsonl").read_text().splitlines()
        assert json.loads(facts[-1])["type"] == "TurnEnded"
        page.save()
        assert page.errors == []
        return path
