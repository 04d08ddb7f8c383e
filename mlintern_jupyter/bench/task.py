"""A benchmark is a folder; the nano tasks are three of them, and anybody can write another.

::

    my-task/
    ├── task.toml        what is asked, how it is scored, from which base (fields of `Task`)
    ├── train.jsonl      raw material offered for training, one JSON object a line
    ├── dev.jsonl        items to select on: an `id` and the columns of prompt and answer
    └── heldout.jsonl    items for the one final look (built-in tasks: `heldout.bin`, packed)

Held-out items are read by the scorer process alone; `materialise` never copies them into a working
folder.
"""

import hashlib
import json
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from mlintern_jupyter.bench import heldout
from mlintern_jupyter.bench.scorers import SCORERS
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.reading import ReadingError, read

__all__ = [
    "Item",
    "ItemSplit",
    "Task",
    "TaskFiles",
    "TaskLimits",
    "built_in_tasks",
    "items_sha256",
    "load_items",
    "load_rows",
    "materialise",
    "open_task",
    "render",
]

ItemSplit = Literal["dev", "heldout"]

_TASKS = Path(__file__).parent
_DESCRIPTION = "task.toml"
_MODEL_FOLDER = "base"


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """What one training may use, so that results do not depend on the machine's load."""

    train_steps: int
    """Optimizer steps."""
    tokens_per_step: int
    """Tokens of one optimizer step, prompt and padding included."""


@dataclass(frozen=True, slots=True)
class Task:
    """One benchmark, as its `task.toml` describes it."""

    name: str
    title: str
    description: str
    folder: Path
    metric: str
    """Always `accuracy`: the share of items judged correct."""
    scorer: str
    """Key of `scorers.SCORERS`."""
    chance: float
    """Accuracy of guessing, between 0 and 1."""
    max_new_tokens: int
    base_model: str
    """Absolute folder of the base model, or its id on the Hub."""
    prompt: str
    """The user's message as a template over columns, filled by `render`."""
    target: str
    """The shortest reply the scorer accepts, as a template over columns."""
    answer_column: str
    question_columns: tuple[str, ...]
    """The columns that say what is asked: what a check for contamination compares."""
    contamination: str
    """In words, what training data must not contain."""
    limits: TaskLimits


@dataclass(frozen=True, slots=True)
class Item:
    """One question to a model."""

    id: str
    prompt: str
    expected: str


@dataclass(frozen=True, slots=True)
class TaskFiles:
    """A working folder: all that a training script reads."""

    folder: Path
    base_model: str
    """Folder of the copied base model, or the Hub id where the task names one."""
    train: Path
    dev: Path
    description: Path
    """A `task.toml` that makes the folder a benchmark of its own, without held-out items."""


def built_in_tasks() -> tuple[str, ...]:
    """Return the names of the benchmarks that ship with the package."""
    found = _TASKS.glob(f"*/*/{_DESCRIPTION}")
    return tuple(sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in found))


def open_task(name_or_path: str | Path) -> Task:
    """Return a built-in task by its name, or any task by its folder.

    Raises:
        UsageError: There is no such task, or its `task.toml` is not complete.
    """
    text = str(name_or_path)
    folder = _TASKS / text if text in built_in_tasks() else Path(text).expanduser()
    if not (folder / _DESCRIPTION).is_file():
        raise UsageError(
            f"no benchmark named {text}",
            why=f"it is not built in and {folder} has no {_DESCRIPTION}",
            do=f"use one of {', '.join(built_in_tasks())}, or the path of a benchmark folder",
        )
    return _parse(folder.resolve())


_DEFAULTS: dict[str, Any] = {
    "metric": "accuracy",
    "chance": 0.0,
    "contamination": "No training row may repeat or be derived from a dev item.",
    "limits": {"train_steps": 400, "tokens_per_step": 2048},
}


def _parse(folder: Path) -> Task:
    path = folder / _DESCRIPTION
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise _unusable(path, str(error)) from error
    try:
        task = read(Task, {"name": folder.name, **_DEFAULTS, **said}, given={"folder": folder})
    except ReadingError as error:
        raise _unusable(path, str(error)) from None
    if task.scorer not in SCORERS:
        known = ", ".join(sorted(SCORERS))
        raise _unusable(path, f"unknown scorer {task.scorer!r}; there are {known}")
    return replace(task, base_model=_locate_model(folder, task.base_model))


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} does not describe a benchmark",
        why=why,
        do="compare it with bench/nano/sum/task.toml of the package",
    )


