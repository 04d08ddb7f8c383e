"""Jobs that cost money: a quote, a cap, and one yes to exactly that sum.

Running a cell never approves money: the kernel cannot tell Run All from one press of a key. So a
job on a machine with a price, or with ``--max-usd``, is written down and *held*. It starts by
``start_job`` (Start in the sidebar, ``%jobs start NAME``), or by the budget of an unattended
session, where the budget is the yes. The job's own timeout keeps its cost under the quote.

::

    absent ── hold ──► held ── claim (start.json, made once) ──► running
                        ├── cancelled
                        └── replaced: run again under other terms, or by a newer job of its name

Not covered: a job of this module is on this machine; nothing here asks a provider for prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from mlintern_jupyter.compute.local import job_folder
from mlintern_jupyter.compute.local.backend import LocalBackend
from mlintern_jupyter.compute.local.job_folder import JobTerms
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import JobSpec, JobStatus

PERSON = "a person"
_CENT = 1e-6
"""Sums are compared with this much room, so that rounding refuses nothing."""


@dataclass(frozen=True)
class SessionBudget:
    """What an unattended session may still spend: its yes to the jobs of its own cells."""

    session: str
    usd: float | None
    """Its limit less what its model calls cost; jobs are subtracted here. ``None``: not known."""


def terms_for(spec: JobSpec, usd_per_hour: float | None, problem: str = "") -> JobTerms:
    """What a job may cost, and whether it is held for a yes to that.

    Args:
        spec: The job.
        usd_per_hour: The price of this machine; ``None`` if it is not known.
        problem: Why it is not known.

    Raises:
        UsageError: the cost is unknown or above the cap. Nothing was written.
    """
    if spec.on == "kernel":
        if spec.max_usd is not None:
            raise UsageError(
                "--max-usd does not go with --on kernel",
                why="a smoke runs in this kernel at once and cannot be held",
                do="use --on local, or leave --max-usd out",
            )
        return JobTerms()
    if usd_per_hour is None:
        raise UsageError(
            "what an hour of this machine costs is not known, so no job is started",
            why=problem,
            do="correct usd_per_hour in the configuration file and run this cell again",
        )
    if usd_per_hour == 0 and spec.max_usd is None:
        return JobTerms()
    line = f"%%job {spec.name} --on {spec.on}"
    rate = f"this machine costs {dollars(usd_per_hour)} an hour"
    if spec.timeout_s is None:
        cap = "6" if spec.max_usd is None else f"{spec.max_usd:g}"
        raise UsageError(
            f"what the job {spec.name} may cost is not known: it has no --timeout",
            why=f"{rate}, and the time limit is what keeps a job under its cap",
            do=f"add one: {line} --timeout 4h --max-usd {cap}",
        )
    quote = usd_per_hour * spec.timeout_s / 3600
    if spec.max_usd is None:
        enough = math.ceil(quote * 100 - _CENT) / 100
        raise UsageError(
            f"the job {spec.name} may cost up to {dollars(quote)}, and has no cap",
            why=rate,
            do=f"add --max-usd {enough:.2f} (or more): it is then held until you start it",
        )
    if quote > spec.max_usd + _CENT:
        raise UsageError(
            f"the job {spec.name} may cost up to {dollars(quote)}, above its cap of"
            f" {dollars(spec.max_usd)}",
            why=f"{rate}, times --timeout",
            do="lower --timeout, or raise --max-usd",
        )
    return JobTerms(usd_per_hour, quote, held=True)


def submit(
    backend: LocalBackend,
    spec: JobSpec,
    terms: JobTerms,
    *,
    again: bool = False,
    budget: SessionBudget | None = None,
) -> JobStatus:
    """Hold a job, or start it where nothing is to be asked; a held one is found again.

    Args:
        backend: Where it is to run.
        spec: The job.
        terms: From ``terms_for``.
        again: Move a finished attempt aside and submit a new one.
        budget: Of the unattended session whose cell this is; ``None`` if a person is to be asked.

    Raises:
        UsageError: the budget does not cover it, or ``again`` for a job that still runs.
        InternError: the record cannot be written.
    """
    if terms.held and budget is not None:
        _hold_budget(backend, spec, terms, budget)
    folder = backend.jobs / spec.key
    status = backend.status(spec.key)
    if status.state == "held":
        again = False
        if not _same(folder, spec, terms) and _replace(folder, "replaced: run under other terms"):
            job_folder.move_aside(folder)
    backend.submit(spec, again=again, terms=terms)
    for other in job_folder.submissions(backend.jobs):
        # One held job a name: Start must not mean another script than the one last shown.
        if other != folder and job_folder.name_of(other.name) == spec.name and _is_held(other):
            _replace(other, "replaced by a newer job of this name")
    if terms.held and budget is not None:
        _start(folder, _payer(budget.session))
    return backend.status(spec.key)


def start_job(record: Path, name: str, *, by: str = PERSON) -> JobStatus:
    """Say yes to a held job's quote: it starts, once, whoever else says so at the same time.

    Takes about a second, until the job's process is there. A job that is not held is left as it is.

    Args:
        record: The record's folder (``intern_runs``).
        name: The job's name, or its key, which says exactly which one is meant.
        by: Who said yes.

    Raises:
        UsageError: there is no such job; lists those there are.
    """
    folder = find_job(record, name, "held")
    if _is_held(folder):
        _start(folder, by)
    return job_folder.status_of(folder)


def cancel_job(record: Path, name: str) -> JobStatus:
    """End a job and every child of it, or give up a held one; may take 20 seconds.

    Raises:
        UsageError: there is no such job; lists those there are.
    """
    folder = find_job(record, name, "running", "held")
    return _backend(folder).cancel(folder.name)


def find_job(record: Path, name: str, *preferred: str) -> Path:
    """The newest job of a name that is in a preferred state, else the newest; or that of a key.

    Raises:
        UsageError: there is none; lists those there are.
    """
    folders = job_folder.submissions(job_folder.jobs_root(record))
    mine = [f for f in folders if job_folder.name_of(f.name) == name]
    mine = mine or [f for f in folders if f.name == name]
    if not mine:
        names = sorted({job_folder.name_of(f.name) for f in folders})
        raise UsageError(
            f"there is no job named {name or '(no name given)'}",
            do=f"jobs here are {', '.join(names)}" if names else "no job was submitted here yet",
        )
    wanted = [f for f in mine if preferred and job_folder.status_of(f).state in preferred]
    return (wanted or mine)[-1]


def committed_usd(record: Path, session: str) -> float:
    """What the jobs that a session's budget started cost, the unfinished ones at their quote."""
    total = 0.0
    # Attempts that were moved aside cost what they cost.
    for start in job_folder.jobs_root(record).glob(f"*/{job_folder.START}"):
        claimed = job_folder.read_json(start) or {}
        spec = job_folder.read_json(start.parent / job_folder.SPEC) or {}
        if claimed.get("by") != _payer(session):
            continue
        end = job_folder.read_json(start.parent / job_folder.EXIT)
        quote = float(spec.get("quote_usd") or 0.0)
        total += quote if end is None else job_folder.cost_usd(spec, float(end["seconds"]))
    return total


