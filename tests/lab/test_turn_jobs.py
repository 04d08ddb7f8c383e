"""A job that costs money waits for Start in the sidebar, and starts once."""

from __future__ import annotations

import json

import pytest
from intern_page import Desk, proposes
from playwright.sync_api import expect

from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(open_notebook, tmp_path)


def test_a_paid_job_is_held_with_its_quote_and_a_double_click_starts_it_once(desk, tmp_path):
    rented = tmp_path / "rented.toml"
    rented.write_text("usd_per_hour = 2.4\n")
    starts = tmp_path / "starts"
    job = (
        "%%job sft --on local --timeout 1h --max-usd 5\n"
        f"open({str(starts)!r}, 'a').write('x')\nprint('trained')"
    )
    with ScriptedServer([proposes(job, kind="script"), Turn("held, as it should be")]) as server:
        rent = f"import os\nos.environ['MLINTERN_CONFIG'] = {str(rented)!r}"
        at = desk.begin(server, options="--mode auto", above=[rent])
        # Mode auto does not run what costs.
        cell_id = at.proposed(job)
        expect(at.bar(cell_id).get_by_text("Cost: up to $2.40")).to_be_visible()
        at.press(cell_id, "Run")
        told = at.answer(2)
        assert "job sft · held · costs up to $2.40" in told
        at.wait_mark(cell_id, "done")
        start = at.sidebar.get_by_role("button", name="Start sft, $2.40")
        expect(start).to_have_text("Start, at most $2.40")
        at.ended()
        assert not starts.exists()
        # The yes to the price is another than the one to the cell: running it again starts nothing.
        at.notebook.run_to_end(cell_id)
        assert not starts.exists()

        start.dblclick()
        jobs = at.sidebar.get_by_role("listitem").filter(has_text="sft")
        expect(jobs.get_by_text("completed")).to_be_visible()
        expect(start).to_have_count(0)
        assert starts.read_text() == "x"
        at.notebook.run_to_end(cell_id)
        assert "finished before" in json.dumps(at.notebook.cell(cell_id).outputs)
        assert starts.read_text() == "x"
