"""Evaluations as cells see them: measured once by the scorer's process, then kept.

The same weights, tokenizer, generation settings and items are scored once; a second call shows what
was measured (``MLINTERN_RERUN=1`` measures again, each once per process). Where the model is not
here, the notebooks of this folder are asked for the result they hold. Held-out items never enter
the kernel.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mlintern_jupyter import heldout_watch
from mlintern_jupyter.bench.task import ItemSplit, Task, built_in_tasks, open_task
from mlintern_jupyter.child_environment import allowed
from mlintern_jupyter.config import from_notebook, notebook_folder, record_root
from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.jobs import name_of
from mlintern_jupyter.json_files import read_json
from mlintern_jupyter.notebook_api.show import Output, in_batch, say, shown_path
from mlintern_jupyter.reading import read
from mlintern_jupyter.record import recall

LOOKS = "looks.jsonl"

_SCORER = "mlintern_jupyter.bench.score"
_MODEL_FILES = (".safetensors", ".json", ".model", ".txt", ".jinja")
_NOT_THE_MODEL = {"trainer_state.json", "README.md", "all_results.json", "train_results.json"}
_POLL_S = 0.2

_measured: set[str] = set()
"""Evaluations made by this process: ``MLINTERN_RERUN=1`` makes each once."""


@dataclass(frozen=True, repr=False)
class EvalResult:
    """What the scorer said about one model on one split of a task."""

    name: str
    model: str
    task: str
    split: str
    key: str = ""
    n: int = 0
    """Items scored; 0 means: not evaluated."""
    k: int = 0
    """Items right."""
    accuracy: float = 0.0
    ci95: tuple[float, float] = (0.0, 1.0)
    """Wilson interval of the accuracy."""
    correct: str = ""
    """Hex bitmap over items: bit i is item i."""
    rates: dict[str, float] = field(default_factory=dict[str, float])
    """Shares of replies: stopped, truncated, answer_found, ..."""
    errors: dict[str, int] = field(default_factory=dict[str, int])
    """Kind of mistake and how often."""
    decoding: dict[str, Any] = field(default_factory=dict[str, Any])
    weights_sha256: str = ""
    items_sha256: str = ""
    chance: float = 0.0
    """Accuracy of guessing."""
    wall_s: float = 0.0
    looks: int = 0
    """Real looks at this task's held-out items so far, this one counted."""
    voided: str = ""
    """Why no claim may rest on it."""
    samples: tuple[dict[str, Any], ...] = ()
    """A few dev replies, wrong ones first: id, prompt, output, expected, correct."""

    def __repr__(self) -> str:
        return f"EvalResult({eval_line(self)})"

    def payload(self) -> dict[str, Any]:
        """The record of it, as an output of a cell holds it; without the samples."""
        body = {k: v for k, v in asdict(self).items() if k != "samples"}
        return {"v": 1, "what": "eval", **body, "ci95": list(self.ci95)}


