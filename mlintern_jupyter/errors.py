"""Every way this package fails, as one tree.

::

    InternError                     what happened, why, and what to do next
    ├── UsageError                  bad input: nothing was started, nothing is lost (exit code 2)
    ├── JobFailed                   a job that a cell waited for did not complete
    ├── ToolError                   goes back to the model as the result of its call
    └── TurnError                   ends the turn, visibly
        ├── LimitReached            a budget is used up: which, used, allowed
        ├── Paused                  cannot go on now; says how to resume
        │   └── ModelDown           nobody answers, or is too busy, after every patience
        ├── Interrupted             the person pressed Stop
        ├── ModelFailed             the model cannot be asked, or answers nonsense
        │   └── ContextOverflow     the provider says that the conversation does not fit
        ├── NotebookGone            nobody on the other side of the notebook
        └── RecordError             the record cannot be trusted or written
            ├── LedgerUnwritable    stops the turn before the effect
            ├── LedgerLocked        another kernel writes it
            └── LedgerDamaged       a complete line does not verify

Two ways to fail are told apart by type: a ``ToolError`` is an answer to the model, everything
else is an answer to the person.
"""

from __future__ import annotations

from mlintern_jupyter.usage import Usage


class InternError(Exception):
    """An error that tells the person what happened, why, and what to do next."""

    def __init__(self, what: str, *, why: str = "", do: str = "") -> None:
        self.what = what
        self.why = why
        self.do = do
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"why: {self.why}")
        if self.do:
            lines.append(f"do:  {self.do}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows for it: the message is written for people, our frames are not."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(InternError):
    """Bad input. Nothing was started and nothing is lost."""


class JobFailed(InternError):
    """A job failed, was cancelled or got lost while a cell waited for it."""


class ToolError(InternError):
    """A tool call that cannot be carried out; the model reads this and decides."""


class TurnError(InternError):
    """Ends the turn with a stated outcome."""

    charged: Usage | None = None
    """What the model call that failed used; ``None``: unknown, so all that was reserved counts."""


class LimitReached(TurnError):
    """A budget is used up before the next reservation fits into it."""

    def __init__(self, limit: str, *, used: float, allowed: float, unit: str) -> None:
        self.limit = limit
        self.used = used
        self.allowed = allowed
        self.unit = unit
        super().__init__(
            f"the {limit} limit is reached: {used:g} of {allowed:g} {unit}",
            do="raise the limit and resume the session; what was done is kept",
        )


class Paused(TurnError):
    """The turn cannot go on now, and says how it can later."""


class ModelDown(Paused):
    """The model's server does not answer or is too busy; another model may do."""


class Interrupted(TurnError):
    """The person stopped the intern."""


class ModelFailed(TurnError):
    """The language model cannot be asked, or its answers cannot be used."""


class ContextOverflow(ModelFailed):
    """The provider says that the conversation does not fit, whatever our own count says."""


class NotebookGone(TurnError):
    """Nobody answers on the other side of the notebook."""


class RecordError(TurnError):
    """The record cannot be trusted or written."""


class LedgerUnwritable(RecordError):
    """A fact could not be made durable, so its effect must not happen."""


class LedgerLocked(RecordError):
    """Another process writes this ledger."""


class LedgerDamaged(RecordError):
    """A complete line of the ledger does not verify."""
