"""Killed at a commit point, before or after its fsync, a session resumes to the same end.

Once for each kind of fact; `make kill` runs every point, both ways (benchmarks/kill.md).
"""

from __future__ import annotations

from pathlib import Path

import kill_rig as rig
import pytest

# Whole runs, two in a test, and the first one also makes the one without a kill.
pytestmark = pytest.mark.timeout(900)
# Near the first of each kind of fact in the scripted run: SessionStarted 1, Replied 4,
# EffectIntended 6, CellProposed 17, CellStarted 19, CellEnded 20, AgentStarted 26 and 29, facts of
# two sub-agents side by side up to 48, a compaction from 63 to 65, TurnEnded last.
POINTS: list[tuple[int, rig.When]] = [
    (1, "before"),
    (6, "after"),
    (19, "before"),
    (26, "after"),
    (34, "before"),
    (45, "after"),
    (61, "before"),
    (64, "after"),
    (65, "before"),
    (76, "after"),
]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> rig.Ending:
    return rig.run(tmp_path_factory.mktemp("unbroken"))


def test_the_scripted_run_ends_well_when_nobody_kills_it(unbroken: rig.Ending) -> None:
    assert not unbroken.died
    assert unbroken.state.status == "completed"
    assert set(unbroken.asked.values()) == {1}
    assert unbroken.ran == {"one": 1, "two": 1}


@pytest.mark.parametrize(("at", "when"), POINTS)
def test_a_killed_session_resumes_to_the_same_end(
    tmp_path: Path, unbroken: rig.Ending, at: int, when: rig.When
) -> None:
    ending = rig.run(tmp_path, at, when)
    assert ending.died
    assert rig.complaints(ending, unbroken) == []
