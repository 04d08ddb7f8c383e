import asyncio
import re

import pytest
from notebook_double import Notebook, Person, facts_in, stdout

from mlintern_jupyter.cells import CellView
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.events import CellProposed, CellStarted, Decided, PlanChanged, RunRecorded
from mlintern_jupyter.tools.base.cell_writer import cell_id_of

EVAL = {
    "v": 1,
    "what": "eval",
    "key": "k1",
    "name": "base",
    "model": "m",
    "task": "nano/mcq",
    "split": "dev",
    "n": 200,
    "accuracy": 0.31,
    "ci95": [0.25, 0.38],
    "correct": "ff",
    "rates": {"stopped": 0.2},
    "errors": 0,
    "chance": 0.25,
    "voided": "",
}
JOB = {
    "what": "job",
    "key": "k2",
    "name": "sft",
    "state": "completed",
    "steps": 2,
    "seconds": 3.0,
    "metrics": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}],
    "outputs": {"model": "jobs/sft/model"},
}


def write(notebook: Notebook, source: str = "1 + 1", *, kind: str = "dataset", **more):
    return notebook.call("write_cell", kind=kind, source=source, why="to see", **more)


def test_code_cell_is_proposed_and_its_outputs_come_back():
    notebook = Notebook(persons=[Person(outputs=(stdout("hello\n"),))])
    result = write(notebook, "print('hello')", setup=True, sources=["https://example.org/a"])
    (proposed,) = notebook.of(CellProposed)
    cell = notebook.inserted[proposed.cell_id]
    assert (cell.cell_type, cell.mark.state, cell.mark.setup) == ("code", "proposed", True)
    assert cell.mark.sources == ("https://example.org/a",)
    assert "hello" in result.text
    assert result.ok
    assert facts_in(result.text) == {"cell": proposed.cell_id, "state": "done"}
    assert notebook.asked_to_run == []


def test_markdown_kinds_return_at_once_and_are_never_run():
    notebook = Notebook(auto_run=True)
    result = write(notebook, "# What is known", kind="literature")
    (cell,) = notebook.inserted.values()
    assert (cell.cell_type, cell.mark.state) == ("markdown", "done")
    assert result.facts == {"cell": cell.id, "state": "written"}
    assert notebook.asked_to_run == []


def test_cell_id_is_a_function_of_session_and_call_and_valid_in_nbformat():
    assert cell_id_of("s", "c") == cell_id_of("s", "c")
    assert len({cell_id_of("s", "c"), cell_id_of("s", "d"), cell_id_of("t", "c")}) == 3
    assert re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", cell_id_of("séssion", "call \ud800"))


def test_same_call_again_after_a_crash_makes_no_second_cell():
    notebook = Notebook(persons=[Person()])
    first = write(notebook)
    again = write(notebook)
    assert len(notebook.inserted) == 1
    assert len(notebook.of(CellProposed)) == 1
    assert first.facts["cell"] == again.facts["cell"]


def test_repeated_call_id_with_another_text_gets_a_cell_of_its_own():
    notebook = Notebook()
    assert write(notebook, "1").facts["cell"] != write(notebook, "2").facts["cell"]
    assert len(notebook.inserted) == 2


def test_auto_run_records_the_decision_before_it_runs_the_cell():
    notebook = Notebook(auto_run=True)
    result = write(notebook)
    (decided,) = notebook.of(Decided)
    assert decided == Decided(result.facts["cell"], run=True, by="mode")
    assert notebook.asked_to_run == [result.facts["cell"]]


def test_settled_cell_is_not_run_a_second_time_by_the_mode():
    notebook = Notebook(auto_run=True)
    write(notebook)
    write(notebook)
    assert len(notebook.asked_to_run) == 1
    assert len(notebook.of(Decided)) == 1


def test_cell_that_was_decided_but_not_started_is_run_after_a_crash():
    notebook = Notebook(auto_run=True)
    cell_id = cell_id_of("s-1", "call-1")
    notebook.commit(CellProposed(cell_id, "call-1", "dataset", "code", "1 + 1"))
    notebook.commit(Decided(cell_id, run=True, by="mode"))
    assert write(notebook).ok
    assert notebook.asked_to_run == [cell_id]
    assert len(notebook.of(Decided)) == 1


