"""Keep held-out items out of sight: packed so that neither grep nor a casual look shows one.

This hides, it does not protect: whoever reads this module can unpack the items. But nobody does so
by accident, no search index picks them up, and a training script that reads every file of a folder
does not meet them.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

from mlintern_jupyter.errors import UsageError

_HEADER = b"heldout 1\n"
_DIGEST = 32
"""Bytes of the SHA-256 over the plain text, kept in front so that damage is noticed."""


def _mask(data: bytes, key: str) -> bytes:
    """The data under the SHA-256 counter stream of ``key``; applied twice it gives the data."""
    stream = bytearray()
    counter = 0
    while len(stream) < len(data):
        stream += hashlib.sha256(f"{key}\n{counter}".encode()).digest()
        counter += 1
    return bytes(left ^ right for left, right in zip(data, stream, strict=False))


def encode(rows: Sequence[dict[str, Any]], key: str) -> bytes:
    """The rows as an opaque blob.

    Args:
        rows: JSON objects, one per item, in scoring order.
        key: what the blob belongs to, usually the task's name; needed again by ``decode``.
    """
    lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows)
    plain = "\n".join(lines).encode()
    return _HEADER + hashlib.sha256(plain).digest() + _mask(zlib.compress(plain, 9), key)


def decode(blob: bytes, key: str) -> list[dict[str, Any]]:
    """The rows of a blob made by ``encode`` with the same ``key``.

    Raises:
        UsageError: the blob is not one, is damaged, or was made with another key.
    """
    start = len(_HEADER) + _DIGEST
    try:
        if not blob.startswith(_HEADER):
            raise zlib.error("no header")
        plain = zlib.decompress(_mask(blob[start:], key))
    except zlib.error as error:
        raise _damaged(key) from error
    if hashlib.sha256(plain).digest() != blob[len(_HEADER) : start]:
        raise _damaged(key)
    return [json.loads(line) for line in plain.decode().split("\n") if line]


def _damaged(key: str) -> UsageError:
    return UsageError(
        f"the held-out items of {key} cannot be read",
        why="the file is damaged or belongs to another task",
        do="install the package again",
    )
