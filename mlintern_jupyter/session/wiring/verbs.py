"""What the person says to the session that is open: the verbs of ``%intern`` that talk to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from mlintern_jupyter.commands import (
    Answer,
    Command,
    Compact,
    Continue,
    ModelRole,
    Pause,
    SetMode,
    SetModel,
    Steer,
)
from mlintern_jupyter.config import Config
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.options import MODES
from mlintern_jupyter.policy.rules import load_rules
from mlintern_jupyter.session.readouts.inventory import (
    models_text,
    servers_text,
    tools_text,
    toolsets_text,
)
from mlintern_jupyter.session.readouts.questions import ask_text, ask_views, inert, named
from mlintern_jupyter.session.running.session import PAUSED, Session
from mlintern_jupyter.session.wiring.toolset_choice import switch_toolsets
from mlintern_jupyter.tools import catalog

TAKEN_S = 20.0
"""Longest wait for a command to be carried out, so that what is typed next finds it done; long
because the worker may be loading a model's library, or the disk be slow."""
ROLES: tuple[ModelRole, ...] = get_args(ModelRole)


class Verbs:
    """One per kernel.

    Args:
        opened: the session open in this kernel.
        config: the cap of the mode as it stands now.
    """

    def __init__(self, opened: Callable[[], Session | None], config: Callable[[], Config]) -> None:
        self._opened = opened
        self._config = config

    def stop(self, _: str = "") -> str:
        """End the turn; cells and jobs go on."""
        session = self._working()
        session.stop()
        return f"stopping {session.state.session}; jobs go on and are listed by %jobs"

    def steer(self, text: str) -> str:
        """Tell the running intern something."""
        if not text:
            raise UsageError("what should the intern be told?", do="%intern steer <text>")
        session = self._working()
        session.submit(Steer(text))
        return f"told {session.state.session}; it reads this before its next step"

    def pause(self, _: str = "") -> str:
        """Hold the turn before its next model call."""
        session = self._working()
        self.handle(session, Pause())
        _until(lambda: session.state.pause_reason == PAUSED or not session.working)
        return (
            f"{session.state.session} makes no further model call until `%intern continue`; what"
            " runs goes on"
        )

    def go_on(self, _: str = "") -> str:
        """Let a held turn go on."""
        session = self._working()
        self.handle(session, Continue())
        _until(lambda: not session.state.pause_reason)
        return f"{session.state.session} goes on"

    def mode(self, word: str) -> str:
        """Switch the mode of the open session."""
        session = self.open()
        if word not in MODES:
            raise UsageError(
                f"there is no mode {word!r}" if word else f"the mode is {session.state.mode}",
                do=f"%intern mode {' | '.join(MODES)}",
            )
        self.handle(session, SetMode(word))
        _until(lambda: session.state.mode == word)
        return f"{session.state.session} is in mode {word} from now on"

    def approve(self, words: str) -> str:
        """Allow, once, what the question of a call asks: ``%intern approve CALL``.

        The call is always named: a saved cell without a name would allow whatever is asked when
        it is run again.
        """
        call, rest = named(_open_calls(self.open()), words)
        if not words.strip():
            raise UsageError(
                "which question is allowed?", do=f"`%intern approve {call}`, if it is this one"
            )
        if rest:
            raise UsageError(
                f"{rest.split()[0]} is no open question", do=f"`%intern approve {call}`"
            )
        return self.answer(call, yes=True)

    def refuse(self, words: str) -> str:
        """Say no to what a question asks: ``%intern refuse [CALL] [reason]``."""
        call, reason = named(_open_calls(self.open()), words)
        return self.answer(call, yes=False, reason=reason)

    def answer(self, call: str, *, yes: bool, reason: str = "") -> str:
        """Answer the question of exactly this call. Raises UsageError when it is not open."""
        session = self.open()
        with session.reading() as state:
            question = state.asks.get(call)
        self.handle(session, Answer(call, yes, reason))
        _until(lambda: call not in session.state.asks)
        what = "" if question is None else f"{inert(question.tool)} ({inert(call)})"
        if yes:
            return f"allowed, once: {what}"
        return f"refused: {what}" + ("; the intern reads why" if reason else "")

    def questions(self) -> str:
        """Every open question whole; empty if none is."""
        session = self._opened()
        if session is None:
            return ""
        with session.reading() as state:
            asks = ask_views(state)
        return "\n\n".join(ask_text(ask) for ask in asks)

    def compact(self, _: str = "") -> str:
        """Make room in the model's window before the next model call."""
        session = self.open()
        self.handle(session, Compact())
        if session.working:
            return (
                "room is made before the next model call: old steps are shown shorter, and the"
                " record keeps all of them"
            )
        return "no turn runs: room is made when the next one begins"

    def model(self, words: str) -> str:
        """Show the models, or switch one: ``%intern model [NAME] [--role ROLE]``."""
        session = self.open()
        name, role = _model_and_role(words)
        if not name:
            with session.reading() as state:
                return models_text(state)
        self.handle(session, SetModel(name, role))
        return f"{role} model of {session.state.session}: {name}, from the next model call on"

    def tools(self, words: str) -> str:
        """Show what the intern can do, or switch: ``%intern tools [+NAME] [-NAME]``."""
        session = self.open()
        if said := words.replace(",", " ").split():
            return switch_toolsets(session, said) or "no toolset was switched: it is so already"
        text = tools_text(session.toolbox, load_rules(Path(session.state.workdir)))
        on = catalog.known(session.state.toolsets)
        return f"{text}\n\n{toolsets_text(on, catalog.toolsets())}"

    def mcp(self, _: str = "") -> str:
        """How the MCP servers stand."""
        return servers_text(self.open().servers())

    def handle(self, session: Session, command: Command) -> None:
        """Hand a command over. Raises UsageError when it cannot be followed."""
        session.handle(command, mode_cap=self._config().mode_cap)

    def open(self) -> Session:
        """The session open here. Raises UsageError when there is none."""
        session = self._opened()
        if session is None:
            raise UsageError(
                "no session is open in this kernel",
                do="`%%intern <goal>` starts one, `%intern resume` goes on with an unfinished one",
            )
        return session

    def _working(self) -> Session:
        session = self._opened()
        if session is None or not session.working:
            raise UsageError("no intern is at work here", do="`%%intern <goal>` starts one")
        return session


def _open_calls(session: Session) -> tuple[str, ...]:
    with session.reading() as state:
        return tuple(state.asks)


def _model_and_role(words: str) -> tuple[str, ModelRole]:
    rest, role = words.replace("--role=", "--role ").split(), "main"
    if "--role" in rest:
        at = rest.index("--role")
        role = rest[at + 1] if len(rest) > at + 1 else ""
        del rest[at : at + 2]
    if role not in ROLES or len(rest) > 1:
        raise UsageError(
            f"there is no role {role!r}" if role not in ROLES else "one model at a time",
            do=f"%intern model NAME [--role {'|'.join(ROLES)}]",
        )
    return "".join(rest), role


def _until(condition: Callable[[], bool]) -> None:
    """Wait for a command to be carried out: what the person types next must find it done."""
    end = time.monotonic() + TAKEN_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
