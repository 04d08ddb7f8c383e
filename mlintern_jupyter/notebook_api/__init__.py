"""What cells import: ``from mlintern_jupyter import benchmark, compare, evaluate, job``.

All four work without a session, a model or a network, and read as plain code. ``compare`` lives in
``notebook_api.compare``, apart from the others because it needs scipy.
"""

from __future__ import annotations

from mlintern_jupyter.bench.task import TaskFiles, built_in_tasks, load_rows, materialise, open_task
from mlintern_jupyter.config import from_notebook
from mlintern_jupyter.notebook_api.evals import EvalResult, evaluate
from mlintern_jupyter.notebook_api.jobs import JobHandle, JobResult, job
from mlintern_jupyter.notebook_api.show import say, shown_path

__all__ = ["EvalResult", "JobHandle", "JobResult", "TaskFiles", "benchmark", "evaluate", "job"]


def benchmark(name: str) -> TaskFiles:
    """Put a benchmark's working files beside the notebook: base model, train rows, dev items.

    ``nano/mcq`` goes to ``nano-mcq``, beside the notebook also after ``%cd``. Needs no network and
    changes nothing when called again; held-out items stay where only the scorer reads them.

    Args:
        name: Name of a benchmark, or the folder of one, which is used as it is.

    Raises:
        UsageError: there is no such benchmark, or other files of these names are in the way.
    """
    if name in built_in_tasks():
        task = open_task(name)
        files = materialise(task, from_notebook(name.replace("/", "-")))
    else:
        task = open_task(from_notebook(name))
        description = task.folder / "task.toml"
        train, dev = task.folder / "train.jsonl", task.folder / "dev.jsonl"
        files = TaskFiles(task.folder, task.base_model, train, dev, description)
    rows, items = len(load_rows(files.train)), len(load_rows(files.dev))
    say(
        f"{task.name} · {task.title} · {rows} train rows, {items} dev items · "
        f"{shown_path(files.folder)}, base model {shown_path(files.base_model)}"
    )
    return files
