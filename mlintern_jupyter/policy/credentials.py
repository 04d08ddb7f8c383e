"""Who gets a key: the model client always, a host on the list, and no cell of the intern's.

While a cell that the intern proposed runs, the named variables are out of ``os.environ``, so that
neither its code nor a child it starts finds them there; whoever reads through ``Credentials`` has
them all the time. The person's own cells run with their environment as it is.

Not covered: what a cell finds elsewhere (a stored login, ``/proc/<kernel>/environ`` as the kernel
was started), and a thread it leaves running. Such a cell has the person's rights, and is reviewed.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import tomllib
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, MutableMapping
from importlib.resources import files
from urllib.parse import urlsplit

_PLAIN_URL = re.compile(r"https?://[!-\[\]-~]+", re.IGNORECASE)
"""ASCII without blanks, control characters and backslashes: what parsers read differently."""
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")


class Credentials(Mapping[str, str]):
    """The environment as it is without any hiding. Safe to use from several threads.

    Args:
        names: variables that hold a key or another secret.
        environ: what they are hidden from.
        hosts: for a token's name, the hosts it may be sent to; the shipped list unless given.
    """

    def __init__(
        self,
        names: Iterable[str],
        environ: MutableMapping[str, str] = os.environ,
        hosts: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._names = set(names)
        self._environ = environ
        self._hosts = shipped_hosts() if hosts is None else hosts
        self._lock = threading.Lock()
        self._hidden: dict[str, str] = {}
        self._depth = 0

    def __getitem__(self, name: str) -> str:
        with self._lock:
            return self._hidden[name] if name in self._hidden else self._environ[name]

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(dict.fromkeys([*self._environ, *self._hidden]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def add(self, names: Iterable[str]) -> None:
        """More variables that hold a secret, from the next ``hide`` on."""
        with self._lock:
            self._names.update(names)

    def hide(self) -> None:
        """Take the named variables out of the environment, until as many ``show`` came."""
        with self._lock:
            self._depth += 1
            if self._depth > 1:
                return
            for name in self._names:
                value = self._environ.get(name)
                if value is not None:
                    # Kept before it is gone: an interrupt in between loses nothing.
                    self._hidden[name] = value
                    self._environ.pop(name, None)

    def show(self) -> None:
        """Put them back, but for those that were set meanwhile; without a ``hide`` nothing."""
        with self._lock:
            self._depth = max(0, self._depth - 1)
            if self._depth == 0:
                while self._hidden:
                    name, value = next(iter(self._hidden.items()))
                    self._environ.setdefault(name, value)
                    del self._hidden[name]

    @contextlib.contextmanager
    def hidden(self) -> Generator[None]:
        """A stretch in which they are hidden."""
        self.hide()
        try:
            yield
        finally:
            self.show()

    def for_host(self, name: str, url: str) -> str | None:
        """The token of this name, if it may be sent to this address; else ``None``.

        Only https (http on this machine), only hosts in full, only the port on the list, no user
        in the address. A redirect is another address: ask again, and never send a token along.
        """
        if not _PLAIN_URL.fullmatch(url):
            return None
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        place = parts.netloc.lower()
        if parts.scheme != "https" and not _LOOPBACK.fullmatch(place):
            return None
        usual = ":443" if parts.scheme == "https" else ":80"
        if place.removesuffix(usual) not in self._hosts.get(name, ()):
            return None
        return self.get(name) or None


def shipped_hosts() -> dict[str, list[str]]:
    """The hosts a token may be sent to, by the variable that holds it; no others are listed."""
    text = files("mlintern_jupyter.policy").joinpath("credentials.toml").read_text("utf-8")
    return tomllib.loads(text)
