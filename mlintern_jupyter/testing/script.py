"""What a scripted model says, and what goes wrong while it does.

A script is a list of turns. Which one is served depends on the request alone: the turn whose place
is the number of assistant messages in the request, so asking the same thing again (after a restart,
say) gets the same answer again. A turn with ``on`` is outside that order and answers every request
whose last message contains the text: for conversations beside the main one, such as a summary.

A script can also be a function that is given the request's body and returns the turn: for long
ones, and where old messages are left out of the request, so that their number is no longer the
place.

Faults of a turn come before its answer, one for each request, in order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlintern_jupyter.reading import read

_PIECE = 16
"""Characters in one piece of a stream: small, so that text and arguments come in fragments."""


@dataclass(frozen=True)
class Call:
    """A tool call the model asks for."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict[str, Any])
    """A dict, or raw text to say something broken."""
    id: str | None = None
    """``None``: made from the place in the conversation."""


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of (or to) its answer."""

    status: int | None = None
    """Answer with this status and ``body``."""
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cut_after: int | None = None
    """Close the connection after so many bytes of the answer; negative: so many before its end."""
    reset: bool = False
    """Reset the connection: instead of answering, or after ``cut_after`` bytes."""
    hold: bool = False
    """Say nothing more until the client goes away: at once, or after ``cut_after`` bytes."""


@dataclass(frozen=True)
class Turn:
    """One answer of the model."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    faults: tuple[Fault, ...] = ()
    finish: str | None = None
    """``None``: ``tool_calls`` when there are calls, else ``stop``."""
    done_marker: bool = True
    """End the stream with ``[DONE]``, which not every server does."""
    count_tokens: bool = True
    """Say how many tokens were used, if asked to."""
    on: str = ""
    """Answer every request whose last message contains this, whatever its place."""
    thinking: str = ""
    """Said before the answer: ``reasoning_content``, or a signed block or an encrypted item where
    there are such."""
    usage: tuple[int, int] | None = None
    """Prompt and completion tokens to report; ``None``: as counted (``tokens``)."""
    pause_s: float = 0.0
    """Seconds of silence before each event of the stream."""
    raw: str | None = None
    """The body of the answer, to the letter, instead of all the above."""


Script = Sequence[Turn] | Callable[[dict[str, Any]], Turn]


def turn_from(data: object) -> Turn:
    """A turn from plain JSON. Raises ReadingError that names the field that does not fit."""
    return read(Turn, data)


def read_script(path: Path) -> list[Turn]:
    """Turns from a JSON file: a list of objects with the fields of `Turn`."""
    return [turn_from(item) for item in json.loads(path.read_text(encoding="utf-8"))]


def pieces(text: str) -> Iterator[str]:
    """A text as a stream brings it."""
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def arguments_text(call: Call) -> str:
    """The arguments as the model writes them."""
    if isinstance(call.arguments, str):
        return call.arguments
    return json.dumps(call.arguments, ensure_ascii=False)


def call_id(call: Call, place: int, index: int) -> str:
    """The call's own id, or one made from where it stands."""
    return f"call_{place}_{index}" if call.id is None else call.id