def test_cell_whose_end_nobody_saw_is_unknown_and_not_run_again():
    notebook = Notebook(auto_run=True)
    cell_id = cell_id_of("s-1", "call-1")
    notebook.commit(CellProposed(cell_id, "call-1", "dataset", "code", "1 + 1"))
    notebook.commit(CellStarted(cell_id, "sha", "1 + 1"))
    notebook.state.earlier = notebook.state.last_number
    result = write(notebook)
    assert (result.ok, result.facts["state"]) == (False, "unknown")
    assert notebook.asked_to_run == []


def test_edit_of_the_person_is_shown_as_a_diff_and_stands():
    notebook = Notebook(persons=[Person(edit="lr = 1e-5\nprint(lr)")])
    result = write(notebook, "lr = 1e-3\nprint(lr)")
    assert "-lr = 1e-3\n+lr = 1e-5" in result.text
    assert "stands" in result.text
    assert result.facts["edited"] is True


def test_blank_space_at_line_ends_is_no_edit():
    notebook = Notebook(persons=[Person(edit="1 + 1  \n")])
    assert "edited" not in write(notebook, "1 + 1").facts


def test_skipped_cell_tells_the_reason():
    notebook = Notebook(persons=[Person(state="skipped", reason="too expensive")])
    result = write(notebook)
    assert not result.ok
    assert "too expensive" in result.text
    assert result.facts["state"] == "skipped"


def test_failed_cell_tells_its_error():
    error = {
        "output_type": "error",
        "ename": "KeyError",
        "evalue": "'x'",
        "traceback": ["\x1b[31mKeyError\x1b[0m: 'x'"],
    }
    notebook = Notebook(persons=[Person(state="failed", outputs=(error,), error="KeyError: 'x'")])
    result = write(notebook)
    assert result.text.count("KeyError: 'x'") == 2  # once shown, once in the facts
    assert "\x1b" not in result.text
    assert result.facts["error"] == "KeyError: 'x'"


def test_records_become_facts_and_are_recorded_as_runs():
    notebook = Notebook(persons=[Person(records=(EVAL, JOB))])
    facts = write(notebook).facts
    assert facts["eval"]["accuracy"] == 0.31
    assert facts["eval"]["rates"] == {"stopped": 0.2}
    assert "correct" not in facts["eval"]
    assert facts["job"] == {
        "name": "sft",
        "state": "completed",
        "steps": 2,
        "seconds": 3.0,
        "first_loss": 2.0,
        "last_loss": 1.0,
        "model": "jobs/sft/model",
    }
    assert [fact.record["what"] for fact in notebook.of(RunRecorded)] == ["eval", "job"]
    table = notebook.call("experiments")
    assert "accuracy 0.31" in table.text
    assert len(table.facts["experiments"]) == 2


def test_two_evaluations_in_a_cell_are_both_facts():
    notebook = Notebook(persons=[Person(records=(EVAL, {**EVAL, "name": "best", "key": "k9"}))])
    facts = write(notebook).facts
    assert facts["eval"]["name"] == "best"
    assert [e["name"] for e in facts["evals"]] == ["base", "best"]


def test_last_facts_line_a_cell_prints_comes_back_as_facts():
    printed = 'facts: {"audit": {"rows": 1}}\nrows\nfacts: {"audit": {"rows": 2}}\n'
    notebook = Notebook(persons=[Person(outputs=(stdout(printed),))])
    result = write(notebook)
    assert result.facts["audit"] == {"rows": 2}
    assert result.text.count("facts: ") == 1


def test_a_cell_cannot_print_itself_an_evaluation():
    printed = 'facts: {"eval": {"accuracy": 1.0}, "state": "done", "seen": 1}\n'
    notebook = Notebook(persons=[Person(state="failed", outputs=(stdout(printed),))])
    facts = write(notebook).facts
    assert "eval" not in facts
    assert (facts["state"], facts["seen"]) == ("failed", 1)


