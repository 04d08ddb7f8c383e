"""``mlintern status|stop|steer`` from a terminal, at a real kernel that is busy."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kernel_peer import LOAD, KernelPeer

from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.testing.script import Fault, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

# Many processes one after another, each of which loads the package.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[KernelPeer]:
    with KernelPeer(tmp_path, tcp=True) as peer:
        assert peer.run(LOAD).status == "ok"
        peer.answer_as("test")
        yield peer


@pytest.fixture
def never() -> Iterator[ScriptedServer]:
    """A model that thinks for as long as the test lasts."""
    server = ScriptedServer([Turn("late", faults=(Fault(hold=True),))])
    yield server
    server.stop()


def mlintern(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlintern_jupyter", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def begin(kernel: KernelPeer, server: ScriptedServer, goal: str = "look at it") -> str:
    """Start a session that asks its model and gets no answer; its name."""
    options = f"--model openai/scripted --api-base {server.base_url} --mode unattended --budget 1"
    shown = kernel.run(f"%%intern {goal} {options}", "cell-1")
    assert shown.status == "ok", shown.text
    until(lambda: server.requests, "the model to be asked")
    return newest(kernel.folder).session


def newest(folder: Path) -> SessionState:
    ledgers = sorted((folder / "intern_runs").glob("*/ledger.jsonl"), key=os.path.getmtime)
    return fold(Ledger.view(ledgers[-1].parent).facts)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def keep_busy(kernel: KernelPeer) -> None:
    """Send a cell that does not end, and go on when it runs."""
    code = "open('busy', 'w').close()\nimport time\ntime.sleep(600)"
    content = {"code": code, "silent": False, "allow_stdin": False, "stop_on_error": False}
    kernel.client.shell_channel.send(kernel.client.session.msg("execute_request", content))
    until(lambda: (kernel.folder / "busy").exists(), "the cell to run")


def status(folder: Path, *words: str) -> dict[str, Any]:
    done = mlintern(folder, "status", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_session_is_seen_steered_and_stopped_while_a_cell_runs(
    kernel: KernelPeer, never: ScriptedServer, tmp_path: Path
) -> None:
    name = begin(kernel, never)
    keep_busy(kernel)

    one = status(tmp_path)["sessions"][0]
    assert (one["session"], one["open"], one["working"]) == (name, True, True)
    assert one["pid"] == kernel.manager.provisioner.process.pid
    assert one["now"].startswith("at work")
    listed = mlintern(tmp_path, "status")
    assert listed.stdout.startswith(f"* {name}: look at it (working")

    told = mlintern(tmp_path, "steer", "use", "the", "small", "model")
    assert (told.returncode, told.stderr) == (0, "")
    until(lambda: "use the small model" in ledger_text(tmp_path), "the words to be recorded")

    stopped = mlintern(tmp_path, "stop", "--session", name)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    until(lambda: newest(tmp_path).status == "interrupted", "the end of the turn")
    kernel.until_idle()

    again = mlintern(tmp_path, "stop")
    assert again.returncode == 2
    assert "no turn of it runs" in again.stderr
    assert "no turn runs" in status(tmp_path, "--session", name)["sessions"][0]["now"]


def test_stop_with_jobs_ends_the_jobs_of_the_folder_too(
    kernel: KernelPeer, never: ScriptedServer, tmp_path: Path
) -> None:
    assert kernel.run("%%job long\nimport time; time.sleep(600)").status == "ok"
    begin(kernel, never)
    assert [job["state"] for job in status(tmp_path)["jobs"]] == ["running"]
    stopped = mlintern(tmp_path, "stop", "--jobs")
    assert (stopped.returncode, stopped.stderr) == (0, "")
    until(lambda: newest(tmp_path).status == "interrupted", "the end of the turn")
    until(
        lambda: [job["state"] for job in status(tmp_path)["jobs"]] == ["cancelled"],
        "the end of the job",
    )


def ledger_text(folder: Path) -> str:
    return "".join(p.read_text() for p in (folder / "intern_runs").glob("*/ledger.jsonl"))


def test_the_lock_names_the_kernel_and_holds_no_key(
    kernel: KernelPeer, never: ScriptedServer, tmp_path: Path
) -> None:
    name = begin(kernel, never)
    said = (tmp_path / "intern_runs" / name / "lock").read_text()
    assert json.loads(said)["connection_file"] == kernel.manager.connection_file
    assert kernel.manager.session.key.decode() not in said


def test_a_session_that_is_not_open_says_how_to_go_on_with_it(
    kernel: KernelPeer, never: ScriptedServer, tmp_path: Path
) -> None:
    name = begin(kernel, never)
    kernel.manager.shutdown_kernel(now=True)
    done = mlintern(tmp_path, "stop", "--session", name)
    assert done.returncode == 2
    assert "not open in any kernel" in done.stderr
    assert f"%intern resume {name}" in done.stderr
    assert "is open in a kernel" in mlintern(tmp_path, "steer", "hello").stderr
    one = status(tmp_path)["sessions"][0]
    assert (one["open"], one["working"], one["status"]) == (False, None, "working")


def test_a_kernel_that_does_not_answer_is_said_not_waited_for(
    kernel: KernelPeer, never: ScriptedServer, tmp_path: Path
) -> None:
    name = begin(kernel, never)
    pid = kernel.manager.provisioner.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        done = mlintern(tmp_path, "stop")
        assert done.returncode == 1
        assert "did not answer" in done.stderr
        assert f"process {pid}" in done.stderr
        assert "did not answer" in status(tmp_path, "--session", name)["sessions"][0]["now"]
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_wrong_name_is_answered_with_the_nearest(
    kernel: KernelPeer, never: ScriptedServer, tmp_path: Path
) -> None:
    name = begin(kernel, never)
    done = mlintern(tmp_path, "stop", "--session", name[:-1])
    assert done.returncode == 2
    assert f"did you mean {name}?" in done.stderr
    other = mlintern(tmp_path.parent, "stop", "--session", name, "--folder", str(tmp_path))
    assert other.returncode == 0, other.stderr


def record(folder: Path, name: str, **holder: Any) -> None:
    """A record on disk whose lock names a holder that lives: this test's process."""
    first = {"session": name, "cell_id": "c", "goal": "look at it"}
    path = folder / "intern_runs" / name
    path.mkdir(parents=True)
    (path / "ledger.jsonl").write_text(json.dumps(first) + "\n")
    me = psutil.Process()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    said = {"host": socket.gethostname(), "pid": me.pid, "started": me.create_time(), "boot": boot}
    (path / "lock").write_text(json.dumps({**said, **holder}))


