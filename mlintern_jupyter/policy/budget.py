"""Limits are checked before a model call, against what the ledger says was used, in one object.

A budget counts no money. What was used is the fold over the ledger's facts, handed in as ``spent``;
added to it here is only what no fact says: a reservation on its way into the ledger, and what
sub-agents may still use. A sub-agent works on a share: what it may use is set aside here at once,
and what it did not use comes back when it is closed.

A reservation that is never settled stays counted: the provider may have charged for it. Time in
which a person is waited for is not counted.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from mlintern_jupyter.errors import LimitReached, Paused
from mlintern_jupyter.usage import CallKind, Limits, Spent, dollars

RESERVE = 0.1
"""Of dollars, tokens and time: kept for the last eval and for saving."""
RESERVE_STEPS = 5


@dataclass(eq=False)
class Reservation:
    """What one model call may use at most, from ``Budget.reserve`` to ``Budget.ended``."""

    tokens: int
    usd: float | None
    """``None``: the price is not known. A model that is not metered costs 0."""
    kind: CallKind = "main"
    in_ledger: bool = False
    """Set by ``Budget.committed``."""

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


class WorkingTime:
    """Seconds of work; they stand still while a person is waited for.

    The ledger's seconds are those of calls that ended; this goes on from them by the clock.

    Args:
        clock: tells monotonic seconds.
        earlier: seconds counted before.
    """

    def __init__(self, clock: Callable[[], float], earlier: float) -> None:
        self._clock = clock
        self._counted = earlier
        self._waits = 0
        self._since = clock()

    @property
    def seconds(self) -> float:
        """Worked so far."""
        return self._counted + (0.0 if self._waits else self._clock() - self._since)

    @contextlib.contextmanager
    def waiting(self) -> Generator[None]:
        """A stretch in which a person is waited for; stretches may overlap."""
        self._counted = self.seconds
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            self._since = self._clock()


class Budget:
    """What a session may still use in this turn, going on from what it has used before."""

    def __init__(
        self,
        limits: Limits,
        spent: Callable[[], Spent],
        clock: Callable[[], float],
        compute_usd: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Start the turn's clock.

        Args:
            limits: of the session.
            spent: tells what the ledger adds up to now; its seconds are asked for once.
            clock: tells monotonic seconds.
            compute_usd: tells what jobs that this budget started cost, unfinished ones at most.
        """
        self.limits = limits
        self._ledger = spent
        self._compute_usd = compute_usd
        self._time = WorkingTime(clock, spent().seconds)
        self._open: list[Reservation] = []
        self._shares: list[Share] = []

    @property
    def spent(self) -> Spent:
        """Everything used so far; open reservations are among what is reserved."""
        spent = self._ledger()
        return replace(
            spent,
            seconds=self.seconds,
            reserved_usd=spent.reserved_usd + _usd(self._calls(in_ledger=False)),
            reserved_tokens=spent.reserved_tokens + _tokens(self._calls(in_ledger=False)),
        )

    @property
    def seconds(self) -> float:
        """Working time so far."""
        return self._time.seconds

    def left(self) -> Remaining:
        """What may still be used, after what is set aside for open calls and sub-agents."""
        spent, limits = self.spent, self.limits
        usd = tokens = seconds = None
        if limits.usd is not None:
            usd = 0.0 if spent.usd is None else max(0.0, limits.usd - self._used_usd(spent))
        if limits.tokens is not None:
            tokens = max(0, limits.tokens - self._used_tokens(spent))
        if limits.hours is not None:
            seconds = max(0.0, limits.hours * 3600 - spent.seconds)
        return Remaining(usd, tokens, max(0, limits.steps - self._used_steps(spent)), seconds)

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
        lost = max(0.0, spent.reserved_usd - _usd(self._calls()))
        used = (spent.usd or 0.0) + lost + self._compute_usd()
        if limits.usd is not None and _passes(used, limits.usd):
            return _reached("cost", used, limits.usd, "USD")
        return None

    def reserve(self, tokens: int, usd: float | None, kind: CallKind = "main") -> Reservation:
        """Set aside what one model call may use at most; its fact is committed next.

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

    def committed(self, reservation: Reservation) -> None:
        """Its fact is in the ledger, which counts it from now on."""
        reservation.in_ledger = True

    def ended(self, reservation: Reservation) -> None:
        """The call is over. What it used, or that nobody knows, is for the ledger to say."""
        self._open.remove(reservation)

    def share(self, spent: Callable[[], Spent], *, usd_fraction: float, steps: int) -> Share:
        """Set a part aside for a sub-agent; ``close`` gives back what it did not use.

        Args:
            spent: tells what the ledger says the sub-agent used of this share.
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
        share = Share(self, Limits(usd, None, steps, tokens), spent, self._time)
        self._shares.append(share)
        return share

    def waiting(self) -> contextlib.AbstractContextManager[None]:
        """A stretch in which a person is waited for: the clock stands still."""
        return self._time.waiting()

    def _check(self, more: Reservation) -> None:
        spent, limits = self.spent, self.limits
        _hold("step", self._used_steps(spent), more.steps, limits.steps, "steps")
        if (late := self._too_late()) is not None:
            raise late
        if limits.tokens is not None:
            _hold("token", self._used_tokens(spent), more.tokens, limits.tokens, "tokens")
        if limits.usd is not None:
            if more.usd is None or spent.usd is None:
                raise _unpriced(limits.usd)
            _hold("cost", self._used_usd(spent), more.usd, limits.usd, "USD")

    def _too_late(self) -> LimitReached | None:
        hours, seconds = self.limits.hours, self.seconds
        if hours is None or seconds < hours * 3600:
            return None
        return _reached("time", seconds / 3600, hours, "h")

    def _calls(self, *, in_ledger: bool | None = None) -> Iterator[Reservation]:
        """Open calls, those of sub-agents among them; ``None``: whether in the ledger or not."""
        for call in self._open:
            if in_ledger is None or call.in_ledger == in_ledger:
                yield call
        for share in self._shares:
            yield from share._calls(in_ledger=in_ledger)

    def _used_steps(self, spent: Spent) -> int:
        return spent.steps + sum(call.steps for call in self._open)

    def _used_tokens(self, spent: Spent) -> int:
        """With everything that is set aside."""
        unused = sum(share.unused_tokens() for share in self._shares)
        return spent.usage.total + spent.reserved_tokens + unused

    def _used_usd(self, spent: Spent) -> float:
        """With everything that is set aside; only asked where there is a limit."""
        unused = math.fsum(share.unused_usd() for share in self._shares)
        return (spent.usd or 0.0) + spent.reserved_usd + unused + self._compute_usd()


