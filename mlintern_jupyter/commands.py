"""What is asked of a session. Commands go in through one inbox and are handled in order."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any, Literal

from mlintern_jupyter.reading import ReadingError, read

Mode = Literal["review", "auto", "unattended"]
ModelRole = Literal["main", "research", "compaction", "fallback"]


@dataclass(frozen=True)
class StartTurn:
    """Begin a turn from a request of the person."""

    text: str
    cell_id: str
    source: str
    """The magic cell's whole text, to show the difference when it is run again changed."""
    briefing: str = ""
    """What the intern is told beside the request: task facts, limits, what is not available."""
    kind: Literal["StartTurn"] = "StartTurn"


@dataclass(frozen=True)
class ResumeTurn:
    """Go on with the unfinished turn of this session."""

    note: str = ""
    """What the intern is told: names that are gone, effects whose end is unknown."""
    kind: Literal["ResumeTurn"] = "ResumeTurn"


@dataclass(frozen=True)
class Steer:
    """Words of the person for the running turn."""

    text: str
    kind: Literal["Steer"] = "Steer"


@dataclass(frozen=True)
class Stop:
    """End the running turn; jobs and the person's cells go on, unless jobs are to end too."""

    jobs: bool = False
    """Cancel the running jobs of this folder as well."""
    kind: Literal["Stop"] = "Stop"


@dataclass(frozen=True)
class Pause:
    """Hold the turn before its next model call; what runs goes on."""

    kind: Literal["Pause"] = "Pause"


@dataclass(frozen=True)
class Continue:
    """Let a held turn go on."""

    kind: Literal["Continue"] = "Continue"


@dataclass(frozen=True)
class SetMode:
    """Switch the mode; it holds for proposals that wait already, too."""

    mode: Mode
    kind: Literal["SetMode"] = "SetMode"


@dataclass(frozen=True)
class RunKind:
    """Run the waiting cells of a kind and those to come in this turn.

    The static guard of mode ``auto`` still judges each of them.
    """

    cell_kind: str
    kind: Literal["RunKind"] = "RunKind"


@dataclass(frozen=True)
class Answer:
    """The person's word on a tool call that waits for a yes (``events.Asked``)."""

    call: str
    yes: bool
    reason: str = ""
    kind: Literal["Answer"] = "Answer"


@dataclass(frozen=True)
class Compact:
    """Make room in the model's window before the next model call."""

    kind: Literal["Compact"] = "Compact"


@dataclass(frozen=True)
class SetModel:
    """Give a role to another model, from the next model call on."""

    model: str
    """As after ``--model``."""
    role: ModelRole = "main"
    kind: Literal["SetModel"] = "SetModel"


@dataclass(frozen=True)
class StartJob:
    """Start a held job: the yes to its price. No session is needed for it."""

    name: str
    kind: Literal["StartJob"] = "StartJob"


@dataclass(frozen=True)
class CancelJob:
    """End a job and every child of it. No session is needed for it."""

    name: str
    kind: Literal["CancelJob"] = "CancelJob"


Command = (
    StartTurn
    | ResumeTurn
    | Steer
    | Stop
    | Pause
    | Continue
    | SetMode
    | RunKind
    | Answer
    | Compact
    | SetModel
    | StartJob
    | CancelJob
)

_KINDS: dict[str, type[Command]] = {t.__name__: t for t in typing.get_args(Command)}
_FROM_A_PAGE = frozenset(_KINDS) - {"StartTurn", "ResumeTurn"}
"""A turn is begun by running a cell, never by a message."""


def command_from_wire(data: dict[str, Any]) -> Command:
    """The command in a JSON object ``{"kind": "SetMode", "mode": "auto"}``.

    Raises:
        ReadingError: there is no such kind, or a field is missing, unknown or not allowed.
    """
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _FROM_A_PAGE:
        raise ReadingError(
            f"there is no command {kind!r}; there are {', '.join(sorted(_FROM_A_PAGE))}"
        )
    try:
        return read(_KINDS[kind], data)
    except ReadingError as error:
        raise error.within(kind) from None
