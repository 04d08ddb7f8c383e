"""What the ledger adds up to and what the budget says are one sum, whatever happens in between.

All amounts are whole multiples of 1/1024 dollar, which floats add exactly: sums are compared by
equality, and a cent that is counted twice or lost is seen.
"""

import asyncio
import contextlib
import itertools
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from mlintern_jupyter.agent.model_calls import ModelCalls
from mlintern_jupyter.errors import LimitReached, ModelFailed, Paused
from mlintern_jupyter.events import AgentStarted, SessionStarted, TurnStarted
from mlintern_jupyter.messages import Reply, View
from mlintern_jupyter.policy.budget import RESERVE, Budget
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.spending import Spending
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.usage import Limits, Price, Usage

PER_MILLION = 1_000_000 / 1024
LIMITS = (
    Limits(usd=10.0, tokens=20_480, steps=12, hours=1.0),
    Limits(usd=10.0, steps=300),
    Limits(steps=300),
)


@dataclass(eq=False)
class Call:
    """A model call as it really went, noted beside every count that is to be tested."""

    agent: str
    kind: str
    most: int
    """Tokens set aside."""
    metered: bool
    priced: bool
    answer: asyncio.Future
    task: asyncio.Task | None = None
    share: object = None
    is_open: bool = True
    used: int | None = None
    """``None``: nobody knows, so all that was set aside counts."""
    replied: bool = False

    def usd(self, tokens):
        if not self.metered:
            return 0.0
        return tokens / 1024 if self.priced else None


class Model:
    """Answers when the test says so."""

    def __init__(self, call):
        self.name = "m"
        self.unmetered = not call.metered
        self.price = Price(PER_MILLION, PER_MILLION, "--price") if call.priced else None
        self.context_tokens, self.sees = None, False
        self._call = call

    async def probe(self):
        pass

    async def complete(self, view, on_text):
        return await self._call.answer