class Share(Budget):
    """A sub-agent's part of a budget. Made by ``Budget.share``; time is the whole's."""

    def __init__(
        self, whole: Budget, limits: Limits, spent: Callable[[], Spent], time: WorkingTime
    ) -> None:
        super().__init__(limits, spent, lambda: 0.0)
        self._whole = whole
        self._time = time

    def unused_usd(self) -> float:
        """Dollars set aside in the whole that no call was made with yet."""
        return max(0.0, (self.limits.usd or 0.0) - self._used_usd(self.spent))

    def unused_tokens(self) -> int:
        """The same in tokens."""
        return max(0, (self.limits.tokens or 0) - self._used_tokens(self.spent))

    def left(self) -> Remaining:
        """What this sub-agent may still use, in the time that is left to all."""
        return replace(super().left(), seconds=self._whole.left().seconds)

    def exceeded(self) -> LimitReached | None:
        """Its own cap that was passed, or the whole's."""
        return super().exceeded() or self._whole.exceeded()

    def reserve(self, tokens: int, usd: float | None, kind: CallKind = "research") -> Reservation:
        """As of any budget; a limit of the whole holds here, too, once it has been passed."""
        return super().reserve(tokens, usd, kind)

    def share(self, spent: Callable[[], Spent], *, usd_fraction: float, steps: int) -> Share:
        """Never: sub-agents start none."""
        raise ValueError("a share is not shared again")

    def close(self) -> None:
        """Give back what was not used; a second time does nothing. Open calls stay counted."""
        if self in self._whole._shares:
            self._whole._shares.remove(self)

    def _check(self, more: Reservation) -> None:
        super()._check(more)
        # What the share allows is set aside there; this refuses when the whole was passed since.
        self._whole._check(Reservation(0, 0.0, "compaction"))


def _usd(calls: Iterable[Reservation]) -> float:
    return math.fsum(call.usd for call in calls if call.usd is not None)


def _tokens(calls: Iterable[Reservation]) -> int:
    return sum(call.tokens for call in calls)


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
        f"the limit of {dollars(limit_usd)} cannot be held: what the model costs is not known",
        why="an unknown cost is not zero",
        do="give its price with `--price IN,OUT` (USD per million tokens), or use "
        "`--max-tokens` instead of `--budget`",
    )
