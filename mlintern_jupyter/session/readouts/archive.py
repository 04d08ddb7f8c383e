"""What the records of a folder say: sessions, experiments, cost, and the notebook made again."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.record.experiments import experiments_text
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.readouts.card import money
from mlintern_jupyter.session.readouts.inventory import kinds_text
from mlintern_jupyter.session.running.identity import SessionFolder, session_folders
from mlintern_jupyter.session.running.session import Session


class Archive:
    """Reads records; changes none.

    Args:
        root: the folder of records as configured now.
        opened: the session open in this kernel.
    """

    def __init__(self, root: Callable[[], Path], opened: Callable[[], Session | None]) -> None:
        self._root = root
        self._opened = opened

    def sessions(self, _: str = "") -> str:
        """The records of this folder."""
        folders = session_folders(self._root())
        if not folders:
            return f"no sessions in {self._root()}"
        states = [fold(Ledger.view(folder.path).facts) for folder in folders]
        return "\n".join(state.summary_line() for state in states)

    def experiments(self, name: str) -> str:
        """Every training and evaluation of a session, with its numbers."""
        return experiments_text(self._state(name).runs)

    def cost(self, name: str) -> str:
        """What a session used; unknown is said to be unknown."""
        state = self._state(name)
        usage = state.spent.usage
        whole = (
            f"session {state.session}: {state.spent.steps} steps, {usage.input_tokens:,} prompt"
            f" tokens ({usage.cached_tokens:,} cached), {usage.output_tokens:,} output tokens,"
            f" {money(state)}; limits: {state.limits.as_text()}"
        )
        unmetered = bool(state.options.get("unmetered"))
        kinds = kinds_text(state.spending.by_kind, unmetered=unmetered)
        return f"{whole}\n{kinds}" if kinds else whole

    def export(self, argument: str) -> str:
        """Build the notebook again from the ledger: ``%intern export [PATH]``."""
        state = self._state("")
        path = Path(argument or f"{state.session}.ipynb")
        if path.exists():
            raise UsageError(f"{path} exists", do="%intern export OTHER.ipynb")
        # nbformat is heavy, and a session starts without it.
        importlib.import_module("mlintern_jupyter.record.export").write_notebook(state, path)
        return f"wrote {path}"

    def unfinished(self, name: str) -> tuple[SessionFolder, SessionState]:
        """A session that can go on, the newest if no name is said.

        Raises:
            UsageError: there is none, or it is finished, or nothing was asked of it yet.
        """
        folder = self._folder(name)
        state = fold(Ledger.view(folder.path).facts)
        if state.status == "completed":
            raise UsageError(
                f"session {folder.session} is finished; there is nothing to resume",
                do="change the text of its %%intern cell for a further turn, or add --again",
            )
        if not state.turn:
            raise UsageError(
                f"session {folder.session} ended before its request was written down",
                do="run its %%intern cell again; nothing was done yet",
            )
        return folder, state

    def _state(self, name: str) -> SessionState:
        opened = self._opened()
        if not name and opened is not None:
            return opened.state
        return fold(Ledger.view(self._folder(name).path).facts)

    def _folder(self, name: str) -> SessionFolder:
        folders = session_folders(self._root())
        if not name and folders:
            return folders[-1]
        found = next((f for f in folders if f.session == name), None)
        if found is None:
            there = ", ".join(f.session for f in folders) or "none"
            raise UsageError(
                f"there is no session {name or 'at all'} in {self._root()}",
                do=f"the sessions there are: {there}",
            )
        return found
