"""One turn of the real loop, dispatch, gate and budget; model and tools are the test's own."""

from __future__ import annotations

import asyncio

from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.agent.loop import Agent, CurrentModel
from mlintern_jupyter.agent.model_calls import ModelCalls
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.errors import ModelFailed
from mlintern_jupyter.events import Answered, SessionStarted, TurnStarted
from mlintern_jupyter.messages import Reply, ToolCall, ToolSpec
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.policy.gate import Gate
from mlintern_jupyter.policy.rules import Rule, Rules
from mlintern_jupyter.protocols import CallTerms
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.usage import Limits, Usage

STARTED = SessionStarted("s-1", "goal", "m", "review", {}, {}, "magic", "/w", "0")
LIMITS = Limits()
RULES = Rules((Rule("allow", effect="read"), Rule("allow", effect="execute")))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Scripted:
    """Says its replies in order; an exception among them is raised instead."""

    price, unmetered, context_tokens, sees = None, True, None, False

    def __init__(self, *replies, asked=lambda: None, name="m"):
        self.replies = list(replies)
        self.asked = asked
        self.name = name
        self.views = []

    async def probe(self):
        pass

    async def complete(self, view, on_text):
        del on_text
        self.views.append(view)
        self.asked()
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        text, *calls = reply
        return Reply(text, tuple(calls), "tool_calls" if calls else "stop", Usage(1, 1), self.name)


class Tool:
    """Does what the test says; one of its own for each name."""

    manual = ""

    def __init__(self, act, name="do", effects=("read",), timeout_s=None, resumes=True):
        self.act = act
        self.spec = ToolSpec(name, name, {"type": "object", "properties": {}})
        self.effects = frozenset(effects)
        self.timeout_s = timeout_s
        self.resumes = resumes

    def bind(self, arguments):
        del arguments
        return {}

    def terms(self, arguments):
        del arguments
        return CallTerms(self.spec.name, self.effects)

    async def __call__(self, ctx, grant, /):
        grant.use(self.terms({}), {})
        return await self.act()


class Toolbox:
    def __init__(self, *tools):
        self.tools = {tool.spec.name: tool for tool in tools}

    def specs(self):
        return tuple(tool.spec for tool in self.tools.values())

    def find(self, name):
        return self.tools[name]


class Turn:
    """A turn that was started; ``run`` ends it."""

    def __init__(
        self, model, act=None, *, tools=(), limits=LIMITS, fallback=None, rules=RULES,
        answers=(), mode="review", facts=(),
    ):  # fmt: skip
        self.clock, self.facts, self.state = Clock(), [], SessionState()
        self.attention, self.going = asyncio.Event(), asyncio.Event()
        self.compaction_wanted = asyncio.Event()
        self.going.set()
        self.budget = Budget(limits, lambda: self.state.spent, self.clock)
        self.model, self.fallback = model, fallback
        self.windows = {}
        self.answers = list(answers)
        self.asked = []
        guards = Guards(plan=lambda: self.state.plan)
        toolbox = Toolbox(*(tools or (Tool(act),)))
        dispatch = Dispatch(
            toolbox=toolbox,
            gate=Gate(rules, lambda: mode, lambda: self.state.main.sources),
            ask_person=self.answer,
            context=lambda _: None,
            conversation=lambda: self.state.main,
            commit=self.commit,
            signal=lambda _: None,
            guards=guards,
            clock=lambda: self.budget.seconds,
        )
        self.agent = Agent(
            in_use=self.in_use,
            use_fallback=self.use_fallback,
            toolbox=toolbox,
            asking=ModelCalls(
                self.budget, self.commit, lambda _: None, lambda call: call in self.state.call_ids
            ),
            dispatch=dispatch,
            guards=guards,
            conversation=lambda: self.state.main,
            pinned=lambda _: "goal: go",
            digest_of=self.digest_of,
            reader_tokens=self.reader_tokens,
            status=lambda *_: "",
            attention=self.attention,
            going=self.going,
            compaction_wanted=self.compaction_wanted,
        )
        self.commit(STARTED)
        self.commit(TurnStarted(1, "go", "%%intern go"))
        for fact in facts:
            self.commit(fact)
        guards.recall(self.facts)

    async def in_use(self):
        if self.model not in self.windows:
            self.windows[self.model] = Window("", self.model.context_tokens)
        return CurrentModel(self.model, self.windows[self.model])

    def use_fallback(self, why):
        del why
        if self.fallback is None or self.model is self.fallback:
            return False
        self.model = self.fallback
        return True

    async def digest_of(self, material, most):
        raise ModelFailed("no model for it")

    async def reader_tokens(self):
        return None

    async def answer(self, asked):
        self.asked.append(asked)
        answered = Answered(asked.call, *self.answers.pop(0))
        self.commit(answered)
        return answered

    def commit(self, fact):
        self.facts.append(fact)
        self.state.apply(NumberedFact(len(self.facts), "", fact))
        return len(self.facts)

    def of(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]


def call(number, name="do"):
    return ToolCall(f"c{number}", name, "{}")