def dollars(usd: float) -> str:
    """A sum for people, no finer than cents unless it is smaller than one."""
    return f"${usd:.2f}" if usd >= 0.005 or usd == 0 else f"${usd:.2g}"


def _hold_budget(
    backend: LocalBackend, spec: JobSpec, terms: JobTerms, budget: SessionBudget
) -> None:
    quote = terms.quote_usd or 0.0
    if budget.usd is None:
        raise UsageError(
            f"the job {spec.name} is not started: what session {budget.session} has spent so far"
            " is not known",
            why="in mode unattended the budget is the yes, and an unknown cost is not zero",
            do="give the model's price with `--price IN,OUT`, or start the job as a person",
        )
    left = budget.usd - committed_usd(backend.jobs.parent, budget.session)
    if quote > left + _CENT:
        raise UsageError(
            f"the job {spec.name} may cost up to {dollars(quote)}, and {dollars(max(0.0, left))} of"
            f" the budget of session {budget.session} is left",
            why="in mode unattended the budget is the yes; jobs that run count with their quote",
            do="lower --timeout, train for less, or give the session a larger --budget",
        )


def _payer(session: str) -> str:
    return f"session {session}"


def _backend(folder: Path) -> LocalBackend:
    spec = job_folder.read_json(folder / job_folder.SPEC) or {}
    return LocalBackend(folder.parent.parent, Path(spec.get("workdir", Path.cwd())))


def _is_held(folder: Path) -> bool:
    spec = job_folder.read_json(folder / job_folder.SPEC)
    return spec is not None and job_folder.standing(folder, spec)[0] == "held"


def _start(folder: Path, by: str) -> None:
    if not job_folder.claim(folder, by):
        return
    # A cancel that came first has written it; one that comes later finds the runner.
    if not (folder / job_folder.EXIT).exists():
        _backend(folder).start(_spec(folder), folder)


def _spec(folder: Path) -> JobSpec:
    said = job_folder.read_json(folder / job_folder.SPEC) or {}
    return JobSpec(
        name=str(said["name"]),
        script=(folder / job_folder.SCRIPT).read_text(encoding="utf-8"),
        on=str(said["on"]),
        timeout_s=said.get("timeout_s"),
        max_steps=said.get("max_steps"),
        max_usd=said.get("max_usd"),
    )


def _same(folder: Path, spec: JobSpec, terms: JobTerms) -> bool:
    said = job_folder.read_json(folder / job_folder.SPEC) or {}
    now = (spec.timeout_s, spec.max_usd, terms.usd_per_hour, terms.quote_usd)
    held = (said.get(n) for n in ("timeout_s", "max_usd", "usd_per_hour", "quote_usd"))
    return now == tuple(held)


def _replace(folder: Path, reason: str) -> bool:
    """Take a held job back; False when it was started meanwhile."""
    if not job_folder.claim(folder, "nobody"):
        return False
    job_folder.write_exit(folder, "cancelled", reason=reason, seconds=0.0)
    return True
