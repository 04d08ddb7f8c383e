"""Step mode goes by the cells it was given and saw run, however late it hears the facts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from mlintern_jupyter.cells import CellMark, CellOutcome, NewCell
from mlintern_jupyter.event_json import to_wire
from mlintern_jupyter.events import TurnResumed
from mlintern_jupyter.hosts.bridge import Bridge
from mlintern_jupyter.hosts.ipython import StepPeer
from mlintern_jupyter.wire import FactSaid, InsertCell

MARK = CellMark("s", "c1", "run", "proposed", "m", "sha")


class Person:
    """A shell where the next cell's text is offered."""

    def __init__(self) -> None:
        self.shell: Any = InteractiveShell()
        self.offered: list[str] = []
        self.shell.set_next_input = self.offered.append
        self.settled = False
        self.bridge = Bridge(self.shell, lambda *_: None, dict)
        self.bridge.attach(self._owner())
        self.peer = StepPeer(self.shell, self.bridge)

    def _owner(self) -> Any:
        def ended(_: CellOutcome) -> None:
            self.settled = True

        def outcome(cell_id: str) -> CellOutcome | None:
            return CellOutcome(cell_id, "done", "x = 1") if self.settled else None

        return SimpleNamespace(
            owns=lambda cell_id: cell_id == "c1",
            wanted=lambda: ["c1"],
            cell_starts=lambda *_, **__: None,
            cell_ended=ended,
            outcome_of=outcome,
            person_cell_ran=lambda _: True,
        )

    def propose(self) -> None:
        self.bridge.say(InsertCell("s", NewCell("c1", "code", "x = 1", MARK, "to see"), ()))

    def next(self) -> None:
        self.peer.step(lambda: False, lambda: True)


def test_a_proposal_says_why_before_its_fact_is_heard() -> None:
    person = Person()
    person.propose()
    person.next()
    assert person.offered == ["# intern s c1 · run: to see\nx = 1"]


def test_a_proposal_outlives_the_fact_that_its_turn_began() -> None:
    person = Person()
    person.peer.turn_begins()
    person.propose()
    person.bridge.say(FactSaid("s", 7, to_wire(TurnResumed(1, ""))))
    person.next()
    assert len(person.offered) == 1


def test_what_an_earlier_turn_left_open_is_not_offered() -> None:
    person = Person()
    person.propose()
    person.peer.turn_begins()
    person.next()
    assert person.offered == []


def test_a_cell_that_ran_is_not_offered_before_its_end_is_heard() -> None:
    person = Person()
    person.propose()
    person.next()
    person.shell.run_cell(person.offered.pop())
    person.next()
    assert person.offered == []
    assert person.shell.user_ns["x"] == 1
