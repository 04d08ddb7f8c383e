"""What every backend does, as tests: subclass ``BackendContract``, and pytest runs them.

::

    class TestMyBackend(DetachedBackendContract):
        def backend(self, place: JobPlace) -> Backend:
            return MyBackend(place)

``backend`` is called several times in one test, as another process would make its own.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from mlintern_jupyter.jobs import FINISHED, JobReport, JobSpec
from mlintern_jupyter.protocols import Backend, JobPlace
from mlintern_jupyter.testing.fake_backend import Outcome

SAYS = "print('first line')\nprint('last line \\u00e9')\n"
FAILS = "import sys\n\nsys.exit(3)\n"
MAKES = """\
import json, os
from pathlib import Path

folder = Path(os.environ["MLINTERN_JOB_DIR"])
(folder / "metrics.jsonl").write_text(json.dumps({"step": 10, "loss": 0.5}) + "\\n")
(folder / "model").mkdir()
(folder / "model" / "config.json").write_text("{}")
(folder / "result.json").write_text(json.dumps({"model": "model"}))
"""
STAYS = "import time\n\nprint('begun', flush=True)\ntime.sleep(600)\n"
OUTCOMES = {
    SAYS: Outcome("first line\nlast line \u00e9\n"),
    FAILS: Outcome(exit_code=3),
    MAKES: Outcome(
        files={
            "metrics.jsonl": '{"step": 10, "loss": 0.5}\n',
            "model/config.json": "{}",
            "result.json": '{"model": "model"}',
        }
    ),
    STAYS: Outcome("begun\n", exit_code=None),
}
"""What the scripts of this suite do, for an engine that runs none."""
LIMIT_S = 120.0


class BackendContract:
    """Of any backend, also of one whose jobs run in the process that submits them."""

    on = ""
    """The ``--on`` of its jobs; the backend's name if left empty."""

    def backend(self, place: JobPlace) -> Backend:
        """A backend as ``Jobs`` makes one."""
        raise NotImplementedError

    # the tests ------------------------------------------------------------------------------

    def test_it_says_what_its_places_cost(self, tmp_path: Path) -> None:
        """Also those whose price it does not know, and then why."""
        backend = self.backend(place(tmp_path))
        offers = backend.offers()
        assert len({offer.target for offer in offers}) == len(offers)
        assert self.spec(backend, SAYS).target in {offer.target for offer in offers}
        assert all(offer.usd_per_hour is not None or offer.problem for offer in offers)

    def test_a_checked_job_stays_the_same(self, tmp_path: Path) -> None:
        """The job's key is made of what ``check`` gives: it must not move."""
        backend = self.backend(place(tmp_path))
        spec = self.spec(backend, SAYS)
        assert (spec.name, spec.script, spec.on) == ("contract", SAYS, self.on or backend.name)
        assert backend.check(spec) == spec

    def test_a_label_that_nobody_submitted_is_not_found(self, tmp_path: Path) -> None:
        """``None``, not an error: an engine that answers knows what it has."""
        where = place(tmp_path)
        backend = self.backend(where)
        label = written(where, self.spec(backend, SAYS), "a")
        assert backend.find(label) is None

    def test_a_job_is_found_by_its_label_from_anywhere(self, tmp_path: Path) -> None:
        """What makes a start happen at most once."""
        where = place(tmp_path)
        handle, label = self.submitted(where, SAYS)
        assert self.backend(where).find(label) == handle
        other = written(where, self.spec(self.backend(where), SAYS), "b")
        assert self.backend(where).find(other) is None
        self.ended(where, handle)
        assert self.backend(where).find(label) == handle

    def test_a_script_that_ends_well_is_completed(self, tmp_path: Path) -> None:
        """And stays so, whoever asks and how often."""
        where = place(tmp_path)
        handle, _ = self.submitted(where, SAYS)
        report = self.ended(where, handle)
        assert (report.state, report.exit_code, report.reason) == ("completed", 0, "")
        assert report.seconds >= 0
        assert self.ended(where, handle) == report

    def test_what_a_job_made_is_in_its_folder_after_fetch(self, tmp_path: Path) -> None:
        """Metrics, results and the files they name; fetched twice is fetched once."""
        where = place(tmp_path)
        handle, label = self.submitted(where, MAKES)
        assert self.ended(where, handle).state == "completed"
        folder = where.folder(label)
        for _ in range(2):
            self.backend(where).fetch(handle, folder)
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            assert (folder / result["model"] / "config.json").read_text(encoding="utf-8") == "{}"
            rows = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
            assert [json.loads(row) for row in rows] == [{"step": 10, "loss": 0.5}]

    # what they use --------------------------------------------------------------------------

    def spec(self, backend: Backend, script: str) -> JobSpec:
        """A checked job of this backend."""
        return backend.check(JobSpec("contract", script, on=self.on or backend.name))

    def submitted(self, where: JobPlace, script: str) -> tuple[str, str]:
        """Handle and label of a job that was just submitted."""
        backend = self.backend(where)
        spec = self.spec(backend, script)
        label = written(where, spec, "a")
        return backend.submit(spec, label), label

    def ended(self, where: JobPlace, handle: str) -> JobReport:
        """How a job ended, waited for."""
        deadline = time.monotonic() + LIMIT_S
        while (report := self.backend(where).poll(handle)).state not in FINISHED:
            assert report.state == "running"
            assert time.monotonic() < deadline, f"{handle} does not end"
            time.sleep(0.05)
        return report