@pytest.mark.parametrize("line", ["facts: [1]", "facts: {", "facts: " + "[" * 100_000])
def test_facts_line_that_is_no_object_is_ignored(line):
    notebook = Notebook(persons=[Person(outputs=(stdout(line + "\n"),))])
    assert set(write(notebook).facts) == {"cell", "state"}


def test_edit_of_a_cell_that_ran_proposes_a_new_one_below():
    notebook = Notebook()
    cell_id = write(notebook).facts["cell"]
    result = notebook.call(
        "edit_cell", call="call-2", cell_id=cell_id, source="2 + 2", why="better"
    )
    assert result.facts["cell"] != cell_id
    assert notebook.inserted[cell_id].source == "1 + 1"
    assert notebook.inserted[result.facts["cell"]].mark.parents == (cell_id,)


def test_edit_of_a_cell_that_did_not_run_changes_its_text():
    notebook = Notebook()
    notebook.commit(CellProposed("c-1", "call-0", "dataset", "code", "1 + 1"))
    result = notebook.call("edit_cell", call="call-2", cell_id="c-1", source="2 + 2", why="better")
    assert result.facts["cell"] == "c-1"
    assert notebook.inserted["c-1"].source == "2 + 2"
    assert notebook.state.cells["c-1"].proposed.source == "2 + 2"


def test_cells_of_the_person_cannot_be_edited():
    notebook = Notebook(own=[CellView("own-1", "code", "mine = 1")])
    with pytest.raises(ToolError, match="no cell of this session"):
        notebook.call("edit_cell", cell_id="own-1", source="x", why="y")
    assert notebook.facts == []


def test_notebook_overview_tells_own_cells_from_the_persons():
    notebook = Notebook(own=[CellView("own-1", "code", "mine = 1\nmore")])
    mine = write(notebook).facts["cell"]
    text = notebook.call("read_notebook").text
    assert "0  own-1  own/code  mine = 1\n" in text
    assert f"1  {mine}  dataset/done  1 + 1" in text


def test_one_cell_is_read_whole_with_its_outputs():
    notebook = Notebook(persons=[Person(outputs=(stdout("seen\n"),))])
    mine = write(notebook, "a = 1\nprint('seen')").facts["cell"]
    text = notebook.call("read_notebook", cell_id=mine).text
    assert "a = 1\nprint('seen')" in text
    assert "\nseen\n" in text
    with pytest.raises(ToolError, match="there is no cell"):
        notebook.call("read_notebook", cell_id="nowhere")


def plan(notebook: Notebook, *states: str, call: str = "call-1"):
    items = [{"step": f"step {i}", "state": state} for i, state in enumerate(states)]
    return notebook.call("plan", call=call, items=items)


def test_first_plan_becomes_a_cell_later_ones_only_a_fact():
    notebook = Notebook()
    plan(notebook, "active", "pending")
    result = plan(notebook, "done", "active", call="call-2")
    (cell,) = notebook.inserted.values()
    assert cell.source == "### Plan\n\n- [ ] step 0\n- [ ] step 1"
    assert len(notebook.of(PlanChanged)) == 2
    assert result.facts["plan"] == {"done": 1, "of": 2, "active": "step 1"}


def test_finished_plan_is_ticked_off_in_its_cell():
    notebook = Notebook()
    plan(notebook, "active")
    plan(notebook, "done", call="call-2")
    (cell,) = notebook.inserted.values()
    assert cell.source == "### Plan\n\n- [x] step 0"
    assert notebook.state.cells[cell.id].proposed.source == cell.source


@pytest.mark.parametrize("states", [(), ("active", "active"), ("pending",) * 13])
def test_plan_that_breaks_a_rule_is_refused(states):
    notebook = Notebook()
    with pytest.raises(ToolError):
        plan(notebook, *states)
    assert notebook.facts == []


def test_the_stretch_until_a_person_decides_is_waiting_and_the_run_is_work():
    notebook = Notebook()
    write(notebook)
    kinds = [type(fact).__name__ for fact in notebook.facts]
    assert notebook.waits == ["waiting", "working"]
    assert kinds == ["CellProposed", "CellStarted", "CellEnded"]
    alone = Notebook(auto_run=True)
    write(alone)
    assert alone.waits == []


