"""What the person types to the open session, carried out by its real worker on a real ledger."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlintern_jupyter.commands import Answer, StartTurn, Steer, Stop
from mlintern_jupyter.config import Config
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.events import Answered, Asked, ModelChanged, SessionStarted
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.session.running.turn import run_turn
from mlintern_jupyter.session.running.turn_setup import TurnSetup
from mlintern_jupyter.session.wiring.verbs import Verbs
from mlintern_jupyter.tools.base.toolbox import TurnToolbox


def asked(call: str, tool: str = "push_to_hub") -> Asked:
    arguments = {"repo": "me/model"}
    return Asked(1, call, tool, arguments, ("publish",), "publish asks", 0.0, "public", "sha")


class Turn:
    """A turn that asks its questions and ends when all are answered."""

    def __init__(self, session: Session, calls: tuple[str, ...]) -> None:
        self._session = session
        self._calls = calls

    @property
    def asking(self) -> Turn:
        """Limits are looked at here: there are none."""
        return self

    budget = asking

    def exceeded(self) -> None:
        """No limit was passed."""

    async def run_turn(self) -> str:
        """Ask everything at once, as calls of one reply do."""
        session = self._session
        for call in self._calls:
            session.commit(asked(call))
        answers = [
            session.approvals.ask(asked(call), session.attention, contextlib.nullcontext)
            for call in self._calls
        ]
        said = await asyncio.gather(*answers)
        return ", ".join("yes" if answer.yes else f"no {answer.reason}" for answer in said)


class Scene:
    """A session, and the verbs that speak to it."""

    def __init__(self, folder: Path) -> None:
        self.calls: tuple[str, ...] = ()
        self.session = Session(
            ledger=Ledger.create(folder / "s-1", Scrubber.from_environment()),
            state=SessionState(),
            folder=folder / "s-1",
            set_up_turn=self._set_up_turn,
            run_turn=run_turn,
            cancel_jobs=lambda: None,
            cancel_session_jobs=lambda: None,
            env={},
        )
        started = SessionStarted("s-1", "goal", "playbook", "review", {}, {}, "magic", "/w", "0")
        self.session.commit(started)
        self.verbs = Verbs(lambda: self.session, Config)

    async def _set_up_turn(self, session: Session) -> TurnSetup:
        return TurnSetup(Turn(session, self.calls), TurnToolbox([]))  # type: ignore[arg-type]

    def asks(self, *calls: str) -> Scene:
        """Begin a turn and wait until its questions are open."""
        self.calls = calls
        self.session.submit(StartTurn("go", "magic", "%%intern go"))
        self.wait(lambda: set(self.session.state.asks) == set(calls))
        return self

    def wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.005)

    def summary(self) -> str:
        """The turn's answer, once it ended."""
        self.wait(lambda: not self.session.working)
        outcome = self.session.state.outcome
        assert outcome is not None
        return outcome.summary

    def facts(self, kind: type) -> list[Any]:
        return [n.fact for n in self.session.ledger.facts if isinstance(n.fact, kind)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.session.close()


def test_a_question_is_allowed_by_its_name_alone_and_what_was_allowed_is_said(
    scene: Scene,
) -> None:
    scene.asks("call_1")
    assert "push_to_hub" in scene.verbs.questions()
    assert "repo: me/model" in scene.verbs.questions()
    with pytest.raises(UsageError, match="which question is allowed"):
        scene.verbs.approve("")
    assert scene.facts(Answered) == []
    assert scene.verbs.approve("call_1") == "allowed, once: push_to_hub (call_1)"
    assert scene.summary() == "yes"
    assert scene.verbs.questions() == ""
    assert scene.facts(Answered) == [Answered("call_1", yes=True)]


def test_a_refusal_takes_its_reason_to_the_intern(scene: Scene) -> None:
    scene.asks("call_1")
    said = scene.verbs.refuse("not under my name")
    assert said == "refused: push_to_hub (call_1); the intern reads why"
    assert scene.summary() == "no not under my name"


def test_of_two_questions_one_is_named_and_the_other_goes_on_waiting(scene: Scene) -> None:
    scene.asks("call_1", "call_2")
    with pytest.raises(UsageError, match="2 questions are open: call_1, call_2"):
        scene.verbs.approve("")
    scene.verbs.refuse("call_2 too soon")
    assert list(scene.session.state.asks) == ["call_1"]
    scene.verbs.approve("call_1")
    assert scene.summary() == "yes, no too soon"


def test_the_name_of_a_question_that_was_answered_never_allows_another(scene: Scene) -> None:
    scene.asks("call_1", "other")
    scene.verbs.approve("other")
    with pytest.raises(UsageError, match="other is no open question"):
        scene.verbs.approve("other")
    assert list(scene.session.state.asks) == ["call_1"]


def test_the_first_answer_counts_and_the_second_is_told_so(scene: Scene) -> None:
    scene.asks("call_1", "call_2")
    scene.session.handle(Answer("call_1", yes=False))
    scene.wait(lambda: "call_1" not in scene.session.state.asks)
    with pytest.raises(UsageError, match="no question waits") as late:
        scene.session.handle(Answer("call_1", yes=True))
    assert "answered already" in late.value.why
    assert scene.facts(Answered) == [Answered("call_1", yes=False)]


def test_two_answers_in_the_same_moment_are_one(scene: Scene) -> None:
    scene.asks("call_1")
    # Both are past the check before either is carried out.
    scene.session.submit(Answer("call_1", yes=False, reason="first"))
    scene.session.submit(Answer("call_1", yes=True))
    assert scene.summary() == "no first"
    assert scene.facts(Answered) == [Answered("call_1", yes=False, reason="first")]


def test_words_of_the_person_are_read_before_anything_is_done(scene: Scene) -> None:
    scene.asks("call_1")
    scene.session.submit(Steer("wait, which name?"))
    assert scene.summary().startswith("no the person said something instead")


def test_a_stopped_turn_takes_its_questions_with_it(scene: Scene) -> None:
    scene.asks("call_1")
    scene.session.handle(Stop())
    scene.wait(lambda: not scene.session.working)
    assert scene.session.state.asks == {}
    with pytest.raises(UsageError, match="no question of the intern is open"):
        scene.verbs.approve("call_1")


def test_models_are_shown_by_role_and_switched(scene: Scene) -> None:
    shown = scene.verbs.model("")
    assert "main        playbook" in shown
    assert "research    as main" in shown
    assert "fallback    none" in shown
    assert "from the next model call on" in scene.verbs.model("playbook:7 --role fallback")
    scene.wait(lambda: bool(scene.facts(ModelChanged)))
    assert scene.facts(ModelChanged) == [ModelChanged("fallback", "playbook:7", "the person")]
    assert "fallback    playbook:7" in scene.verbs.model("")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("playbook --role boss", "there is no role 'boss'"),
        ("playbook --role", "there is no role ''"),
        ("one two", "one model at a time"),
        ("nobody/knows-this", "nobody"),
    ],
)
def test_a_model_or_role_that_is_not_there_is_refused(scene: Scene, words: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        scene.verbs.model(words)
    assert scene.facts(ModelChanged) == []


def test_room_is_made_at_once_or_when_the_next_turn_begins(scene: Scene) -> None:
    with pytest.raises(UsageError, match="reads the whole conversation"):
        scene.verbs.compact()
    scene.session.commit(ModelChanged("main", "openai/other", "the person"))
    assert "when the next one begins" in scene.verbs.compact()
    scene.wait(scene.session.compaction_wanted.is_set)
    scene.session.compaction_wanted.clear()
    scene.asks("call_1")
    assert "before the next model call" in scene.verbs.compact()
    scene.wait(scene.session.compaction_wanted.is_set)


def test_without_a_session_the_person_is_told_how_to_begin() -> None:
    verbs = Verbs(lambda: None, Config)
    assert verbs.questions() == ""
    for verb in (verbs.approve, verbs.refuse, verbs.compact, verbs.model, verbs.tools, verbs.mcp):
        with pytest.raises(UsageError, match="no session is open in this kernel"):
            verb("")
