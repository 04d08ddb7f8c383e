"""A magic cell keeps its session through front ends that send no cell id."""

from __future__ import annotations

import json
from pathlib import Path

from mlintern_jupyter.session.running.identity import (
    difference,
    find_session,
    new_session_id,
    stamped,
    unstamped,
)


def _record(root: Path, session: str, cell_id: str) -> None:
    folder = root / session
    folder.mkdir(parents=True)
    first = {"session": session, "cell_id": cell_id, "goal": "improve nano/mcq"}
    (folder / "ledger.jsonl").write_text(json.dumps(first) + "\n")


def test_a_session_is_named_after_the_last_word_of_its_goal() -> None:
    name = new_session_id("improve nano/mcq")
    assert name.startswith("mcq-")
    assert len(name) == len("mcq-") + 4


def test_the_stamp_goes_on_the_first_line_and_takes_again_away() -> None:
    source = "%%intern improve GPQA --again --budget 3\nLoRA is fine."
    assert stamped(source, "gpqa-7f3a") == (
        "%%intern improve GPQA --budget 3 --session gpqa-7f3a\nLoRA is fine."
    )


def test_stamping_twice_leaves_one_stamp() -> None:
    once = stamped("%%intern improve GPQA", "gpqa-7f3a")
    assert stamped(once, "gpqa-7f3a") == once


def test_a_stamped_cell_counts_as_unchanged() -> None:
    source = "%%intern improve GPQA  --budget 3\nLoRA is fine.\n"
    assert unstamped(stamped(source, "gpqa-7f3a")) == unstamped(source)


def test_the_difference_names_only_the_changed_line() -> None:
    changed = difference("%%intern improve GPQA\nLoRA is fine.", "%%intern improve GPQA\nNo LoRA.")
    assert "-LoRA is fine." in changed
    assert "+No LoRA." in changed


def test_the_stamp_wins_over_the_cell_id(tmp_path: Path) -> None:
    _record(tmp_path, "gpqa-0001", "cell-a")
    _record(tmp_path, "gpqa-0002", "cell-b")
    found = find_session(tmp_path, "gpqa-0002", "cell-a")
    assert found is not None
    assert found.session == "gpqa-0002"


def test_a_cell_without_stamp_is_known_by_its_id(tmp_path: Path) -> None:
    _record(tmp_path, "gpqa-0001", "cell-a")
    found = find_session(tmp_path, None, "cell-a")
    assert found is not None
    assert found.session == "gpqa-0001"
    assert find_session(tmp_path, None, "cell-z") is None
    assert find_session(tmp_path, None, "") is None


def test_a_folder_that_is_no_record_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "ledger.jsonl").write_text("not json\n")
    assert find_session(tmp_path, "odd", "") is None
