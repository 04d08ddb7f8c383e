"""What a function says of itself under ``@tool``: effects, hosts it asks, keys it needs for them.

Enforced: a key reaches only the process of a call that the gate let pass, and only with the names
and hosts the person was shown; a key of ``policy/credentials.toml`` goes with the hosts it has
there and no others; a tool with hosts never passes for one that only reads.

Not enforced: where the function connects. Its process is ordinary Python with the person's rights,
so the hosts are what its author promises. Install only what you would run yourself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.policy.credentials import shipped_hosts
from mlintern_jupyter.policy.scrub import is_secret_name
from mlintern_jupyter.protocols import Effect

TIMEOUT_S = 120.0
MOST = 4
"""Hosts, and keys: a question shows every one of them."""
_HOST = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*(:[0-9]{1,5})?")
_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,79}")


@dataclass(frozen=True)
class Declaration:
    """Everything a function declares, checked; all of it can be written as JSON."""

    effects: tuple[Effect, ...] = ()
    """Empty: undeclared, so every call asks."""
    hosts: tuple[str, ...] = ()
    """In full, with the port where it is not the usual one."""
    keys: tuple[str, ...] = ()
    """Names of environment variables that the process of a call is given."""
    timeout_s: float = TIMEOUT_S


def declared(
    effects: Iterable[Effect] = (),
    hosts: Iterable[str] = (),
    keys: Iterable[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> Declaration:
    """What was said, in one spelling. Whoever asks a host may write there, too.

    Raises:
        UsageError: something of it cannot be meant; says what to write instead.
    """
    if not 0 < timeout_s < float("inf"):
        raise UsageError(f"timeout_s must be seconds above zero, not {timeout_s!r}")
    said, reached, needed = _names(effects), _names(hosts), _names(keys)
    known: tuple[Effect, ...] = get_args(Effect)
    if unknown := sorted(said - set(known)):
        raise UsageError(
            f"there is no effect {', '.join(unknown)}", do=f"effects are {', '.join(known)}"
        )
    _check_hosts(reached)
    _check_keys(needed, reached)
    if said and reached:
        said.add("network-write")
    in_order: tuple[Effect, ...] = tuple(effect for effect in known if effect in said)
    return Declaration(in_order, tuple(sorted(reached)), tuple(sorted(needed)), timeout_s)


def _names(given: Iterable[str]) -> set[str]:
    return {given} if isinstance(given, str) else {str(name) for name in given}


def _check_hosts(hosts: set[str]) -> None:
    for host in sorted(hosts):
        if len(host) > 100 or not _HOST.fullmatch(host):
            raise UsageError(
                f"{host} is no host", do="write it in full and small, e.g. api.example.org"
            )
    if len(hosts) > MOST:
        raise UsageError(f"a tool has at most {MOST} hosts, not {len(hosts)}")


def _check_keys(keys: set[str], hosts: set[str]) -> None:
    for key in sorted(keys):
        if not _KEY.fullmatch(key) or not is_secret_name(key):
            raise UsageError(
                f"{key} is no name of a key",
                why="a value is masked in records by the name of its variable",
                do="name a variable that ends in _KEY or _TOKEN, e.g. EXAMPLE_API_KEY",
            )
        allowed = shipped_hosts().get(key)
        if allowed is not None and not hosts <= set(allowed):
            raise UsageError(f"{key} is sent to {', '.join(allowed)} and nowhere else")
    if len(keys) > MOST:
        raise UsageError(f"a tool has at most {MOST} keys, not {len(keys)}")
    if keys and not hosts:
        raise UsageError(
            f"nobody has said where {', '.join(sorted(keys))} is sent",
            do='declare it, e.g. hosts={"api.example.org"}',
        )
