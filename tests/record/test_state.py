import json
import tracemalloc
from dataclasses import fields, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from record_samples import CALL, FAST, STARTED, TURN, numbered, one_step, whole_turn

from mlintern_jupyter.cells import CellOutcome
from mlintern_jupyter.event_json import FACTS, fact_from_wire, to_wire
from mlintern_jupyter.events import (
    CellEnded,
    CellProposed,
    CellReturned,
    CellStarted,
    Decided,
    EffectIntended,
    EffectSettled,
    HeldOutRead,
    HoldChanged,
    KindAllowed,
    ModeChanged,
    Nudged,
    OwnCellRan,
    PlanChanged,
    Replied,
    Reserved,
    RunRecorded,
    Settled,
    Steered,
    TurnEnded,
    TurnResumed,
    TurnStarted,
)
from mlintern_jupyter.messages import Message, ToolCall
from mlintern_jupyter.record import state as state_module
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.usage import Limits, Usage


def state_after(*facts):
    return fold(numbered(list(facts)))


def live(*facts):
    """The state in the process that commits the facts."""
    state = SessionState()
    for n in numbered(list(facts)):
        state.apply(n)
    return state


def roles(state):
    return [m.role for m in state.messages]


def test_a_whole_turn_folds_into_conversation_cells_and_spending():
    state = fold(numbered(whole_turn()))
    assert state.messages == [
        Message("user", "improve GPQA\n\na briefing"),
        Message("assistant", "I write a cell.", (CALL,)),
        Message("tool", "it printed 1", call_id="c1"),
    ]
    assert state.pending == []
    assert state.limits == Limits(usd=5.0, steps=40)
    assert (state.spent.steps, state.spent.usd, state.spent.reserved_usd) == (1, 0.25, 0.0)
    assert state.spent.usage == Usage(700, 30, 0)
    assert state.spent.seconds == 5.0
    assert state.status == "completed"
    assert state.last_number == len(whole_turn())
    assert state.facts == {"cell": "cell-1"}
    outcome = state.outcome_of("cell-1")
    assert (outcome.state, outcome.source) == ("done", "print(1) ")
    assert outcome.outputs[0]["text"] == "1\n"
    line = state.summary_line()
    assert "gpqa-7f3a: improve GPQA" in line
    assert "better by 3" in line
    assert "$0.25" in line


def test_every_kind_of_fact_is_folded():
    assert {t.__name__ for t in state_module._APPLY} == set(FACTS)


def test_calls_are_pending_until_each_is_settled():
    calls = (CALL, ToolCall("c2", "plan", "{}"))
    state = state_after(STARTED, TURN, Replied(1, "", calls, "tool_calls", "m"))
    assert state.pending == list(calls)
    assert state.status == "working"
    for n in numbered(
        [EffectIntended(1, "c2", "plan", {}), EffectSettled(1, "c2", "plan", True, "ok")], 4
    ):
        state.apply(n)
    assert state.pending == [CALL]
    assert state.intended == {}


def test_an_effect_that_was_begun_and_not_settled_is_known_as_such():
    intended = EffectIntended(1, "c1", "write_cell", {})
    state = state_after(STARTED, TURN, one_step()[1], intended)
    assert state.intended == {"c1": intended}


def test_a_call_settled_twice_is_answered_once():
    settled = EffectSettled(1, "c1", "write_cell", True, "first")
    state = state_after(STARTED, TURN, one_step()[1], settled, replace(settled, text="second"))
    assert [m.text for m in state.messages if m.role == "tool"] == ["first"]


def test_words_said_while_a_call_is_open_follow_its_answer():
    state = state_after(
        STARTED, TURN, one_step()[1],
        OwnCellRan("x", "df.head()", "done", ("df",)),
        Steered("use LoRA"),
        EffectSettled(1, "c1", "write_cell", True, "done"),
        Nudged(1, "doom", "try something else"),
    )  # fmt: skip
    assert roles(state) == ["user", "assistant", "tool", "user", "user", "user"]
    assert "df.head()" in state.messages[3].text
    assert "names bound: df" in state.messages[3].text
    assert [m.text for m in state.messages[4:]] == ["use LoRA", "try something else"]