def test_a_session_on_another_machine_names_it(tmp_path: Path) -> None:
    record(tmp_path, "far-1", host="gpu-node-7")
    done = mlintern(tmp_path, "stop")
    assert done.returncode == 1
    assert "gpu-node-7" in done.stderr
    assert "run this command on gpu-node-7" in done.stderr


def test_of_two_open_sessions_one_must_be_named(tmp_path: Path) -> None:
    record(tmp_path, "one-1")
    record(tmp_path, "two-2")
    done = mlintern(tmp_path, "steer", "hello")
    assert done.returncode == 2
    assert "one-1" in done.stderr
    assert "two-2" in done.stderr
    assert "--session" in done.stderr


@pytest.mark.parametrize(
    ("holder", "says"),
    [({}, "no Jupyter kernel"), ({"connection_file": "/nowhere/kernel-1.json"}, "cannot be read")],
)
def test_a_holder_that_cannot_be_asked_is_said(
    tmp_path: Path, holder: dict[str, str], says: str
) -> None:
    record(tmp_path, "one-1", **holder)
    done = mlintern(tmp_path, "stop", "--session", "one-1")
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_folder_has_no_sessions_and_a_missing_one_is_said(tmp_path: Path) -> None:
    assert "no sessions" in mlintern(tmp_path, "status").stdout
    assert status(tmp_path)["sessions"] == []
    done = mlintern(tmp_path, "status", "--folder", "nowhere")
    assert (done.returncode, "no folder nowhere" in done.stderr) == (2, True)
