"""A budget with the ledger it reads: each call is written down as the intern's calls are."""

from __future__ import annotations

import itertools

from mlintern_jupyter.events import Reserved, Settled
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.record.spending import Spending
from mlintern_jupyter.usage import Spent


class Hand:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Books:
    """What a budget offers, and ``reserve`` and ``settle`` as a whole model call does them."""

    def __init__(self, budget, folds, agent="", numbers=None):
        self.budget, self.folds, self.agent = budget, folds, agent
        self.numbers = numbers or itertools.count(1)
        self.steps = {}

    def __getattr__(self, name):
        return getattr(self.budget, name)

    def reserve(self, tokens, usd, kind=None):
        kind = kind or ("research" if self.agent else "main")
        reservation = self.budget.reserve(tokens, usd, kind)
        self.steps[reservation] = next(self.numbers)
        self._commit(Reserved(self.steps[reservation], tokens, usd, self.agent, kind))
        self.budget.committed(reservation)
        return reservation

    def settle(self, reservation, usage, usd, *, replied=True):
        """``usage=None``: it failed and nobody knows what it used."""
        self.budget.ended(reservation)
        if usage is not None:
            step, kind = self.steps[reservation], reservation.kind
            self._commit(Settled(step, usage, usd, 0.0, replied, self.agent, kind))

    def share(self, *, usd_fraction, steps):
        mine = Spending(step_kind="research")
        share = self.budget.share(lambda: mine.spent, usd_fraction=usd_fraction, steps=steps)
        name = f"a{next(self.numbers)}"
        return Books(share, [*self.folds, mine], name, self.numbers)

    def _commit(self, fact):
        for fold in self.folds:
            fold.apply(fact)


def books(limits, spent=None, clock=None, compute_usd=lambda: 0.0):
    """A budget that goes on from what an earlier process used and left reserved."""
    spent = spent or Spent()
    fold = Spending(spent=spent)
    if spent.reserved_usd or spent.reserved_tokens:
        fold.apply(Reserved(0, spent.reserved_tokens, spent.reserved_usd))
    return Books(Budget(limits, lambda: fold.spent, clock or Hand(), compute_usd), [fold])
