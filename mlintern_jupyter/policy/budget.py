"""Limits are checked before a model call and charged after it, in one object.

A reservation that is never settled stays counted: the provider may have charged for it. Time in
which a person is waited for is not counted. A sub-agent works on a share: what it may use is set
aside here at once, and what it did not use comes back when it is closed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from mlintern_jupyter.errors import LimitReached, Paused
from mlintern_jupyter.usage import CallKind, Limits, Spent, Usage

RESERVE = 0.1
"""Of dollars, tokens and time: kept for the last eval and for saving."""
RESERVE_STEPS = 5


@dataclass(frozen=True, eq=False)
class Reservation:
    """What one model call may use at most. Each is settled once."""

    tokens: int
    usd: float | None
    """``None``: the price is not known. A model that is not metered costs 0."""
    kind: CallKind = "main"

    @property
    def steps(self) -> int:
        """Making room in a full window is no step."""
        return 0 if self.kind == "compaction" else 1


@dataclass(frozen=True)
class Remaining:
    """What may still be used; ``None``: no limit of that kind. Never below zero."""

    usd: float | None
    """Zero, too, where there is a limit and what was spent is not known."""
    tokens: int | None
    steps: int
    seconds: float | None


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
        self._shares: list[Share] = []
        self._lost_tokens = 0
        self._waits = 0
        self._since = clock()

    @property
    def spent(self) -> Spent:
        """Everything used so far; open reservations are under ``reserved_usd``."""
        running = 0.0 if self._waits else self._clock() - self._since
        return replace(
            self._spent,
            seconds=self._spent.seconds + running,
            reserved_usd=self._spent.reserved_usd + self._open_usd(),
        )

    def left(self) -> Remaining:
        """What may still be used, after what is set aside for open calls and sub-agents."""
        spent, limits = self.spent, self.limits
        usd = tokens = seconds = None
        if limits.usd is not None:
            known = spent.usd is not None
            usd = max(0.0, limits.usd - self._used_usd()) if known else 0.0
        if limits.tokens is not None:
            tokens = max(0, limits.tokens - self._used_tokens())
        if limits.hours is not None:
            seconds = max(0.0, limits.hours * 3600 - spent.seconds)
        return Remaining(usd, tokens, max(0, limits.steps - self._used_steps()), seconds)

    def near_limit(self) -> bool:
        """Whether no more is left than the last eval and saving need.

        That is a tenth of the limit in dollars, tokens or time, or of the steps a tenth, but no
        more than five.
        """
        left, limits = self.left(), self.limits
        hours = None if left.seconds is None else left.seconds / 3600
        return left.steps <= _steps_kept(limits) or any(
            rest is not None and allowed is not None and rest < RESERVE * allowed
            for rest, allowed in (
                (left.usd, limits.usd),
                (left.tokens, limits.tokens),
                (hours, limits.hours),
            )
        )

    def exceeded(self) -> LimitReached | None:
        """The cap that has been passed, by time or a job's cost too; ends a turn that goes on."""
        spent, limits = self.spent, self.limits
        if (late := self._too_late()) is not None:
            return late
        if limits.tokens is not None and spent.usage.total > limits.tokens:
            return _reached("token", spent.usage.total, limits.tokens, "tokens")
        # Not what open calls may cost at most: they end, and the next one is refused.
        used = (spent.usd or 0.0) + self._spent.reserved_usd + self._compute_usd()
        if limits.usd is not None and _passes(used, limits.usd):
            return _reached("cost", used, limits.usd, "USD")
        return None

    def reserve(self, tokens: int, usd: float | None, kind: CallKind = "main") -> Reservation:
        """Set aside what one model call may use at most.

        Args:
            tokens: prompt and largest possible output together.
            usd: their cost; ``None`` if the price is unknown, 0 if the model is not metered.
            kind: what the call is for; making room (``compaction``) is not a step.

        Raises:
            LimitReached: a limit would be passed; nothing was set aside.
            Paused: there is a limit in USD, and no price to hold it with.
        """
        reservation = Reservation(tokens, usd, kind)
        self._check(reservation)
        self._open.append(reservation)
        return reservation

    def charge(
        self,
        reservation: Reservation,
        usage: Usage | None,
        usd: float | None,
        *,
        replied: bool = True,
    ) -> None:
        """Charge what a call really used, in place of what was set aside for it.

        Args:
            reservation: of the call.
            usage: ``None`` if the call failed and nobody knows: all of it stays counted.
            usd: what it cost; ``None`` if the price is unknown.
            replied: there is a reply; a call that failed is charged, but is no step.
        """
        self._open.remove(reservation)
        if usage is None:
            self._lose(reservation.tokens, reservation.usd or 0.0)
        else:
            self._charge(usage, usd, reservation.steps if replied else 0)

    def share(self, *, usd_fraction: float, steps: int) -> Share:
        """Set a part aside for a sub-agent; ``close`` gives back what it did not use.

        Args:
            usd_fraction: of the dollars and of the tokens that are left, the reserve for the end
                not among them.
            steps: replies it may make; they are not the session's.

        Raises:
            ValueError: it is no fraction, or sub-agents would start sub-agents.
        """
        if not 0 <= usd_fraction <= 1:
            raise ValueError(f"a share is from 0 to 1 of what is left, not {usd_fraction:g}")
        left, limits = self.left(), self.limits
        usd = tokens = None
        if left.usd is not None and limits.usd is not None:
            usd = usd_fraction * max(0.0, left.usd - RESERVE * limits.usd)
        if left.tokens is not None and limits.tokens is not None:
            tokens = int(usd_fraction * max(0.0, left.tokens - RESERVE * limits.tokens))
        share = Share(self, Limits(usd, None, steps, tokens), self._clock)
        self._shares.append(share)
        return share

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

    def _check(self, more: Reservation) -> None:
        limits = self.limits
        _hold("step", self._used_steps(), more.steps, limits.steps, "steps")
        if (late := self._too_late()) is not None:
            raise late
        if limits.tokens is not None:
            _hold("token", self._used_tokens(), more.tokens, limits.tokens, "tokens")
        if limits.usd is not None:
            if more.usd is None or self._spent.usd is None:
                raise _unpriced(limits.usd)
            _hold("cost", self._used_usd(), more.usd, limits.usd, "USD")

    def _too_late(self) -> LimitReached | None:
        hours, seconds = self.limits.hours, self.spent.seconds
        if hours is None or seconds < hours * 3600:
            return None
        return _reached("time", seconds / 3600, hours, "h")

    def _charge(self, usage: Usage, usd: float | None, steps: int) -> None:
        known = self._spent.usd
        self._spent = replace(
            self._spent,
            steps=self._spent.steps + steps,
            usage=self._spent.usage + usage,
            usd=None if known is None or usd is None else known + usd,
        )

    def _lose(self, tokens: int, usd: float) -> None:
        self._lost_tokens += tokens
        self._spent = replace(self._spent, reserved_usd=self._spent.reserved_usd + usd)

    def _open_usd(self) -> float:
        own = math.fsum(r.usd for r in self._open if r.usd is not None)
        return own + math.fsum(share._open_usd() for share in self._shares)

    def _used_steps(self) -> int:
        return self._spent.steps + sum(r.steps for r in self._open)

    def _used_tokens(self) -> int:
        """With everything that is set aside."""
        spent = self._spent.usage.total + self._spent.reserved_tokens + self._lost_tokens
        own = spent + sum(r.tokens for r in self._open)
        return own + sum(share.held_tokens() for share in self._shares)

    def _used_usd(self) -> float:
        """With everything that is set aside; only asked where there is a limit."""
        own = math.fsum(r.usd for r in self._open if r.usd is not None)
        held = math.fsum(share.held_usd() for share in self._shares)
        spent = (self._spent.usd or 0.0) + self._spent.reserved_usd
        return spent + own + held + self._compute_usd()


