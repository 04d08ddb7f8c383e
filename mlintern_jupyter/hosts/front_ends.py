"""Which front end this is where no page with the extension answers, and what it is told."""

from __future__ import annotations

import sys
from typing import Any, Literal

from IPython.terminal.interactiveshell import TerminalInteractiveShell

FrontEnd = Literal["vscode", "colab", "terminal", "no_control", "jupyter", "nobody"]

_VSCODE = "vscode-notebook-cell"
_HOW = (
    "cells come one at a time: `%intern next` shows what the intern wrote and puts its next code"
    " into the next cell; run it, edited or not, or `%intern skip [reason]`; then `%intern next`"
    " again. `%intern status` shows where it stands."
)
_WHY: dict[FrontEnd, str] = {
    "vscode": "VS Code cannot be given cells from here, so {how}",
    "colab": "Colab cannot be given cells from here, so {how}",
    "terminal": "This is a shell without a notebook, so {how}",
    "no_control": (
        "This kernel cannot be asked anything while a cell runs (ipykernel can), so {how}"
    ),
    "jupyter": (
        "No page with the intern's extension answers here, so {how}\n\n"
        "To have cells appear by themselves: `pip install mlintern-jupyter` in the environment of"
        " the *Jupyter server* (here it is installed for the kernel only), then reload this page."
    ),
    "nobody": "",
}


def front_end(ip: Any, cell_id: str) -> FrontEnd:
    """What runs this kernel's cells; ``cell_id`` is the running cell's, as it was sent.

    ``nobody``: a notebook carried out by a program (nbclient, papermill), which could not go on.
    """
    kernel: Any = getattr(ip, "kernel", None)
    if cell_id.startswith(_VSCODE):
        return "vscode"
    if "google.colab" in sys.modules:
        return "colab"
    if kernel is None or isinstance(ip, TerminalInteractiveShell):
        return "terminal"
    if not hasattr(kernel, "control_handlers"):
        return "no_control"
    # A person's front end names the cell or lets code ask for input; a program does neither.
    asks = bool(getattr(kernel, "_allow_stdin", True))
    return "jupyter" if cell_id or asks else "nobody"


def advice(front: FrontEnd) -> str:
    """How to work with the intern here, in a few sentences of Markdown."""
    return _WHY[front].format(how=_HOW)


def replaces_cells(front: FrontEnd) -> bool:
    """Whether ``set_next_input(replace=True)`` changes the text of the cell that ran."""
    return front in {"vscode", "jupyter"}


def permanent_cell_id(cell_id: str) -> str:
    """The cell's id if it is one the notebook file keeps; VS Code numbers cells anew each time."""
    return "" if cell_id.startswith(_VSCODE) else cell_id
