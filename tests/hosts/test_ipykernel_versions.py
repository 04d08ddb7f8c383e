"""The kernel's end of the wire on every generation of ipykernel that is promised to work.

Each version has a small environment of its own, made when it is first needed and kept in
``$MLINTERN_KERNEL_ENVS``, else in pytest's cache folder of this project.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from shutil import rmtree

import pytest
from hand_peer import ROOT, HandPeer

FOLDER = Path(os.environ.get("MLINTERN_KERNEL_ENVS", ROOT / ".pytest_cache" / "d"))
INSTALLED = "installed"

pytestmark = pytest.mark.timeout(600)


def environment(version):
    """Python of an environment with this ipykernel."""
    folder = FOLDER / f"ipykernel-{version}-py{sys.version_info.major}{sys.version_info.minor}"
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        venv.create(making, with_pip=True)
        install = ["-m", "pip", "install", "-q", f"ipykernel=={version}.*"]
        done = subprocess.run([making / "bin" / "python", *install], capture_output=True, text=True)
        if done.returncode:
            rmtree(making)
            pytest.fail(f"ipykernel {version} cannot be installed here: {done.stderr[-300:]}")
        # Renamed when it is whole: one that was interrupted is never taken for done.
        try:
            making.rename(folder)
        except OSError:
            # Another process was faster.
            rmtree(making)
    return folder / "bin" / "python"


@pytest.fixture(scope="session", params=["6.30", "7.3", INSTALLED])
def version(request):
    return request.param


@pytest.fixture(scope="session")
def python(version):
    return sys.executable if version == INSTALLED else environment(version)


@pytest.fixture
def loaded(tmp_path, python, version):
    peer = HandPeer(tmp_path, python)
    try:
        peer.load()
        if version != INSTALLED:
            check = f"import ipykernel; assert ipykernel.__version__.startswith('{version}.')"
            assert peer.run(check)["status"] == "ok"
        yield peer
    finally:
        peer.close()


def test_everything_is_answered_while_a_cell_runs_also_to_a_page_that_was_reloaded(loaded):
    loaded.start("review")
    loaded.next("insert")
    busy = loaded.begin("import time\nwhile True: time.sleep(.05)", "own")
    assert loaded.hello(tab="page")["leads"]
    assert loaded.status(whole=True, tab="page")["view"]["folder"] == "/folder"
    reloaded = loaded.as_client(loaded.another_client())
    replay = reloaded.hello(tab="page")
    assert replay["leads"]
    assert [m["cell"]["id"] for m in replay["messages"] if m["kind"] == "insert"] == ["please"]
    stop = {"kind": "command", "session": "stub-1", "command": {"kind": "Stop"}}
    assert reloaded.ask(stop)["ok"]
    assert reloaded.not_run("please", "skipped", "not now")["ok"]
    assert loaded.heard("TurnEnded")["outcome"] == "interrupted"
    assert loaded.interrupt(busy)["ename"] == "KeyboardInterrupt"


def test_a_cell_is_inserted_run_and_settled_by_its_id_with_what_it_showed(loaded):
    loaded.start("work")
    loaded.next("run")
    loaded.run("print('one')\n40 + 2", "ok")
    outputs = loaded.heard("CellEnded", cell_id="ok")["outputs"]
    assert [o["output_type"] for o in outputs] == ["stream", "execute_result"]
    assert loaded.next("run")["cell_id"] == "bad"
    loaded.run("1/0", "bad")
    bad = loaded.heard("CellEnded", cell_id="bad")
    assert (bad["state"], bad["outputs"][-1]["ename"]) == ("failed", "ZeroDivisionError")
    assert loaded.next("run")["cell_id"] == "loop"
    kinds = [m["kind"] for m in loaded.hello()["messages"]]
    assert kinds.count("insert") == 4
    assert kinds.count("run") == 1


def test_an_interrupt_ends_the_cell_and_not_the_intern(loaded):
    loaded.start("work")
    loaded.next("run")
    loaded.interrupt(loaded.begin("import time\ntime.sleep(60)", "ok"))
    assert loaded.heard("CellEnded", cell_id="ok")["state"] == "interrupted"
    assert loaded.next("run")["cell_id"] == "bad"


def test_the_client_that_runs_the_magic_cell_leads_and_cells_in_line_are_known(loaded):
    assert loaded.hello(tab="first")["leads"]
    page = loaded.as_client(loaded.another_client())
    assert not page.hello(tab="second")["leads"]
    busy = loaded.begin("import time\nwhile True: time.sleep(.05)", "busy")
    sent = [page.send("%%intern review\n\n", "magic"), page.send("a = 1", "own")]
    page.let_line_form()
    loaded.interrupt(busy)
    page.reply(sent[-1])
    assert page.status(tab="second")["leads"]
    loaded.next("insert")
    page.run("print(1)", "please")
    loaded.heard("TurnEnded")
    said = [f for f in loaded.facts() if f["type"] in {"OwnCellRan", "Decided"}]
    assert [(f["type"], f.get("queued")) for f in said] == [
        ("OwnCellRan", True), ("Decided", None),
    ]  # fmt: skip


def test_a_cell_whose_start_cannot_be_recorded_does_not_run(loaded, tmp_path):
    loaded.start("unwritable")
    loaded.next("run")
    loaded.run("open('effect.txt', 'w').close()", "effect")
    assert loaded.heard("TurnEnded")["outcome"] == "failed"
    assert not (tmp_path / "effect.txt").exists()
