"""``Jobs`` over an engine that is not this machine: handles, what comes home, what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlintern_jupyter.compute import backends
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.jobs import JobSpec, SessionBudget
from mlintern_jupyter.json_files import read_json
from mlintern_jupyter.protocols import Backend, JobPlace, Offer
from mlintern_jupyter.testing.backend_contract import FAILS, MAKES, OUTCOMES, SAYS, STAYS
from mlintern_jupyter.testing.fake_backend import FakeBackend, FakeEngine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    engine = FakeEngine(
        OUTCOMES,
        (
            Offer(title="the fake engine"),
            Offer("a10g", "an a10g", 2.0),
            Offer("new", "a new one", None, "it has no price yet", "take --on fake:a10g"),
        ),
    )
    known = backends.backend_of

    def backend_of(spec: JobSpec, place: JobPlace) -> Backend:
        return FakeBackend(place, engine) if spec.backend == "fake" else known(spec, place)

    monkeypatch.setattr("mlintern_jupyter.compute.jobs.backend_of", backend_of)
    yield engine
    engine.close()


def spec(script: str = SAYS, on: str = "fake", **more: float) -> JobSpec:
    return JobSpec("sft", script, on=on, **more)


def test_a_job_is_submitted_under_a_label_that_was_on_disk_before(
    engine: FakeEngine, jobs: Jobs
) -> None:
    done = jobs.submit(spec(MAKES))
    label = jobs.about(done.key)["label"]
    assert list(engine.labels) == [label]
    assert read_json(jobs.folder(done.key) / "handle.json") == {"handle": "job/1"}
    assert (done.state, done.step, done.outputs) == ("completed", 10, {"model": "model"})
    assert (jobs.folder(done.key) / "model" / "config.json").exists()


def test_what_ended_is_known_without_the_engine(engine: FakeEngine, jobs: Jobs) -> None:
    first = jobs.submit(spec())
    engine.is_down = True
    again = jobs.status(first.key)
    assert (again.state, again.log_tail) == ("completed", "first line\nlast line é")
    assert [view.state for view in jobs.views()] == ["completed"]


def test_a_running_job_shows_its_log_and_ends_when_the_engine_says_so(
    engine: FakeEngine, jobs: Jobs
) -> None:
    key = jobs.submit(spec(STAYS)).key
    assert (jobs.status(key).state, jobs.status(key).log_tail) == ("running", "begun")
    engine.end(jobs.about(key)["label"], 3)
    status = jobs.status(key)
    assert (status.state, status.exit_code, status.reason) == ("failed", 3, "exit code 3")


def test_a_cancel_reaches_the_engine(engine: FakeEngine, jobs: Jobs) -> None:
    jobs.submit(spec(STAYS))
    assert jobs.cancel("sft").state == "cancelled"


def test_a_lost_reply_costs_no_second_job(engine: FakeEngine, jobs: Jobs) -> None:
    engine.loses_reply = True
    with pytest.raises(InternError, match="connection broke"):
        jobs.submit(spec(STAYS))
    assert not (jobs.folder(spec(STAYS).key) / "handle.json").exists()
    assert jobs.submit(spec(STAYS)).state == "running", "found by its label, not submitted again"
    assert len(engine.labels) == 1
    assert jobs.cancel("sft").state == "cancelled"


def test_an_engine_that_took_nothing_leaves_a_lost_job_that_only_again_submits(
    engine: FakeEngine, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.is_down = True
    with pytest.raises(InternError, match="cannot be reached"):
        jobs.submit(spec())
    assert jobs.status(spec().key).state == "running"
    assert "cannot be reached" in jobs.status(spec().key).reason
    engine.is_down = False
    monkeypatch.setattr("mlintern_jupyter.compute.jobs._STARTING_S", 0.0)
    assert jobs.submit(spec()).state == "lost"
    assert jobs.submit(spec(), again=True).state == "completed"
    assert len(engine.labels) == 1


def test_a_refusal_is_said_and_nothing_runs(engine: FakeEngine, jobs: Jobs) -> None:
    engine.refuses = "the credit of ada is used up"
    with pytest.raises(UsageError, match="credit of ada"):
        jobs.submit(spec())
    assert (jobs.status(spec().key).state, engine.labels) == ("failed", {})
    assert "credit of ada" in jobs.status(spec().key).reason


def test_each_attempt_has_a_label_of_its_own(engine: FakeEngine, jobs: Jobs) -> None:
    jobs.submit(spec(FAILS))
    assert jobs.submit(spec(FAILS), again=True).state == "failed"
    assert len(set(engine.labels)) == 2


def test_a_place_with_a_price_holds_its_jobs_and_names_itself(
    engine: FakeEngine, jobs: Jobs
) -> None:
    with pytest.raises(UsageError, match="no cap") as refused:
        jobs.submit(spec(on="fake:a10g", timeout_s=3600.0))
    assert "an a10g costs $2.00 an hour" in refused.value.why
    with pytest.raises(UsageError, match="an hour of a new one costs is not known") as unknown:
        jobs.submit(spec(on="fake:new", timeout_s=3600.0, max_usd=6.0))
    assert (unknown.value.why, unknown.value.do) == ("it has no price yet", "take --on fake:a10g")
    asked = spec(on="fake:a10g", timeout_s=3600.0, max_usd=6.0)
    held = jobs.submit(asked)
    assert (held.state, held.quote_usd, engine.labels) == ("held", 2.0, {})
    assert jobs.start("sft").state == "completed"
    other = spec(FAILS, "fake:a10g", timeout_s=3600.0, max_usd=6.0)
    jobs.submit(other, budget=SessionBudget("gpqa-1", 2.0))
    assert jobs.committed_usd("gpqa-1") == pytest.approx(2.0 / 3600)
    assert len(engine.labels) == 2


def test_a_backend_that_is_gone_leaves_a_job_that_can_be_listed(
    engine: FakeEngine, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as there:
        there.setattr(
            "mlintern_jupyter.compute.jobs.backend_of", lambda _, p: FakeBackend(p, engine)
        )
        key = Jobs(tmp_path / "r", tmp_path).submit(spec(STAYS, "gone")).key
    jobs = Jobs(tmp_path / "r", tmp_path)
    assert jobs.status(key).state == "lost"
    assert "no place gone" in jobs.status(key).reason
    assert [view.state for view in jobs.views()] == ["lost"]
    engine.end(jobs.about(key)["label"])
