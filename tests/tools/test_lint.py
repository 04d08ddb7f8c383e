import pytest
from notebook_double import Notebook

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.tools.base.lint import check_cell


def check(source: str, cell_type: str = "code") -> None:
    check_cell(source, cell_type, lambda text: "HF_TOKEN" if "hf_secret" in text else None)


@pytest.mark.parametrize(
    "source",
    [
        "%pip list\n!ls\nx = !pwd\nprint(x)",
        "await thing()",
        "%%bash\nif [ -f x ]; then echo y; fi",
        "%%time\n!ls",
        "%%job sft --on local\n# /// script\n# ///\ntrainer = SFTTrainer(model)\ntrainer.train()",
        "model.train()\nmodel.eval()",
        "len?",
        "s = 'a family: 👨\u200d👩\u200d👧'",
    ],
)
def test_cells_that_may_run_pass(source):
    check(source)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("x = 1\nif x\n  y", "line 2"),
        ("%%job sft\nx = 1\n%pip list", "line 3"),
        ("%%job sft\n\n", "no script"),
        ("%%time\nx = (", "line 2"),
        ("trainer = SFTTrainer(model)\ntrainer.train()", "line 2 trains in the kernel"),
        ("t = trl.GRPOTrainer(m)\nt.train()", "trains in the kernel"),
        ("SFTTrainer(m).train(resume_from_checkpoint=True)", "%%job NAME --on local"),
        ("%%time\nmy_trainer.train()", "trains in the kernel"),
        ("token = 'hf_secret'", "a secret: HF_TOKEN"),
        ("access = 'user\u202e' # \u2066admin", "U+202E"),
        ("x\u200b = 1", "U+200B"),
        ("x = 1 \x1b[2K", "U+001B"),
    ],
)
def test_cells_that_cannot_be_right_are_refused_with_place_and_fix(source, said):
    with pytest.raises(ToolError) as caught:
        check(source)
    assert said in str(caught.value)


def test_markdown_is_not_parsed_but_holds_no_secret_either():
    check("if x\n  trainer.train()", "markdown")
    with pytest.raises(ToolError, match="secret"):
        check("the token is hf_secret", "markdown")


def test_refused_cell_leaves_no_trace():
    notebook = Notebook()
    with pytest.raises(ToolError):
        notebook.call("write_cell", kind="script", source="x = (", why="w")
    assert notebook.facts == []
    assert notebook.inserted == {}
