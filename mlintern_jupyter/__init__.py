"""A machine-learning intern in your notebook.

``%load_ext mlintern_jupyter`` gives ``%%intern``. A cell of a record needs four names, and who
offers the intern a function of their own one more::

    from mlintern_jupyter import benchmark, compare, evaluate, job, tool

They work without a session, a model or a network, and are loaded when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlintern_jupyter.notebook_api import benchmark, evaluate, job
    from mlintern_jupyter.notebook_api.compare import compare
    from mlintern_jupyter.tools.custom.functions import tool

__version__ = "0.1.0"
__all__ = ["__version__", "benchmark", "compare", "evaluate", "job", "tool"]

_HOME = {
    "benchmark": "mlintern_jupyter.notebook_api",
    "evaluate": "mlintern_jupyter.notebook_api",
    "job": "mlintern_jupyter.notebook_api",
    "compare": "mlintern_jupyter.notebook_api.compare",
    "tool": "mlintern_jupyter.tools.custom.functions",
}


def __getattr__(name: str) -> Any:
    """Load a cell function on first use, so that the extension itself stays light."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def load_ipython_extension(ip: Any) -> None:
    """Load the magics: the one import that points upward, made when the extension is loaded."""
    importlib.import_module("mlintern_magics").load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """Take the magics and hooks out again."""
    importlib.import_module("mlintern_magics").unload(ip)


def _jupyter_labextension_paths() -> list[dict[str, str]]:  # pyright: ignore[reportUnusedFunction]
    """Where the page's side lies once it is built, for Jupyter's development install."""
    return [{"src": "labextension", "dest": "mlintern-jupyter"}]
