"""``mlintern run`` as a person or a script calls it: exit codes, the JSON line, resuming."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mlintern_jupyter.testing.script import Call, Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.testing.strict_responses import encrypted

RUN = [sys.executable, "-m", "mlintern_jupyter", "run"]
# Whole runs, each with a kernel of its own.
pytestmark = pytest.mark.timeout(900)
UNATTENDED = ["--mode", "unattended", "--budget", "1"]


def mlintern(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *words], cwd=folder, capture_output=True, text=True, check=False)


def asking(server: ScriptedServer) -> list[str]:
    return ["--model", "openai/scripted", "--api-base", server.base_url, *UNATTENDED, "--json"]


def answer_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["", "--model", "playbook", *UNATTENDED], "what should be improved?"),
        (["improve nano/mqc", "--model", "playbook", *UNATTENDED], "nano/mcq"),
        (["improve nano/mcq", *UNATTENDED], "no language model is chosen"),
        (["improve nano/mcq", "--model", "openai/gpt-5.1", *UNATTENDED], "OPENAI_API_KEY"),
        (["improve nano/mcq", "--model", "playbook"], "needs somebody to ask"),
        (["improve nano/mcq", "--model", "playbook", "--mode", "unattended"], "--budget USD"),
        (["improve nano/mcq", "--model", "playbook", "--budget", "much"], "--budget much"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_bad_usage_exits_with_2_and_leaves_nothing(
    tmp_path: Path, words: list[str], says: str
) -> None:
    done = mlintern(tmp_path, *words, "--notebook", "out.ipynb")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "out.ipynb"
    path.write_text("mine")
    words = ["improve nano/mcq", "--model", "playbook", *UNATTENDED]
    done = mlintern(tmp_path, *words, "--notebook", "out.ipynb")
    assert done.returncode == 2
    assert "exists" in done.stderr
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    words = ["improve nano/mcq", "--model", "playbook", *UNATTENDED]
    done = mlintern(tmp_path, *words, "--notebook", "nowhere/out.ipynb")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert list(tmp_path.iterdir()) == []


WORK = [
    Turn("I look first.", (Call("plan", {"items": [{"step": "look", "state": "active"}]}),)),
    Turn(
        "",
        (
            Call("write_cell", {"kind": "note", "source": "## A look", "why": "say it"}),
            Call("write_cell", {"kind": "dataset", "source": "print(6 * 7)", "why": "look"}),
        ),
    ),
    Turn("", (Call("plan", {"items": [{"step": "look", "state": "done"}]}),)),
    Turn("It is 42."),
]


def test_a_whole_run_against_a_scripted_server(tmp_path: Path) -> None:
    with ScriptedServer(WORK) as server:
        done = mlintern(tmp_path, "look at it", "--notebook", "out.ipynb", *asking(server))
        assert len(server.requests) == len(WORK)
        # The last message says what is left of the budget.
        seen = server.requests[2].body["messages"][-2]["content"]
    assert done.returncode == 0, done.stderr
    answer = answer_of(done)
    assert answer["status"] == "completed"
    assert answer["steps"] == len(WORK)
    assert answer["cost_usd"] is None, "a server on this machine is not metered"
    assert answer["usage"]["input_tokens"] > 0
    assert "42" in seen, "the intern reads what its cell printed"
    notebook = nbformat.read(answer["notebook"], as_version=4)
    nbformat.validate(notebook)
    assert [c.source for c in notebook.cells][-2:] == ["## A look", "print(6 * 7)"]
    assert notebook.cells[-1].outputs[0].text == "42\n"
    assert Path(answer["ledger"]).is_file()


def test_a_whole_run_over_the_responses_api_sends_reasoning_back(tmp_path: Path) -> None:
    work = [replace(turn, thinking=f"Thought {n}.") for n, turn in enumerate(WORK)]
    with ScriptedServer(work) as server:
        model = ["--model", "openai/responses/scripted", *asking(server)[2:]]
        done = mlintern(tmp_path, "look at it", "--notebook", "out.ipynb", *model)
        assert {request.path for request in server.requests} == {"/v1/responses"}
        last = server.requests[-1].body["input"]
    assert done.returncode == 0, done.stderr
    assert answer_of(done)["steps"] == len(WORK)
    hidden = [item["encrypted_content"] for item in last if item["type"] == "reasoning"]
    assert hidden == [encrypted(turn.thinking) for turn in work[:-1]]
    notebook = nbformat.read(answer_of(done)["notebook"], as_version=4)
    assert notebook.cells[-1].outputs[0].text == "42\n"


def test_a_limit_exits_with_3_and_says_which(tmp_path: Path) -> None:
    server = ScriptedServer(WORK)
    words = ["look at it", "--notebook", "out.ipynb", *asking(server), "--max-steps", "2"]
    done = mlintern(tmp_path, *words)
    server.stop()
    assert done.returncode == 3, done.stderr
    assert answer_of(done)["status"] == "limit"
    assert "2 of 2" in answer_of(done)["reason"]
    assert len(server.requests) == 2


def test_a_refused_key_pauses_with_4_and_resuming_finishes(tmp_path: Path) -> None:
    refused = Turn("", WORK[0].calls, faults=(Fault(status=401, body="no such key"),))
    with ScriptedServer([refused, *WORK[1:]]) as server:
        first = mlintern(tmp_path, "look at it", "--notebook", "out.ipynb", *asking(server))
        assert first.returncode == 4, first.stderr
        assert answer_of(first)["status"] == "paused"
        again = mlintern(tmp_path, "--notebook", "out.ipynb", "--resume", "--json")
        assert again.returncode == 0, again.stderr
        assert answer_of(again)["session"] == answer_of(first)["session"]


def test_an_interrupt_stops_the_intern_and_exits_with_130(tmp_path: Path) -> None:
    server = ScriptedServer([Turn("late", faults=(Fault(hold=True),))])
    words = [*RUN, "look at it", "--notebook", "out.ipynb", *asking(server)]
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    end = time.monotonic() + 120
    while not server.requests:
        assert time.monotonic() < end
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert json.loads(said.strip().splitlines()[-1])["status"] == "interrupted"
    server.stop()


def test_export_builds_the_notebook_from_the_ledger_alone(tmp_path: Path) -> None:
    with ScriptedServer(WORK) as server:
        done = mlintern(tmp_path, "look at it", "--notebook", "out.ipynb", *asking(server))
    session = answer_of(done)["session"]
    (tmp_path / "out.ipynb").unlink()
    command = [sys.executable, "-m", "mlintern_jupyter", "export", session, "again.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True)
    notebook = nbformat.read(tmp_path / "again.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[-1].source == "print(6 * 7)"
    assert notebook.cells[-1].outputs[0].text == "42\n"


def job_cell(name: str, hours: int) -> Turn:
    source = f"%%job {name} --on local --timeout {hours}h --max-usd 50\nprint('trained')\n"
    return Turn("", (Call("write_cell", {"kind": "script", "source": source, "why": "train"}),))


def test_on_a_rented_machine_the_budget_of_an_unattended_session_starts_its_jobs_or_refuses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("usd_per_hour = 0.5\n")
    monkeypatch.setenv("MLINTERN_CONFIG", str(config))
    wait = "from mlintern_jupyter import job\nprint(job('small').result().state)"
    turns = [
        job_cell("small", 1),
        job_cell("large", 4),
        Turn("", (Call("write_cell", {"kind": "eval", "source": wait, "why": "look"}),)),
        Turn("Done."),
    ]
    with ScriptedServer(turns) as server:
        done = mlintern(tmp_path, "train it", "--notebook", "out.ipynb", *asking(server))
    assert done.returncode == 0, done.stderr
    jobs = {path.name.rpartition("-")[0] for path in (tmp_path / "intern_runs" / "jobs").iterdir()}
    assert jobs == {"small"}, "four hours are $2, above the budget of $1"
    notebook = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    shown = json.dumps(notebook.cells)
    assert "may cost up to $2.00, and" in shown
    assert "of the budget of session" in shown
    assert notebook.cells[-1].outputs[-1].text == "completed\n"
