import pytest
from notebook_double import Notebook, Person

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.tools.compute.evaluate import comparison_cell, identifier, statements_defining


def ran(notebook: Notebook) -> list[str]:
    return [cell.source for cell in notebook.inserted.values()]


def evaluate(notebook: Notebook, name: str, **more):
    return notebook.call("evaluate", call=f"call-{name}", task="nano/mcq", name=name, **more)


def test_evaluation_of_a_path_is_a_plain_cell():
    notebook = Notebook()
    evaluate(notebook, "base", model='nano-mcq/"model"')
    assert ran(notebook) == [
        "from mlintern_jupyter import evaluate\n\n"
        'base = evaluate("nano-mcq/\\"model\\"", task="nano/mcq", name="base")'
    ]


def test_evaluation_of_a_job_begins_with_its_result():
    notebook = Notebook()
    evaluate(notebook, "best", job="sft-lora", split="heldout")
    assert ran(notebook) == [
        "from mlintern_jupyter import evaluate, job\n\n"
        'sft_lora = job("sft-lora").result()\n'
        'best = evaluate(sft_lora.model, task="nano/mcq", name="best", split="heldout")'
    ]


def test_evaluation_named_like_its_job_does_not_overwrite_it():
    notebook = Notebook()
    evaluate(notebook, "sft", job="sft")
    assert 'sft_job = job("sft").result()\nsft = evaluate(sft_job.model' in ran(notebook)[0]


@pytest.mark.parametrize("more", [{}, {"model": "m", "job": "j"}])
def test_evaluation_needs_a_model_or_a_job(more):
    with pytest.raises(ToolError, match="one of model and job"):
        evaluate(Notebook(), "base", **more)


@pytest.mark.parametrize("name", ["", "a b", "x" * 41, "'; import os", "é"])
def test_unsafe_name_of_an_evaluation_is_refused(name):
    with pytest.raises(ToolError, match="short name"):
        evaluate(Notebook(), name, model="m")


@pytest.mark.parametrize(
    ("name", "variable"),
    [("base", "base"), ("1st", "_1st"), ("a-b.c", "a_b_c"), ("class", "class_"), ("job", "job_")],
)
def test_names_become_variables_that_hide_nothing(name, variable):
    assert identifier(name) == variable
    exec(f"{variable} = 1", {})


def test_comparison_says_everything_it_needs_and_runs_alone():
    notebook = Notebook()
    evaluate(notebook, "base", model="nano-mcq/model")
    evaluate(notebook, "best", job="sft-1")
    notebook.call("compare", call="call-c", baseline="base", chosen="best", tests=2)
    source = ran(notebook)[-1]
    assert source == (
        "from mlintern_jupyter import compare, evaluate, job\n\n"
        'base = evaluate("nano-mcq/model", task="nano/mcq", name="base")\n'
        'sft_1 = job("sft-1").result()\n'
        'best = evaluate(sft_1.model, task="nano/mcq", name="best")\n'
        "verdict = compare(base, best, tests=2)"
    )


def test_comparison_follows_the_text_that_ran_not_the_text_proposed():
    edited = 'from mlintern_jupyter import evaluate\nx = evaluate("other", task="t", name="base")'
    notebook = Notebook(persons=[Person(edit=edited)])
    evaluate(notebook, "base", model="m")
    evaluate(notebook, "best", model="n")
    notebook.call("compare", call="call-c", baseline="base", chosen="best")
    assert 'base = evaluate("other", task="t", name="base")' in ran(notebook)[-1]


def test_evaluation_made_with_names_of_another_cell_is_taken_from_its_record():
    record = {"what": "eval", "key": "k", "name": "mine", "model": "p", "task": "t", "split": "dev"}
    notebook = Notebook(persons=[Person(records=(record,))])
    notebook.call(
        "write_cell", kind="eval", source='m = evaluate(path, task="t", name="mine")', why="w"
    )
    evaluate(notebook, "best", model="n")
    notebook.call("compare", call="call-c", baseline="mine", chosen="best")
    assert 'mine = evaluate("p", task="t", name="mine")' in ran(notebook)[-1]


def test_failed_evaluation_cannot_be_compared():
    notebook = Notebook(persons=[Person(state="failed")])
    evaluate(notebook, "base", model="m")
    with pytest.raises(ToolError, match="no finished evaluation named 'base'"):
        notebook.call("compare", call="call-c", baseline="base", chosen="best")


def test_comparison_keeps_an_evaluation_from_being_overwritten_by_a_job():
    source = comparison_cell(
        "sft",
        "best",
        [['sft = evaluate("m")'], ['sft = job("sft").result()', "best = evaluate(sft.model)"]],
        1,
    )
    assert source.endswith(
        'sft_scores = evaluate("m")\nsft = job("sft").result()\n'
        "best = evaluate(sft.model)\nverdict = compare(sft_scores, best)"
    )


@pytest.mark.parametrize("source", ["x = (", "%%time\nx = 1", "evaluate('m', name='base')", ""])
def test_text_that_makes_no_evaluation_is_passed_over(source):
    assert statements_defining(source, "base") == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"baseline": "a", "chosen": "a"},
        {"baseline": "a", "chosen": "b", "tests": 0},
    ],
)
def test_comparison_that_means_nothing_is_refused(arguments):
    with pytest.raises(ToolError):
        Notebook().call("compare", **arguments)
