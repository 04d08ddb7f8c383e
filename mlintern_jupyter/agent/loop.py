"""One turn of the intern: ask the model, carry out its calls, until it answers without a call.

Limits, approvals, rendering and storage are elsewhere; what the loop needs of them it is handed.
A sub-agent runs the same loop with a window, tools and a share of the budget of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.doom_policy import LoopGoesOn
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.agent.model_calls import ModelCalls
from mlintern_jupyter.context.compaction import compacted
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.errors import ContextOverflow, ModelDown, Paused
from mlintern_jupyter.events import Activity, Nudged
from mlintern_jupyter.messages import Reply
from mlintern_jupyter.protocols import Model, Toolbox
from mlintern_jupyter.record.conversation import Conversation
from mlintern_jupyter.usage import CallKind

REFUSALS = 2
"""How often room is made for one step because the provider says that it does not fit."""


@dataclass(frozen=True)
class CurrentModel:
    """The model that is asked now, and the window made for it."""

    model: Model
    window: Window


@dataclass
class Agent:
    """Everything one turn works with. The conversation itself is the fold over the ledger."""

    in_use: Callable[[], Awaitable[CurrentModel]]
    """Asked before each step: the person may switch models while the turn runs."""
    use_fallback: Callable[[str], bool]
    """Let the fallback model take over, and say why; False if there is none."""
    toolbox: Toolbox
    asking: ModelCalls
    dispatch: Dispatch
    guards: Guards
    conversation: Callable[[], Conversation]
    pinned: Callable[[Window], str]
    """What stays in the window whatever is compacted."""
    digest_of: Callable[[str, int], Awaitable[str]]
    """(material, most characters): old steps in short, by a model."""
    reader_tokens: Callable[[], Awaitable[int | None]]
    """Window of the model that makes the digest."""
    status: Callable[[Window, int], str]
    """(window, tokens in it): what changes from step to step, such as what is left."""
    attention: asyncio.Event
    """Set when the person spoke: lowered when what they said is about to be read."""
    going: asyncio.Event
    """Lowered while the turn is held."""
    compaction_wanted: asyncio.Event
    """Set when the person asked for a compaction."""
    kind: CallKind = "main"

    async def run_turn(self) -> str:
        """Work until the model answers without a call; returns that answer.

        Raises:
            TurnError: the turn cannot go on; its type tells the outcome.
        """
        await self.dispatch.carry_out(self.conversation().pending, self.conversation().step)
        while True:
            step = self.conversation().step + 1
            reply = await self.ask(step)
            await self.dispatch.carry_out(reply.calls, step, truncated=reply.stop == "length")
            if not self.nudged(reply, step) and not reply.calls:
                return self.guards.answer(reply)

    async def ask(self, step: int) -> Reply:
        """One reply, with room made for it, by another model if this one is down."""
        await self.hold()
        self.attention.clear()
        refusals = 0
        while True:
            used = await self.in_use()
            try:
                return await self.ask_once(used, step)
            except ContextOverflow:
                refusals += 1
                if refusals > REFUSALS:
                    raise
                await self.compact_now(used.window, step, "refused")
            except ModelDown as down:
                if not self.use_fallback(down.what):
                    raise

    async def ask_once(self, used: CurrentModel, step: int) -> Reply:
        """One model call with what fits into its window."""
        window, talk, tools = used.window, self.conversation(), self.toolbox.specs()
        view = window.view(talk.messages, tools, talk.layout)
        passing = self.status(window, window.tokens(view))
        view = window.view(talk.messages, tools, talk.layout, passing)
        if window.full(view):
            await self.compact_now(window, step, "full")
        elif self.compaction_wanted.is_set():
            with contextlib.suppress(Paused):  # it is as short as it can be: no reason to stop
                await self.compact_now(window, step, "asked")
        self.compaction_wanted.clear()
        view = window.view(talk.messages, tools, talk.layout, passing)
        reply = await self.asking.ask(used.model, view, window.tokens(view), step, self.kind)
        window.reported(view, reply.usage.input_tokens)
        return reply

    async def compact_now(self, window: Window, step: int, why: str) -> None:
        """Show old steps shorter. Raises ``Paused`` when that cannot make enough room."""
        self.asking.signal(Activity("making room in the window"))
        talk = self.conversation()
        made = await compacted(
            window,
            talk.messages,
            self.toolbox.specs(),
            talk.layout,
            self.pinned(window),
            self.digest_of,
            step=step,
            why=why,
            agent=self.asking.agent,
            step_at=talk.step_at,
            reader_tokens=await self.reader_tokens(),
        )
        self.asking.commit(made)

    def nudged(self, reply: Reply, step: int) -> bool:
        """Say at most one sentence to the model; a loop that goes on is the fallback's to leave."""
        try:
            nudge = self.guards.nudge(reply)
        except LoopGoesOn as error:
            if not self.use_fallback(error.what):
                raise
            self.guards.fresh()
            nudge = ("loop", f"{error.what}. {error.why} Take another way.")
        if nudge is not None:
            self.asking.commit(Nudged(step, *nudge, self.asking.agent))
        return nudge is not None

    async def hold(self) -> None:
        """Wait while the person holds the turn; no clock runs meanwhile."""
        if self.going.is_set():
            return
        self.asking.signal(Activity("held"))
        with self.asking.budget.waiting():
            await self.going.wait()
