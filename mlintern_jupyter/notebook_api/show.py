"""How cell functions show things: plain text, one output that is updated, records beside it.

In a kernel the output is a display that is replaced in place; in a terminal, or in plain Python,
only the final line is printed.
"""

from __future__ import annotations

import math
import secrets
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

from IPython.core.getipython import get_ipython

from mlintern_jupyter.cells import RECORD_MIME
from mlintern_jupyter.config import from_notebook, notebook_folder

PAUSE_S = 2.0
"""Least time between two states of one output."""


def in_batch() -> bool:
    """Whether a whole notebook is being run by a program (nbclient, papermill, nbval).

    Front ends with a person before them send the cell's id or can ask for input; the headless
    notebook of this package sends ids too.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    request = cast("dict[str, Any]", kernel.get_parent() or {})
    has_id = bool(request.get("metadata", {}).get("cellId"))
    return not has_id and not request.get("content", {}).get("allow_stdin", False)


def is_live() -> bool:
    """Whether an output can be replaced in place: in a kernel, not in a terminal."""
    return getattr(get_ipython(), "kernel", None) is not None


def say(text: str) -> None:
    """One line of plain text into the cell."""
    sys.stdout.write(text + "\n")


def shown_path(path: str | Path) -> str:
    """A path as a record keeps it: relative to the notebook's folder where it lies inside."""
    absolute = from_notebook(path).absolute()
    try:
        return str(absolute.relative_to(notebook_folder().absolute()))
    except ValueError:
        return str(path)


def plain(value: Any) -> Any:
    """A value as strict JSON: what is not finite becomes ``null``."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    return value


class Output:
    """One output of a cell: states of something under way, then its end. Safe between threads."""

    def __init__(self) -> None:
        self._id = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._shown: dict[str, Any] | None = None
        self._at = 0.0
        self._ended = False

    def progress(self, text: str, markdown: str | None = None) -> None:
        """Show a state, at most every two seconds; nothing after the end was shown."""
        with self._lock:
            due = time.monotonic() - self._at >= PAUSE_S
            if due and not self._ended and is_live():
                self._publish(_bundle(text, markdown))

    def end(
        self, text: str, markdown: str | None = None, *, record: Any = None, again: bool = False
    ) -> None:
        """Show the last state, with the record it stands for; the first end stays.

        Args:
            text: The state.
            markdown: The same for front ends that render it.
            record: What it stands for.
            again: Show it even if it was shown: a program that runs one cell after the other does
                not hear what a thread shows between two of them.
        """
        with self._lock:
            if self._ended and not again:
                return
            self._ended = True
            bundle = _bundle(text, markdown)
            if record is not None:
                bundle[RECORD_MIME] = plain(record)
            self._publish(bundle, again=again)

    def _publish(self, bundle: dict[str, Any], *, again: bool = False) -> None:
        if bundle == self._shown and not again:
            return
        if not is_live():
            say(str(bundle["text/plain"]))
        else:
            shell: Any = get_ipython()
            shell.display_pub.publish(
                data=bundle,
                metadata={},
                transient={"display_id": self._id},
                update=self._shown is not None,
            )
        self._shown = bundle
        self._at = time.monotonic()


def _bundle(text: str, markdown: str | None) -> dict[str, Any]:
    bundle: dict[str, Any] = {"text/plain": text}
    return bundle if markdown is None else {**bundle, "text/markdown": markdown}
