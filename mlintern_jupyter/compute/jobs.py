"""The jobs of a record: all that the rest of the package knows of ``compute``.

What is known of a job stands in its folder (``job_folder``), so an object of this class holds
nothing that another process would miss. Where a job runs is a ``Backend``, asked only while the job
has not ended: as soon as it has, what it made is in the folder and ``exit.json`` says how it ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Container
from contextlib import suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

from mlintern_jupyter import heldout_watch
from mlintern_jupyter.compute import job_folder
from mlintern_jupyter.compute.backends import backend_of, offer_of
from mlintern_jupyter.compute.metrics import MetricsRows
from mlintern_jupyter.compute.terms import (
    PERSON,
    check_budget,
    committed_usd,
    payer,
    same_terms,
    terms_for,
)
from mlintern_jupyter.compute.views import JobViews
from mlintern_jupyter.config import notebook_folder, record_root
from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.jobs import FINISHED, JobReport, JobSpec, JobStatus, SessionBudget, name_of
from mlintern_jupyter.json_files import read_json, write_once
from mlintern_jupyter.protocols import Backend, JobPlace, Offer
from mlintern_jupyter.views import JobView

_STARTING_S = 60.0
"""How long a job that no engine knows of counts as one that is just starting."""

_guard = threading.Lock()
_followed: dict[Path, MetricsRows] = {}
"""What was read of the metrics of jobs that were seen running, by folder."""
_views: dict[Path, JobViews] = {}


class Jobs:
    """Submits, finds, follows and ends the jobs of one record. Safe between threads."""

    def __init__(self, record: Path | None = None, workdir: Path | None = None) -> None:
        """The jobs of a record.

        Args:
            record: its folder; ``record_root()`` if left out.
            workdir: where scripts run that are submitted here, so that their relative paths are
                the notebook's; ``notebook_folder()`` if left out.
        """
        self.root = job_folder.jobs_root(record or record_root()).absolute()
        """The folder of all jobs."""
        self._workdir = (workdir or notebook_folder()).absolute()

    # what there is --------------------------------------------------------------------------

    def folder(self, key: str) -> Path:
        """The folder of a job on this machine."""
        return self.root / key

    def find(self, name: str, *preferred: str) -> str:
        """Key of the newest job of a name that is in a preferred state, else of the newest.

        Args:
            name: of a job; or a key, which says exactly which one is meant.
            preferred: states.

        Raises:
            UsageError: there is none; lists those there are.
        """
        folders = job_folder.submissions(self.root)
        mine = [f for f in folders if name_of(f.name) == name]
        mine = mine or [f for f in folders if f.name == name]
        if not mine:
            names = sorted({name_of(f.name) for f in folders})
            raise UsageError(
                f"there is no job named {name or '(no name given)'}",
                do=f"jobs here are {', '.join(names)}"
                if names
                else "no job was submitted here yet",
            )
        wanted = [f for f in mine if preferred and self._report_of(f).state in preferred]
        return (wanted or mine)[-1].name

    def newest(self, name: str) -> JobStatus:
        """Where the newest job of a name stands; state ``absent`` when there is none."""
        folder = job_folder.newest(self.root, name)
        return JobStatus(name, "", "absent") if folder is None else self.status(folder.name)

    def list(self) -> list[JobStatus]:
        """Where every job stands, oldest submission first."""
        return [self.status(folder.name) for folder in job_folder.submissions(self.root)]

    def views(self) -> tuple[JobView, ...]:
        """The jobs as a page shows them, cheap enough for every two seconds; at most 20."""
        with _guard:
            views = _views.setdefault(self.root, JobViews(self.root, self._report))
        return views.read()

    def committed_usd(self, session: str) -> float:
        """What the jobs cost that a session's budget started, unfinished ones at their quote."""
        return committed_usd(self.root, session)

    def about(self, key: str) -> dict[str, Any]:
        """What was written down when a job was submitted; empty if it is not here."""
        return read_json(self.folder(key) / job_folder.SPEC) or {}

    def status(self, key: str) -> JobStatus:
        """Where a job stands; works in a process that did not start it."""
        folder, about = self.folder(key), self.about(key)
        if not about:
            return JobStatus(name_of(key), key, "absent")
        report = self._report(folder, about)
        metrics = _metrics(folder, ended=report.state in FINISHED)
        return JobStatus(
            name=str(about.get("name", name_of(key))),
            key=key,
            state=report.state,
            seconds=report.seconds,
            exit_code=report.exit_code,
            reason=report.reason,
            step=metrics.step,
            total_steps=metrics.total_steps,
            metrics=metrics.rows,
            newest=metrics.newest,
            log_tail=self.logs(key),
            outputs=read_json(folder / job_folder.RESULT) or {},
            cost_usd=job_folder.cost_usd(about, report.seconds),
            quote_usd=about.get("quote_usd"),
            voided=heldout_watch.void_reason(folder),
        )

    def logs(self, key: str, lines: int = job_folder.TAIL_LINES) -> str:
        """The last lines of a job's log as plain text, of a progress bar its last state."""
        folder, about = self.folder(key), self.about(key)
        log = ""
        if about and job_folder.read_exit(folder) is None:
            # A log that cannot be asked for now is no reason not to say where the job stands.
            with suppress(InternError):
                backend = self._backend(about)
                handle = _handle(folder, backend)
                log = backend.logs(handle, -job_folder.TAIL_BYTES).text if handle else ""
        return job_folder.plain_tail(log or job_folder.read_log(folder), lines)

    # what is done ---------------------------------------------------------------------------

    def check(self, spec: JobSpec) -> JobSpec:
        """The job as it would run.

        Raises:
            UsageError: there is no such place, or it cannot run there.
        """
        return self._checked(spec)[0]

    def submit(
        self, spec: JobSpec, *, again: bool = False, budget: SessionBudget | None = None
    ) -> JobStatus:
        """Hold a job, or start it where nothing is to be asked; one that is there is found again.

        Args:
            spec: The job.
            again: Move a finished attempt aside and submit a new one.
            budget: Of the unattended session whose cell this is; ``None`` if a person is to be
                asked.

        Raises:
            UsageError: it cannot run there, its cost is unknown or not covered, or ``again`` for a
                job that still runs.
            InternError: the record cannot be written.
            BaseException: what a script raises that runs in this process.
        """
        spec, offer = self._checked(spec)
        terms = terms_for(spec, offer)
        if terms.held and budget is not None:
            check_budget(self.root, spec, terms, budget)
        folder = self.folder(spec.key)
        state = self._report_of(folder).state
        if state == "held":
            again = False
            same = same_terms(folder, spec, terms)
            if not same and self._replace(folder, "replaced: run under other terms"):
                job_folder.move_aside(folder)
        elif again and state == "running":
            raise UsageError(
                f"the job {spec.name} is still running",
                do=f"wait for it, or end it first: %jobs cancel {spec.name}",
            )
        if again and folder.exists():
            job_folder.move_aside(folder)
        made = job_folder.create(self.root, spec, self._workdir, terms)
        if made is not None and not terms.held:
            self._launch(spec, made)
        if terms.held or spec.max_steps is None:
            # A smoke that runs at once takes nobody's place.
            self._replace_others(folder, spec.name)
        if terms.held and budget is not None:
            self._start(folder, payer(budget.session))
        return self.status(spec.key)

    def start(self, name: str, *, by: str = PERSON) -> JobStatus:
        """Say yes to a held job's quote: it starts, once, whoever else says so at the same time.

        Takes about a second, until the job's process is there. A job that is not held is left as
        it is.

        Args:
            name: The job's name, or its key, which says exactly which one is meant.
            by: Who said yes.

        Raises:
            UsageError: there is no such job; lists those there are.
        """
        folder = self.folder(self.find(name, "held"))
        if self._report_of(folder).state == "held":
            self._start(folder, by)
        return self.status(folder.name)

    def cancel(self, name: str) -> JobStatus:
        """End a job and every child of it, or give up a held one; may take 20 seconds.

        Args:
            name: The job's name, or its key.

        Raises:
            UsageError: there is no such job; lists those there are.
        """
        key = self.find(name, "running", "held")
        folder, about = self.folder(key), self.about(key)
        if self._report(folder, about).state in {"held", "running"}:
            backend = self._backend(about)
            if _handle(folder, backend) is None:
                # An engine that starts it meanwhile is found below, or finds this.
                why = "cancelled before it was started; nothing ran"
                job_folder.write_exit(folder, "cancelled", reason=why, seconds=0.0)
            if handle := _handle(folder, backend):
                backend.cancel(handle)
        return self.status(key)

    def cancel_running(self, names: Container[str] | None = None) -> None:
        """End the running jobs, or those of some names; each takes up to 20 seconds."""
        for folder in job_folder.submissions(self.root):
            wanted = names is None or name_of(folder.name) in names
            if wanted and self._report_of(folder).state == "running":
                self.cancel(folder.name)

    # how it is done -------------------------------------------------------------------------

    def _checked(self, spec: JobSpec) -> tuple[JobSpec, Offer]:
        backend = backend_of(spec, self._place(self._workdir))
        offer = offer_of(spec, backend)
        return backend.check(spec), offer

    def _place(self, workdir: Path) -> JobPlace:
        return JobPlace(workdir, partial(job_folder.folder_of, self.root))

    def _backend(self, about: dict[str, Any]) -> Backend:
        """The backend of a job that was submitted; it runs where its cell was."""
        spec = JobSpec(str(about.get("name", "")), "", on=str(about.get("on", "local")))
        return backend_of(spec, self._place(Path(about.get("workdir", self._workdir))))

    def _report_of(self, folder: Path) -> JobReport:
        about = read_json(folder / job_folder.SPEC)
        return JobReport("absent") if about is None else self._report(folder, about)

    def _report(self, folder: Path, about: dict[str, Any]) -> JobReport:
        """How the job of a folder stands, which is given with its ``spec.json``."""
        end = job_folder.read_exit(folder)
        if end is not None:
            return end
        if job_folder.is_held(folder, about):
            report = JobReport("held")
        else:
            report = self._polled(folder, about)
        # Read after the engine: whoever ended it between the two has written it.
        return job_folder.read_exit(folder) or report

    def _polled(self, folder: Path, about: dict[str, Any]) -> JobReport:
        claimed = read_json(folder / job_folder.START) or {}
        began = float(claimed.get("at", about.get("submitted", 0.0)))
        seconds = max(0.0, time.time() - began)
        try:
            backend = self._backend(about)
            handle = _handle(folder, backend)
            if handle is not None:
                return self._brought(folder, backend, handle)
        except UsageError as error:
            return JobReport("lost", seconds, reason=error.what)
        except InternError as error:
            return JobReport("running", seconds, reason=error.what)
        if seconds < _STARTING_S:
            return JobReport("running", seconds)
        reason = "it never started: the process that was to start it ended first"
        return JobReport("lost", reason=reason)

    def _brought(self, folder: Path, backend: Backend, handle: str) -> JobReport:
        """What the engine says; of a job that ended only once what it made is here."""
        report = backend.poll(handle)
        if report.state in {"completed", "failed", "cancelled"}:
            backend.fetch(handle, folder)
            job_folder.write_exit(
                folder,
                report.state,
                code=report.exit_code,
                reason=report.reason,
                seconds=report.seconds,
            )
        return report

    def _launch(self, spec: JobSpec, folder: Path) -> None:
        backend = self._backend(read_json(folder / job_folder.SPEC) or {})
        label = job_folder.label_of(folder)
        try:
            handle = backend.submit(spec, label)
        except UsageError as refused:
            job_folder.write_exit(folder, "failed", reason=refused.what, seconds=0.0)
            raise
        if handle != label:
            write_once(folder / job_folder.HANDLE, {"handle": handle})
        end = job_folder.read_exit(folder)
        if end is not None and end.state == "cancelled" and backend.poll(handle).state == "running":
            # It was given up while the engine took it.
            backend.cancel(handle)

    def _start(self, folder: Path, by: str) -> None:
        spec = job_folder.read_spec(folder)
        if not job_folder.claim(folder, by):
            return
        # A cancel that came first has written it; one that comes later finds the job.
        if job_folder.read_exit(folder) is None:
            self._launch(spec, folder)

    def _replace(self, folder: Path, reason: str) -> bool:
        """Take a held job back; False when it was started meanwhile."""
        if not job_folder.claim(folder, "nobody"):
            return False
        job_folder.write_exit(folder, "cancelled", reason=reason, seconds=0.0)
        return True

    def _replace_others(self, folder: Path, name: str) -> None:
        """One held job a name: Start must not mean another script than the one last shown."""
        for other in job_folder.submissions(self.root):
            same = other != folder and name_of(other.name) == name
            if same and self._report_of(other).state == "held":
                self._replace(other, "replaced by a newer job of this name")


def _handle(folder: Path, backend: Backend) -> str | None:
    """The engine's name for a job; ``None`` if it does not know the job (yet)."""
    kept = read_json(folder / job_folder.HANDLE)
    return str(kept["handle"]) if kept else backend.find(job_folder.label_of(folder))


def _metrics(folder: Path, *, ended: bool) -> MetricsRows:
    """The rows of a job; only of one that may still write is it remembered how far they go."""
    with _guard:
        rows = _followed.pop(folder, None) or MetricsRows(folder / job_folder.METRICS)
        rows.read()
        if not ended:
            _followed[folder] = rows
        # A copy: another thread may read on.
        return copy(rows)