class World:
    """A session's ledger and the budget of its turn; a crash makes both anew from the facts."""

    def __init__(self, limits):
        self.limits, self.facts, self.calls, self.jobs_usd = limits, [], [], 0.0
        self.state, self.now = SessionState(), 100.0
        self.commit(SessionStarted("s", "g", "m", "review", {}, {}, "c", "/w", "0"))
        self.commit(TurnStarted(1, "go", "%%intern go"))
        self.began = 0
        self._turn()

    def commit(self, fact):
        self.facts.append(fact)
        self.state.apply(NumberedFact(len(self.facts), "", fact))
        return len(self.facts)

    def _turn(self):
        self.earlier = self.state.spent.seconds
        self.worked, self.waits, self.shares = 0.0, contextlib.ExitStack(), {}
        self.waiting = 0
        self.budget = Budget(
            self.limits, lambda: self.state.spent, lambda: self.now, lambda: self.jobs_usd
        )
        self.asking = {"": ModelCalls(self.budget, self.commit, _hears, _known)}

    # what happens ---------------------------------------------------------------------------

    async def ask(self, who, much, form):
        agents = list(self.asking)
        agent = agents[who % len(agents)]
        kind = ("research" if agent else "main") if form != "room" else "compaction"
        if any(c.is_open and (c.agent, c.kind) == (agent, kind) for c in self.calls):
            return
        call = Call(
            agent, kind, much + 1, form != "free", form != "unknown",
            asyncio.get_running_loop().create_future(), share=self.shares.get(agent),
        )  # fmt: skip
        view = View((), (), 1)
        step = sum(c.replied for c in self.calls if (c.agent, c.kind) == (agent, kind)) + 1
        asked = self.asking[agent].ask(Model(call), view, much, step, kind)
        call.task = asyncio.ensure_future(asked)
        await asyncio.sleep(0)
        if call.task.done():
            assert isinstance(call.task.exception(), LimitReached | Paused)
        else:
            self.calls.append(call)

    async def end(self, which, how, part):
        waiting = [call for call in self.calls if call.is_open]
        if not waiting:
            return
        call = waiting[which % len(waiting)]
        used = Usage(int(part * call.most))
        if how == "reply":
            call.answer.set_result(Reply("x", (), "stop", used, "m"))
        else:
            error = ModelFailed("no")
            error.charged = used if how == "charged" else None
            call.answer.set_exception(error)
        await asyncio.wait([call.task])
        assert how == "reply" or isinstance(call.task.exception(), ModelFailed)
        call.is_open, call.replied = False, how == "reply"
        call.used = None if how == "lost" else used.total

    async def open_share(self, fraction):
        self.began += 1
        name = f"a{self.began}"
        self.commit(AgentStarted(name, "critic", "task", "c1", "m"))
        spending = Spending(step_kind="research")
        share = self.budget.share(lambda: spending.spent, usd_fraction=fraction, steps=3)

        def commit(fact):
            number = self.commit(fact)
            spending.apply(fact)
            return number

        self.shares[name] = share
        self.asking[name] = ModelCalls(share, commit, _hears, _known, name)

    async def close_share(self, which):
        if not self.shares:
            return
        name = list(self.shares)[which % len(self.shares)]
        await self._cancel([c for c in self.calls if c.is_open and c.agent == name])
        self.shares.pop(name).close()
        del self.asking[name]

    async def crash(self):
        """The next process knows what the ledger says and nothing else."""
        await self._cancel([c for c in self.calls if c.is_open])
        self.state = fold([NumberedFact(n, "", fact) for n, fact in enumerate(self.facts, 1)])
        self._turn()

    async def _cancel(self, calls):
        for call in calls:
            call.task.cancel()
            await asyncio.wait([call.task])
            call.is_open = False

    async def pass_time(self, seconds):
        self.now += seconds
        self.worked += 0.0 if self.waiting else seconds

    async def wait(self, who):
        budgets = [self.budget, *self.shares.values()]
        self.waits.enter_context(budgets[who % len(budgets)].waiting())
        self.waiting += 1

    async def wait_no_more(self):
        self.waits.close()
        self.waiting = 0

    async def job(self, usd):
        self.jobs_usd = usd

    # what must be true ----------------------------------------------------------------------

    def check(self):
        spent = self.budget.spent
        usd = self._settled_usd(self.calls)
        lost = self._reserved_usd(c for c in self.calls if not c.is_open)
        reserved = self._reserved_usd(self.calls)
        tokens = sum(c.used or 0 for c in self.calls)
        steps = sum(c.replied for c in self.calls if c.kind == "main")
        for said in (spent, self.state.spent, fold_again(self.facts).spent):
            assert said.usd == usd
            assert said.reserved_usd == reserved
            assert (said.usage.total, said.steps) == (tokens, steps)
            assert said.reserved_tokens == self._reserved_tokens(self.calls)
        assert spent.seconds == self.earlier + self.worked
        left, aside = self.budget.left(), [self._set_aside(*s) for s in self.shares.items()]
        if self.limits.usd is not None:
            allowed = self.limits.usd
            gone = (usd or 0.0) + reserved + self.jobs_usd + sum(a for a, _ in aside)
            assert left.usd == (0.0 if usd is None else max(0.0, allowed - gone))
        if self.limits.tokens is not None:
            gone = tokens + self._reserved_tokens(self.calls) + sum(b for _, b in aside)
            assert left.tokens == max(0, self.limits.tokens - gone)
        waiting = sum(c.is_open for c in self.calls if c.kind == "main")
        assert left.steps == max(0, self.limits.steps - steps - waiting)
        passed = self.budget.exceeded()
        over = [
            name
            for name, used, allowed in (
                ("time", self.earlier + self.worked, (self.limits.hours or 9e9) * 3600 - 1e-6),
                ("token", tokens, self.limits.tokens or 10**9),
                ("cost", (usd or 0.0) + lost + self.jobs_usd, self.limits.usd or 10**9),
            )
            if used > allowed
        ]
        assert (passed.limit if passed else None) == next(iter(over), None)

    def _set_aside(self, name, share):
        """Dollars and tokens of a share that nothing was asked for yet; compares its own count."""
        mine = [c for c in self.calls if c.share is share]
        usd, reserved = self._settled_usd(mine), self._reserved_usd(mine)
        tokens = sum(c.used or 0 for c in mine) + self._reserved_tokens(mine)
        left, limits = share.left(), share.limits
        waiting = sum(c.is_open for c in mine if c.kind == "research")
        replied = sum(c.replied for c in mine if c.kind == "research")
        assert left.steps == max(0, limits.steps - replied - waiting)
        assert share.spent.usd == usd
        assert share.spent.reserved_usd == reserved
        usd_aside = max(0.0, (limits.usd or 0.0) - (usd or 0.0) - reserved)
        if limits.usd is not None:
            assert left.usd == (0.0 if usd is None else usd_aside)
        return usd_aside, max(0, (limits.tokens or 0) - tokens)

    @staticmethod
    def _settled_usd(calls):
        costs = [call.usd(call.used) for call in calls if call.used is not None]
        return None if None in costs else sum(costs)

    @staticmethod
    def _reserved_usd(calls):
        return sum(call.usd(call.most) or 0.0 for call in calls if call.used is None)

    @staticmethod
    def _reserved_tokens(calls):
        return sum(call.most for call in calls if call.used is None)


def _hears(signal):
    del signal


def _known(call):
    del call
    return False


def fold_again(facts):
    return fold([NumberedFact(n, "", fact) for n, fact in enumerate(facts, 1)])


some, parts = st.integers(0, 5), st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.25])
MOVES = st.one_of(
    *(
        st.tuples(st.just("ask"), some, st.just(much), st.just(form))
        for much, form in (
            (0, "paid"), (100, "paid"), (1_000, "paid"), (2_500, "paid"), (1_000, "room"),
            (1_000, "free"), (1_000, "unknown"),
        )
    ),
    *(
        st.tuples(st.just("end"), some, st.just(how), parts)
        for how in ("reply", "charged", "lost")
    ),
    st.tuples(st.just("open_share"), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    st.tuples(st.just("close_share"), some),
    st.tuples(st.just("crash")),
    st.tuples(st.just("pass_time"), st.integers(1, 600)),
    st.tuples(st.just("wait"), some),
    st.tuples(st.just("wait_no_more")),
    st.tuples(st.just("job"), st.sampled_from([0.0, 9.5, 11.0])),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(LIMITS), st.lists(st.lists(MOVES, max_size=8), max_size=8))
def test_the_sum_of_the_ledger_is_the_budget(limits, moves):
    assert RESERVE * 10.0 == 1.0, "the reserve of the limit is exact, too"

    async def play():
        world = World(limits)
        for name, *how in itertools.chain.from_iterable(moves):
            await getattr(world, name)(*how)
            world.check()
        await world.crash()
        world.check()

    asyncio.run(play())
