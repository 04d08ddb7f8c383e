"""The pages that ship: they read, render, obey the rules of cells, and do what they say."""

import ast
import asyncio
import contextlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlintern_jupyter.bench.nano.tokens import write_tokenizer
from mlintern_jupyter.recipes.book import MARKDOWN_KINDS, STAGES, Book, Recipe
from mlintern_jupyter.tools.base.answer import finished
from mlintern_jupyter.tools.base.lint import check_cell
from mlintern_jupyter.tools.research.recipe import RecipeTools

BOOK = Book.load()
PAGES = list(BOOK.pages.values())
JOBS = [page for page in PAGES if page.kind == "script"]
EXAMPLES: dict[str, Any] = {"jobs": ["a", "b"], "names": ["a"], "models": ["m"], "chance": 0.25}
OURS = re.compile(r"^(?:from|import) mlintern_jupyter", re.MULTILINE)


def example(page: Recipe) -> dict[str, Any]:
    needed = {n: EXAMPLES.get(n, "word") for n, v in page.values.items() if v.required}
    return page.fill(needed | ({"max_new_tokens": 64} if "max_new_tokens" in needed else {}))


def test_every_page_can_be_read():
    assert BOOK.problems == ()
    assert len(PAGES) >= 15


def test_every_stage_has_a_page():
    assert {page.stage for page in PAGES} == set(STAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_renders_into_a_cell_that_passes_the_lint(page: Recipe):
    code = page.render(example(page))
    cell_type = "markdown" if page.kind in MARKDOWN_KINDS else "code"
    check_cell(code, cell_type, lambda _: False)
    assert "{{" not in code
    if cell_type == "code":
        assert max(map(len, code.splitlines())) <= 100


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_says_on_what_it_rests(page: Recipe):
    assert len(page.line) < 100
    assert page.sources or page.stage in {"setup", "plot", "literature"}
    assert set(page.after) <= set(BOOK.pages)


@pytest.mark.parametrize("page", JOBS, ids=lambda p: p.name)
def test_training_script_is_plain_python_with_public_libraries_and_keeps_the_contract(page: Recipe):
    magic, _, script = page.render(example(page)).partition("\n")
    assert re.fullmatch(r"%%job \S+ --on \S+", magic)
    assert script.startswith("# /// script\n")
    ast.parse(script)
    assert not OURS.search(script)
    for promised in (
        'os.environ.get("MLINTERN_MAX_STEPS"',
        'os.environ["MLINTERN_JOB_DIR"]',
        '"metrics.jsonl"',
        '"result.json"',
        "disable_tqdm=True",
        "use_cpu=not GPU",
        "bf16=GPU",
        "generation_config.eos_token_id",
        "tokenizer.save_pretrained",
        "seed=SEED",
    ):
        assert promised in script


def test_list_of_the_shipped_recipes_fits_into_the_facts_line():
    tools = RecipeTools(BOOK, lambda: {})
    told = finished(asyncio.run(tools.recipe(None)))  # type: ignore[arg-type]
    assert {r["name"] for r in told.facts["recipes"]} == set(BOOK.pages)


# What pages for cells do, on small data ---------------------------------------------------------


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "task"
    (folder / "base").mkdir(parents=True)
    write_tokenizer(folder / "base")
    (folder / "base" / "generation_config.json").write_text('{"eos_token_id": 0}')
    (folder / "task.toml").write_text(
        'prompt = "{question}\\n{options}"\n'
        'target = "ANSWER: {answer}"\n'
        'answer_column = "answer"\n'
        'question_columns = ["question", "options"]\n'
    )
    rows(folder / "train.jsonl", [row(f"Which is {word}?") for word in WORDS])
    rows(folder / "dev.jsonl", [row(f"Who wants {word}?") for word in WORDS])
    monkeypatch.chdir(tmp_path)
    return folder


WORDS = ["red", "blue", "green", "black", "white", "pink", "grey", "brown"]


def row(question: str, answer: str = "A") -> dict[str, Any]:
    return {"question": question, "options": ["left", "right"], "answer": answer}


def rows(path: Path, what: list[Any]) -> None:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in what]
    path.write_text("\n".join(lines) + "\n")


def run(name: str, **values: Any) -> dict[str, Any]:
    """Run a page's cell; returns the facts it said."""
    page = BOOK.pages[name]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(page.render(page.fill(values)), name, "exec"), {"__name__": "__main__"})
    last = said.getvalue().rstrip().rpartition("\n")[2]
    return json.loads(last.removeprefix("facts: "))


def audit(folder: Path) -> dict[str, Any]:
    found = run(
        "audit-data",
        folder=str(folder),
        data=str(folder / "train.jsonl"),
        model=str(folder / "base"),
        out=str(folder / "made"),
    )
    return found["audit"]


def test_audit_of_healthy_rows_finds_nothing_wrong(task: Path):
    found = audit(task)
    assert (found["rows"], found["bad_rows"], found["options"]) == (8, 0, 2)
    assert found["prompt_is_prefix"] is True
    assert "worked" not in found


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("unreadable", ['{"question": "cut of']),
        ("incomplete", [{"question": "Which is tall?", "options": ["a", "b"], "answer": ""}]),
        ("other_format", [row("Which is tall?", answer='{"choice": 1}')]),
        ("duplicate", [row("Which is red?")]),
        (
            "contradiction",
            [row("Which is tall?"), row("Which is tall?"), row("Which is tall?", "B")],
        ),
        ("overlap", [row("Who wants blue?")]),
    ],
)
def test_audit_finds_each_kind_of_bad_row_and_cleaning_drops_just_those(
    task: Path, kind: str, bad: list[Any]
):
    good = [row(f"Which is {word}?") for word in WORDS]
    rows(task / "train.jsonl", [*good, *bad])
    found = audit(task)
    assert found[kind] >= 1
    cleaned = run(
        "clean-rows",
        data=str(task / "train.jsonl"),
        wrong_rows=found["wrong_rows"],
        out=str(task / "clean"),
    )["clean"]
    left = Path(cleaned["data"]).read_text().splitlines()
    assert left[: len(good)] == [json.dumps(r) for r in good]
    assert cleaned["kept"] == len(left) == 8 + len(bad) - round(found["bad_rows"] * found["rows"])


def test_audit_takes_the_same_options_in_another_order_for_practice_not_for_a_duplicate(task: Path):
    turned = {"question": "Which is red?", "options": ["right", "left"], "answer": "B"}
    rows(task / "train.jsonl", [*[row(f"Which is {w}?") for w in WORDS], turned])
    assert audit(task)["bad_rows"] == 0


def test_audit_names_the_column_with_worked_steps(task: Path):
    rows(task / "train.jsonl", [row(f"Which is {w}?") | {"steps": "look"} for w in WORDS])
    assert audit(task)["worked"] == "steps"


def test_stop_token_fault_is_found_and_the_repaired_copy_has_none(task: Path):
    assert audit(task)["end_token_stops"] is False
    made = run("fix-stop-token", model=str(task / "base"), out=str(task / "mended"))
    shutil.rmtree(task / "base")
    Path(made["fix"]["model"]).rename(task / "base")
    assert audit(task)["end_token_stops"] is True
    stops = json.loads((task / "base" / "generation_config.json").read_text())["eos_token_id"]
    assert stops == [3, 0], "the old stop token still stops"
