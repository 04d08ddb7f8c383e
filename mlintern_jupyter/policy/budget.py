"""Limits are checked before a model call and charged after it, in one object.

A reservation that is never settled stays counted: the provider may have charged for it. Time in
which a person is waited for is not counted.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from mlintern_jupyter.errors import LimitReached, Paused
from mlintern_jupyter.usage import Limits, Spent, Usage


@dataclass(frozen=True, eq=False)
class Reservation:
    """What one model call may use at most. Each is settled once."""

    tokens: int
    usd: float | None
    """``None``: the price is not known. A model that is not metered costs 0."""


class Budget:
    """What a session may still use in this turn, going on from what it has used before."""

    def __init__(
        self,
        limits: Limits,
        spent: Spent,
        clock: Callable[[], float],
        compute_usd: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Start the turn's clock.

        Args:
            limits: of the session.
            spent: by its model calls and in its time, before this turn.
            clock: tells monotonic seconds.
            compute_usd: tells what jobs that this budget started cost, unfinished ones at most.
        """
        self.limits = limits
        self._compute_usd = compute_usd
        self._spent = spent
        self._clock = clock
        self._open: list[Reservation] = []
        self._waits = 0
        self._since = clock()

    @property
    def spent(self) -> Spent:
        """Everything used so far; open reservations are under ``reserved_usd``."""
        running = 0.0 if self._waits else self._clock() - self._since
        held = math.fsum(r.usd for r in self._open if r.usd is not None)
        return replace(
            self._spent,
            seconds=self._spent.seconds + running,
            reserved_usd=self._spent.reserved_usd + held,
        )

    def reserve(self, tokens: int, usd: float | None) -> Reservation:
        """Set aside what one model call may use at most.

        Args:
            tokens: prompt and largest possible output together.
            usd: their cost; ``None`` if the price is unknown, 0 if the model is not metered.

        Raises:
            LimitReached: a limit would be passed; nothing was set aside.
            Paused: there is a limit in USD, and no price to hold it with.
        """
        spent, limits = self.spent, self.limits
        _hold("step", spent.steps + len(self._open), 1, limits.steps, "steps")
        if limits.hours is not None and spent.seconds >= limits.hours * 3600:
            raise LimitReached("time", used=spent.seconds / 3600, allowed=limits.hours, unit="h")
        if limits.tokens is not None:
            used = spent.usage.total + sum(r.tokens for r in self._open)
            _hold("token", used, tokens, limits.tokens, "tokens")
        if limits.usd is not None:
            if usd is None or spent.usd is None:
                raise _unpriced(limits.usd)
            used = spent.usd + spent.reserved_usd + self._compute_usd()
            _hold("cost", used, usd, limits.usd, "USD")
        reservation = Reservation(tokens, usd)
        self._open.append(reservation)
        return reservation

    def settle(self, reservation: Reservation, usage: Usage, usd: float | None) -> None:
        """Charge what a call really used, in place of what was set aside for it."""
        self._open.remove(reservation)
        known = self._spent.usd
        self._spent = replace(
            self._spent,
            steps=self._spent.steps + 1,
            usage=self._spent.usage + usage,
            usd=None if known is None or usd is None else known + usd,
        )

    @contextlib.contextmanager
    def waiting(self) -> Generator[None]:
        """A stretch in which a person is waited for: the clock stands still."""
        if not self._waits:
            self._spent = replace(
                self._spent, seconds=self._spent.seconds + self._clock() - self._since
            )
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            self._since = self._clock()


def _hold(limit: str, used: float, more: float, allowed: float, unit: str) -> None:
    # A sum of cents may pass a limit by a rounding error; that is not passing it.
    if used + more > allowed * (1 + 1e-9):
        raise LimitReached(limit, used=used, allowed=allowed, unit=unit)


def _unpriced(limit_usd: float) -> Paused:
    return Paused(
        f"the limit of ${limit_usd:g} cannot be held: what the model costs is not known",
        why="an unknown cost is not zero",
        do="give its price with `--price IN,OUT` (USD per million tokens), or use "
        "`--max-tokens` instead of `--budget`",
    )