def test_calls_left_open_by_a_turn_that_ended_are_answered_when_the_next_begins():
    state = state_after(
        STARTED, TURN, one_step()[1], Steered("stop that"),
        TurnEnded(1, "interrupted", "stopped", ""),
        TurnStarted(2, "go on", "%%intern go on"),
    )  # fmt: skip
    assert roles(state) == ["user", "assistant", "tool", "user", "user"]
    assert "unknown" in state.messages[2].text
    assert (state.turn, state.status, state.turn_source) == (2, "working", "%%intern go on")


def test_a_resumed_turn_is_open_again_and_tells_the_note():
    state = state_after(
        STARTED, TURN, TurnEnded(1, "limit", "steps", ""), TurnResumed(1, "model is gone")
    )
    assert state.status == "working"
    assert state.messages[-1] == Message("user", "model is gone")


def test_a_reservation_a_crash_left_open_stays_counted_when_the_step_is_made_again():
    state = state_after(STARTED, TURN, Reserved(1, 100, 0.5))
    assert state.spent.reserved_usd == 0.5
    for n in numbered([Reserved(1, 100, 0.4), Settled(1, Usage(1, 1), 0.1, 1.0)], 4):
        state.apply(n)
    assert state.spent.reserved_usd == 0.5
    assert state.spent.usd == 0.1


def test_an_unknown_cost_stays_unknown():
    paid, unknown = Settled(1, Usage(1, 1), 0.1, 1.0), Settled(2, Usage(1, 1), None, 1.0)
    assert state_after(STARTED, paid, unknown, paid).spent.usd is None
    assert "cost unknown" in state_after(STARTED, TURN, unknown).summary_line()


PROPOSED = CellProposed("a", "c1", "script", "code", "print(1)")


def test_a_cell_an_earlier_process_started_is_unknown_and_one_of_this_process_is_running():
    started = CellStarted("a", "sha", "print(1)")
    assert state_after(STARTED, PROPOSED, started).outcome_of("a").state == "unknown"
    state = live(STARTED, PROPOSED, started)
    assert state.outcome_of("a") is None
    assert state.state_of("a") == "running"
    assert state.outcome_of("somebody else's") is None


def test_an_outcome_comes_out_of_the_ledger_as_it_went_in():
    went_in = CellOutcome(
        "a", "failed", "print(2)", ({"output_type": "stream"},), "ValueError: x", 2.5,
        ({"what": "eval"},), 7,
    )  # fmt: skip
    assert all(getattr(went_in, f.name) != f.default for f in fields(CellOutcome))
    line = json.loads(json.dumps(to_wire(CellEnded.of(went_in))))
    assert set(line) == {
        "type", "cell_id", "state", "error", "seconds", "outputs", "records", "execution_count",
    }  # fmt: skip
    state = live(STARTED, PROPOSED, CellStarted("a", "s", "print(2)"), fact_from_wire(line))
    assert state.outcome_of("a") == went_in


def test_a_skipped_cell_tells_why_and_may_still_be_run():
    no = Decided("a", False, "person", "too slow")
    state = live(STARTED, PROPOSED, no)
    assert (state.outcome_of("a").state, state.outcome_of("a").error) == ("skipped", "too slow")
    state = live(
        STARTED, PROPOSED, no, CellStarted("a", "s", "print(2)"), CellEnded("a", "done", "", 1.0)
    )
    assert (state.outcome_of("a").state, state.outcome_of("a").source) == ("done", "print(2)")


def test_a_refusal_that_is_taken_back_proposes_the_cell_again_and_tells_the_model():
    refused = Decided("a", False, "person", "not in the notebook any more")
    state = live(STARTED, TURN, PROPOSED, refused, CellReturned("a"))
    assert state.state_of("a") == "proposed"
    assert state.outcome_of("a") is None
    assert state.messages[-1].text.startswith("[The person put your cell a back")
    before = len(state.messages)
    for n in numbered([CellReturned("a"), CellReturned("another's")], 6):
        state.apply(n)
    assert len(state.messages) == before


