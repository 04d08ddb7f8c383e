"""What a session's sinks do costs it no commit, no lock and no turn, and a child nothing at all."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hearing_sink import LONG_S, Heard
from record_samples import STARTED, NoScrub

from mlintern_jupyter.commands import StartTurn
from mlintern_jupyter.events import Activity, Steered, TurnEnded, TurnStarted
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.running import session as session_module
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.session.sinks.notebook import MagicCellSink
from mlintern_jupyter.wire import UpdateCell


class Scene:
    """A session whose turn says one thing and is over."""

    def __init__(self, folder: Path, *sinks: Any) -> None:
        async def set_up_turn(session: Session) -> Any:
            raise AssertionError(f"{session} needs no model")

        async def run_turn(session: Session, command: Any) -> None:
            session.commit(TurnStarted(1, command.text, command.source))
            session.commit(TurnEnded(1, "completed", "the intern finished", "done"))

        self.session = Session(
            ledger=Ledger.create(folder / "s-1", NoScrub()),
            state=SessionState(),
            folder=folder / "s-1",
            set_up_turn=set_up_turn,
            run_turn=run_turn,
            cancel_jobs=lambda: None,
            cancel_session_jobs=lambda: None,
            env={},
        )
        self.session.commit(STARTED)
        self.session.bus.reach(*sinks)

    def turn(self) -> None:
        self.session.submit(StartTurn("go", "magic", "%%intern go"))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    scenes: list[Scene] = []

    def make(*sinks: Any) -> Scene:
        scenes.append(Scene(tmp_path, *sinks))
        return scenes[-1]

    yield make
    for each in scenes:
        each.session.close()


def test_facts_of_many_threads_reach_a_sink_in_the_order_of_their_numbers(
    scene: Callable[..., Scene],
) -> None:
    sink = Heard()
    session = scene(sink).session

    def commit() -> None:
        for _ in range(25):
            session.commit(Steered("now"))

    threads = [threading.Thread(target=commit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.bus.drain(LONG_S)
    assert sink.numbers == list(range(2, 202))


def test_a_session_is_at_work_until_its_sinks_were_told_of_the_end(
    scene: Callable[..., Scene],
) -> None:
    sink = Heard()
    sink.gate.clear()
    begun = scene(sink)
    begun.turn()
    assert sink.stands.wait(LONG_S)
    assert begun.session.working
    sink.gate.set()
    assert begun.session.worker.idle.wait(LONG_S)
    assert isinstance(sink.facts[-1], TurnEnded)


def test_a_sink_that_hangs_costs_no_commit_no_lock_and_no_turn(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "SINKS_TIMEOUT_S", 0.01)
    stuck = Heard()
    stuck.gate.clear()
    begun = scene(stuck)
    begun.turn()
    assert begun.session.worker.idle.wait(LONG_S)
    assert begun.session.state.status == "completed"
    begun.session.commit(Steered("a cell of the main thread"))
    with begun.session.reading() as state:
        assert state.words == ["a cell of the main thread"]
    begun.turn()
    assert begun.session.worker.idle.wait(LONG_S)
    stuck.gate.set()
    assert begun.session.bus.drain(LONG_S)
    kinds = [type(fact).__name__ for fact in stuck.facts]
    assert kinds == ["TurnStarted", "TurnEnded", "Steered", "TurnStarted", "TurnEnded"]


def test_closing_a_session_tells_its_sinks_what_waits(scene: Callable[..., Scene]) -> None:
    sink = Heard()
    session = scene(sink).session
    for _ in range(50):
        session.commit(Steered("now"))
    session.close()
    assert sink.numbers == list(range(2, 52))


def test_a_forked_child_tells_nobody_and_waits_for_nobody(scene: Callable[..., Scene]) -> None:
    sink = Heard()
    session = scene(sink).session
    taken, go = threading.Event(), threading.Event()

    def hold() -> None:
        # As a thread that commits at the moment of the fork.
        with session.reading():
            taken.set()
            go.wait(LONG_S)

    holding = threading.Thread(target=hold)
    holding.start()
    assert taken.wait(LONG_S)
    pid = os.fork()
    if pid == 0:
        # A deadlock here ends the child, not the test.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        session.signal(Activity("from the child"))
        session.bus.fact(99, Steered("from the child"))
        with session.reading() as state:
            told = session.bus.drain(LONG_S) and state.session == "gpqa-7f3a"
        os._exit(0 if told else 1)
    go.set()
    holding.join()
    assert os.waitpid(pid, 0)[1] == 0
    session.commit(Steered("from the parent"))
    assert session.bus.drain(LONG_S)
    assert sink.facts == [Steered("from the parent")]
    assert sink.signals == []


# the magic cell -------------------------------------------------------------------------------


def magic_cell() -> tuple[Any, list[Any]]:
    said: list[Any] = []
    bridge = SimpleNamespace(
        say=said.append, update_display=lambda _, bundle: said.append(bundle["text/plain"])
    )
    return bridge, said


def test_the_mark_of_a_turn_is_said_after_its_card(scene: Callable[..., Scene]) -> None:
    bridge, said = magic_cell()
    begun = scene()
    sink = MagicCellSink(bridge, begun.session.reading, "r", "d", begun.session.note)
    begun.session.bus.reach(sink)
    begun.turn()
    assert begun.session.worker.idle.wait(LONG_S)
    running, card, done = said
    assert isinstance(running, UpdateCell)
    assert "completed" in card
    assert isinstance(done, UpdateCell)
    assert done.mark is not None
    assert (done.mark["state"], done.mark["summary"]) == ("done", "completed: done")


def test_a_sink_that_failed_is_named_on_the_card_also_when_the_turn_is_over(
    scene: Callable[..., Scene],
) -> None:
    begun = scene(Heard(fails=lambda _: True))
    begun.session.card_note = "about this turn"
    begun.turn()
    assert begun.session.worker.idle.wait(LONG_S)
    note = begun.session.note()
    assert "the double may be incomplete: ValueError: no page." in note
    assert "about this turn" not in note
