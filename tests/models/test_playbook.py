"""The playbook as a Model: a pure function of messages and seed."""

import asyncio
import json

import pytest
from playbook_world import SPECS, World, drive, mcq

from mlintern_jupyter.events import CellEnded, OwnCellRan
from mlintern_jupyter.messages import Message, View
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.models.playbook.planner import Playbook
from mlintern_jupyter.record.notices import late_cell_line, person_cell_line, returned_cell_line
from mlintern_jupyter.usage import Usage


def ask(messages, model: Playbook | None = None, tools=SPECS):
    model = model or Playbook()
    heard: list[str] = []
    view = View(tuple(messages), tools, 8192)
    reply = asyncio.run(model.complete(view, heard.append))
    assert "".join(heard) == reply.text
    return reply


def test_reply_depends_on_the_messages_alone():
    told, model = drive(mcq()), Playbook()
    ends = [n for n, m in enumerate(told.messages) if m.role == "assistant"]
    # Backwards and with one instance: nothing remembered from another call can help or harm.
    for end in reversed(ends):
        reply = ask(told.messages[:end], model)
        assert (reply.text, reply.calls) == (told.messages[end].text, told.messages[end].calls)


def test_turn_goes_on_where_it_stopped_after_a_new_kernel():
    told = drive(mcq())
    cut = [n for n, m in enumerate(told.messages) if m.role == "assistant"][12]
    note = Message("user", "The session goes on in a new kernel. These names are gone: base.")
    resumed = ask([*told.messages[:cut], note])
    assert [(c.name, c.arguments) for c in resumed.calls] == [
        (c.name, c.arguments) for c in told.messages[cut].calls
    ]
    assert resumed.text == told.messages[cut].text


def test_reply_costs_nothing_and_says_so():
    model = Playbook()
    reply = ask([Message("user", World().briefing())], model)
    assert (reply.usage, reply.stop) == (Usage(), "tool_calls")
    assert model.unmetered
    assert model.price is None


def test_calls_of_a_turn_have_ids_of_their_own():
    told = drive(mcq())
    ids = [call.id for m in told.messages for call in m.calls]
    assert len(ids) == len(set(ids)) > 20


def test_request_without_a_runnable_benchmark_is_declined_without_a_call():
    for facts in (
        {"goal": "improve GPQA", "benchmark": {"name": "GPQA", "folder": None}},
        {"goal": "x"},
    ):
        reply = ask([Message("user", f"improve\n\nfacts: {json.dumps(facts)}")])
        assert reply.stop == "stop"
        assert "a language model is needed" in reply.text


def test_missing_tools_are_named():
    reply = ask([Message("user", World().briefing())], tools=SPECS[:2])
    assert reply.calls == ()
    assert "recipe, evaluate, compare" in reply.text


def test_words_of_the_person_are_repeated_as_not_understood_and_change_nothing():
    quiet, steered = drive(mcq()), drive(mcq(), said={5: "use Qwen3 instead"})
    assert steered.calls == quiet.calls
    answers = [m.text for m in steered.messages if m.role == "assistant" and "Qwen3" in m.text]
    assert len(answers) == 1
    assert "does not understand" in answers[0]


def test_what_the_session_says_of_cells_are_no_words_to_answer():
    said = {
        5: person_cell_line(OwnCellRan("x1", "1/0", "failed")),
        6: late_cell_line(CellEnded("x2", "done", "", 1.0)),
        7: returned_cell_line("x3"),
    }
    told = drive(mcq(), said=said)
    assert not [m for m in told.messages if m.role == "assistant" and "understand" in m.text]


def test_cell_that_has_not_ended_is_waited_for_and_changes_nothing_else():
    quiet, interrupted = drive(mcq()), drive(mcq(early=2))
    waits = [arguments for name, arguments in interrupted.calls if name == "wait_cell"]
    assert [call for call in interrupted.calls if call[0] != "wait_cell"] == quiet.calls
    waited_for = [n for n, _ in quiet.calls if n in {"write_cell", "evaluate", "compare"}]
    assert len(waits) == 2 * len(waited_for) > 20
    assert interrupted.final == quiet.final
    ends = [n for n, m in enumerate(interrupted.messages) if m.role == "assistant"]
    for end in reversed(ends):
        reply = ask(interrupted.messages[:end])
        told = interrupted.messages[end]
        assert (reply.text, reply.calls) == (told.text, told.calls)


def test_cell_nobody_saw_end_is_proposed_once_more():
    told = drive(mcq(cells={"audit-data": "unknown,done"}))
    assert told.recipes.count("audit-data") == 2
    assert "not audited" not in told.source("report")


def test_new_request_in_the_same_session_starts_a_new_course():
    told = drive(mcq())
    again = ask([*told.messages, Message("user", World(name="tiny/other").briefing())])
    assert again.calls[0].name == "plan"
    assert "tiny/other" in again.text


@pytest.mark.parametrize(("name", "seed"), [("playbook", 0), ("playbook:7", 7)])
def test_seed_of_the_name_is_the_seed_of_the_trainings(name: str, seed: int):
    plan = resolve("playbook", api_base=None, price=None, env={})
    model = Playbook(plan if name == "playbook" else type(plan)(**{**vars(plan), "name": name}))
    told = drive(mcq(), model=model)
    assert f"SEED = {seed + 1}\n" in told.source("sft-answer-only")


def test_facts_line_inside_a_longer_text_is_not_taken_for_the_briefing():
    bait = json.dumps({"goal": "x", "benchmark": {"folder": "f", "base_model": "m", "name": "n"}})
    reply = ask([Message("user", f"facts: {bait}\nand do something else")])
    assert reply.calls == ()
