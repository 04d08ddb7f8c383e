"""Takes secrets out of everything that is written down or sent to a model.

First what is *known*: values of secret environment variables, of Hugging Face token files, of
``.netrc``, looked up again at every use, in the spellings they travel in (plain, URL-quoted,
base64, JSON-escaped, coloured, cut in two by stream chunks). Then a few patterns that hardly
anything else matches. Names are never touched: ``tokenizer.pad_token = tokenizer.eos_token`` stays
as it is.

Not covered: a secret the process does not know and no pattern describes, one spelled letter by
letter, one drawn into an image.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, quote_plus

MIN_LENGTH = 8
WITHHELD = "[withheld: could not be checked for secrets]"

_SECRET_NAME = re.compile(
    r".*_TOKEN|TOKEN|.*_KEY|.*APIKEY.*|.*SECRET.*|.*PASSWORD.*|.*PASSWD.*", re.IGNORECASE
)
_TOKENIZER_WORD = re.compile(r"<[^<>]*>|\[[A-Za-z_]+\]|[a-z]+_(?:token|key)(?:_ids?)?")
_PATTERNS: dict[str, str] = {
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "an API key": r"\bsk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{36,})",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a bearer token": r"\b[Bb]earer\s+(?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{20,}",
}
_PATTERN = re.compile("|".join(f"(?P<p{i}>{p})" for i, p in enumerate(_PATTERNS.values())))
_PATTERN_NAMES = list(_PATTERNS)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NETRC_PASSWORD = re.compile(r"\bpassword\s+(\S+)")
_STORED_TOKEN = re.compile(r"^\s*hf_token\s*=\s*(\S+)", re.MULTILINE)


def is_secret_name(name: str) -> bool:
    """Whether the value of a variable of this name is masked wherever it would be written down."""
    return _SECRET_NAME.fullmatch(name) is not None


class Scrubber:
    """Implements ``protocols.Scrub``. Safe to use from several threads."""

    def __init__(self, environ: Mapping[str, str], extra: Mapping[str, str] | None = None) -> None:
        """Know the secrets of an environment, and those of ``extra``: a value for each name."""
        self._environ = environ
        self._extra = dict(extra or {})
        self._compiled: tuple[dict[str, str], _KnownSecrets] = ({}, _KnownSecrets({}))
        self._files: dict[Path, tuple[int, int, tuple[str, ...]]] = {}

    @classmethod
    def from_environment(cls) -> Scrubber:
        """Know the secrets of this process."""
        return cls(os.environ)

    def text(self, value: str) -> str:
        """The text without secrets, or ``WITHHELD`` if that cannot be made sure."""
        return cast("str", self._safely(lambda known: _text(value, known)))

    def data(self, value: Any) -> Any:
        """The same of every string in a JSON-like value, keys included, as a new value."""
        return self._safely(lambda known: _data(value, known))

    def has_secret(self, text: str) -> str | None:
        """What secret a text holds, by name; for code, which is refused and never rewritten."""
        return cast("str | None", self._safely(lambda known: known.find(text)))

    def _safely(self, work: Callable[[_KnownSecrets], Any]) -> Any:
        try:
            return work(self._known())
        except Exception:  # noqa: BLE001 - fails closed: whatever went wrong, nothing gets out
            return WITHHELD

    def _known(self) -> _KnownSecrets:
        values = self._values()
        cached, known = self._compiled
        if values != cached:
            known = _KnownSecrets(values)
            self._compiled = (values, known)
        return known

    def _values(self) -> dict[str, str]:
        """Each secret value and its name, as they are now."""
        found = {
            value.strip(): name
            for name in self._environ
            # A cell may delete a variable while another thread is here.
            if _SECRET_NAME.fullmatch(name) and _may_be_secret(value := self._environ.get(name, ""))
        }
        for path, pattern in self._token_files():
            found.update(dict.fromkeys(self._read(path, pattern), path.name))
        found.update({v: n for n, v in self._extra.items()})
        return {value: name for value, name in found.items() if len(value) >= MIN_LENGTH}

    def _token_files(self) -> Iterable[tuple[Path, re.Pattern[str] | None]]:
        environ = self._environ
        user = Path(environ.get("HOME") or "~").expanduser()
        cache = Path(environ.get("XDG_CACHE_HOME") or user / ".cache")
        hub = Path(environ.get("HF_HOME") or cache / "huggingface")
        yield Path(environ.get("HF_TOKEN_PATH") or hub / "token"), None
        yield hub / "stored_tokens", _STORED_TOKEN
        yield Path(environ.get("NETRC") or user / ".netrc"), _NETRC_PASSWORD

    def _read(self, path: Path, pattern: re.Pattern[str] | None) -> tuple[str, ...]:
        cached = self._files.get(path)
        try:
            stat = path.stat()
            if cached is None or cached[:2] != (stat.st_mtime_ns, stat.st_size):
                content = path.read_text(encoding="utf-8", errors="replace")
                values = tuple(pattern.findall(content)) if pattern else (content.strip(),)
                cached = (stat.st_mtime_ns, stat.st_size, values)
                self._files[path] = cached
        except OSError:
            # What this process cannot read, it cannot give away; what it has read stays known.
            return cached[2] if cached else ()
        return cached[2]


class _KnownSecrets:
    """Known values in all their spellings, as one expression."""

    def __init__(self, values: dict[str, str]) -> None:
        spelled = {form: name for value, name in values.items() for form in _spellings(value)}
        self._names = spelled
        forms = sorted(spelled, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None

    def mask(self, text: str) -> str:
        """The text with every secret replaced by its name in brackets (safe inside JSON)."""
        # Looking for each spelling is far faster than trying all of them at every character.
        if self._pattern and any(form in text for form in self._names):
            text = self._pattern.sub(lambda m: f"[secret: {self._names[m.group()]}]", text)
        return _PATTERN.sub(lambda m: f"[secret: {_pattern_name(m)}]", text)

    def find(self, text: str) -> str | None:
        """The name of the first secret found."""
        for form, name in self._names.items():
            if form in text:
                return name
        match = _PATTERN.search(text)
        return _pattern_name(match) if match else None


def _pattern_name(match: re.Match[str]) -> str:
    return _PATTERN_NAMES[int(cast("str", match.lastgroup)[1:])]


def _may_be_secret(value: str) -> bool:
    """Not a word of tokenizers, and not the path of a file that holds the secret."""
    value = value.strip()
    if len(value) < MIN_LENGTH or _TOKENIZER_WORD.fullmatch(value):
        return False
    if not value.startswith(("/", "~", ".")) or len(value) > 4096 or "\0" in value:
        return True
    try:
        return not Path(value).expanduser().exists()
    except (OSError, RuntimeError):
        return True


def _spellings(value: str) -> set[str]:
    raw = value.encode("utf-8", "replace")
    quoted = {quote(value, safe="", errors="replace"), quote_plus(value, errors="replace")}
    quoted.add(quote(value, errors="replace"))
    lower = {re.sub(r"%[0-9A-F]{2}", lambda m: m.group().lower(), q) for q in quoted}
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    escaped |= {json.dumps(e)[1:-1] for e in escaped}
    escaped.add(repr(value)[1:-1])
    spelled = {value, *quoted, *lower, *escaped, *_base64(raw)}
    return {form for form in spelled if len(form) >= MIN_LENGTH}


def _base64(raw: bytes) -> set[str]:
    """What every base64 text that holds these bytes must hold, wherever in it they begin."""
    found: set[str] = set()
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw).decode("ascii").rstrip("=")
        start = (0, 2, 3)[offset]
        tail = (len(raw) + offset) % 3
        core = whole[start : -1 if tail else None]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return found


def _text(value: str, known: _KnownSecrets) -> str:
    value = _SURROGATE.sub("�", value)
    masked = known.mask(value)
    if "\x1b" in masked:
        plain = _ANSI.sub("", masked)
        if known.find(plain):
            return known.mask(plain)
    return masked


def _data(value: Any, known: _KnownSecrets) -> Any:
    if isinstance(value, str):
        return _text(value, known)
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {_data(key, known): _data(item, known) for key, item in items}
    if isinstance(value, list | tuple):
        made = [_data(item, known) for item in _joined(cast("Iterable[Any]", value))]
        return tuple(made) if isinstance(value, tuple) else made
    return value


def _joined(items: Iterable[Any]) -> Iterable[Any]:
    """Neighbouring chunks of one stream as one output, as the reader sees them."""
    cached: dict[str, Any] | None = None
    for item in items:
        chunk = _stream_chunk(item)
        if cached and chunk and cached["name"] == chunk["name"]:
            cached = {**cached, "text": cached["text"] + chunk["text"]}
            continue
        if cached:
            yield cached
        cached = chunk
        if chunk is None:
            yield item
    if cached:
        yield cached


def _stream_chunk(item: Any) -> dict[str, Any] | None:
    if not isinstance(item, dict):
        return None
    chunk = cast("dict[str, Any]", item)
    whole = chunk.get("output_type") == "stream" and isinstance(chunk.get("text"), str)
    return chunk if whole and "name" in chunk else None
