"""What the session adds to a person's request: the task, the limits, and what is not there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlintern_jupyter.bench.catalogue import Benchmark
from mlintern_jupyter.bench.task import load_rows
from mlintern_jupyter.config import from_notebook, notebook_folder
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.usage import Limits


def briefing(goal: str, benchmark: Benchmark | None, limits: Limits, mode: str) -> str:
    """Plain words for the model, ending with one ``facts:`` line.

    Held-out items are described by their number only.
    """
    facts: dict[str, Any] = {"goal": goal, "mode": mode, "limits": asdict(limits)}
    lines = [f"Mode: {mode}. Limits of this session: {limits.as_text()}."]
    if missing := catalog.missing_abilities():
        lines.append(f"Not in this version, so do not pretend to it: {', '.join(missing)}.")
    if benchmark is not None:
        lines.append(benchmark.description)
        facts["benchmark"] = task_facts(benchmark)
    lines.append("facts: " + json.dumps(facts, ensure_ascii=False, sort_keys=True))
    return "\n".join(lines)


def task_facts(benchmark: Benchmark) -> dict[str, Any]:
    """The numbers and names of a benchmark that a plan is made from."""
    task = benchmark.task
    if task is None:
        return {"name": benchmark.name, "folder": None, "chance": benchmark.chance}
    rows = load_rows(task.folder / "train.jsonl")
    is_folder = benchmark.kind == "folder"
    folder = near(task.folder) if is_folder else work_folder(task.name)
    return {
        # What `evaluate` and `benchmark` are called with: a folder has no other name.
        "name": folder if is_folder else benchmark.name,
        "folder": folder,
        "base_model": near(task.base_model) if is_folder else f"{folder}/base",
        "metric": task.metric,
        "scorer": task.scorer,
        "chance": task.chance,
        "max_new_tokens": task.max_new_tokens,
        "prompt": task.prompt,
        "target": task.target,
        "answer_column": task.answer_column,
        "question_columns": list(task.question_columns),
        "columns": sorted(rows[0]) if rows else [],
        "train_rows": len(rows),
        "limits": asdict(task.limits),
    }


def near(path: str | Path) -> str:
    """A path as a cell should show it: from the notebook's folder on, where it lies below it."""
    absolute = from_notebook(path).absolute()
    here = notebook_folder()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)


def work_folder(name: str) -> str:
    """Where a benchmark's files are put, beside the notebook."""
    return name.replace("/", "-")
