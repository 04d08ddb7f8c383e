"""What a page is told: computed from facts, cheap to ask for, never in the way of a broken file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlintern_jupyter.config import record_root
from mlintern_jupyter.events import (
    Activity,
    AgentEnded,
    AgentStarted,
    Asked,
    CellEnded,
    CellProposed,
    CellStarted,
    Compacted,
    Decided,
    Fact,
    HoldChanged,
    ModelChanged,
    OwnCellRan,
    PlanChanged,
    Replied,
    Reserved,
    RunRecorded,
    SessionStarted,
    Settled,
    TurnEnded,
    TurnStarted,
)
from mlintern_jupyter.messages import ToolCall
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.record.ledger import LEDGER_FILE, Ledger
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.readouts import record_list as records
from mlintern_jupyter.session.readouts.card import card_bundle
from mlintern_jupyter.session.readouts.page_view import (
    agent_view,
    best_score,
    job_cost,
    kernel_view,
    session_view,
)
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.usage import Usage
from mlintern_jupyter.views import (
    AgentView,
    CompactionView,
    PendingCellView,
    PlanItemView,
    SourceView,
)

TURN = TurnStarted(1, "improve it", "%%intern improve it --session s-1")


def started(name: str) -> SessionStarted:
    limits = {"usd": 5.0, "hours": None, "steps": 40, "tokens": None}
    return SessionStarted(name, f"goal of {name}", "m", "review", limits, {}, "magic", "/w", "0")


def record(root: Path, name: str, *facts: Fact) -> Path:
    ledger = Ledger.create(root / name, Scrubber.from_environment())
    for fact in (started(name), *facts):
        ledger.commit(fact)
    ledger.close()
    return root / name


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    records._known.clear()
    # A look that runs out of time leaves ledgers for the next one.
    monkeypatch.setattr(records, "READING_S", 60.0)
    return record_root()


@pytest.fixture
def session(root: Path) -> Iterator[Session]:
    made = Session(
        ledger=Ledger.create(root / "s-1", Scrubber.from_environment()),
        state=SessionState(),
        folder=root / "s-1",
        set_up_turn=lambda _: pytest.fail("no turn is begun here"),
        run_turn=lambda *_: pytest.fail("no turn is begun here"),
        cancel_jobs=lambda: None,
        cancel_session_jobs=lambda: None,
        env={},
    )
    for fact in (started("s-1"), TURN):
        made.commit(fact)
    yield made
    made.close()


def run_of(name: str, accuracy: float, **more: Any) -> dict[str, Any]:
    return {
        "what": "eval", "key": name, "name": name, "task": "nano/mcq", "split": "dev", "n": 200,
        "accuracy": accuracy, "ci95": [accuracy - 0.1, accuracy + 0.1], "chance": 0.25, **more,
    }  # fmt: skip


def view(root: Path, session: Session | None = None, **env: str):
    return kernel_view(session, root, "auto", "playbook", env)


def test_a_session_is_shown_as_its_facts_say(session: Session) -> None:
    for fact in (
        PlanChanged(({"step": "a", "state": "done"}, {"step": "b", "state": "pending"})),
        Reserved(1, 100, 0.5),
        Settled(1, Usage(900, 100), 0.25, 2.0),
        OwnCellRan("own-1", "df.head()", "done", queued=True),
        HoldChanged(True, "the person paused it"),
        RunRecorded(run_of("base", 0.3), "c-1"),
    ):
        session.commit(fact)
    session.signal(Activity("asking m"))
    seen = session_view(session)
    assert (seen.session, seen.goal, seen.status, seen.running) == (
        "s-1", "goal of s-1", "working", False,
    )  # fmt: skip
    assert seen.plan == (PlanItemView("a", "done"), PlanItemView("b", "todo"))
    assert (seen.context_used, seen.spent.usd, seen.limits.steps) == (1000, 0.25, 40)
    assert (seen.magic_cell_id, seen.magic_source) == ("magic", TURN.source)
    assert (seen.held, seen.activity) == ("the person paused it", "asking m")
    assert (seen.queued_cells, seen.own_cells[0].first_line) == (1, "df.head()")
    assert seen.best is not None
    assert seen.best.baseline is None
    assert seen.record == str(session.folder)
    assert seen.outcome is None
    session.commit(TurnEnded(1, "limit", "40 steps", "so far", "raise it"))
    ended = session_view(session)
    assert ended.status == "limit"
    assert ended.outcome is not None
    assert (ended.outcome.reason, ended.outcome.do) == ("40 steps", "raise it")


def test_questions_sub_agents_and_room_made_are_shown(session: Session) -> None:
    for fact in (
        Asked(
            2, "call_2", "push", {"to": "hub\u202e"}, ("publish",), "a rule", None, "public", "s"
        ),
        AgentStarted("a-1", "literature", "find papers", "call_1", "m"),
        Replied(4, "", (ToolCall("c", "paper_search", "{}"),), "tool_calls", "m", agent="a-1"),
        AgentStarted("a-2", "critic", "look at it", "call_3", "m"),
        AgentEnded("a-2", "paused", "half", "no credit"),
        Compacted(7, "full", 4, 6, "goal", "digest", 26_000, 12_000),
        ModelChanged("research", "small", "the person"),
    ):
        session.commit(fact)
    seen = session_view(session)
    (ask,) = seen.asks
    assert (ask.call, ask.tool, ask.arguments) == ("call_2", "push", "to: hub\\u202e")
    assert (ask.effects, ask.price_usd, ask.visibility) == (("publish",), None, "public")
    # No turn runs in this kernel: whoever did not end is not at work.
    assert seen.agents == (
        AgentView("a-1", "literature", "find papers", "unfinished", 4, "", ""),
        AgentView("a-2", "critic", "look at it", "paused", 0, "", "no credit"),
    )
    at_work = agent_view("a-1", session.state.agents["a-1"], working=True)
    assert (at_work.state, at_work.doing) == ("working", "paper_search")
    assert seen.compaction == CompactionView(7, "full", 26_000, 12_000)
    assert seen.models == {"main": "m", "research": "small"}
    assert not seen.on_fallback


def test_a_budget_that_is_nearly_used_is_said_while_the_turn_runs(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "working", property(lambda _: True))
    session.commit(Settled(1, Usage(10, 1), 1.0, 1.0))
    assert not session_view(session).closing
    session.commit(Settled(2, Usage(10, 1), 3.8, 1.0))
    assert session_view(session).closing
    monkeypatch.setattr(Session, "working", property(lambda _: False))
    assert not session_view(session).closing


def test_of_many_sub_agents_those_at_work_and_the_newest_are_shown(session: Session) -> None:
    for number in range(14):
        session.commit(AgentStarted(f"a-{number}", "data", "look", f"call_{number}", "m"))
        if number != 1:
            session.commit(AgentEnded(f"a-{number}", "completed", "found"))
    shown = [agent.agent for agent in session_view(session).agents]
    assert shown == ["a-1", *(f"a-{number}" for number in range(5, 14))]


def test_cells_that_wait_are_listed_with_what_speaks_against_them(session: Session) -> None:
    def propose(cell_id: str, source: str, cell_type: str = "code") -> None:
        session.commit(CellProposed(cell_id, "c", "dataset", cell_type, source, why="to see"))

    propose("inside", "\nprint(1)")
    propose("outside", "import subprocess")
    propose("words", "# a note", "markdown")
    propose("ran", "x = 1")
    session.commit(CellStarted("ran", "sha", "x = 1"))
    propose("refused", "x = 2")
    session.commit(Decided("refused", run=False, by="person"))
    propose("job", "%%job sft --max-usd 6\nprint(1)")
    seen = session_view(session)
    assert [p.cell_id for p in seen.pending] == ["inside", "outside", "job"]
    inside, outside, job = seen.pending
    assert inside == PendingCellView("inside", "dataset", "print(1)", "to see", "", "")
    assert "subprocess" in outside.asks
    assert "--max-usd" in job.asks
    assert seen.cell_ids == ("inside", "outside", "words", "ran", "refused", "job")


@pytest.mark.parametrize(
    ("source", "usd_per_hour", "cost"),
    [
        ("print('%%job')", 2.0, ""),
        ("%%job a --on local", 0.0, ""),
        ("%%job a --timeout 30m --max-usd 6", 2.0, "up to $1.00, held until you start it"),
        ("%%job a --timeout=4h --max-usd 6", 0.0, "up to $0.00, held until you start it"),
        ("%%job a --max-usd 6", 2.0, "cost not known, cap $6"),
        ("%%job a --timeout 4h", None, "cost not known"),
    ],
)
def test_a_jobs_cost_is_said_before_it_runs(source: str, usd_per_hour: float, cost: str) -> None:
    assert job_cost(source, usd_per_hour) == cost


def test_the_best_score_is_on_dev_beside_the_first_of_its_task() -> None:
    runs = [
        run_of("other", 0.99, task="nano/sum"),
        run_of("base", 0.30),
        run_of("sft", 0.55),
        run_of("again", 0.55),
        run_of("void", 0.95, voided="held-out read"),
        run_of("held", 0.90, split="heldout"),
        run_of("worse", 0.20),
        {"what": "comparison", "key": "x", "word": "no evidence"},
        {"what": "comparison", "key": "y", "word": "improved"},
    ]
    best = best_score(runs)
    assert best is not None
    assert (best.name, best.value, best.baseline, best.verdict) == ("again", 0.55, 0.30, "improved")
    assert (best.low, best.high) == pytest.approx((0.45, 0.65))
    assert (best.n, best.chance) == (200, 0.25)
    assert best_score(runs[4:6]) is None


def test_sources_come_from_proposals_and_from_cells_about_data_and_papers(session: Session) -> None:
    paper, hub = "https://arxiv.org/abs/2401.1", "https://huggingface.co/datasets/openai/gsm8k"
    for fact in (
        CellProposed("a", "c", "script", "code", "x = 'https://not.a/source'", sources=(paper,)),
        CellProposed("b", "c", "literature", "markdown", f"See [it]({paper}), <{paper}/v2>."),
        CellProposed("c", "c", "dataset", "code", "load_dataset('openai/gsm8k', 'main')"),
    ):
        session.commit(fact)
    assert session_view(session).sources == (
        SourceView(paper, "a", "script"),
        SourceView(f"{paper}/v2", "b", "literature"),
        SourceView(hub, "c", "dataset"),
    )


def test_a_kernel_without_a_session_is_shown_too(root: Path) -> None:
    seen = view(root, ANTHROPIC_API_KEY="sk-secret-value", HOME="/nowhere")
    assert seen.session is None
    assert (seen.mode_cap, seen.default_model, seen.folder) == ("auto", "playbook", str(root))
    keys = {provider.name: provider for provider in seen.providers}
    assert (keys["anthropic"].variable, keys["anthropic"].is_set) == ("ANTHROPIC_API_KEY", True)
    assert not keys["openai"].is_set
    assert not keys["huggingface"].is_set
    assert "sk-secret-value" not in repr(seen)
    assert "nano/mcq" in seen.benchmarks
    assert (seen.records, seen.jobs) == ((), ())


def test_a_login_of_the_hub_counts_as_a_key(root: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_x")
    seen = view(root, HF_TOKEN_PATH=str(tmp_path / "token"))
    assert {p.name: p.is_set for p in seen.providers}["huggingface"]


def test_records_are_listed_and_a_broken_one_says_so(root: Path) -> None:
    record(root, "done-1", TURN, TurnEnded(1, "completed", "finished", "better"))
    record(root, "open-1", TURN)
    damaged = record(root, "hurt-1", TURN, TURN)
    text = (damaged / LEDGER_FILE).read_text()
    (damaged / LEDGER_FILE).write_text(text.replace("improve it", "improve IT", 1))
    (root / "junk-1").mkdir()
    (root / "junk-1" / LEDGER_FILE).write_bytes(b"\xff\xfe\x00 not a ledger\n")
    seen = {r.session: r for r in view(root).records}
    assert len(seen) == 4
    assert seen["done-1"].finished
    assert "better" in seen["done-1"].line
    assert not seen["open-1"].finished
    assert "damaged" in seen["hurt-1"].line
    assert "junk-1" in seen["junk-1"].line


def test_a_record_is_read_again_only_when_it_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(root, "done-1", TURN, TurnEnded(1, "completed", "finished", "better"))
    before = view(root).records
    monkeypatch.setattr(Ledger, "view", lambda _: pytest.fail("it was read again"))
    assert view(root).records == before


def test_the_open_sessions_record_is_its_state_now(
    session: Session, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "view", lambda _: pytest.fail("it is open here"))
    session.commit(TurnEnded(1, "completed", "finished", "better by far"))
    (shown,) = view(root, session).records
    assert "better by far" in shown.line
    assert shown.finished


def test_one_look_reads_only_so_many_ledgers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(root, "a-1", TURN)
    monkeypatch.setattr(records, "READING_S", -1.0)
    (shown,) = view(root).records
    assert (shown.line, shown.finished) == ("a-1: not read yet", True)
    monkeypatch.setattr(records, "READING_S", 60.0)
    (shown,) = view(root).records
    assert "goal of a-1" in shown.line


def test_the_card_is_data_and_text_and_names_cells_that_did_not_wait(session: Session) -> None:
    for number in range(2):
        session.commit(OwnCellRan(f"own-{number}", "x = 1", "done", queued=True))
    session.commit(HoldChanged(True, "its %%intern cell was deleted"))
    bundle = card_bundle(session.state, "a note", "intern_runs/s-1")
    card = bundle["application/vnd.mlintern.card+json"]
    assert "\n".join(card.pop("lines")) == bundle["text/markdown"] == bundle["text/plain"]
    assert card == {
        "v": 1,
        "session": "s-1",
        "status": "working",
        "goal": "goal of s-1",
        "record": "intern_runs/s-1",
    }
    assert "2 cells below were already in line and did not wait" in bundle["text/plain"]
    assert "held: its %%intern cell was deleted" in bundle["text/plain"]
    assert bundle["text/plain"].endswith("a note")


def test_a_cell_that_ended_late_shows_no_more_as_pending(session: Session) -> None:
    session.commit(CellProposed("a", "c", "dataset", "code", "x = 1"))
    session.commit(CellStarted("a", "sha", "x = 1"))
    session.commit(CellEnded("a", "done", "", 1.0))
    assert session_view(session).pending == ()
