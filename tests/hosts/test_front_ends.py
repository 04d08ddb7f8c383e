"""Which front end runs the cells, by what it sends and what it is."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell

from mlintern_jupyter.hosts.front_ends import advice, front_end, permanent_cell_id
from mlintern_jupyter.hosts.ipython import StepPeer

VSCODE = "vscode-notebook-cell:/home/me/a.ipynb#W0sZmlsZQ%3D%3D"


def _kernel(*, asks: bool) -> SimpleNamespace:
    return SimpleNamespace(kernel=SimpleNamespace(control_handlers={}, _allow_stdin=asks))


@pytest.mark.parametrize(
    ("ip", "cell_id", "front"),
    [
        (_kernel(asks=True), VSCODE, "vscode"),
        (_kernel(asks=False), "a1b2", "jupyter"),
        # qtconsole, and pages that send no ids
        (_kernel(asks=True), "", "jupyter"),
        # nbclient and papermill send no ids and cannot be asked
        (_kernel(asks=False), "", "nobody"),
        (SimpleNamespace(kernel=SimpleNamespace()), "a1b2", "no_control"),
        (InteractiveShell(), "", "terminal"),
    ],
)
def test_it_is_known_by_its_cells_and_its_kernel(
    ip: SimpleNamespace, cell_id: str, front: str
) -> None:
    assert front_end(ip, cell_id) == front


def test_colab_is_known_by_its_own_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    assert front_end(_kernel(asks=False), "") == "colab"


def test_only_a_jupyter_page_is_told_to_install_something() -> None:
    assert "Jupyter server" in advice("jupyter")
    for front in ("vscode", "colab", "terminal", "no_control"):
        assert "pip install" not in advice(front)
        assert "`%intern next`" in advice(front)


def test_an_id_that_vs_code_gives_anew_each_time_is_no_identity() -> None:
    assert permanent_cell_id(VSCODE) == ""
    assert permanent_cell_id("a1b2") == "a1b2"


@pytest.mark.parametrize(
    ("source", "claimed"),
    [
        ("# intern mcq-1 ab-12 · run: why\nx = 1", ("ab-12", "x = 1")),
        ("\n# intern mcq-1 ab-12 · run\nx = 1\n", ("ab-12", "x = 1\n")),
        ("# intern mcq-1 ab-12\nx = 1", ("ab-12", "x = 1")),
        ("x = 1\n# intern mcq-1 ab-12 · run: why", None),
        ("# internal notes of mine\nx = 1", None),
        ("# intern\nx = 1", None),
    ],
)
def test_a_proposal_is_known_by_its_first_line(
    source: str, claimed: tuple[str, str] | None
) -> None:
    shell = InteractiveShell()
    bridge = SimpleNamespace(local=None)
    assert StepPeer(shell, bridge).claims(source) == claimed  # pyright: ignore[reportArgumentType]
