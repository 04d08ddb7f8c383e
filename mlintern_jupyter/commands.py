"""What is asked of a session. Commands go in through one inbox and are handled in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["review", "auto", "unattended"]


@dataclass(frozen=True)
class StartTurn:
    """Begin a turn from a request of the person."""

    text: str
    cell_id: str
    source: str
    """The magic cell's whole text, to show the difference when it is run again changed."""
    kind: Literal["StartTurn"] = "StartTurn"


@dataclass(frozen=True)
class ResumeTurn:
    """Go on with the unfinished turn of this session."""

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
    | StartJob
    | CancelJob
)
