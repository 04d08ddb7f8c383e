"""Jobs that cost money: quoted, held, started once by a yes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlintern_jupyter.compute import job_folder
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.compute.local.backend import LocalBackend
from mlintern_jupyter.compute.terms import terms_for
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import FINISHED, JobSpec, JobStatus, SessionBudget
from mlintern_jupyter.protocols import JobPlace, Offer

COUNTS = "import time\nopen('starts', 'a').write('x')\n"
HOUR = 3600.0


@pytest.fixture(autouse=True)
def rented(priced: Callable[[float], None]) -> None:
    priced(2.0)


@pytest.fixture
def record(jobs: Jobs) -> Path:
    return jobs.root.parent


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def ended(jobs: Jobs, key: str) -> JobStatus:
    until(lambda: jobs.status(key).state in FINISHED, f"the end of {key}")
    return jobs.status(key)


def costly(
    name: str = "sft", script: str = COUNTS, timeout_s: float = HOUR, max_usd: float = 6.0
) -> JobSpec:
    return JobSpec(name, script, timeout_s=timeout_s, max_usd=max_usd)


def at(price: float | None) -> Offer:
    """This machine at a price."""
    do = "correct usd_per_hour in the configuration file"
    return Offer(usd_per_hour=price, problem="config.toml was not used", do=do)


def starts(tmp_path: Path) -> int:
    path = tmp_path / "starts"
    return len(path.read_text()) if path.exists() else 0


# quotes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "timeout_s", "max_usd", "quote"),
    [
        (0.0, None, None, None),
        (0.0, HOUR, None, None),
        (1.2, 4 * HOUR, 4.8, 4.8),
        (0.1, 3 * HOUR, 0.3, 0.3),
        (0.0, HOUR, 1.0, 0.0),
    ],
)
def test_a_job_is_held_where_there_is_a_price_or_a_cap_and_only_there(
    price: float, timeout_s: float | None, max_usd: float | None, quote: float | None
) -> None:
    terms = terms_for(JobSpec("sft", "1", timeout_s=timeout_s, max_usd=max_usd), at(price))
    assert terms.held == (quote is not None)
    assert terms.quote_usd == (None if quote is None else pytest.approx(quote))


@pytest.mark.parametrize(
    ("price", "timeout_s", "max_usd", "says", "do"),
    [
        (1.2, 4 * HOUR, None, r"up to \$4.80, and has no cap", "--max-usd 4.80"),
        (1.2, 10.0, None, r"up to \$0.0033, and has no cap", "--max-usd 0.01"),
        (1.2, 4 * HOUR, 4.79, r"up to \$4.80, above its cap of \$4.79", "lower --timeout"),
        (1.2, None, 6.0, "no --timeout", "--timeout 4h --max-usd 6"),
        (0.0, None, 6.0, "no --timeout", "--timeout 4h --max-usd 6"),
        (1.2, None, None, "no --timeout", "--timeout 4h --max-usd"),
        (None, 4 * HOUR, 6.0, "not known", "correct usd_per_hour"),
        (None, None, None, "not known", "correct usd_per_hour"),
    ],
)
def test_an_unknown_or_uncapped_or_too_high_cost_is_refused_with_what_to_write(
    price: float | None, timeout_s: float | None, max_usd: float | None, says: str, do: str
) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        terms_for(JobSpec("sft", "1", timeout_s=timeout_s, max_usd=max_usd), at(price))
    assert do in refused.value.do


def test_a_smoke_in_the_kernel_cannot_have_a_cap_and_is_never_held(jobs: Jobs) -> None:
    with pytest.raises(UsageError, match="--on kernel"):
        jobs.submit(JobSpec("sft", "1", on="kernel", max_usd=1.0))
    assert jobs.submit(JobSpec("sft", "1", on="kernel")).state == "completed"


# the hold -----------------------------------------------------------------------------------------


def test_a_held_job_has_its_folder_and_quote_and_runs_only_when_started(
    jobs: Jobs, record: Path, tmp_path: Path
) -> None:
    spec = costly()
    status = jobs.submit(spec)
    assert (status.state, status.quote_usd, status.cost_usd) == ("held", 2.0, 0.0)
    assert jobs.submit(spec).state == "held"
    assert jobs.submit(spec, again=True).state == "held"
    assert (starts(tmp_path), len(list((record / "jobs").iterdir()))) == (0, 1)
    assert jobs.start("sft").state in {"running", "completed"}
    done = ended(jobs, spec.key)
    assert (done.state, done.quote_usd) == ("completed", 2.0)
    assert done.cost_usd == pytest.approx(2.0 * done.seconds / HOUR)
    assert done.cost_usd > 0
    assert jobs.start("sft").state == "completed"
    assert starts(tmp_path) == 1


def test_a_job_that_was_not_started_for_a_day_is_still_held(
    jobs: Jobs, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlintern_jupyter.compute.jobs._STARTING_S", 0.0)
    spec = costly()
    jobs.submit(spec)
    assert jobs.status(spec.key).state == "held"


def test_the_timeout_holds_the_cap(jobs: Jobs, record: Path) -> None:
    spec = costly(script="import time; time.sleep(600)", timeout_s=1.0)
    jobs.submit(spec)
    jobs.start(spec.key)
    assert "timeout of 1 s" in ended(jobs, spec.key).reason


def test_a_held_job_can_be_given_up_and_then_nothing_starts_it(
    jobs: Jobs, record: Path, tmp_path: Path
) -> None:
    jobs.submit(costly())
    status = jobs.cancel("sft")
    assert (status.state, "nothing ran" in status.reason) == ("cancelled", True)
    assert jobs.start("sft").state == "cancelled"
    assert starts(tmp_path) == 0


def test_a_cancel_that_comes_between_the_claim_and_the_runner_wins(
    jobs: Jobs, record: Path, tmp_path: Path
) -> None:
    spec = costly()
    jobs.submit(spec)
    folder = record / "jobs" / spec.key
    assert job_folder.claim(folder, "a person")
    assert jobs.status(spec.key).state == "running"
    assert jobs.cancel("sft").state == "cancelled"
    place = JobPlace(tmp_path, lambda _: folder)
    LocalBackend(place).submit(spec, job_folder.label_of(folder))
    assert ended(jobs, spec.key).state == "cancelled"
    assert starts(tmp_path) == 0


def test_other_terms_replace_a_held_job_and_its_quote(
    jobs: Jobs, record: Path, tmp_path: Path
) -> None:
    jobs.submit(costly())
    status = jobs.submit(costly(timeout_s=HOUR / 2))
    assert (status.state, status.quote_usd) == ("held", 1.0)
    jobs.start("sft")
    assert ended(jobs, status.key).state == "completed"
    old = job_folder.read_exit(record / "jobs" / f"{status.key}.1")
    assert (old.state, "other terms" in old.reason) == ("cancelled", True)
    assert starts(tmp_path) == 1


def test_a_newer_script_of_the_name_replaces_the_held_one_so_that_start_means_one_job(
    jobs: Jobs, record: Path
) -> None:
    old, new = costly(), costly(script="print('new')")
    jobs.submit(old)
    jobs.submit(new)
    assert jobs.status(old.key).state == "cancelled"
    assert jobs.start("sft").key == new.key
    assert jobs.start(old.key).state == "cancelled"
    assert ended(jobs, new.key).log_tail == "new"


def test_a_smoke_after_it_does_not_hide_a_held_job_from_start(jobs: Jobs, record: Path) -> None:
    spec, smoke = costly(), JobSpec("sft", "pass", on="kernel")
    jobs.submit(spec)
    assert jobs.submit(smoke).state == "completed"
    assert jobs.start("sft").key == spec.key
    assert ended(jobs, spec.key).state == "completed"


def test_a_job_nobody_knows_is_said_with_those_there_are(jobs: Jobs, record: Path) -> None:
    with pytest.raises(UsageError, match="no job named sft"):
        jobs.start("sft")
    jobs.submit(costly())
    with pytest.raises(UsageError, match="no job named stf") as missing:
        jobs.start("stf")
    assert "sft" in missing.value.do


# exactly once -------------------------------------------------------------------------------------

STARTER = """
import sys, time
from pathlib import Path
from mlintern_jupyter.compute.jobs import Jobs
Path(sys.argv[1]).touch()
while not Path("go").exists():
    time.sleep(0.005)
