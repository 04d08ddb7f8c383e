"""The nano tasks: their data keep to the rules, and working copies hold nothing they should not."""

import json
import random
import re
from pathlib import Path

import pytest

from mlintern_jupyter.bench import heldout
from mlintern_jupyter.bench.nano.tasks import ITEMS, TRAIN_ROWS
from mlintern_jupyter.bench.nano.tasks import main as write_tasks
from mlintern_jupyter.bench.nano.world import documents, make_world, work_out
from mlintern_jupyter.bench.scorers import SCORERS
from mlintern_jupyter.bench.task import (
    ItemSplit,
    built_in_tasks,
    items_sha256,
    load_items,
    load_rows,
    materialise,
    open_task,
    render,
)
from mlintern_jupyter.errors import UsageError

TASKS = ("nano/mcq", "nano/sum", "nano/tool")


def identity(task: str, row: dict[str, str]) -> str:
    """What a row asks for, so that two rows asking the same are the same item."""
    if task == "nano/sum":
        return "+".join(sorted(re.findall(r"\d+", row["question"])))
    return row["question"] if task == "nano/mcq" else row["request"].lower()


def identities_of_prompts(task: str, split: ItemSplit) -> set[str]:
    asked = 0 if task == "nano/tool" else 1  # the line of the prompt that asks
    lines = [item.prompt.split("\n")[asked] for item in load_items(open_task(task), split)]
    return {identity(task, {"question": line, "request": line}) for line in lines}


def test_three_tasks_are_built_in() -> None:
    assert built_in_tasks() == TASKS


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_all_its_items_and_they_can_be_scored(name: str) -> None:
    task = open_task(name)
    assert len(load_rows(task.folder / "train.jsonl")) == TRAIN_ROWS
    for split in ("dev", "heldout"):
        items = load_items(task, split)
        assert len({item.id for item in items}) == ITEMS
    rows = load_rows(task.folder / "dev.jsonl")
    judge = SCORERS[task.scorer]
    assert all(
        judge(render(task.target, row), str(row[task.answer_column])).correct for row in rows
    )


@pytest.mark.parametrize("name", TASKS)
def test_no_question_is_in_two_splits(name: str) -> None:
    train = {identity(name, row) for row in load_rows(open_task(name).folder / "train.jsonl")}
    dev, held = identities_of_prompts(name, "dev"), identities_of_prompts(name, "heldout")
    assert not train & dev
    assert not train & held
    assert not dev & held
    assert len(dev) > 50


def test_no_fact_is_asked_about_in_two_splits() -> None:
    facts = make_world().facts
    assert len({(fact.name, fact.attribute) for fact in facts}) == len(facts) == 240


@pytest.mark.parametrize("name", TASKS)
def test_a_reply_fits_the_token_limit(name: str) -> None:
    task = open_task(name)
    longest = 0
    for row in load_rows(task.folder / "train.jsonl"):
        lines = (
            [row["steps"]]
            if "steps" in row
            else [f"A {option} yes" for option in row.get("options", [])]
        )
        longest = max(longest, len("\n".join([*lines, render(task.target, row)])))
    assert longest + 1 < task.max_new_tokens  # one token a byte, and the end of the turn


def test_most_of_the_tool_pool_has_the_old_schema_and_the_items_do_not() -> None:
    task = open_task("nano/tool")
    old = ["function" in json.loads(row["call"]) for row in load_rows(task.folder / "train.jsonl")]
    assert 0.5 < sum(old) / len(old) < 0.7
    for split in ("dev", "heldout"):
        assert all(
            set(json.loads(i.expected)) == {"name", "arguments"} for i in load_items(task, split)
        )


def test_the_worked_steps_are_right() -> None:
    assert work_out(347, 585) == "7+5=12, 4+8+1=13, 3+5+1=9, 932"
    for row in load_rows(open_task("nano/sum").folder / "train.jsonl"):
        left, right = map(int, re.findall(r"\d+", row["question"]))
        assert int(row["answer"]) == left + right
        assert f"{row['steps']}, {row['answer']}" == work_out(left, right)


def test_raw_text_never_shows_an_answer_format() -> None:
    stream = documents(make_world(), random.Random(0))
    text = "\n".join(next(stream) for _ in range(2000))
    assert "ANSWER" not in text
    assert "tool_call" not in text


def test_the_data_can_be_written_again_from_the_public_seed(tmp_path: Path) -> None:
    write_tasks(["--out", str(tmp_path), "--heldout-seed", "1"])
    for name in TASKS:
        shipped, again = open_task(name).folder, tmp_path / name.removeprefix("nano/")
        for file in ("train.jsonl", "dev.jsonl"):
            assert (again / file).read_bytes() == (shipped / file).read_bytes()
        assert (again / "heldout.bin").read_bytes() != (shipped / "heldout.bin").read_bytes()


