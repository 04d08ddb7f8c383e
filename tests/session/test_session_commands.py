"""What a person can say to a session, carried out by its real worker on a real ledger."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlintern_jupyter.cells import CellView, NewCell
from mlintern_jupyter.commands import (
    Continue,
    Pause,
    ResumeTurn,
    RunKind,
    SetMode,
    StartTurn,
    Steer,
    Stop,
)
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.errors import NotebookGone, UsageError
from mlintern_jupyter.events import (
    CellProposed,
    CellStarted,
    Decided,
    HoldChanged,
    KindAllowed,
    ModeChanged,
    SessionStarted,
)
from mlintern_jupyter.jobs import JobSpec
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.running import worker
from mlintern_jupyter.session.running.session import MAGIC_CELL_GONE, PAUSED, Session
from mlintern_jupyter.session.running.turn import run_turn
from mlintern_jupyter.session.running.turn_setup import TurnSetup
from mlintern_jupyter.tools.base.toolbox import TurnToolbox

INSIDE, OUTSIDE = "print(1 + 1)", "import subprocess\nsubprocess.run(['ls'])"


class Host:
    """A notebook whose cells hold what the test put there."""

    def __init__(self) -> None:
        self.turn_open = False
        self.texts: dict[str, str] = {}
        self.inserted: list[str] = []
        self.asked_to_run: list[str] = []
        self.gone = False

    async def insert_cell(self, cell: NewCell) -> None:
        self.inserted.append(cell.id)

    async def run_cell(self, cell_id: str) -> None:
        self.asked_to_run.append(cell_id)

    async def read_cells(self) -> list[CellView]:
        if self.gone:
            raise NotebookGone("the notebook does not answer")
        return [CellView(name, "code", text) for name, text in self.texts.items()]

    def wanted(self) -> list[str]:
        return []

    def close(self) -> None:
        """Nothing to let go."""


class Scene:
    """A session whose turn does nothing until the test says so."""

    def __init__(self, folder: Path, usd: float | None = None) -> None:
        self.end = threading.Event()
        self.host = Host()
        self.cancelled = threading.Event()
        self.own_cancelled = threading.Event()
        ledger = Ledger.create(folder / "s-1", Scrubber.from_environment())
        self.session = Session(
            ledger=ledger,
            state=SessionState(),
            folder=folder / "s-1",
            set_up_turn=self._set_up_turn,
            run_turn=run_turn,
            cancel_jobs=self.cancelled.set,
            cancel_session_jobs=self.own_cancelled.set,
            env={},
        )
        self.session.commit(
            SessionStarted("s-1", "goal", "m", "review", {"usd": usd}, {}, "magic", "/w", "0")
        )

    async def _set_up_turn(self, session: Session) -> TurnSetup:
        session.attach(self.host)  # type: ignore[arg-type]
        return TurnSetup(self, TurnToolbox([]))  # type: ignore[arg-type]

    @property
    def asking(self) -> Scene:
        """The turn looks at its limits here: none is passed."""
        return self

    budget = asking

    def exceeded(self) -> None:
        """No limit was passed."""

    async def run_turn(self) -> str:
        """A turn that asks its model only when the test lets it end."""
        await asyncio.to_thread(self.end.wait)
        await self.session.going.wait()
        return "done"

    def close(self) -> None:
        self.end.set()
        self.session.close()

    def start(self) -> Scene:
        self.session.submit(StartTurn("go", "magic", "%%intern go"))
        wait(lambda: self.host.turn_open)
        return self

    def propose(self, cell_id: str, kind: str, source: str) -> None:
        self.session.commit(CellProposed(cell_id, "c1", kind, "code", source))
        self.host.texts[cell_id] = source

    def facts(self, kind: type) -> list[Any]:
        return [n.fact for n in self.session.ledger.facts if isinstance(n.fact, kind)]

    def heard(self) -> None:
        """Everything said so far was carried out: what is said last is heard last."""
        count = len(self.session.state.messages)
        self.session.submit(Steer("mark"))
        wait(lambda: len(self.session.state.messages) > count)


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def test_switching_to_auto_runs_what_waits_and_stays_inside(scene: Scene) -> None:
    scene.start()
    scene.propose("a", "dataset", INSIDE)
    scene.propose("b", "dataset", OUTSIDE)
    scene.propose("c", "plot", INSIDE)
    scene.session.commit(CellStarted("c", "sha", INSIDE))
    scene.session.handle(SetMode("auto"))
    wait(lambda: scene.host.asked_to_run == ["a"])
    assert scene.session.state.mode == "auto"
    assert scene.facts(Decided) == [Decided("a", run=True, by="mode")]
    assert scene.host.inserted == ["a"]


def test_what_is_judged_is_the_text_that_would_run(scene: Scene) -> None:
    scene.start()
    scene.propose("edited", "dataset", INSIDE)
    scene.host.texts["edited"] = OUTSIDE
    scene.propose("deleted", "dataset", INSIDE)
    del scene.host.texts["deleted"]
    scene.propose("last", "dataset", INSIDE)
    scene.session.handle(SetMode("auto"))
    wait(lambda: scene.host.asked_to_run == ["last"])


def test_where_nobody_shows_the_notebook_cells_go_on_waiting(scene: Scene) -> None:
    scene.start()
    scene.propose("a", "dataset", INSIDE)
    scene.host.gone = True
    scene.session.handle(SetMode("auto"))
    scene.heard()
    assert scene.session.state.mode == "auto"
    assert scene.session.state.state_of("a") == "proposed"


def test_allowing_a_kind_runs_that_kind_alone_and_only_for_this_turn(scene: Scene) -> None:
    scene.start()
    scene.propose("a", "plot", INSIDE)
    scene.propose("b", "eval", INSIDE)
    scene.propose("c", "plot", OUTSIDE)
    scene.session.handle(RunKind("plot"))
    wait(lambda: scene.host.asked_to_run == ["a"])
    assert scene.facts(KindAllowed) == [KindAllowed("plot")]
    assert scene.session.runs_unreviewed("plot", INSIDE)
    assert not scene.session.runs_unreviewed("eval", INSIDE)
    scene.end.set()
    wait(lambda: not scene.session.working)
    assert not scene.session.runs_unreviewed("plot", INSIDE)


def test_a_mode_above_the_cap_is_refused_by_name(scene: Scene) -> None:
    with pytest.raises(UsageError, match="mode auto is not allowed here") as caught:
        scene.session.handle(SetMode("auto"), mode_cap="review")
    assert "review" in caught.value.do
    assert scene.session.state.mode == "review"


def test_unattended_needs_a_budget(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a budget"):
        scene.session.handle(SetMode("unattended"))
    paid = Scene(tmp_path / "paid", usd=5.0)
    paid.session.handle(SetMode("unattended"))
    wait(lambda: paid.session.state.mode == "unattended")
    assert paid.facts(ModeChanged) == [ModeChanged("unattended")]
    paid.close()


def test_a_paused_turn_waits_and_goes_on_when_told(scene: Scene) -> None:
    scene.start()
    scene.session.handle(Pause())
    wait(lambda: scene.session.state.pause_reason == PAUSED)
    scene.session.handle(Pause())
    scene.end.set()
    scene.heard()
    assert scene.session.working
    assert scene.facts(HoldChanged) == [HoldChanged(True, PAUSED)]
    scene.session.handle(Continue())
    wait(lambda: not scene.session.working)
    assert scene.session.state.status == "completed"


def test_a_held_turn_is_ended_by_stop(scene: Scene) -> None:
    scene.start()
    scene.session.handle(Pause())
    scene.session.handle(Stop())
    wait(lambda: not scene.session.working)
    assert scene.session.state.status == "interrupted"
    assert scene.session.state.pause_reason == ""
    assert not scene.cancelled.is_set()
    scene.session.submit(ResumeTurn())
    scene.end.set()
    wait(lambda: scene.session.state.status == "completed")


def test_a_deleted_magic_cell_holds_the_turn_until_it_is_back(scene: Scene) -> None:
    scene.start()
    scene.session.on_magic_cell(False)
    scene.heard()
    assert scene.session.state.pause_reason == MAGIC_CELL_GONE
    scene.session.on_magic_cell(True)
    scene.heard()
    assert scene.session.state.pause_reason == ""
    scene.end.set()
    wait(lambda: scene.session.state.status == "completed")


def test_a_returned_magic_cell_does_not_undo_the_persons_pause(scene: Scene) -> None:
    scene.start()
    scene.session.on_magic_cell(False)
    scene.session.handle(Pause())
    scene.session.on_magic_cell(True)
    scene.heard()
    assert scene.session.state.pause_reason == PAUSED
    scene.session.on_magic_cell(False)
    scene.heard()
    assert scene.session.state.pause_reason == PAUSED


def test_words_of_the_person_raise_attention(scene: Scene) -> None:
    scene.start()
    scene.session.handle(Steer("use LoRA"))
    wait(scene.session.attention.is_set)
    assert scene.session.state.messages[-1].text == "use LoRA"


def test_closing_ends_the_turn_in_the_record(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CLOSE_TIMEOUT_S", 60.0)
    scene.start()
    scene.session.close()
    assert scene.session.state.status == "interrupted"
    scene.session.submit(Steer("too late"))


def test_stop_with_jobs_ends_the_jobs_also_when_no_turn_runs(scene: Scene) -> None:
    scene.session.handle(Stop(jobs=True))
    assert scene.cancelled.wait(60)


def test_ending_the_jobs_of_a_folder_leaves_none_running(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "intern_runs", tmp_path)
    sleeper = JobSpec("sleeper", "import time; time.sleep(600)")
    over = JobSpec("over", "print(1)")
    jobs.submit(over)
    wait(lambda: jobs.status(over.key).state == "completed")
    assert jobs.submit(sleeper).state == "running"
    jobs.cancel_running()
    assert jobs.status(sleeper.key).state == "cancelled"
    assert jobs.status(over.key).state == "completed"


@pytest.mark.parametrize(
    "command", [Steer("hello"), Stop(), Pause(), Continue(), RunKind("plot")], ids=str
)
def test_where_no_turn_runs_the_person_is_told_so(scene: Scene, command: Any) -> None:
    with pytest.raises(UsageError, match="not at work"):
        scene.session.handle(command)
    scene.session.on_magic_cell(False)
    scene.heard()
    assert scene.facts(HoldChanged) == []


def test_a_session_takes_no_turns_and_no_jobs_by_message(scene: Scene) -> None:
    with pytest.raises(UsageError, match="takes no command ResumeTurn"):
        scene.session.handle(ResumeTurn())
    scene.start()
    with pytest.raises(UsageError, match="what should the intern be told"):
        scene.session.handle(Steer("  "))
    with pytest.raises(UsageError, match="no kind of cell 'plots'"):
        scene.session.handle(RunKind("plots"))
