"""Stopped while a cell waits, then resumed: the same cell is waited for, nothing is asked twice."""

from __future__ import annotations

from pathlib import Path

from kernel_peer import LOAD, KernelPeer
from open_page import OpenPage

from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold


def test_the_playbook_waits_on_for_the_cell_it_was_stopped_at(tmp_path: Path) -> None:
    def state() -> SessionState:
        found = list((tmp_path / "intern_runs").glob("*/ledger.jsonl"))
        return fold(Ledger.view(found[0].parent).facts) if found else SessionState()

    with KernelPeer(tmp_path) as kernel:
        kernel.run(LOAD)
        page = OpenPage(kernel)
        page.run("magic", "%%intern improve nano/mcq --model playbook")
        page.until(lambda: state().cells)
        cell_id = page.until(page.waiting)[0]
        page.command("Stop")
        page.until(lambda: state().outcome is not None)
        assert state().status == "interrupted"
        page.until_idle()

        page.run("magic", f"%intern resume {state().session}")
        page.until(lambda: page.wanted() == [cell_id])
        assert page.waiting() == [cell_id]
        page.run(cell_id)
        page.until(lambda: page.waiting() not in ([], [cell_id]))

        proposals = [cell.proposed.source for cell in state().cells.values()]
        assert len(proposals) == len(set(proposals))
        calls = [call.name for message in state().messages for call in message.calls]
        assert calls.count("wait_cell") == 1
