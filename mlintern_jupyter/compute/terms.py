"""What a job may cost, and who said yes to it.

Running a cell never approves money: the kernel cannot tell Run All from one press of a key. So a
job at a place with a price, or with ``--max-usd``, is written down and *held*. It starts by
``Jobs.start`` (Start in the sidebar, ``%jobs start NAME``), or by the budget of an unattended
session, where the budget is the yes. The job's own timeout keeps its cost under the quote.

::

    absent ── hold ──► held ── claim (start.json, made once) ──► running
                        ├── cancelled
                        └── replaced: run again under other terms, or by a newer job of its name

Not covered: what a provider bills beyond price per hour times timeout.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from mlintern_jupyter.compute import job_folder
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import JobSpec, JobTerms, SessionBudget
from mlintern_jupyter.json_files import read_json
from mlintern_jupyter.protocols import Offer
from mlintern_jupyter.usage import dollars

PERSON = "a person"
_CENT = 1e-6
"""Sums are compared with this much room, so that rounding refuses nothing."""


def terms_for(spec: JobSpec, offer: Offer) -> JobTerms:
    """What a job may cost, and whether it is held for a yes to that.

    Args:
        spec: The job.
        offer: The place it asks for, with its price.

    Raises:
        UsageError: the cost is unknown or above the cap. Nothing was written.
    """
    price = offer.usd_per_hour
    if price is None:
        raise UsageError(
            f"what an hour of {offer.title} costs is not known, so no job is started",
            why=offer.problem,
            do=offer.do,
        )
    if price == 0 and spec.max_usd is None:
        return JobTerms()
    rate = f"{offer.title} costs {dollars(price)} an hour"
    if spec.timeout_s is None:
        capped = replace(spec, timeout_s=4 * 3600.0, max_usd=spec.max_usd or 6.0)
        raise UsageError(
            f"what the job {spec.name} may cost is not known: it has no --timeout",
            why=f"{rate}, and the time limit is what keeps a job under its cap",
            do=f"add one: {capped.line()}",
        )
    quote = price * spec.timeout_s / 3600
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
    return JobTerms(price, quote, held=True)


def check_budget(jobs: Path, spec: JobSpec, terms: JobTerms, budget: SessionBudget) -> None:
    """Refuse a job that an unattended session cannot pay.

    Args:
        jobs: The folder of the jobs.
        spec: The job.
        terms: What it may cost.
        budget: What the session may still spend.

    Raises:
        UsageError: the budget does not cover it, or is not known.
    """
    quote = terms.quote_usd or 0.0
    if budget.usd is None:
        raise UsageError(
            f"the job {spec.name} is not started: what session {budget.session} has spent so far"
            " is not known",
            why="in mode unattended the budget is the yes, and an unknown cost is not zero",
            do="give the model's price with `--price IN,OUT`, or start the job as a person",
        )
    left = budget.usd - committed_usd(jobs, budget.session)
    if quote > left + _CENT:
        raise UsageError(
            f"the job {spec.name} may cost up to {dollars(quote)}, and {dollars(max(0.0, left))} of"
            f" the budget of session {budget.session} is left",
            why="in mode unattended the budget is the yes; jobs that run count with their quote",
            do="lower --timeout, train for less, or give the session a larger --budget",
        )


def committed_usd(jobs: Path, session: str) -> float:
    """What the jobs that a session's budget started cost, the unfinished ones at their quote."""
    total = 0.0
    # Attempts that were moved aside cost what they cost.
    for start in jobs.glob(f"*/{job_folder.START}"):
        claimed = read_json(start) or {}
        about = read_json(start.parent / job_folder.SPEC) or {}
        if claimed.get("by") != payer(session):
            continue
        end = job_folder.read_exit(start.parent)
        quote = float(about.get("quote_usd") or 0.0)
        total += quote if end is None else job_folder.cost_usd(about, end.seconds)
    return total


def payer(session: str) -> str:
    """How ``start.json`` names a session whose budget said yes."""
    return f"session {session}"


def same_terms(folder: Path, spec: JobSpec, terms: JobTerms) -> bool:
    """Whether a held job was held for just this sum."""
    about = read_json(folder / job_folder.SPEC) or {}
    now = (spec.timeout_s, spec.max_usd, terms.usd_per_hour, terms.quote_usd)
    return now == tuple(
        about.get(name) for name in ("timeout_s", "max_usd", "usd_per_hour", "quote_usd")
    )