class Share(Budget):
    """A sub-agent's part of a budget. Made by ``Budget.share``; time is the whole's."""

    def __init__(self, whole: Budget, limits: Limits, clock: Callable[[], float]) -> None:
        super().__init__(limits, Spent(), clock)
        self._whole = whole

    def held_usd(self) -> float:
        """Dollars set aside in the whole that were not charged or lost there yet."""
        mine = (self._spent.usd or 0.0) + self._spent.reserved_usd
        return max(self._open_usd(), (self.limits.usd or 0.0) - mine)

    def held_tokens(self) -> int:
        """The same in tokens."""
        mine = self._spent.usage.total + self._lost_tokens
        held = sum(r.tokens for r in self._open)
        return max(held, (self.limits.tokens or 0) - mine)

    def left(self) -> Remaining:
        """What this sub-agent may still use, in the time that is left to all."""
        return replace(super().left(), seconds=self._whole.left().seconds)

    def exceeded(self) -> LimitReached | None:
        """Its own cap that was passed, or the whole's."""
        return super().exceeded() or self._whole.exceeded()

    def reserve(self, tokens: int, usd: float | None, kind: CallKind = "research") -> Reservation:
        """As of any budget; a limit of the whole holds here, too, once it has been passed."""
        return super().reserve(tokens, usd, kind)

    def share(self, *, usd_fraction: float, steps: int) -> Share:
        """Never: sub-agents start none."""
        raise ValueError("a share is not shared again")

    def close(self) -> None:
        """Give back what was not used; a second time does nothing. Open calls stay counted."""
        if self not in self._whole._shares:
            return
        for reservation in tuple(self._open):
            self.charge(reservation, None, None)
        self._whole._shares.remove(self)

    @contextlib.contextmanager
    def waiting(self) -> Generator[None]:
        """The clock of the whole stands still."""
        with self._whole.waiting():
            yield

    def _check(self, more: Reservation) -> None:
        super()._check(more)
        # What the share allows is set aside there; this refuses when the whole was passed since.
        self._whole._check(Reservation(0, 0.0, "compaction"))

    def _charge(self, usage: Usage, usd: float | None, steps: int) -> None:
        super()._charge(usage, usd, steps)
        self._whole._charge(usage, usd, 0)

    def _lose(self, tokens: int, usd: float) -> None:
        super()._lose(tokens, usd)
        self._whole._lose(tokens, usd)


def _steps_kept(limits: Limits) -> int:
    return min(RESERVE_STEPS, math.ceil(RESERVE * limits.steps))


def _hold(limit: str, used: float, more: float, allowed: float, unit: str) -> None:
    if _passes(used + more, allowed):
        raise _reached(limit, used, allowed, unit)


def _passes(used: float, allowed: float) -> bool:
    # A sum of cents may pass a limit by a rounding error; that is not passing it.
    return used > allowed * (1 + 1e-9)


def _reached(limit: str, used: float, allowed: float, unit: str) -> LimitReached:
    return LimitReached(limit, used=used, allowed=allowed, unit=unit)


def _unpriced(limit_usd: float) -> Paused:
    return Paused(
        f"the limit of ${limit_usd:g} cannot be held: what the model costs is not known",
        why="an unknown cost is not zero",
        do="give its price with `--price IN,OUT` (USD per million tokens), or use "
        "`--max-tokens` instead of `--budget`",
    )
