"""Sub-agents of a session: each with a window, read-only tools and a share of the budget.

Everything a sub-agent says and reads is in the ledger under its id, so one that was interrupted
goes on where it stood: the call that started it names it. It starts none of its own: its tools are
read-only by construction, ``delegate`` is not among them, and its context can spawn nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, get_args

from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.agent.loop import Agent, CurrentModel
from mlintern_jupyter.agent.model_calls import ModelCalls
from mlintern_jupyter.agent.sub_agent import (
    STEPS,
    WRAP_UP,
    AgentResult,
    Cap,
    agent_result,
    run_sub_agent,
)
from mlintern_jupyter.context.pinned import pinned_text, pinned_tokens
from mlintern_jupyter.context.status import status_text
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.errors import LedgerUnwritable, Paused, ToolError
from mlintern_jupyter.events import (
    Activity,
    AgentEnded,
    AgentStarted,
    Answered,
    Asked,
    Fact,
    Outcome,
    Signal,
)
from mlintern_jupyter.messages import ToolCall, ToolResult, ToolSpec
from mlintern_jupyter.policy.budget import Budget, Share
from mlintern_jupyter.policy.gate import Gate
from mlintern_jupyter.protocols import CallTerms, Effect, Grant, Model, Tool, ToolContext
from mlintern_jupyter.record.conversation import AgentRecord, Conversation
from mlintern_jupyter.record.spending import Spending
from mlintern_jupyter.tools.base.toolbox import TurnToolbox
from mlintern_jupyter.tools.research.delegate import Role

SHARE = 0.25
"""Of the dollars and tokens that are left, for each sub-agent."""
_READS: frozenset[Effect] = frozenset({"read"})
_GOES_ON: tuple[Outcome, ...] = ("paused", "interrupted")

Digest = Callable[[str, int], Awaitable[str]]


@dataclass
class Delegation:
    """Starts sub-agents and waits for them. What it is handed is the session's own."""

    agents: Callable[[], Mapping[str, AgentRecord]]
    """Every sub-agent of the record, by id."""
    model: Callable[[], Awaitable[Model]]
    """The model of role ``research``, as it is now."""
    window: Callable[[Model, str], Window]
    """(model, system prompt): a window of its own."""
    tools: Callable[[Conversation], Iterable[Tool]]
    """Every tool there is, for an agent with this conversation; what does not read is left out."""
    budget: Budget
    gate: Callable[[Callable[[], tuple[str, ...]]], Gate]
    """The session's gate, for an agent that has read these sources."""
    sources: Callable[[], tuple[str, ...]]
    """Untrusted text the intern itself has read: a task may come from it."""
    ask_person: Callable[[Asked], Awaitable[Answered]]
    context: Callable[[ToolCall], ToolContext]
    digest: Callable[[ModelCalls, Conversation], Digest]
    """Makes notes of old steps, paid for by the sub-agent."""
    reader_tokens: Callable[[], Awaitable[int | None]]
    """Window of the model that makes them."""
    commit: Callable[[Fact], int]
    signal: Callable[[Signal], None]
    known: Callable[[str], bool]
    """Whether a call of the session has this id already."""
    past: Callable[[], Sequence[Fact]]
    """What was committed in this turn so far."""
    going: asyncio.Event
    """Lowered while the turn is held."""
    use_fallback: Callable[[str], bool] = lambda _: False
    """Let another model have the role ``research``, and say why; False if there is none."""
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def spawn(self, call: str, role: str, task: str) -> ToolResult:
        """Carry out a task with a sub-agent, or go on with the one this call started.

        Args:
            call: id of the intern's call.
            role: names its prompt.
            task: everything it is told.

        Raises:
            ToolError: there is no such role.
            TurnError: it cannot go on now; the same call goes on later.
        """
        prompt = prompt_of(role)
        record = self._of(call, role, task)
        if record is not None and record.ended and record.ended.outcome not in _GOES_ON:
            ended = record.ended
            return self._result(record, agent_result(ended.text, ended.outcome, ended.reason))
        if record is None:
            model = await self.model()
            # Nothing is waited for between the number and the fact: a number is used once.
            name = f"a{len(self.agents()) + 1}-{role}"
            self.commit(AgentStarted(name, role, task, call, model.name))
            record = self.agents()[name]
        return self._result(record, await self._work(record, prompt))

    def _of(self, call: str, role: str, task: str) -> AgentRecord | None:
        """The sub-agent that a call started already."""
        for record in self.agents().values():
            started = record.started
            if (started.call, started.role, started.task) == (call, role, task):
                return record
        return None

    async def _work(self, record: AgentRecord, prompt: str) -> AgentResult:
        name, talk = record.started.agent, record.conversation
        # Of this share only: what an interrupted sub-agent used before is in the whole.
        spending = Spending(step_kind="research")
        share = self.budget.share(
            lambda: spending.spent, usd_fraction=SHARE, steps=max(1, STEPS - talk.step)
        )
        cap = Cap(share)

        def commit(fact: Fact) -> int:
            cap.noted(fact)
            number = self.commit(fact)
            spending.apply(fact)
            return number

        try:
            result = await run_sub_agent(self._agent(record, prompt, share, cap, commit), cap)
        except Paused as error:
            self.commit(AgentEnded(name, "paused", "", error.what))
            raise
        except asyncio.CancelledError:
            with contextlib.suppress(LedgerUnwritable):
                self.commit(AgentEnded(name, "interrupted", "", "the turn was ended"))
            raise
        finally:
            share.close()
        self.commit(AgentEnded(name, result.outcome, result.whole(), result.reason))
        return result

    def _agent(
        self,
        record: AgentRecord,
        prompt: str,
        share: Share,
        cap: Cap,
        commit: Callable[[Fact], int],
    ) -> Agent:
        name, talk = record.started.agent, record.conversation

        def signal(said: Signal) -> None:
            shown = Activity(f"{name}: {said.text}") if isinstance(said, Activity) else said
            self.signal(shown)

        made: dict[str, CurrentModel] = {}

        async def in_use() -> CurrentModel:
            cap.check(talk)
            model = await self.model()
            if model.name not in made:
                made[model.name] = CurrentModel(model, self.window(model, prompt))
            return made[model.name]

        def context(call: ToolCall) -> ToolContext:
            # Pictures are left out: an answer is text and rows.
            return replace(
                self.context(call), attention=asyncio.Event(), spawn=_spawns_nothing, sees=False
            )

        toolbox = TurnToolbox(read_only(self.tools(talk)))
        guards = Guards(lambda: (), share.near_limit, WRAP_UP, can_plan=False)
        guards.recall(self.past(), name)
        asking = ModelCalls(share, commit, signal, self.known, name)
        return Agent(
            in_use=in_use,
            use_fallback=self.use_fallback,
            toolbox=toolbox,
            asking=asking,
            dispatch=Dispatch(
                toolbox=toolbox,
                gate=self.gate(lambda: tuple(dict.fromkeys((*self.sources(), *talk.sources)))),
                ask_person=self._ask_person,
                context=context,
                conversation=lambda: talk,
                commit=commit,
                signal=signal,
                guards=guards,
                clock=lambda: self.budget.seconds,
                agent=name,
            ),
            guards=guards,
            conversation=lambda: talk,
            pinned=lambda window: pinned_text(
                goal=record.started.task, max_tokens=pinned_tokens(window.context_tokens)
            ),
            digest_of=self.digest(asking, talk),
            reader_tokens=self.reader_tokens,
            status=lambda window, tokens: status_text(
                share.limits, share.spent, tokens=tokens, context_tokens=window.context_tokens,
                sources=talk.sources,
            ),
            attention=asyncio.Event(),
            going=self.going,
            compaction_wanted=asyncio.Event(),
            kind="research",
        )  # fmt: skip

    async def _ask_person(self, question: Asked) -> Answered:
        # One question of all sub-agents at a time: ids of their calls may be the same.
        async with self._asking:
            return await self.ask_person(question)

    def _result(self, record: AgentRecord, result: AgentResult) -> ToolResult:
        started = record.started
        facts: dict[str, Any] = {
            "agent": started.agent,
            "role": started.role,
            "outcome": result.outcome,
        }
        if result.rows:
            facts["rows"] = list(result.rows)
        head = f"{started.agent}"
        if result.partial:
            head += f", partial ({result.reason})"
        text = result.text or "it found nothing"
        return ToolResult(
            f"{head}: {text}",
            {"delegate": facts},
            ok=bool(result.text),
            sources=record.conversation.sources,
        )


