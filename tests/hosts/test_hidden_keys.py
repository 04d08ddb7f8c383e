"""Keys are out of the environment while a cell of the intern's runs, and only then."""

from __future__ import annotations

import pytest

KEY = "MLINTERN_TEST_KEY"
HIDE = f"""import os, stub_intern
from mlintern_jupyter.policy.credentials import Credentials
os.environ["{KEY}"] = "canary"
keys = Credentials(["{KEY}"])
told = []
def on_intern_cell(running):
    told.append(running)
    (keys.hide if running else keys.show)()
stub_intern.BRIDGE.on_intern_cell = on_intern_cell"""
THERE = f"assert os.environ['{KEY}'] == 'canary'"
GONE = f"import os; assert '{KEY}' not in os.environ and keys['{KEY}'] == 'canary'"


@pytest.fixture
def proposed(loaded):
    loaded.start("review")
    loaded.next("insert")
    assert loaded.run(HIDE, "own")["status"] == "ok"
    return loaded


def test_a_proposal_does_not_see_them_and_the_persons_own_cells_do(proposed):
    assert proposed.run(THERE, "own-1")["status"] == "ok"
    assert proposed.run(GONE, "please")["status"] == "ok"
    assert proposed.run(THERE, "own-2")["status"] == "ok"
    assert proposed.run("assert told == [True, False], told", "own-3")["status"] == "ok"


def test_neither_does_a_program_that_a_proposal_starts(proposed):
    code = "import subprocess; out = subprocess.run(['env'], capture_output=True, text=True).stdout"
    looked = proposed.run(f"{code}\nassert 'PATH=' in out and '{KEY}' not in out", "please")
    assert looked["status"] == "ok"


@pytest.mark.parametrize("code", ["1/0", "this is no Python", "raise SystemExit", "exit_code ="])
def test_they_come_back_after_a_cell_that_fails(proposed, code):
    proposed.run(code, "please")
    assert proposed.run(f"{THERE}\nassert told == [True, False], told", "own-1")["status"] == "ok"


@pytest.mark.parametrize(
    "code",
    ["import time; time.sleep(60)", "import asyncio\nwhile True: await asyncio.sleep(.05)"],
    ids=["plain", "awaiting"],
)
def test_they_come_back_after_an_interrupted_cell(proposed, code):
    proposed.begin(f"{GONE}\n{code}", "please")
    proposed.manager.interrupt_kernel()
    assert proposed.heard("CellEnded")["state"] == "interrupted"
    assert proposed.run(f"{THERE}\nassert told == [True, False], told", "own-1")["status"] == "ok"


def test_a_cell_that_must_not_run_hides_nothing(proposed):
    assert proposed.run("stub_intern.LEDGER.refuse = 'please'", "own-1")["status"] == "ok"
    assert proposed.run("print('ran')", "please")["status"] == "error"
    assert proposed.run(f"{THERE}\nassert told == [], told", "own-2")["status"] == "ok"


def test_a_cell_of_the_persons_own_whose_code_is_run_by_a_proposal_does_not_bring_them_back(
    proposed,
):
    inner = "get_ipython().run_cell('inner = 1')"
    assert proposed.run(f"{inner}\n{GONE}", "please")["status"] == "ok"
    assert proposed.run(THERE, "own-1")["status"] == "ok"


def test_an_end_that_nobody_was_told_of_is_made_up_for_before_the_next_cell(proposed):
    lose = "b = stub_intern.BRIDGE; get_ipython().events.unregister('post_run_cell', b._after_cell)"
    assert proposed.run(f"import stub_intern; {lose}", "please")["status"] == "ok"
    assert proposed.run(THERE, "own-1")["status"] == "ok"


def test_unloading_in_a_proposal_loses_no_key(proposed):
    assert proposed.run("%unload_ext stub_intern", "please")["status"] == "ok"
    assert proposed.run(THERE, "own-1")["status"] == "ok"
