"""Everything one turn works with, joined: models, window, tools, gate, budget, sub-agents."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.agent.loop import Agent, CurrentModel
from mlintern_jupyter.agent.model_calls import ModelCalls
from mlintern_jupyter.commands import Mode
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.context.compaction import DigestOf
from mlintern_jupyter.context.digest import request
from mlintern_jupyter.context.instructions import system_prompt
from mlintern_jupyter.context.pinned import edits_of, pinned_text, pinned_tokens
from mlintern_jupyter.context.status import status_text
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.events import Answered, Asked, EffectSettled, Fact, TurnEnded, TurnStarted
from mlintern_jupyter.hosts.wire import WireHost
from mlintern_jupyter.messages import ToolCall
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.policy.credentials import Credentials
from mlintern_jupyter.policy.gate import Gate
from mlintern_jupyter.policy.rules import load_rules
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.recipes.book import Book
from mlintern_jupyter.record.conversation import Conversation
from mlintern_jupyter.session.readouts.page_view import best_score
from mlintern_jupyter.session.running.roles import Roles
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.session.running.turn_setup import TurnSetup
from mlintern_jupyter.session.wiring.delegation import Delegation
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.toolbox import TurnToolbox
from mlintern_jupyter.tools.build import build_tools
from mlintern_jupyter.tools.custom.modules import CustomTools, load_custom_tools
from mlintern_jupyter.tools.mcp.servers import McpServers
from mlintern_jupyter.views import ScoreView


@dataclass
class TurnBuilder:
    """Made anew for each turn, on the worker's loop; what outlives a turn is handed in."""

    session: Session
    host: WireHost
    roles: Roles
    mcp: McpServers
    namespace: Mapping[str, Any]
    """The notebook's names, among them the person's own tools."""
    env: Credentials
    """With every key, also while a cell runs."""

    async def build(self) -> TurnSetup:
        """What the turn works with.

        Raises:
            UsageError: a model or a tool that was asked for is not there.
        """
        session, state = self.session, self.session.state
        self.model = await self.roles.model()
        self.toolsets = catalog.known(state.toolsets)
        self.system = system_prompt(self.toolsets)
        self.budget = Budget(
            state.limits,
            lambda: state.spent,
            time.monotonic,
            lambda: Jobs(session.folder.parent).committed_usd(state.session),
        )
        self.rules = load_rules(Path(state.workdir))
        self.asking = ModelCalls(self.budget, session.commit, session.signal, self._known)
        self.guards = Guards(plan=lambda: state.plan, near_limit=self.budget.near_limit)
        self.guards.recall(self._past())
        self.deps = await self._tool_deps()
        toolbox = TurnToolbox(build_tools(self.deps, self.toolsets))
        self.delegation = Delegation(
            agents=lambda: state.agents,
            model=lambda: self.roles.model("research"),
            window=self.roles.window,
            tools=self._tools_of_sub_agent,
            budget=self.budget,
            gate=self._gate,
            sources=lambda: state.main.sources,
            ask_person=self._ask_person,
            context=self._context,
            digest=self._digest,
            reader_tokens=self._reader_tokens,
            commit=session.commit,
            signal=session.signal,
            known=self._known,
            past=self._past,
            going=session.going,
            use_fallback=lambda why: self.roles.use_fallback(why, "research"),
        )
        dispatch = Dispatch(
            toolbox=toolbox,
            gate=self._gate(lambda: state.main.sources),
            ask_person=self._ask_person,
            context=self._context,
            conversation=lambda: state.main,
            commit=session.commit,
            signal=session.signal,
            guards=self.guards,
            clock=lambda: self.budget.seconds,
        )
        agent = Agent(
            in_use=self._in_use,
            use_fallback=self.roles.use_fallback,
            toolbox=toolbox,
            asking=self.asking,
            dispatch=dispatch,
            guards=self.guards,
            conversation=lambda: state.main,
            pinned=self._pinned,
            digest_of=self._digest(self.asking, state.main),
            reader_tokens=self._reader_tokens,
            status=self._status,
            attention=session.attention,
            going=session.going,
            compaction_wanted=session.compaction_wanted,
        )
        return TurnSetup(agent, toolbox, await self._notes())

    async def _notes(self) -> tuple[str, ...]:
        """What the person should know of models and tools of this turn."""
        window = (await self._in_use()).window
        lines: list[str] = list(getattr(self.model, "notes", ()))
        if self.roles.assumes(self.model):
            lines.append(
                f"{self.model.name} does not say how much it reads: {window.context_tokens:,}"
                " tokens are assumed; `--context TOKENS` says better"
            )
        broken = (f"{status.name}: {status.problem}" for status in self.mcp.status())
        lines += [*self.custom.problems, *(text for text in broken if not text.endswith(": "))]
        return tuple(lines)

    async def _tool_deps(self) -> ToolDeps:
        """What the intern's tools are made from; of what is off, no module or server is started."""
        state = self.session.state
        self.custom, mcp_tools = CustomTools((), ()), list[Tool]()
        if "custom" in self.toolsets:
            said = tuple(state.options.get("tools", ()))
            self.custom = await load_custom_tools(said, Path(state.workdir), self.env)
            self.env.add(key for tool in self.custom.tools for key in tool.terms({}).keys)
        if "mcp" in self.toolsets:
            names = {tool.spec.name for tool in self.custom.tools}
            mcp_tools = await self.mcp.tools_for_turn(catalog.tool_names() | names)
        return ToolDeps(
            recipe_book=Book.load(),
            cells=lambda: state.cells,
            runs=lambda: state.runs,
            facts=lambda: state.facts,
            conversation=lambda: state.main,
            full_result=self._whole_of,
            find_secret=Scrubber(self.env).has_secret,
            namespace=self.namespace,
            module_tools=self.custom.tools,
            mcp_tools=mcp_tools,
        )

    def _tools_of_sub_agent(self, talk: Conversation) -> list[Tool]:
        """Every tool there is for a sub-agent with this conversation, also those it cannot use."""
        deps = replace(self.deps, conversation=lambda: talk, can_delegate=False)
        return build_tools(deps, self.toolsets)

    def _known(self, call: str) -> bool:
        return call in self.session.state.call_ids

    def _past(self) -> Sequence[Fact]:
        """What was committed since the turn began, or since its last end, which the person saw."""
        facts = [numbered.fact for numbered in self.session.ledger.facts]
        ends = (n for n, fact in enumerate(facts, 1) if isinstance(fact, TurnStarted | TurnEnded))
        return facts[max(ends, default=0) :]

    def _whole_of(self, call: str) -> str:
        facts = (numbered.fact for numbered in reversed(self.session.ledger.facts))
        settled = (fact for fact in facts if isinstance(fact, EffectSettled))
        return next((fact.whole for fact in settled if fact.call == call), "")

    def _gate(self, sources: Callable[[], tuple[str, ...]]) -> Gate:
        return Gate(self.rules, lambda: cast("Mode", self.session.state.mode), sources)

    async def _ask_person(self, question: Asked) -> Answered:
        session = self.session
        return await session.approvals.ask(question, session.attention, self._waiting)

    def _waiting(self) -> AbstractContextManager[None]:
        return self.budget.waiting()

    def _context(self, call: ToolCall) -> ToolContext:
        session = self.session
        return ToolContext(
            session=session.state.session,
            call=call.id,
            model=self.model.name,
            workdir=Path(session.state.workdir),
            host=self.host,
            commit=session.commit,
            signal=session.signal,
            runs_unreviewed=session.runs_unreviewed,
            attention=session.attention,
            waiting=self._waiting,
            spawn=self.delegation.spawn,
            sees=self.model.sees,
        )

    async def _in_use(self) -> CurrentModel:
        self.model = await self.roles.model()
        window = self.roles.window(self.model, self.system)
        assumed = self.roles.assumes(self.model)
        self.session.model_reads(window.context_tokens, assumed=assumed)
        return CurrentModel(self.model, window)

    def _digest(self, asking: ModelCalls, talk: Conversation) -> DigestOf:
        async def digest(material: str, most: int) -> str:
            """Old steps in short, by the model that has that role."""
            model = await self.roles.model("compaction")
            view = request(material, most)
            tokens = self.roles.window(model, "").tokens(view)
            return (await asking.ask(model, view, tokens, talk.step + 1, "compaction")).text

        return digest

    def _pinned(self, window: Window) -> str:
        state = self.session.state
        return pinned_text(
            goal=state.goal,
            request=state.turn_text,
            briefing=state.briefing,
            words=state.words,
            plan=state.plan,
            best=_best_line(best_score(state.runs)),
            edits=edits_of(state.cells.values()),
            facts=state.facts,
            max_tokens=pinned_tokens(window.context_tokens),
        )

    async def _reader_tokens(self) -> int | None:
        return self.roles.window(await self.roles.model("compaction"), "").context_tokens

    def _status(self, window: Window, tokens: int) -> str:
        state = self.session.state
        return status_text(
            state.limits,
            self.budget.spent,
            unmetered=self.model.unmetered,
            compute_usd=Jobs(self.session.folder.parent).committed_usd(state.session),
            tokens=tokens,
            context_tokens=window.context_tokens,
            sources=state.main.sources,
            near_limit="little of the budget is left" if self.budget.near_limit() else "",
        )


def _best_line(best: ScoreView | None) -> str:
    if best is None:
        return ""
    line = f"{best.name}: {best.value:.3f} on {best.split} of {best.task}, n={best.n}"
    return line if best.baseline is None else f"{line}; baseline {best.baseline:.3f}"