def evaluate(
    model: str | Path,
    *,
    task: str,
    split: ItemSplit = "dev",
    name: str | None = None,
    limit: int | None = None,
) -> EvalResult:
    """Score a model folder on a task, or show what was measured before.

    Args:
        model: Folder of a complete model (``job("sft-1").result().model``).
        task: Name of a benchmark (``nano/mcq``) or its folder.
        split: ``dev`` to choose between models; ``heldout`` for the one final look.
        name: A short name of the model, for tables; the folder's name when left out.
        limit: Only the first so many items.

    Raises:
        UsageError: there is no such task, or no model and no recorded result of it.
        InternError: the model cannot be scored; says why.
    """
    opened = open_task(task if task in built_in_tasks() else from_notebook(task))
    if split not in ("dev", "heldout"):
        raise UsageError(f"there is no split {split} to evaluate on", do="use dev or heldout")
    folder = from_notebook(model) if str(model) else None
    name = name or _name_of(folder)
    if folder is None or not folder.is_dir():
        return _without_model(str(model), name, opened, split)
    digest = _identity(folder, opened, split, limit)
    kept = read_json(_evals() / f"{digest}.json") or _in_a_notebook(digest)
    once_more = os.environ.get("MLINTERN_RERUN") == "1" and digest not in _measured
    output = Output()
    if kept is not None and not once_more:
        result = replace(_from_record(kept), name=name, key=f"{name}-{digest}")
        output.end(f"{eval_line(_voided(result))} · measured before", record=_shown(result))
        return _voided(result)
    waiting = f"{name} · {opened.name} {split} · scoring"
    scored = _score(folder, opened, split, limit, output, waiting)
    result = _from_record(
        {
            **scored,
            "name": name,
            "key": f"{name}-{digest}",
            "task": opened.name,
            "model": shown_path(folder),
            "chance": opened.chance,
        }
    )
    if split == "heldout":
        result = replace(result, looks=_count_looks(result))
    _measured.add(digest)
    _keep(digest, {**result.payload(), "samples": list(result.samples), "limit": limit})
    output.end(eval_line(_voided(result)), record=_shown(result))
    return _voided(result)


def eval_line(result: EvalResult) -> str:
    """One plain line: name, items, accuracy with its interval, and what stands out."""
    head = f"{result.name} · {result.task} {result.split}"
    if result.n == 0:
        return f"{head} · not evaluated"
    low, high = (100 * bound for bound in result.ci95)
    parts = [
        head,
        f"{result.k}/{result.n} = {100 * result.accuracy:.1f}% [{low:.1f}, {high:.1f}]",
    ]
    if result.chance:
        parts.append(f"chance {100 * result.chance:.0f}%")
    for rate in ("stopped", "answer_found"):
        if rate in result.rates:
            parts.append(f"{rate.replace('_', ' ')} {100 * result.rates[rate]:.0f}%")
    if result.errors:
        parts.append(
            ", ".join(f"{kind} {count}" for kind, count in list(result.errors.items())[:3])
        )
    if result.looks:
        parts.append(f"look {result.looks} at the held-out items")
    if result.voided:
        parts.append(f"VOID: {result.voided}")
    return " · ".join(parts)


def _evals() -> Path:
    return record_root() / "evals"


def _name_of(folder: Path | None) -> str:
    if folder is None:
        return "model"
    made_by = folder.absolute().parent
    job = name_of(made_by.name)
    return job if job != made_by.name else folder.name


