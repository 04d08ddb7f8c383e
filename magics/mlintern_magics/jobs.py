"""``%%job`` submits the cell's body as a script; ``%jobs`` lists, ends and reads jobs."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from mlintern_jupyter.compute.holds import SessionBudget
from mlintern_jupyter.compute.local import job_folder
from mlintern_jupyter.config import record_root
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import JobSpec
from mlintern_jupyter.notebook_api.jobs import cancel, find_job, show_card, start, submit
from mlintern_jupyter.notebook_api.show import say
from mlintern_jupyter.notebook_api.text import job_line, job_table

if TYPE_CHECKING:
    from mlintern_jupyter.session.running.session import Session

USAGE = "%%job NAME [--on local|kernel] [--timeout 4h] [--max-usd USD] [--again]"
JOBS_USAGE = "%jobs | %jobs start NAME | %jobs cancel NAME | %jobs log NAME"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SUM = re.compile(r"\$?(\d{1,7}(?:\.\d{1,2})?)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LOG_LINES = 200


@dataclass(frozen=True)
class JobOptions:
    """The line of a ``%%job`` cell."""

    name: str
    on: str = "local"
    timeout_s: float | None = None
    max_usd: float | None = None
    again: bool = False


@magics_class
class JobMagics(Magics):
    """The magics of jobs.

    Args:
        shell: The IPython shell.
        budget: Asked when a ``%%job`` cell runs: what the unattended session whose cell it is may
            still spend; ``None`` when it is a person's cell, who is asked by the job being held.
    """

    def __init__(
        self, shell: Any, budget: Callable[[], SessionBudget | None] = lambda: None
    ) -> None:
        super().__init__(shell)  # pyright: ignore[reportUnknownMemberType]
        self.budget = budget

    @no_var_expand
    @cell_magic
    def job(self, line: str, cell: str) -> None:
        """Run the cell's body as a training script that outlives the kernel.

        ``%%job NAME [--on local|kernel] [--timeout 4h] [--max-usd USD] [--again]``

        With ``--max-usd``, or where ``usd_per_hour`` of the configuration gives this machine a
        price, nothing runs yet: the job is held with its quote (price times ``--timeout``) until
        ``%jobs start NAME``, or Start on its card in the sidebar. A quote above the cap is refused.
        """
        options = parse_job_line(line)
        check_script(cell)
        spec = JobSpec(
            options.name,
            cell,
            on=options.on,
            timeout_s=options.timeout_s,
            max_steps=_max_steps(os.environ.get("MLINTERN_MAX_STEPS", "")),
            max_usd=options.max_usd,
        )
        source = f"%%job {line}\n{cell}"
        status, note = submit(spec, again=options.again, source=source, budget=self.budget())
        if status.state == "absent":
            say(note)
        else:
            show_card(status, note)

    @no_var_expand
    @line_magic
    def jobs(self, line: str) -> None:
        """List jobs, or act on one: ``%jobs``, ``%jobs start|cancel|log NAME``.

        ``start`` is the yes to what a held job may cost.
        """
        word, _, name = line.strip().partition(" ")
        actions: dict[str, Callable[[str], str]] = {
            "": _table,
            "start": _start,
            "cancel": _cancel,
            "log": _log,
        }
        if word not in actions:
            raise UsageError(f"there is no `%jobs {word}`", do=JOBS_USAGE)
        say(actions[word](name.strip()))


def session_budget(session: Session, cell_id: str) -> SessionBudget | None:
    """What a session may spend on the job of the cell that runs now.

    Returns:
        Its budget if it works unattended and the cell is its own. In every other case ``None``:
        a person is there, who starts the job where it is held.
    """
    with session.reading() as state:
        if not session.working or state.mode != "unattended" or cell_id not in state.cells:
            return None
        spent, limit = state.spent, state.limits.usd
        if limit is None or spent.usd is None:
            return SessionBudget(state.session, None)
        return SessionBudget(state.session, limit - spent.usd - spent.reserved_usd)


def parse_job_line(line: str) -> JobOptions:
    """The options of a ``%%job`` cell.

    Raises:
        UsageError: no name, a bad value, or a place this version cannot run on.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"the line of %%job cannot be read: {error}", do=USAGE) from None
    names: list[str] = []
    given: dict[str, Any] = {}
    while words:
        word, _, value = words.pop(0).partition("=")
        if not word.startswith("--"):
            names.append(word)
        elif word == "--again":
            given["again"] = True
        elif word in _VALUED:
            if not value and not words:
                raise UsageError(f"{word} needs a value", do=USAGE)
            name, parse = _VALUED[word]
            given[name] = parse(value or words.pop(0))
        else:
            raise UsageError(f"%%job has no option {word}", do=USAGE)
    if len(names) != 1:
        raise UsageError(
            "%%job needs one name" + (f", not {len(names)}: {' '.join(names)}" if names else ""),
            do=USAGE,
        )
    if not _NAME.fullmatch(names[0]):
        raise UsageError(
            f"{names[0]} cannot be a job's name",
            why="it names a folder",
            do="use letters, digits and dashes, e.g. sft-lora-1",
        )
    return JobOptions(names[0], **given)


def check_script(script: str) -> None:
    """Refuse a script that Python cannot read, before anything is started.

    Raises:
        UsageError: names the line.
    """
    if not script.strip():
        raise UsageError("this %%job cell has no script", do="write it below the first line")
    try:
        compile(script, "script.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise UsageError(
            f"the script does not parse: line {error.lineno}: {error.msg}",
            why=(error.text or "").strip(),
            do="the body of %%job is plain Python: no magics, no `!command`",
        ) from None
    except ValueError as error:
        raise UsageError(f"the script does not parse: {error}") from None


def _place(text: str) -> str:
    if text in ("local", "kernel"):
        return text
    kind = text.partition(":")[0]
    if kind in ("hf", "slurm"):
        raise UsageError(
            f"--on {text} is not in this version",
            why="jobs run on this machine",
            do="use --on local; on a cluster, open the notebook on the node with the GPU",
        )
    raise UsageError(
        f"there is no place {text} to run a job on", do="use --on local or --on kernel"
    )


def _timeout(text: str) -> float:
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"--timeout {text} is not a duration", do="write 90s, 30m, 4h or 1d")
    return seconds


def _max_usd(text: str) -> float:
    match = _SUM.fullmatch(text.strip())
    if not match or float(match[1]) <= 0:
        raise UsageError(
            f"--max-usd {text} is not a sum above zero", do="write dollars as a number: 6 or 4.80"
        )
    return float(match[1])


_VALUED: dict[str, tuple[str, Callable[[str], Any]]] = {
    "--on": ("on", _place),
    "--timeout": ("timeout_s", _timeout),
    "--max-usd": ("max_usd", _max_usd),
}


def _max_steps(text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit() or int(text) == 0:
        raise UsageError(
            f"MLINTERN_MAX_STEPS is {text!r}", do="set it to a whole number above zero, or unset it"
        )
    return int(text)


def _table(_: str) -> str:
    folders = job_folder.submissions(job_folder.jobs_root(record_root()))
    if not folders:
        return "no jobs here yet; a cell that begins with `%%job NAME` submits one"
    return job_table([job_folder.status_of(folder) for folder in folders])


def _start(name: str) -> str:
    status, note = start(name)
    return f"{job_line(status)} · {note}" if note else job_line(status)


def _cancel(name: str) -> str:
    return job_line(cancel(name))


def _log(name: str) -> str:
    folder = find_job(name)
    tail = job_folder.log_tail(folder, _LOG_LINES)
    return tail or f"the log of {name} is empty ({folder / job_folder.LOG})"
