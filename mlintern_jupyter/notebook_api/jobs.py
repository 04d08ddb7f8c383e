"""Jobs as cells see them: submitted by ``%%job``, waited for by ``job(name).result()``.

A job's identity is its name and the hash of script and options. A finished one shows its result, a
running one is found again, only ``--again`` submits it again. ``MLINTERN_RERUN=1`` really runs
local jobs again, each once per process: that is how a record is reproduced. A job that costs money
is held until somebody starts it (``compute.terms``).
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any, cast

from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.config import notebook_folder
from mlintern_jupyter.errors import InternError, JobFailed, UsageError
from mlintern_jupyter.jobs import FINISHED, JobSpec, JobState, JobStatus, SessionBudget
from mlintern_jupyter.notebook_api.show import PAUSE_S, Output, in_batch, is_live, say, shown_path
from mlintern_jupyter.notebook_api.text import how_to_start, job_line, job_markdown, thinned
from mlintern_jupyter.record import recall

_POLL_S = 0.25
_ERROR_LINES = 12

_begun: set[str] = set()
"""Keys submitted by this process: ``MLINTERN_RERUN=1`` runs each once."""
_seen_running: set[str] = set()
"""Keys this process saw running: only their failures are raised, older ones are shown."""
_cards: dict[str, Output] = {}
"""The card of each job that this process shows."""


@dataclass(frozen=True, repr=False)
class JobResult:
    """What a job made."""

    name: str
    state: JobState
    model: str = ""
    """Folder of the trained model, relative to the notebook; empty when there is none."""
    metrics: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Rows of ``metrics.jsonl``: {"step": int, name: number, ...}."""
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the script wrote to ``result.json``."""
    seconds: float = 0.0
    log_tail: str = ""
    voided: str = ""
    """Why no claim may rest on it."""

    def __repr__(self) -> str:
        return f"JobResult({self.name!r}, {self.state!r}, model={self.model!r})"


class JobHandle:
    """The newest submission of a job's name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def status(self) -> JobStatus:
        """Where the job stands now; state ``absent`` when it is not here."""
        return Jobs().newest(self.name)

    def result(self, timeout_s: float | None = None) -> JobResult:
        """Wait for the job and return what it made. Interrupting the cell leaves the job running.

        A held job is waited for as well, until somebody starts or cancels it; in a notebook that a
        program runs it is not, for there is nobody who could.

        Args:
            timeout_s: Wait at most this many seconds; then the state is ``running`` or ``held``.

        Raises:
            JobFailed: it failed, was cancelled or got lost while this process watched.
            UsageError: there is no such job, neither here nor in a notebook of this folder.
        """
        status = self.status()
        if status.state == "absent":
            return _recorded(self.name)
        output = Output()
        status = _wait(status, output, timeout_s)
        update_card(status)
        if status.state not in FINISHED:
            output.end(_waits_for(status))
            return _result(status)
        if status.state != "completed" and status.key in _seen_running:
            output.end(job_line(status), record=_payload(status))
            raise JobFailed(
                job_line(status),
                why="\n".join(status.log_tail.splitlines()[-_ERROR_LINES:]) or status.reason,
                do=f"%jobs log {status.name} shows the whole log; correct the script and run it",
            )
        output.end(job_line(status), record=_payload(status))
        if status.state != "completed" and status.log_tail:
            say(status.log_tail)
        return _result(status)


def job(name: str) -> JobHandle:
    """The newest job of this name, submitted by a ``%%job`` cell: ``job("sft-1").result()``."""
    return JobHandle(name)


def submit(
    spec: JobSpec, *, again: bool, source: str, budget: SessionBudget | None = None
) -> tuple[JobStatus, str]:
    """What a ``%%job`` cell does when it is run.

    Args:
        spec: The job.
        again: The person asks for a new submission.
        source: The cell's text, to know a cell of a recorded session.
        budget: Of the unattended session whose cell this is: its yes to what the job may cost.

    Returns:
        Where the job stands, and a note for the person (may be empty).

    Raises:
        UsageError: it cannot run like this; nothing was started.
    """
    jobs = Jobs()
    spec = jobs.check(spec)
    status = jobs.status(spec.key)
    once_more = os.environ.get("MLINTERN_RERUN") == "1" and spec.key not in _begun
    if status.state == "absent":
        recorded = in_batch() and recall.find_mark(notebook_folder(), source) is not None
        if recorded and not (again or once_more):
            return status, (
                f"job {spec.name} · not run here: it belongs to a record made elsewhere; "
                "MLINTERN_RERUN=1 or --again runs it"
            )
    elif status.state == "running" and not again:
        _seen_running.add(spec.key)
        return status, "already running; this is where it stands"
    elif status.state in FINISHED and not (again or once_more):
        return status, "finished before; --again submits it again"
    _begun.add(spec.key)
    _seen_running.add(spec.key)
    return jobs.submit(spec, again=again or once_more, budget=budget), ""


def show_card(status: JobStatus, note: str) -> None:
    """Show where a job stands, and keep that up to date while it runs."""
    card = Output()
    if status.state in FINISHED or status.state == "absent" or not is_live():
        card.end(*_card_text(status, note))
        return
    _cards[status.key] = card
    card.progress(*_card_text(status, note))
    threading.Thread(target=_follow, args=(status.key,), daemon=True).start()