def _locate_model(folder: Path, name: str) -> str:
    """Return the absolute folder `name` means beside `task.toml`, or `name` itself as a Hub id."""
    beside = (folder / Path(name).expanduser()).resolve()
    return str(beside) if beside.is_dir() else name


def load_rows(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file.

    Raises:
        UsageError: The file is missing, or a line is not a JSON object.
    """
    rows: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except ValueError as error:
            raise UsageError(f"line {number} of {path} is not JSON", why=str(error)) from error
        if not isinstance(row, dict):
            raise UsageError(f"line {number} of {path} is not a JSON object")
        rows.append(cast("dict[str, Any]", row))
    return rows


def render(template: str, row: Mapping[str, Any]) -> str:
    """Fill a template with the columns of a row; a list becomes lines `A) red`, `B) blue`.

    Raises:
        UsageError: The template names a column that the row does not have.
    """
    shown = {name: _shown(value) for name, value in row.items()}
    try:
        return template.format(**shown)
    except KeyError as error:
        raise UsageError(
            f"the row has no column {error}",
            why=f"its columns are {', '.join(row)}",
            do="correct task.toml",
        ) from error


def _shown(value: object) -> str:
    if isinstance(value, list):
        options = cast("list[object]", value)
        return "\n".join(
            f"{chr(ord('A') + place)}) {option}" for place, option in enumerate(options)
        )
    return str(value)


def load_items(task: Task, split: ItemSplit) -> list[Item]:
    """Return the items of a split in scoring order.

    Raises:
        UsageError: The task has no such split, or an item lacks a column.
    """
    packed = task.folder / "heldout.bin"
    if split == "heldout" and packed.is_file():
        rows = heldout.decode(packed.read_bytes(), task.name)
    else:
        path = task.folder / f"{split}.jsonl"
        if not path.is_file():
            raise UsageError(
                f"{task.name} has no {split} items here",
                why=f"{path} does not exist",
                do="use its full name",
            )
        rows = load_rows(path)
    return [
        Item(str(row.get("id", number)), render(task.prompt, row), str(row[task.answer_column]))
        for number, row in enumerate(rows)
    ]


def items_sha256(items: Iterable[Item]) -> str:
    """Return the SHA-256 (hex) over ids, prompts and answers in order.

    Two scores are comparable item by item where it is equal.
    """
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps([item.id, item.prompt, item.expected]).encode() + b"\n")
    return digest.hexdigest()


def materialise(task: Task, to: Path) -> TaskFiles:
    """Copy base model, training rows, dev items and description of a task into a working folder.

    Each file appears complete or not at all, and calling it again changes nothing. Held-out items
    stay behind.

    Raises:
        UsageError: A file there differs from the task's: somebody's work is not overwritten.
    """
    sources = {name: task.folder / name for name in ("train.jsonl", "dev.jsonl")}
    model = Path(task.base_model)
    local = model.is_dir()
    if local:
        sources |= {f"{_MODEL_FOLDER}/{p.name}": p for p in sorted(model.iterdir()) if p.is_file()}
    contents = {name: path.read_bytes() for name, path in sources.items()}
    description = (task.folder / _DESCRIPTION).read_text(encoding="utf-8")
    declared = tomllib.loads(description)["base_model"]
    if local:
        description = description.replace(json.dumps(declared), json.dumps(_MODEL_FOLDER))
    contents[_DESCRIPTION] = description.encode()
    differing = [
        n for n, data in contents.items() if (to / n).exists() and (to / n).read_bytes() != data
    ]
    if differing:
        raise UsageError(
            f"{to} already holds other files of these names: {', '.join(differing)}",
            why="they are not overwritten",
            do="move them away, or choose another folder",
        )
    for name, data in contents.items():
        _put(to / name, data)
    base = str(to / _MODEL_FOLDER) if local else task.base_model
    return TaskFiles(to, base, to / "train.jsonl", to / "dev.jsonl", to / _DESCRIPTION)


def _put(path: Path, data: bytes) -> None:
    """Write `data` so that a reader sees the whole file or none."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as partial:
        partial.write(data)
    Path(partial.name).chmod(0o644)
    Path(partial.name).replace(path)