print(Jobs(Path("intern_runs")).start("sft").state)
"""


def test_two_processes_that_start_it_at_once_start_it_once(jobs: Jobs, tmp_path: Path) -> None:
    spec = costly()
    jobs.submit(spec)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, name], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists(), "both starters")
    (tmp_path / "go").touch()
    for process in both:
        said, _ = process.communicate(timeout=60)
        assert said.strip() in {"running", "completed"}
    assert ended(jobs, spec.key).state == "completed"
    assert starts(tmp_path) == 1


def test_many_clicks_start_it_once(jobs: Jobs, record: Path, tmp_path: Path) -> None:
    spec = costly()
    jobs.submit(spec)
    clicks = [threading.Thread(target=jobs.start, args=("sft",)) for _ in range(8)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert ended(jobs, spec.key).state == "completed"
    assert starts(tmp_path) == 1


def test_a_crash_between_the_claim_and_the_start_leaves_a_lost_job_that_nothing_restarts(
    jobs: Jobs, record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = costly()
    jobs.submit(spec)
    dies = """
import os, signal
from pathlib import Path
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.compute.local.backend import LocalBackend
LocalBackend.submit = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
Jobs(Path("intern_runs")).start("sft")
"""
    done = subprocess.run([sys.executable, "-c", dies], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert jobs.status(spec.key).state == "running", "its runner may be on its way"
    monkeypatch.setattr("mlintern_jupyter.compute.jobs._STARTING_S", 0.0)
    status = jobs.start("sft")
    assert (status.state, "never started" in status.reason) == ("lost", True)
    assert jobs.start(spec.key).state == "lost"
    assert starts(tmp_path) == 0
    assert jobs.submit(spec, again=True).state == "held", "a person may ask for it again"


# budgets of unattended sessions -------------------------------------------------------------------


def test_a_budget_that_covers_the_quote_is_the_yes(
    jobs: Jobs, record: Path, tmp_path: Path
) -> None:
    status = jobs.submit(costly(), budget=SessionBudget("gpqa-1", 2.0))
    assert status.state in {"running", "completed"}
    ended(jobs, status.key)
    assert starts(tmp_path) == 1
    said = json.loads((record / "jobs" / status.key / "start.json").read_text())
    assert said["by"] == "session gpqa-1"


@pytest.mark.parametrize(("usd", "says"), [(1.99, "is left"), (None, "not known")])
def test_a_budget_that_does_not_cover_it_or_is_unknown_refuses_and_leaves_nothing(
    jobs: Jobs, record: Path, usd: float | None, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        jobs.submit(costly(), budget=SessionBudget("gpqa-1", usd))
    assert not record.exists()


def test_a_budget_is_not_spent_twice_running_jobs_count_with_their_quote(
    jobs: Jobs, record: Path
) -> None:
    budget = SessionBudget("gpqa-1", 3.0)
    first = jobs.submit(costly("one", "import time; time.sleep(600)"), budget=budget)
    assert jobs.committed_usd("gpqa-1") == 2.0
    with pytest.raises(UsageError, match=r"\$1.00 of"):
        jobs.submit(costly("two"), budget=budget)
    other = jobs.submit(costly("other"), budget=SessionBudget("mcq-2", 2.0))
    jobs.cancel(first.key)
    assert jobs.committed_usd("gpqa-1") < 0.1, "what ended counts with what it cost"
    second = jobs.submit(costly("two"), budget=budget)
    for status in (other, second):
        assert ended(jobs, status.key).state == "completed"


def test_a_budget_releases_a_job_that_a_person_left_held(jobs: Jobs, tmp_path: Path) -> None:
    status = jobs.submit(costly())
    jobs.submit(costly(), budget=SessionBudget("gpqa-1", 2.0))
    assert ended(jobs, status.key).state == "completed"
    assert starts(tmp_path) == 1


def test_a_held_job_is_started_where_its_cell_was(
    jobs: Jobs, record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = costly(script="import os; print(os.getcwd())")
    jobs.submit(spec)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    jobs.start("sft")
    assert ended(jobs, spec.key).log_tail == os.fspath(tmp_path)