def test_a_cell_that_ends_after_its_call_was_answered_is_told_in_one_line():
    state = live(
        STARTED, TURN, one_step()[1], replace(PROPOSED, call="c1"), CellStarted("a", "s", "one"),
        EffectSettled(1, "c1", "write_cell", True, "still running"),
        CellEnded("a", "failed", "ValueError: x\nmore", 2.0),
    )  # fmt: skip
    told = state.messages[-1]
    assert (told.role, "\n" in told.text) == ("user", False)
    assert told.text.startswith("[Your cell a ended: failed after 2.0 s (ValueError: x).")


def test_a_cell_that_a_call_waits_for_is_told_by_that_call_alone():
    waiting = ToolCall("c2", "wait_cell", '{"cell_id": "a"}')
    state = live(
        STARTED, TURN, one_step()[1], replace(PROPOSED, call="c1"), CellStarted("a", "s", "one"),
        EffectSettled(1, "c1", "write_cell", True, "still running"),
        Replied(2, "", (waiting,), "tool_calls", "m"),
        EffectIntended(2, "c2", "wait_cell", {"cell_id": "a"}),
        CellEnded("a", "done", "", 2.0),
        EffectSettled(2, "c2", "wait_cell", True, "it printed 1"),
    )  # fmt: skip
    assert roles(state)[-2:] == ["assistant", "tool"]
    assert live(STARTED, TURN, *one_step()).messages[-1].text == "it printed 1"


def test_what_a_person_said_for_one_turn_ends_with_it():
    said = (KindAllowed("plot"), KindAllowed("plot"), KindAllowed("eval"), HoldChanged(True, "why"))
    state = live(STARTED, TURN, *said)
    assert (state.allowed_kinds, state.pause_reason) == (("plot", "eval"), "why")
    assert live(STARTED, TURN, *said, HoldChanged(False)).pause_reason == ""
    for end in (
        TurnEnded(1, "completed", "", ""),
        TurnStarted(2, "go on", "%%intern go on"),
    ):
        state = live(STARTED, TURN, *said, end)
        assert (state.allowed_kinds, state.pause_reason) == ((), "")
    assert live(STARTED, TURN, *said, TurnResumed(1, "")).pause_reason == ""


def test_the_mode_is_the_one_switched_to_last():
    state = live(STARTED, TURN, ModeChanged("auto"), TurnEnded(1, "completed", "", ""))
    assert state.mode == "auto"


def test_own_cells_are_kept_ten_and_those_already_in_line_are_counted_for_the_turn():
    ran = [OwnCellRan(f"o{i}", f"x = {i}", "done", queued=i < 3) for i in range(12)]
    state = live(STARTED, TURN, *ran)
    assert [own.cell_id for own in state.person_cells] == [f"o{i}" for i in range(2, 12)]
    assert state.queued_cells == 3
    state = live(STARTED, TURN, *ran, TurnStarted(2, "again", "%%intern again"))
    assert state.queued_cells == 0


def test_a_cell_run_again_has_the_outcome_of_its_last_run():
    first = (CellStarted("a", "s", "one"), CellEnded("a", "failed", "NameError: x", 1.0))
    state = live(STARTED, PROPOSED, *first, CellStarted("a", "s", "two"))
    assert state.outcome_of("a") is None
    for n in numbered([CellEnded("a", "done", "", 2.0)], 6):
        state.apply(n)
    assert (state.outcome_of("a").state, state.outcome_of("a").source) == ("done", "two")


def test_proposing_a_cell_again_keeps_its_place():
    again = replace(PROPOSED, source="print(3)")
    state = live(STARTED, PROPOSED, replace(PROPOSED, cell_id="b"), again)
    assert [(c, r.number) for c, r in state.cells.items()] == [("a", 2), ("b", 3)]
    assert state.cells["a"].source == "print(3)"


