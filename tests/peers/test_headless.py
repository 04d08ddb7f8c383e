from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import nbformat
import pytest
from ipykernel.zmqshell import ZMQInteractiveShell
from nbformat.v4 import new_code_cell, new_notebook
from peer_contract import LOAD, STUB_FOLDER, Played

from mlintern_jupyter.peers.headless import HeadlessNotebook

ENV = {"PYTHONPATH": f"{STUB_FOLDER}:{STUB_FOLDER.parents[1]}"}


class Run:
    """One headless run, with what it said."""

    def __init__(self, path, cells, execute=None, on_event=lambda data: None):
        self.events = []
        self.said = []
        self.execute = execute
        self.on_event = on_event
        self.notebook = HeadlessNotebook(
            path, cells=cells, on_event=self.hear, say=self.said.append, kernel_env=ENV
        )

    def hear(self, data):
        self.events.append(data)
        self.on_event(data)

    def __call__(self):
        self.result = asyncio.run(self.notebook.run(self.execute))
        return self


def fact_of(data, kind, cell_id=None):
    fact = data.get("fact", {})
    return fact.get("type") == kind and cell_id in (None, fact.get("cell_id"))


def until(there):
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "n.ipynb"


def saved(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def test_cells_of_a_session_run_before_the_next_cell_of_the_notebook(path):
    Run(path, [LOAD, "%%intern work\n\n", "print(x)"])()
    assert saved(path).cells[-1].outputs[0].text == "42\n"


def test_a_notebook_that_is_slow_to_answer_is_not_taken_for_nobody(path, monkeypatch):
    greet_soon = HeadlessNotebook._greet_soon

    def late(self):
        asyncio.get_running_loop().call_later(3, greet_soon, self)

    monkeypatch.setattr(HeadlessNotebook, "_greet_soon", late)
    Run(path, [LOAD])()
    assert saved(path).cells[0].outputs[0].text == "peer\n"


def test_facts_and_signals_are_heard_in_order_and_the_end_of_the_turn_is_known(path):
    run = Run(path, [LOAD, "%%intern work\n\n"])()
    numbers = [e["number"] for e in run.events if e["kind"] == "fact"]
    assert numbers == sorted(set(numbers))
    assert [e["signal"]["text"] for e in run.events if e["kind"] == "signal"] == ["training"]
    assert run.result.turn_ended["outcome"] == "completed"
    assert run.result.session == "stub-1"


def test_a_burst_of_facts_from_several_threads_is_heard_whole_and_once(path):
    run = Run(path, [LOAD, "%%intern burst\n\n"])()
    heard = [e["number"] for e in run.events if e["kind"] == "fact" and e["number"] >= 10_000]
    assert len(heard) == 3000
    assert len(set(heard)) == 3000
    seqs = [e["seq"] for e in run.events if e["kind"] == "fact"]
    assert seqs == sorted(seqs)
    assert Played(path).outcomes["slow"]["outputs"][0]["text"] == "step 4\n"


def test_nobody_reviews_so_a_cell_that_waits_for_a_person_is_skipped_with_the_reason(path):
    Run(path, [LOAD, "%%intern review\n\n"])()
    outcome = Played(path).outcomes["please"]
    assert outcome["state"] == "skipped"
    assert "--mode unattended" in outcome["error"]
    assert Played(path).cells["please"].metadata["mlintern"]["state"] == "skipped"


def test_a_notebook_without_the_intern_just_runs(path):
    run = Run(path, ["print('a')", "1/0", "%no_such_magic", "print('b')"])()
    assert [cell for cell, _ in run.result.failed] == [c.id for c in saved(path).cells[1:3]]
    assert run.result.failed[0][1] == "ZeroDivisionError: division by zero"
    assert saved(path).cells[3].outputs[0].text == "b\n"
    assert run.result.turn_ended is None


def test_sources_to_execute_are_run_and_added_nowhere_but_what_they_propose_is(path):
    Run(path, ["mine = 1"])()
    run = Run(path, None, execute=[LOAD, "%%intern twice\n\n", "print('hidden')"])()
    assert [c.source for c in saved(path).cells] == ["mine = 1", "print(1)"]
    assert saved(path).cells[0].execution_count == 1
    assert "hidden" in run.said


def test_the_kernel_runs_beside_the_notebook_and_knows_its_path(path):
    Run(path, ["import os\nprint(os.getcwd())\nprint(os.environ['JPY_SESSION_NAME'])"])()
    assert saved(path).cells[0].outputs[0].text == f"{path.parent}\n{path}\n"


def test_nothing_is_left_in_the_folder_but_the_notebook(path):
    Run(path, ["print(1)"])()
    assert [p.name for p in path.parent.iterdir()] == ["n.ipynb"]


def test_a_file_changed_by_somebody_else_is_kept_and_the_run_goes_on_in_a_copy(path):
    theirs = f"from pathlib import Path\nPath({str(path)!r}).write_text('theirs')"
    run = Run(path, ["print('before')", theirs, "print('after')"])()
    assert path.read_text() == "theirs"
    assert run.result.path == path.with_name("n-1.ipynb")
    assert saved(run.result.path).cells[2].outputs[0].text == "after\n"
    assert len([line for line in run.said if "n-1.ipynb" in line]) == 1


def test_a_file_changed_by_somebody_else_during_a_slow_save_is_kept_too(path, monkeypatch):
    file = Run(path, ["print(1)"]).notebook._file
    real = os.fsync

    def slow(number):
        real(number)
        path.write_text("theirs")

    monkeypatch.setattr(os, "fsync", slow)
    assert file.save()
    assert path.read_text() == "theirs"
    assert [c.source for c in saved(path.with_name("n-1.ipynb")).cells] == ["print(1)"]


def test_a_kernel_that_dies_in_a_cell_is_noticed_and_the_cell_is_marked_unknown(path):
    run = Run(path, [LOAD, "%%intern die\n\n", "print('never')"])()
    assert run.result.kernel_died
    played = Played(path)
    assert played.cells["fatal"].metadata["mlintern"]["state"] == "unknown"
    assert played.types("fatal") == ["CellStarted"]
    assert played.nb.cells[-1].outputs == []


def test_a_kernel_that_dies_between_cells_is_noticed(path):
    assert Run(path, [LOAD, "%%intern die_between\n\n"])().result.kernel_died


def test_an_interrupt_stops_the_intern_and_the_notebook_ends_after_it(path):
    def interrupt(data):
        if data["kind"] == "signal":
            os.kill(os.getpid(), signal.SIGINT)

    run = Run(path, [LOAD, "%%intern idle\n\n", "print('never')"], on_event=interrupt)()
    assert run.result.interrupted
    assert run.result.turn_ended["outcome"] == "interrupted"
    assert saved(path).cells[-1].outputs == []


def test_an_interrupt_without_an_intern_at_work_ends_the_cell(path):
    code = "import os, signal, time\nos.kill(os.getppid(), signal.SIGINT)\ntime.sleep(60)"
    run = Run(path, [code, "print('never')"])()
    assert run.result.failed[0][1].startswith("KeyboardInterrupt")
    assert saved(path).cells[-1].outputs == []


def test_a_second_interrupt_ends_the_running_cell_too(path):
    def twice(data):
        if fact_of(data, "CellStarted", "long"):
            os.kill(os.getpid(), signal.SIGINT)
        if fact_of(data, "TurnEnded"):
            # Its start is told before its code runs, and an interrupt before that kills no cell.
            until((path.parent / "runs").exists)
            os.kill(os.getpid(), signal.SIGINT)

    run = Run(path, [LOAD, "%%intern endless\n\n"], on_event=twice)()
    assert run.result.turn_ended["outcome"] == "interrupted"
    ended = next(f for f in Played(path).facts if f["type"] == "CellEnded")
    assert ended["state"] == "interrupted"
    assert Played(path).cells["long"].outputs[-1].ename == "KeyboardInterrupt"


def test_outputs_of_a_running_cell_are_on_disk_before_it_ends(path):
    waits = (
        "import json, time\n"
        "from pathlib import Path\n"
        "print('early', flush=True)\n"
        "def there():\n"
        f"    cells = json.loads(Path({str(path)!r}).read_text())['cells']\n"
        "    return any('early' in ''.join(o.get('text', '')) for o in cells[0]['outputs'])\n"
        "deadline = time.monotonic() + 60\n"
        "while not there() and time.monotonic() < deadline: time.sleep(.1)\n"
        "print(there())"
    )
    Run(path, [waits])()
    assert saved(path).cells[0].outputs[0].text == "early\nTrue\n"


def test_display_updates_reach_cells_that_ended_even_after_one_runs_again(path):
    show = "h = display('old', display_id=True)"
    Run(path, [show, "h.update('new')"])()
    assert saved(path).cells[0].outputs[0].data == {"text/plain": "'new'"}


@pytest.mark.skipif(
    not hasattr(ZMQInteractiveShell, "set_thread_parent"), reason="new in ipykernel 7.4"
)
def test_output_of_a_thread_lands_in_the_cell_that_started_it_after_it_ended(path):
    thread = (
        "import threading\n"
        "parent = get_ipython().kernel.get_parent('shell')\n"
        "go = threading.Event()\n"
        "def late():\n"
        "    get_ipython().set_thread_parent(parent)\n"
        "    go.wait()\n"
        "    print('late')\n"
        "t = threading.Thread(target=late); t.start()"
    )
    Run(path, [thread, "go.set(); t.join(); print('here')"])()
    texts = [[o.text for o in c.outputs] for c in saved(path).cells]
    assert texts == [["late\n"], ["here\n"]]


def test_cells_without_an_id_of_their_own_get_one_and_run(path):
    nb = json.loads(
        nbformat.writes(new_notebook(cells=[new_code_cell(f"print({i})") for i in range(3)]))
    )
    nb["cells"][0]["id"] = nb["cells"][1]["id"] = "same"
    del nb["cells"][2]["id"]
    path.write_text(json.dumps(nb))
    Run(path, None)()
    cells = saved(path).cells
    assert len({c.id for c in cells}) == 3
    assert cells[0].id == "same"
    assert [c.outputs[0].text for c in cells] == ["0\n", "1\n", "2\n"]


def test_a_failed_save_is_said_once_and_leaves_the_file_whole(path, monkeypatch):
    run = Run(path, ["print(1)"])
    before = path.read_bytes()

    def full(self, target):
        raise OSError(28, "No space left on device")

    file = run.notebook._file
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert not file.save()
        assert not file.save()
    assert len(run.said) == 1
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["n.ipynb"]
    assert file.save()