def _identity(folder: Path, task: Task, split: str, limit: int | None) -> str:
    """What a score depends on: the model's files, the task as it is scored, its items."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _MODEL_FILES and path.name not in _NOT_THE_MODEL and path.is_file():
            digest.update(path.name.encode() + _file_sha256(path))
    scored = [task.name, task.scorer, task.prompt, task.answer_column, task.max_new_tokens]
    digest.update(json.dumps([*scored, split, limit]).encode())
    for path in _items(task, split):
        # Held-out items are not read by the kernel, not even to hash them.
        size = str(path.stat().st_size).encode()
        digest.update(size if split == "heldout" else _file_sha256(path))
    return digest.hexdigest()[:16]


def _items(task: Task, split: str) -> Iterator[Path]:
    yield from (p for p in sorted(task.folder.glob(f"{split}.*")) if p.is_file())


def _file_sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _score(
    folder: Path, task: Task, split: str, limit: int | None, output: Output, waiting: str
) -> dict[str, Any]:
    """Run the scorer in a process group of its own, which an interrupt of the cell ends."""
    if (
        importlib.util.find_spec("torch") is None
        or importlib.util.find_spec("transformers") is None
    ):
        raise InternError(
            "evaluate needs the training packages",
            do="pip install 'mlintern-jupyter[train]' and restart the kernel",
        )
    with tempfile.TemporaryDirectory(prefix="mlintern-score-") as scratch:
        out = Path(scratch) / "score.json"
        error_file = Path(scratch) / "errors.txt"
        command = [sys.executable, "-P", "-m", _SCORER, "--task", str(task.folder)]
        command += ["--split", split, "--model", str(folder.absolute()), "--out", str(out)]
        command += ["--limit", str(limit or 0)]
        with error_file.open("wb") as errors:
            process = subprocess.Popen(
                command,
                env={**allowed(os.environ), "HF_HUB_OFFLINE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
            try:
                began = time.monotonic()
                while process.poll() is None:
                    output.progress(f"{waiting} · {time.monotonic() - began:.0f} s")
                    time.sleep(_POLL_S)
            except BaseException:
                # An interrupt of the cell must not leave the scorer running.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                output.end(f"{waiting} · interrupted, nothing was recorded")
                raise
        scored = read_json(out)
        if scored is None:
            lines = error_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise InternError(
                f"{shown_path(folder)} was not scored",
                why="\n".join(lines[-5:]) or f"the scorer ended with code {process.returncode}",
            )
        return scored


def _from_record(record: dict[str, Any]) -> EvalResult:
    """The result a record holds; fields that it lacks, or that say nothing, have their defaults."""
    known = {f.name for f in fields(EvalResult)}
    return read(EvalResult, {k: v for k, v in record.items() if k in known and v is not None})


def _voided(result: EvalResult) -> EvalResult:
    """The result as it may be used now: held-out items may have been read since it was measured."""
    return replace(result, voided=result.voided or heldout_watch.void_reason(record_root()))


def _shown(result: EvalResult) -> dict[str, Any]:
    return _voided(result).payload()


def _keep(digest: str, record: dict[str, Any]) -> None:
    folder = _evals()
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{digest}.{os.getpid()}"
    draft.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    draft.replace(folder / f"{digest}.json")


def _count_looks(result: EvalResult) -> int:
    """Write down a real look at held-out items; the number of looks at this task so far."""
    path = record_root() / LOOKS
    path.parent.mkdir(parents=True, exist_ok=True)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"at": at, "task": result.task, "name": result.name, "key": result.key}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return looks_at(result.task)


def looks_at(task: str) -> int:
    """How many times the held-out items of a task were really looked at in this record."""
    try:
        lines = (record_root() / LOOKS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return 0
    return sum(json.loads(line)["task"] == task for line in lines if line.strip())


def _in_a_notebook(digest: str) -> dict[str, Any] | None:
    """This very measurement, from the outputs of a notebook that came without its record."""
    records = recall.find_records(notebook_folder()).values()
    return next((r for r in records if str(r.get("key", "")).endswith(f"-{digest}")), None)


def _without_model(model: str, name: str, task: Task, split: str) -> EvalResult:
    """The result that this folder holds although the model is gone; else what to do."""
    for record in _recorded_evals():
        wanted = (record.get("name"), record.get("task"), record.get("split"))
        if wanted == (name, task.name, split):
            result = _voided(_from_record(record))
            line = f"{eval_line(result)} · recorded result (the model is not here)"
            Output().end(line, record=result.payload())
            return result
    at = f"no model at {model}" if model else "there is no model"
    if in_batch():
        say(f"{name} · {task.name} {split} · not evaluated: {at}")
        return EvalResult(name=name, model=model, task=task.name, split=split)
    raise UsageError(
        f"{name} cannot be evaluated: {at}",
        why="a folder with config.json, weights and tokenizer is expected, and none is recorded",
        do="give the folder a training wrote, e.g. job(NAME).result().model, or run that job first",
    )


def _recorded_evals() -> Iterator[dict[str, Any]]:
    """Recorded evaluations, the newest first: kept beside the notebook, then in its outputs."""
    kept = sorted(_evals().glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in kept:
        record = read_json(path)
        if record is not None:
            yield record
    recorded = list(recall.find_records(notebook_folder()).values())
    yield from (r for r in reversed(recorded) if r.get("what") == "eval")