class ReadOnly:
    """A tool of which only reading calls can be made."""

    resumes = True
    """What only read may be read again."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self.spec: ToolSpec = tool.spec
        self.manual = tool.manual
        self.timeout_s = tool.timeout_s

    def bind(self, arguments: str) -> dict[str, Any]:
        """As the tool does. Raises ``ToolError``."""
        return self._tool.bind(arguments)

    def terms(self, arguments: Mapping[str, Any]) -> CallTerms:
        """As the tool says. Raises ``ToolError`` if a call would do anything but read."""
        terms = self._tool.terms(arguments)
        if terms.effects != _READS:
            raise ToolError(
                f"{terms.tool} does more than read",
                why="a sub-agent only reads",
                do="say in your answer what should be done",
            )
        return terms

    async def __call__(self, ctx: ToolContext, grant: Grant, /, **arguments: Any) -> ToolResult:
        """Carry the call out, if it only reads."""
        self.terms(arguments)
        return await self._tool(ctx, grant, **arguments)


def read_only(tools: Iterable[Tool]) -> list[Tool]:
    """The tools of which some call only reads, and nothing but such calls of them."""
    return [ReadOnly(tool) for tool in tools if _reads(tool)]


def prompt_of(role: str) -> str:
    """The standing instructions of a role.

    Raises:
        ToolError: there is no such role.
    """
    if role not in get_args(Role):
        raise ToolError(f"there is no role {role!r}", do=f"one of {', '.join(get_args(Role))}")
    prompt = files("mlintern_jupyter.context").joinpath(f"prompts/{role}.md")
    return prompt.read_text(encoding="utf-8")


def _reads(tool: Tool) -> bool:
    try:
        return tool.terms({}).effects == _READS
    except (KeyError, ToolError):
        # What it does depends on what it is asked for: judged call by call.
        return True


async def _spawns_nothing(call: str, role: str, task: str) -> ToolResult:
    raise ToolError("a sub-agent starts no sub-agents", do="answer with what you found")
