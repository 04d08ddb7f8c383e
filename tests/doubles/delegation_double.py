"""As much of a session as sub-agents see: loop and conversation are real, the model is not."""

import asyncio
import json
from pathlib import Path

from turn_double import RULES, STARTED, Clock, Tool, Toolbox, call

from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.errors import ModelFailed
from mlintern_jupyter.events import (
    Answered,
    Replied,
    TurnStarted,
)
from mlintern_jupyter.messages import Reply, ToolCall, ToolResult
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.policy.gate import Gate
from mlintern_jupyter.protocols import ToolContext
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.wiring.delegation import Delegation
from mlintern_jupyter.tools.base.schema import FunctionTool
from mlintern_jupyter.tools.research.delegate import delegate
from mlintern_jupyter.usage import Limits, Usage


async def reader_tokens():
    return None


class ByTask:
    """A research model that answers by the task it was given; one script for each task."""

    price, unmetered, context_tokens, sees = None, True, None, False

    def __init__(self, name="r", usage=None, **scripts):
        self.name = name
        self.scripts = {task: list(script) for task, script in scripts.items()}
        self.usage = usage or Usage(1, 1)
        self.views = []
        self.before = None

    async def probe(self):
        pass

    async def complete(self, view, on_text):
        self.views.append(view)
        task = view.messages[1].text
        if self.before:
            await self.before(task)
        place = sum(m.role == "assistant" for m in view.messages)
        script = self.scripts[task]
        reply = script[place] if place < len(script) else script[-1]
        reply = reply(view) if callable(reply) else reply
        if isinstance(reply, Exception):
            raise reply
        text, *calls = reply
        stop = "tool_calls" if calls else "stop"
        return Reply(text, tuple(calls), stop, self.usage, self.name)


class Session:
    """As much of a session as sub-agents touch; ``again`` is the next process after a crash."""

    def __init__(self, model, tools=(), limits=None, facts=(), rules=RULES, use_fallback=None):
        self.model, self.tools, self.rules = model, tools, rules
        self.facts, self.state = list(facts), SessionState()
        if facts:
            self.state = fold([NumberedFact(n, "", fact) for n, fact in enumerate(facts, 1)])
        else:
            self.commit(STARTED)
            self.commit(TurnStarted(1, "go", "%%intern go"))
        self.limits = limits or Limits()
        self.budget = Budget(self.limits, lambda: self.state.spent, Clock())
        self.signals, self.asked = [], []
        self.delegation = Delegation(
            agents=lambda: self.state.agents,
            model=self.research,
            window=lambda model, system: Window(system, model.context_tokens),
            tools=lambda _: self.tools,
            budget=self.budget,
            gate=lambda sources: Gate(self.rules, lambda: "review", sources),
            sources=lambda: self.state.main.sources,
            ask_person=self.answer,
            context=self.context,
            digest=lambda *_: self.notes,
            reader_tokens=reader_tokens,
            known=lambda call: call in self.state.call_ids,
            past=lambda: self.facts,
            commit=self.commit,
            signal=self.signals.append,
            going=self.lit(),
            use_fallback=use_fallback or (lambda _: False),
        )

    def again(self, model=None, facts=None):
        facts = self.facts if facts is None else facts
        return Session(model or self.model, self.tools, self.limits, facts, self.rules)

    async def research(self):
        return self.model

    async def notes(self, material, most):
        raise ModelFailed("nobody makes notes")

    async def answer(self, asked):
        self.asked.append(asked)
        answered = Answered(asked.call, yes=True)
        self.commit(answered)
        return answered

    @staticmethod
    def lit():
        event = asyncio.Event()
        event.set()
        return event

    def context(self, made):
        return ToolContext(
            session="s-1", call=made.id, model="m", workdir=Path(), host=None,
            commit=self.commit, signal=self.signals.append, runs_unreviewed=lambda *_: False,
            attention=asyncio.Event(), waiting=self.budget.waiting,
            spawn=self.delegation.spawn,
        )  # fmt: skip

    def commit(self, fact):
        self.facts.append(fact)
        self.state.apply(NumberedFact(len(self.facts), "", fact))
        return len(self.facts)

    def of(self, kind, agent=None):
        agent_result = [fact for fact in self.facts if isinstance(fact, kind)]
        return [f for f in agent_result if agent is None or f.agent == agent]

    def spawn(self, role="critic", task="T", call="c1"):
        return asyncio.run(self.delegation.spawn(call, role, task))

    def turn(self, *calls):
        """The calls of one reply of the intern, carried out by its own dispatch."""
        self.commit(Replied(1, "", calls, "tool_calls", "m"))
        return self.carry_out()

    def carry_out(self):
        toolbox = Toolbox(FunctionTool(delegate, {"read"}, resumes=True))
        dispatch = Dispatch(
            toolbox=toolbox,
            gate=Gate(self.rules, lambda: "review", lambda: self.state.main.sources),
            ask_person=self.answer,
            context=self.context,
            conversation=lambda: self.state.main,
            commit=self.commit,
            signal=self.signals.append,
            guards=Guards(plan=lambda: ()),
            clock=lambda: self.budget.seconds,
        )
        return dispatch.carry_out(self.state.main.pending, 1)


def gives(number, task="T", role="critic"):
    return ToolCall(f"d{number}", "delegate", json.dumps({"role": role, "task": task}))


def reads(text="read it", sources=(), name="look"):
    async def act():
        return ToolResult(text, sources=sources)

    return Tool(act, name)


def steps(count, answer="the answer", name="look"):
    """A script of ``count`` calls with new results, then the answer."""
    return [*[("", call(n, name)) for n in range(count)], (answer,)]


def counting(name="look"):
    """A tool whose every result is new, so that nothing looks like a loop."""
    made = []

    async def act():
        made.append(len(made))
        return ToolResult(f"page {len(made)}")

    tool = Tool(act, name)
    tool.made = made
    return tool