def test_whether_a_cell_runs_alone_is_judged_by_its_kind_and_text():
    asked = []
    notebook = Notebook(auto_run=lambda kind, source: asked.append((kind, source)) or False)
    write(notebook, "2 + 2")
    notebook.call("evaluate", call="call-2", task="nano/mcq", name="base", model="m")
    assert asked[0] == ("dataset", "2 + 2")
    assert asked[1][0] == "eval"
    assert 'evaluate("m", task="nano/mcq", name="base")' in asked[1][1]
    assert notebook.asked_to_run == []


def test_the_expectation_is_recorded_with_the_proposal():
    notebook = Notebook()
    write(notebook)
    assert notebook.of(CellProposed)[0].why == "to see"


@pytest.mark.parametrize(
    ("speaks", "state", "says"),
    [
        ("before", "proposed", "still waits for the person"),
        ("while it runs", "running", "not ended"),
    ],
)
def test_a_call_comes_back_early_when_the_person_speaks(speaks, state, says):
    notebook = Notebook(persons=[Person(speaks=speaks)])
    result = write(notebook)
    assert result.ok
    (proposed,) = notebook.of(CellProposed)
    assert result.facts == {"cell": proposed.cell_id, "state": state}
    assert says in result.text
    assert "wait_cell" in result.text
    assert notebook.waits == ["waiting", "working"]


def test_waiting_on_brings_what_the_call_would_have_brought():
    notebook = Notebook(persons=[Person(speaks="before")])
    cell_id = write(notebook, "lr = 1").facts["cell"]
    notebook.attention = asyncio.Event()
    notebook.persons.append(Person(edit="lr = 2", outputs=(stdout("seen\n"),), records=(EVAL,)))
    result = notebook.call("wait_cell", call="call-2", cell_id=cell_id)
    assert "-lr = 1\n+lr = 2" in result.text
    assert "seen" in result.text
    assert result.facts["eval"]["accuracy"] == 0.31
    assert len(notebook.of(RunRecorded)) == 1
    assert len(notebook.inserted) == 1


def test_waiting_for_a_cell_that_ended_answers_at_once_even_when_the_person_spoke():
    notebook = Notebook(persons=[Person(outputs=(stdout("seen\n"),))])
    cell_id = write(notebook).facts["cell"]
    notebook.attention.set()
    assert "seen" in notebook.call("wait_cell", call="call-2", cell_id=cell_id).text


def test_waiting_for_a_cell_runs_it_where_the_mode_lets_it_now():
    notebook = Notebook(persons=[Person(speaks="before")])
    cell_id = write(notebook).facts["cell"]
    notebook.attention = asyncio.Event()
    notebook.auto_run = True
    notebook.call("wait_cell", call="call-2", cell_id=cell_id)
    assert notebook.asked_to_run == [cell_id]


def test_a_cell_of_the_person_or_of_markdown_is_not_waited_for():
    notebook = Notebook(own=[CellView("own-1", "code", "mine = 1")])
    with pytest.raises(ToolError, match="no cell of this session"):
        notebook.call("wait_cell", cell_id="own-1")
    cell_id = write(notebook, "# Known", kind="note").facts["cell"]
    assert notebook.call("wait_cell", call="c2", cell_id=cell_id).facts["state"] == "written"


def test_edit_that_is_made_again_waits_for_its_cell_instead_of_a_new_one():
    notebook = Notebook(persons=[Person(speaks="before"), Person(speaks="before")])
    notebook.call("write_cell", kind="run", source="1", why="w")
    (cell,) = notebook.inserted
    for call in ("first", "again"):
        notebook.attention.clear()
        if call == "again":
            # The process died; meanwhile the person ran the cell as it was changed.
            asyncio.run(notebook.wait_begun(cell))
        result = notebook.call("edit_cell", call="c-2", cell_id=cell, source="2", why="w")
    assert result.facts["state"] == "done"
    assert list(notebook.inserted) == [cell]
