"""The scripted server's own count of tokens, and what a provider's cache would hold of a request.

The tokenizer is a real one, so that it agrees with nobody's estimate: a byte-pair encoding of
65,000 words that litellm carries in its package (published by Anthropic for its early models).
Nothing is downloaded. A picture counts ``PICTURE_TOKENS``, whatever its bytes; base64 is not text.

Caches, as providers describe theirs: with OpenAI's wire every prefix of the last requests is served
from it; with Anthropic's only what an earlier request marked (``cache_control``), up to the last
mark of this one; less than ``LEAST_CACHED`` tokens are not. Not covered: that caches expire.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

from tokenizers import Tokenizer

PICTURE_TOKENS = 1_000
LEAST_CACHED = 1_024
_AROUND = 4
"""Tokens a chat template puts around a message."""
_REMEMBERED = 16
_PICTURE = "\0picture "
_UNREAD = frozenset({"cache_control", "type", "signature", "encrypted_content"})
_FILE = "litellm_core_utils/tokenizers/anthropic_tokenizer.json"


@dataclass(frozen=True)
class Piece:
    """A part of a prompt, in the order a model reads it."""

    text: str
    pictures: int = 0
    marked: bool = False
    """The request asks for the prompt up to here to be cached."""

    @property
    def tokens(self) -> int:
        """How many the server counts."""
        return count(self.text) + self.pictures * PICTURE_TOKENS + _AROUND

    @property
    def key(self) -> tuple[str, int]:
        """What has to be equal for a cache; marks do not."""
        return self.text, self.pictures


@cache
def _tokenizer() -> Any:
    found = find_spec("litellm")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("the scripted server counts with a tokenizer that litellm carries")
    return Tokenizer.from_file(str(Path(found.submodule_search_locations[0]) / _FILE))


@lru_cache(maxsize=20_000)
def count(text: str) -> int:
    """Tokens of a text."""
    return len(_tokenizer().encode(text.encode("utf-8", "replace").decode()).ids)


def prompt(body: Mapping[str, Any]) -> list[Piece]:
    """What the model reads of a request of any wire: tools, system, messages."""
    found: list[Piece] = []
    for tool in body.get("tools") or ():
        found.append(Piece(json.dumps(_bare(tool), ensure_ascii=False), marked=_marked(tool)))
    found += _content("system", body.get("system") or body.get("instructions"))
    for message in body.get("messages") or body.get("input") or ():
        if not isinstance(message, dict):
            continue
        known = cast("dict[str, Any]", message)
        role = str(known.get("role") or known.get("type"))
        found += _content(role, known.get("content"))
        rest = {k: v for k, v in known.items() if k not in {"role", "content", "cache_control"}}
        if rest:
            found.append(Piece("\n".join([role, *_strings(rest)]), marked=_marked(known)))
    return found


def _content(role: str, content: Any) -> Iterator[Piece]:
    if content is None:
        return
    parts = cast("list[Any]", content) if isinstance(content, list) else [content]
    for part in parts:
        strings = list(_strings(part))
        pictures = sum(1 for text in strings if text.startswith(_PICTURE))
        yield Piece("\n".join([role, *strings]), pictures, _marked(part))


def _strings(value: Any) -> Iterator[str]:
    """Every text in a value; a picture is named by its hash."""
    if isinstance(value, str):
        is_picture = value.startswith("data:image/")
        yield _PICTURE + hashlib.sha256(value.encode()).hexdigest()[:16] if is_picture else value
    elif isinstance(value, dict):
        known = cast("dict[str, Any]", value)
        if known.get("type") == "base64":
            yield from _strings(f"data:image/{known.get('data')}")
            return
        for key, inner in known.items():
            if key not in _UNREAD:
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _strings(inner)
    elif value is not None:
        yield str(value)


def _marked(value: Any) -> bool:
    return isinstance(value, dict) and bool(cast("dict[str, Any]", value).get("cache_control"))


def _bare(value: Any) -> Any:
    return {k: v for k, v in cast("dict[str, Any]", value).items() if k != "cache_control"}


class PromptCache:
    """What a provider's cache would have served of each request."""

    def __init__(self) -> None:
        self._prefixes: deque[tuple[tuple[str, int], ...]] = deque(maxlen=_REMEMBERED)
        self._marked: deque[tuple[tuple[str, int], ...]] = deque(maxlen=_REMEMBERED)

    def hit(self, pieces: Sequence[Piece], *, marks: bool) -> tuple[int, int]:
        """Tokens served from the cache, and tokens put into it; the request is remembered."""
        keys = tuple(piece.key for piece in pieces)
        if not marks:
            cached = max((_common(pieces, keys, old) for old in self._prefixes), default=0)
            self._prefixes.append(keys)
            return (cached if cached >= LEAST_CACHED else 0), 0
        ends = [at + 1 for at, piece in enumerate(pieces) if piece.marked]
        last = max(ends, default=0)
        known = [len(p) for p in self._marked if len(p) <= last and keys[: len(p)] == p]
        read = max(known, default=0)
        self._marked.extend(keys[:end] for end in ends if _sum(pieces[:end]) >= LEAST_CACHED)
        stored = _sum(pieces[read:last])
        return _sum(pieces[:read]), stored if _sum(pieces[:last]) >= LEAST_CACHED else 0


def _common(
    pieces: Sequence[Piece], keys: tuple[tuple[str, int], ...], old: tuple[tuple[str, int], ...]
) -> int:
    at = 0
    while at < min(len(keys), len(old)) and keys[at] == old[at]:
        at += 1
    whole = _sum(pieces[:at])
    if at == min(len(keys), len(old)):
        return whole
    same = takewhile(lambda pair: pair[0] == pair[1], zip(keys[at][0], old[at][0], strict=False))
    return whole + count("".join(mine for mine, _ in same))


def _sum(pieces: Sequence[Piece]) -> int:
    return sum(piece.tokens for piece in pieces)