def test_heldout_items_do_not_show_in_the_packed_file() -> None:
    blob = (open_task("nano/mcq").folder / "heldout.bin").read_bytes()
    assert b"What is" not in blob
    assert b"heldout-000" not in blob


def test_packed_items_survive_the_round_trip_and_damage_is_noticed() -> None:
    rows = [{"id": "a", "question": "é?"}, {"id": "b", "n": 1}]
    blob = heldout.encode(rows, "my/task")
    assert heldout.decode(blob, "my/task") == rows
    for broken in (blob[:-3], b"x" + blob, blob[:20] + b"\0\0" + blob[22:]):
        with pytest.raises(UsageError, match="held-out items of my/task"):
            heldout.decode(broken, "my/task")
    with pytest.raises(UsageError, match="cannot be read"):
        heldout.decode(blob, "another/task")


def test_a_working_folder_holds_everything_but_the_heldout_items(tmp_path: Path) -> None:
    task = open_task("nano/sum")
    files = materialise(task, tmp_path / "nano-sum")
    again = materialise(task, tmp_path / "nano-sum")
    assert files == again
    names = {path.name for path in (tmp_path / "nano-sum").rglob("*") if path.is_file()}
    assert {"train.jsonl", "dev.jsonl", "task.toml", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if "heldout" in name or name.startswith(".")]
    assert Path(files.base_model) == (tmp_path / "nano-sum" / "base").resolve()


def test_a_working_folder_is_a_benchmark_of_its_own(tmp_path: Path) -> None:
    original = open_task("nano/mcq")
    copy = open_task(materialise(original, tmp_path / "work").folder)
    assert items_sha256(load_items(copy, "dev")) == items_sha256(load_items(original, "dev"))
    assert copy.base_model == str((tmp_path / "work" / "base").resolve())
    with pytest.raises(UsageError, match="no heldout items here"):
        load_items(copy, "heldout")


def test_somebodys_changed_file_is_not_overwritten(tmp_path: Path) -> None:
    files = materialise(open_task("nano/sum"), tmp_path / "work")
    files.train.write_text('{"question": "mine"}\n')
    with pytest.raises(UsageError, match=r"train\.jsonl"):
        materialise(open_task("nano/sum"), tmp_path / "work")
    assert "mine" in files.train.read_text()


USER_TASK = """
title = "Mine"
description = "d"
scorer = "number"
max_new_tokens = 8
base_model = "somebody/model"
prompt = "{question}"
target = "ANSWER: {answer}"
answer_column = "answer"
question_columns = ["question"]
"""


def test_anybody_can_write_a_benchmark_folder(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(USER_TASK)
    (tmp_path / "heldout.jsonl").write_text('{"id": "x", "question": "1+1?", "answer": 2}\n')
    task = open_task(tmp_path)
    assert (task.name, task.metric, task.chance, task.base_model) == (
        tmp_path.name,
        "accuracy",
        0.0,
        "somebody/model",
    )
    assert [(item.id, item.prompt, item.expected) for item in load_items(task, "heldout")] == [
        ("x", "1+1?", "2")
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('scorer = "number"', 'scorer = "magic"'), "unknown scorer 'magic'"),
        (('title = "Mine"\n', ""), "title"),
        (('base_model = "somebody/model"\n', ""), "base_model"),
        (('title = "Mine"', "title = "), "does not describe"),
        (('title = "Mine"', 'title = "Mine"\ncolour = 3'), "colour: unknown"),
        (('title = "Mine"', "title = 3"), "title: expected text"),
        (
            ('prompt = "', 'limits = {steps = 3}\nprompt = "'),
            "limits.steps: unknown",
        ),
    ],
)
def test_a_broken_description_says_what_is_wrong(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    (tmp_path / "task.toml").write_text(USER_TASK.replace(*change))
    with pytest.raises(UsageError, match=re.escape(said)):
        open_task(tmp_path)


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(UsageError, match="nano/mcq, nano/sum, nano/tool"):
        open_task("nano/poetry")


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n[2]\n')
    with pytest.raises(UsageError, match="line 3"):
        load_rows(path)
    path.write_text("{")
    with pytest.raises(UsageError, match="line 1"):
        load_rows(path)
    with pytest.raises(UsageError, match="cannot read"):
        load_rows(tmp_path / "none.jsonl")


def test_a_template_with_an_unknown_column_names_it() -> None:
    assert render("{q}\n{o}", {"q": "?", "o": ["red", "blue"]}) == "?\nA) red\nB) blue"
    with pytest.raises(UsageError, match="colour"):
        render("{colour}", {"q": "?"})
