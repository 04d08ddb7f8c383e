"""Lines of the ledger: how one is sealed, and how a file of them is verified.

A line is one JSON object, ``{"n", "at", "type", ...fields, "prev", "hash"}``; the first also says
``v``. ``hash`` comes last and is the sha256 of the line's own bytes without it, so every bit of a
line counts, spelling included; ``prev`` is the hash of the line before. Fields that would make a
line longer than ``LINE_BYTES`` are named under ``blobs`` with the sha256 of their JSON instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from mlintern_jupyter.event_json import fact_from_wire
from mlintern_jupyter.events import Fact, SessionStarted
from mlintern_jupyter.reading import ReadingError

VERSION = 1
LINE_BYTES = 64 * 1024
GENESIS = "0" * 64
_SEAL = b',"hash":"'
_SEAL_BYTES = len(_SEAL) + 64 + len(b'"}')
_NEVER_MOVED = frozenset({"n", "at", "v", "type", "prev"})


@dataclass(frozen=True)
class NumberedFact:
    """A fact with its place and time in the ledger."""

    number: int
    """From 1, without gaps."""
    at: str
    """When it was committed: UTC, ISO 8601."""
    fact: Fact


@dataclass
class Reading:
    """What a ledger file holds, up to its end or to the first thing wrong with it."""

    facts: list[NumberedFact] = field(default_factory=list[NumberedFact])
    count: int = 0
    """Lines that verified; more than ``facts`` if some are of kinds this version does not know."""
    head: str = GENESIS
    """Hash of the last line that verified."""
    size: int = 0
    """Bytes of the file up to the end of that line."""
    unended: bool = False
    """The last line verified but lacks its newline."""
    damage: str = ""
    """What is wrong with the first complete line that does not verify."""
    newer: str = ""
    """Why this version must not append: the ledger knows more than it does."""
    blobs: list[str] = field(default_factory=list[str])
    """Names of the blobs that the lines that verified refer to."""


class _Damaged(Exception):
    """A line does not verify; says why."""


def dumps(value: Any) -> bytes:
    """Compact ASCII JSON in the given order of keys. Raises TypeError or ValueError."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def seal(
    number: int, at: str, data: dict[str, Any], prev: str, put: Callable[[bytes], str]
) -> tuple[bytes, str]:
    """One line with its newline, and its hash. ``put`` stores what does not fit and names it.

    Raises:
        TypeError: a value that JSON does not know.
        OSError: ``put`` could not store a blob.
    """
    head = {"n": number, "at": at, **({"v": VERSION} if number == 1 else {}), **data}
    body = dumps({**head, "prev": prev})
    if len(body) + _SEAL_BYTES + 1 > LINE_BYTES:
        body = dumps({**_moved(head, put), "prev": prev})
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + _SEAL + digest.encode("ascii") + b'"}\n', digest


def _moved(head: dict[str, Any], put: Callable[[bytes], str]) -> dict[str, Any]:
    encoded = {name: dumps(value) for name, value in head.items() if name not in _NEVER_MOVED}
    room = LINE_BYTES // 2
    blobs: dict[str, str] = {}
    for name in sorted(encoded, key=lambda n: len(encoded[n]), reverse=True):
        if sum(len(encoded[n]) for n in encoded if n not in blobs) <= room:
            break
        blobs[name] = put(encoded[name])
    return {**{n: v for n, v in head.items() if n not in blobs}, "blobs": blobs}


def read_chain(data: bytes, get: Callable[[str], bytes | None]) -> Reading:
    """Verify a ledger file line by line and build its facts; stops at the first damage.

    A last line without newline that does not verify was never committed and is left out.
    """
    reading = Reading()
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        complete = end >= 0
        line = data[start:end] if complete else data[start:]
        try:
            _take(reading, line, get)
        except _Damaged as error:
            if complete:
                reading.damage = f"line {reading.count + 1}: {error}"
            break
        start = end + 1 if complete else len(data)
        reading.size = start
        reading.unended = not complete
    return reading


def _take(reading: Reading, line: bytes, get: Callable[[str], bytes | None]) -> None:
    head, digest = _verified(line)
    if head.get("n") != reading.count + 1 or head.get("prev") != reading.head:
        raise _Damaged("it does not follow from the line before")
    blobs = cast("dict[str, str]", head.get("blobs", {}))
    fields = {n: v for n, v in head.items() if n not in {"n", "at", "v", "prev", "blobs"}}
    for name, sha256 in blobs.items():
        content = get(sha256)
        if content is None:
            raise _Damaged(f"its blob {sha256} is missing or damaged")
        fields[name] = json.loads(content)
    reading.count += 1
    reading.head = digest
    reading.blobs.extend(blobs.values())
    if int(head.get("v", VERSION)) > VERSION:
        reading.newer = f"its format is version {head['v']}, this program reads {VERSION}"
    try:
        fact = fact_from_wire(fields)
    except (KeyError, ReadingError):
        # The hash holds, so this was written on purpose, by a version that knows more.
        reading.newer = reading.newer or f"its line {reading.count} ({fields.get('type')}) is new"
        return
    reading.facts.append(NumberedFact(reading.count, str(head["at"]), fact))


def _verified(line: bytes) -> tuple[dict[str, Any], str]:
    seal_at = len(line) - _SEAL_BYTES
    if seal_at < 1 or line[seal_at : seal_at + len(_SEAL)] != _SEAL or line[-2:] != b'"}':
        raise _Damaged("it does not end in its hash")
    body = line[:seal_at] + b"}"
    digest = hashlib.sha256(body).hexdigest()
    if line[-66:-2] != digest.encode("ascii"):
        raise _Damaged("its hash does not match")
    try:
        head = json.loads(body)
    except ValueError:
        raise _Damaged("it is not JSON") from None
    if not isinstance(head, dict):
        raise _Damaged("it is not an object")
    return cast("dict[str, Any]", head), digest


def written_by(reading: Reading) -> str:
    """The version of the package that started a ledger; empty if that cannot be read."""
    first = reading.facts[0].fact if reading.facts else None
    return first.package if isinstance(first, SessionStarted) else ""