def update_card(status: JobStatus) -> None:
    """Give a job's card its last state as soon as that is known, not two seconds later."""
    card = _cards.get(status.key)
    if card is not None and status.state in FINISHED:
        card.end(*_card_text(status), again=True)


def _follow(key: str) -> None:
    jobs = Jobs()
    while True:
        time.sleep(PAUSE_S)
        try:
            status = jobs.status(key)
        except OSError:
            # The folder is being moved aside, or its disk is away for a moment.
            continue
        if status.state in FINISHED:
            _cards[key].end(*_card_text(status))
            return
        if status.state == "absent":
            return
        _cards[key].progress(*_card_text(status))


def _card_text(status: JobStatus, note: str = "") -> tuple[str, str]:
    if status.state == "held":
        note = how_to_start(status)
    suffix = f" · {note}" if note else ""
    text = job_line(status) + suffix
    if status.state in {"failed", "lost"} and status.log_tail:
        text += f"\n\n{status.log_tail}"
    return text, job_markdown(status, note)


def _wait(status: JobStatus, output: Output, timeout_s: float | None) -> JobStatus:
    jobs = Jobs()
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        while status.state not in FINISHED:
            _seen_running.add(status.key)
            if deadline is not None and time.monotonic() >= deadline:
                break
            if status.state == "held" and in_batch():
                break
            output.progress(_waits_for(status))
            time.sleep(_POLL_S)
            status = jobs.status(status.key)
    except KeyboardInterrupt:
        still = "it stays held" if status.state == "held" else "it goes on"
        output.end(f"{job_line(status)} · {still}; `%jobs cancel {status.name}` ends it")
        raise
    return status


def _waits_for(status: JobStatus) -> str:
    line = job_line(status)
    return f"{line} · {how_to_start(status)}" if status.state == "held" else line


def _result(status: JobStatus) -> JobResult:
    outputs = _outputs(status)
    return JobResult(
        name=status.name,
        state=status.state,
        model=str(outputs.get("model", "")),
        metrics=list(status.metrics),
        outputs=outputs,
        seconds=status.seconds,
        log_tail=status.log_tail,
        voided=status.voided,
    )


def _outputs(status: JobStatus) -> dict[str, Any]:
    """What the script made; a path it gave relative to its job folder is completed."""
    outputs = dict(status.outputs)
    model = outputs.get("model")
    if isinstance(model, str) and model:
        inside = Jobs().folder(status.key) / model
        beside = notebook_folder() / model
        outputs["model"] = shown_path(inside if inside.exists() and not beside.exists() else beside)
    return outputs


def _payload(status: JobStatus) -> dict[str, Any]:
    about = Jobs().about(status.key)
    return {
        "v": 1,
        "what": "job",
        "key": status.key,
        "name": status.name,
        "state": status.state,
        "seconds": round(status.seconds, 1),
        "steps": status.step,
        "max_steps": about.get("max_steps"),
        "metrics": thinned(list(status.metrics)),
        "outputs": _outputs(status),
        "script_sha256": about.get("script_sha256", ""),
        "voided": status.voided,
        **({} if status.quote_usd is None else {"cost_usd": status.cost_usd}),
    }


def _recorded(name: str) -> JobResult:
    """The result as a notebook of this folder holds it, else what to do about its absence."""
    held = recall.find_records(notebook_folder()).values()
    found = [r for r in held if r.get("what") == "job" and r.get("name") == name]
    if found:
        record = found[-1]
        line = f"job {name} · {record.get('state')} · recorded result (the job is not here)"
        Output().end(line, record=record)
        outputs = cast("dict[str, Any]", record.get("outputs") or {})
        return JobResult(
            name=name,
            state=cast("JobState", record.get("state", "absent")),
            model=str(outputs.get("model", "")),
            metrics=list(record.get("metrics") or []),
            outputs=outputs,
            seconds=float(record.get("seconds") or 0.0),
            voided=str(record.get("voided") or ""),
        )
    if in_batch():
        say(f"job {name} · absent: it was not run here and no notebook here holds its result")
        return JobResult(name, "absent")
    raise UsageError(
        f"there is no job named {name} here",
        why=f"nothing in {shown_path(Jobs().root)} has this name",
        do=f"run the cell that begins with `%%job {name}`",
    )


def start(name: str) -> tuple[JobStatus, str]:
    """Start the held job of a name: the yes to its quote.

    Returns:
        Where the job stands, and a note for the person (may be empty).

    Raises:
        UsageError: there is no such job.
    """
    jobs = Jobs()
    key = jobs.find(name, "held")
    was_held = jobs.status(key).state == "held"
    status = jobs.start(key)
    return status, "" if was_held else "it was not held; nothing was started"


def cancel(name: str) -> JobStatus:
    """End the newest job of a name and all its processes; a held one is given up.

    Raises:
        UsageError: there is none.
        InternError: it cannot be ended.
    """
    status = Jobs().cancel(name)
    update_card(status)
    if status.state == "running":
        raise InternError(f"the job {name} could not be ended", do=f"see %jobs log {name}")
    return status
