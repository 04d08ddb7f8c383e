"""``%%job`` cells that cost money, as a person meets them: quote, hold, ``%jobs start``, result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.config import load_config
from mlintern_jupyter.errors import JobFailed, UsageError
from mlintern_jupyter.jobs import SessionBudget
from mlintern_jupyter.notebook_api import job
from mlintern_magics.jobs import JobMagics

SCRIPT = "import time\nopen('starts', 'a').write('x')\nprint('trained')\n"
LINE = "sft --timeout 2h --max-usd 6"
WAIT = "from mlintern_jupyter import job\nr = job('sft').result()\nprint('state', r.state)"


@pytest.fixture
def magics() -> JobMagics:
    return JobMagics(InteractiveShell())


@pytest.fixture(autouse=True)
def rented(folder: Path) -> Path:
    """The configuration of a machine that costs $2.40 an hour."""
    path = folder / "none.toml"
    path.write_text("usd_per_hour = 2.4\n")
    return path


def starts(folder: Path) -> int:
    path = folder / "starts"
    return len(path.read_text()) if path.exists() else 0


def text_of(cell: Any) -> str:
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def test_a_held_job_shows_its_quote_and_starts_by_jobs_start_alone(
    magics: JobMagics, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    magics.job(LINE, SCRIPT)
    card = capsys.readouterr().out
    assert card.startswith("job sft · held · costs up to $4.80 · nothing runs yet")
    assert "`%jobs start sft`" in card
    magics.job(LINE, SCRIPT)
    assert capsys.readouterr().out == card, "running the cell again shows the same card"
    magics.jobs("")
    assert capsys.readouterr().out.splitlines()[1].split(None, 3)[:2] == ["sft", "held"]
    assert starts(folder) == 0
    magics.jobs("start sft")
    assert job("sft").result().log_tail == "trained"
    assert starts(folder) == 1
    capsys.readouterr()
    magics.jobs("start sft")
    assert "it was not held; nothing was started" in capsys.readouterr().out
    magics.job(LINE, SCRIPT)
    assert "finished before" in capsys.readouterr().out
    assert starts(folder) == 1


def test_run_all_holds_and_does_not_wait_for_somebody_who_is_not_there(
    run_notebook: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rerun in ("", "1"):
        monkeypatch.setenv("MLINTERN_RERUN", rerun)
        ran = run_notebook(f"%%job {LINE}\n{SCRIPT}", WAIT)
        assert "costs up to $4.80" in text_of(ran.cells[1])
        assert "%jobs start sft" in text_of(ran.cells[2])
        assert "state held" in text_of(ran.cells[2])
    assert starts(folder) == 0


def test_a_result_waits_until_the_job_is_started_elsewhere(
    magics: JobMagics, folder: Path, waiting: threading.Event, once: Callable[..., None]
) -> None:
    magics.job(LINE, SCRIPT)
    once(waiting.is_set, lambda: Jobs(folder / "intern_runs").start("sft"))
    assert job("sft").result().state == "completed"


def test_an_interrupted_wait_leaves_the_job_held(
    magics: JobMagics,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    waiting: threading.Event,
    once: Callable[..., None],
    interrupt: Callable[[], None],
) -> None:
    magics.job(LINE, SCRIPT)
    once(waiting.is_set, interrupt)
    with pytest.raises(KeyboardInterrupt):
        job("sft").result()
    assert "it stays held" in capsys.readouterr().out
    assert job("sft").result(timeout_s=0.1).state == "held"
    assert starts(folder) == 0


def test_a_wait_for_a_job_that_is_given_up_ends_with_that(
    magics: JobMagics, waiting: threading.Event, once: Callable[..., None]
) -> None:
    magics.job(LINE, SCRIPT)
    once(waiting.is_set, lambda: magics.jobs("cancel sft"))
    with pytest.raises(JobFailed, match="cancelled before it was started"):
        job("sft").result()


def test_changed_terms_are_quoted_anew(
    magics: JobMagics, capsys: pytest.CaptureFixture[str], rented: Path
) -> None:
    magics.job(LINE, SCRIPT)
    magics.job("sft --timeout 1h --max-usd 6", SCRIPT)
    rented.write_text("usd_per_hour = 1\n")
    magics.job("sft --timeout 1h --max-usd 6", SCRIPT)
    shown = [line for line in capsys.readouterr().out.splitlines() if line]
    assert ["$4.80" in shown[0], "$2.40" in shown[1], "$1.00" in shown[2]] == [True] * 3


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sft", "no --timeout"),
        ("sft --timeout 2h", "no cap"),
        ("sft --max-usd 6", "no --timeout"),
        ("sft --timeout 3h --max-usd 6", "above its cap"),
    ],
)
def test_what_may_not_start_is_refused_before_anything_is_written(
    magics: JobMagics, folder: Path, line: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        magics.job(line, SCRIPT)
    assert refused.value.do
    assert not (folder / "intern_runs").exists()


def test_a_free_machine_starts_at_once_unless_the_cell_has_a_cap(
    magics: JobMagics, folder: Path, rented: Path
) -> None:
    rented.write_text("usd_per_hour = 0\n")
    magics.job("free", SCRIPT)
    assert job("free").result().state == "completed"
    magics.job("capped --timeout 1h --max-usd 1", SCRIPT)
    assert job("capped").status().state == "held"
    assert starts(folder) == 1


@pytest.mark.parametrize(
    "text",
    [
        "usd_per_hour = 'two'",
        "usd_per_hour = true",
        "usd_per_hour = -1",
        "usd_per_hour = nan",
        "usd_per_hour = ",
        "usd_per_hours = 2.4",
        "usd_per_hour = 2.4\nmax_steps = 'many'",
    ],
)
def test_a_broken_configuration_does_not_make_a_rented_machine_free(
    magics: JobMagics, rented: Path, text: str
) -> None:
    rented.write_text(text)
    assert load_config().problem
    with pytest.raises(UsageError, match="not known") as refused:
        magics.job(LINE, SCRIPT)
    assert str(rented) in refused.value.why


def test_a_budget_that_the_door_tells_of_starts_the_job_at_once(folder: Path) -> None:
    asked: list[float] = []

    def budget() -> SessionBudget:
        asked.append(time.monotonic())
        return SessionBudget("gpqa-1", 5.0)

    JobMagics(InteractiveShell(), budget).job(LINE, SCRIPT)
    assert job("sft").result().state == "completed"
    with pytest.raises(UsageError, match="is left"):
        JobMagics(InteractiveShell(), lambda: SessionBudget("gpqa-1", 4.0)).job(
            "sft-2 --timeout 2h --max-usd 6", SCRIPT
        )
    assert (len(asked), starts(folder)) == (1, 1)
