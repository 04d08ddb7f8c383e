"""``%%job`` submits the cell's body as a script; ``%jobs`` lists, ends and reads jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import JOB_OPTIONS, SessionBudget, job_usage, parse_job_line
from mlintern_jupyter.notebook_api.jobs import cancel, show_card, start, submit
from mlintern_jupyter.notebook_api.show import say
from mlintern_jupyter.notebook_api.text import job_line, job_table

if TYPE_CHECKING:
    from mlintern_jupyter.session.running.session import Session

JOBS_USAGE = "%jobs | %jobs start NAME | %jobs cancel NAME | %jobs log NAME"

_LOG_LINES = 200


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

        With ``--max-usd``, or where ``usd_per_hour`` of the configuration gives this machine a
        price, nothing runs yet: the job is held with its quote (price times ``--timeout``) until
        ``%jobs start NAME``, or Start on its card in the sidebar. A quote above the cap is refused.
        """
        request = parse_job_line(line, cell, _max_steps(os.environ.get("MLINTERN_MAX_STEPS", "")))
        check_script(cell)
        source = f"%%job {line}\n{cell}"
        status, note = submit(
            request.spec, again=request.again, source=source, budget=self.budget()
        )
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


def job_help() -> str:
    """What ``%%job?`` shows, options and usage line from the one table."""
    width = max(len(f"{o.flag} {o.value}") for o in JOB_OPTIONS)
    rows = [f"{f'{o.flag} {o.value}':<{width}}  {o.help}" for o in JOB_OPTIONS]
    return "\n".join([f"``{job_usage()}``", "", *rows])


JobMagics.job.__doc__ = f"{cleandoc(JobMagics.job.__doc__ or '')}\n\n{job_help()}"


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


def _max_steps(text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit() or int(text) == 0:
        raise UsageError(
            f"MLINTERN_MAX_STEPS is {text!r}", do="set it to a whole number above zero, or unset it"
        )
    return int(text)


def _table(_: str) -> str:
    statuses = Jobs().list()
    if not statuses:
        return "no jobs here yet; a cell that begins with `%%job NAME` submits one"
    return job_table(statuses)


def _start(name: str) -> str:
    status, note = start(name)
    return f"{job_line(status)} · {note}" if note else job_line(status)


def _cancel(name: str) -> str:
    return job_line(cancel(name))


def _log(name: str) -> str:
    jobs = Jobs()
    key = jobs.find(name)
    tail = jobs.logs(key, _LOG_LINES)
    return tail or f"the log of {name} is empty ({jobs.folder(key) / 'log.txt'})"