class DetachedBackendContract(BackendContract):
    """Of a backend whose jobs outlive the process that submits them."""

    def test_a_script_that_fails_says_with_which_code(self, tmp_path: Path) -> None:
        """As plain Python would end."""
        where = place(tmp_path)
        handle, _ = self.submitted(where, FAILS)
        report = self.ended(where, handle)
        assert (report.state, report.exit_code) == ("failed", 3)

    def test_a_log_is_read_in_parts_each_character_once(self, tmp_path: Path) -> None:
        """From the beginning, on from a position, and from the end."""
        where = place(tmp_path)
        handle, _ = self.submitted(where, SAYS)
        self.ended(where, handle)
        whole = self.backend(where).logs(handle, 0)
        assert whole.text.splitlines()[-2:] == ["first line", "last line \u00e9"]
        assert self.backend(where).logs(handle, whole.position).text == ""
        assert self.backend(where).logs(handle, -4).text.strip().endswith("\u00e9")
        assert len(self.backend(where).logs(handle, -4).text) < len(whole.text)

    def test_a_job_runs_until_it_is_cancelled(self, tmp_path: Path) -> None:
        """And a cancel of what ended changes nothing."""
        where = place(tmp_path)
        handle, label = self.submitted(where, STAYS)
        assert self.backend(where).poll(handle).state == "running"
        assert self.backend(where).find(label) == handle
        self.said(where, handle, "begun")
        self.backend(where).cancel(handle)
        report = self.ended(where, handle)
        assert report.state == "cancelled"
        self.backend(where).cancel(handle)
        assert self.backend(where).poll(handle) == report

    def test_two_jobs_of_one_script_are_two(self, tmp_path: Path) -> None:
        """What is equal is told apart by its label."""
        where = place(tmp_path)
        backend = self.backend(where)
        spec = self.spec(backend, STAYS)
        labels = [written(where, spec, attempt) for attempt in "ab"]
        handles = [backend.submit(spec, label) for label in labels]
        assert [self.backend(where).find(label) for label in labels] == handles
        self.backend(where).cancel(handles[0])
        assert self.ended(where, handles[0]).state == "cancelled"
        assert self.backend(where).poll(handles[1]).state == "running"
        self.backend(where).cancel(handles[1])
        assert self.ended(where, handles[1]).state == "cancelled"

    def said(self, where: JobPlace, handle: str, text: str) -> None:
        """Wait until a job wrote something."""
        deadline = time.monotonic() + LIMIT_S
        while text not in self.backend(where).logs(handle, 0).text:
            assert time.monotonic() < deadline, f"{handle} never said {text}"
            time.sleep(0.05)


def place(tmp_path: Path) -> JobPlace:
    """Where the jobs of a test lie: a folder for each label."""
    return JobPlace(tmp_path, lambda label: tmp_path / "jobs" / label)


def written(where: JobPlace, spec: JobSpec, attempt: str) -> str:
    """The label of a job whose folder is there, as ``Jobs`` leaves it before it submits."""
    label = f"{spec.key}_{attempt}"
    folder = where.folder(label)
    folder.mkdir(parents=True)
    (folder / "script.py").write_bytes(spec.script.encode())
    about = {**spec.to_json(), "label": label, "submitted": time.time()}
    (folder / "spec.json").write_text(json.dumps(about), encoding="utf-8")
    return label