def test_a_record_shown_again_replaces_the_earlier_one():
    first = {"what": "eval", "key": "k", "accuracy": 0.5}
    state = live(
        STARTED, RunRecorded(first, "a"), RunRecorded({"what": "job", "key": "k"}, "b"),
        RunRecorded({**first, "voided": "held-out read"}, "a"), RunRecorded({"what": "eval"}, "c"),
        RunRecorded({"what": "eval"}, "c"),
    )  # fmt: skip
    assert [r["what"] for r in state.runs] == ["eval", "job", "eval", "eval"]
    assert state.runs[0]["voided"] == "held-out read"
    assert state.runs[0]["cell_id"] == "a"


def test_a_plan_is_kept_and_a_held_out_read_changes_nothing():
    plan = PlanChanged(({"step": "x", "state": "done"},))
    state = live(STARTED, plan, HeldOutRead("f", "cell"))
    assert state == replace(live(STARTED, plan), last_number=3)


ids = st.sampled_from(["c1", "c2", "c3"])
calls = st.lists(st.builds(ToolCall, ids, st.just("t"), st.just("{}")), max_size=3).map(tuple)
facts = st.one_of(
    st.builds(Replied, st.integers(1, 9), st.text(max_size=3), calls, st.just(""), st.just("m")),
    st.builds(EffectSettled, st.integers(1, 9), ids, st.just("t"), st.booleans(), st.text()),
    st.builds(EffectIntended, st.integers(1, 9), ids, st.just("t"), st.just({})),
    st.builds(Steered, st.text()),
    st.builds(OwnCellRan, ids, st.text(), st.just("done")),
    st.builds(CellProposed, ids, ids, st.just("eval"), st.just("code"), st.just("1")),
    st.builds(CellEnded, ids, st.just("done"), st.just(""), st.just(1.0)),
    st.builds(Decided, ids, st.just(False), st.just("person")),
    st.builds(CellReturned, ids),
    st.builds(TurnStarted, st.integers(1, 9), st.text(), st.text()),
    st.builds(TurnResumed, st.integers(1, 9), st.text(max_size=3)),
    st.builds(TurnEnded, st.integers(1, 9), st.just("completed"), st.text(), st.text()),
    st.builds(Reserved, st.integers(1, 9), st.integers(0, 9), st.just(0.1)),
    st.builds(Settled, st.integers(1, 9), st.just(Usage(1, 1)), st.just(0.1), st.just(1.0)),
)  # fmt: skip


@given(st.lists(facts, max_size=40), st.integers(0, 40))
@settings(FAST, max_examples=200)
def test_whatever_is_committed_the_conversation_stays_valid_and_can_be_cut_anywhere(said, cut):
    whole = fold(numbered(said))
    resumed = fold(numbered(said[:cut]))
    for n in numbered(said[cut:], len(said[:cut]) + 1):
        resumed.apply(n)
    resumed.earlier = whole.earlier
    assert resumed == whole
    open_calls = []
    for message in whole.messages:
        if message.role == "tool":
            assert message.call_id in open_calls
            open_calls.remove(message.call_id)
        else:
            assert open_calls == []
            open_calls = [call.id for call in message.calls]
    assert sorted(open_calls) == sorted(call.id for call in whole.pending)


def test_a_fact_does_not_copy_what_is_already_there():
    def needed(state, first):
        """Memory that folding one step takes for a moment, in bytes; the least of some steps."""
        found = []
        for i in range(5):
            step = numbered(one_step(), first + 8 * i)
            tracemalloc.start()
            for n in step:
                state.apply(n)
            found.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        return min(found)

    state = fold(numbered([STARTED, TURN]))
    early = needed(state, 3)
    for i in range(4000):
        for n in numbered(one_step(), 100 + 8 * i):
            state.apply(n)
    assert needed(state, 50_000) < 2 * early
