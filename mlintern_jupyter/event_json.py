"""Facts and signals as JSON objects, as the ledger holds them and the wire carries them."""

from __future__ import annotations

import typing
from dataclasses import asdict
from typing import Any

from mlintern_jupyter.events import Fact, Signal
from mlintern_jupyter.reading import read

FACTS: dict[str, type[Fact]] = {t.__name__: t for t in typing.get_args(Fact)}


def to_wire(event: Fact | Signal) -> dict[str, Any]:
    """Plain JSON object of an event, its class name under ``type``."""
    return {"type": type(event).__name__, **asdict(event)}


def fact_from_wire(data: dict[str, Any]) -> Fact:
    """The fact a ledger line holds.

    Raises:
        KeyError: the type is not one this version knows.
        ReadingError: the fields do not fit the type.
    """
    said = dict(data)
    return read(FACTS[said.pop("type")], said)
