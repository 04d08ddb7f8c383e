"""A turn of hundreds of calls in a small window, through the real loop, gate, client and server.

The model is a script that knows nothing but the request it is given: what it cannot find in there,
it has to ask ``recall`` for. The server refuses what does not fit by a tokenizer of its own. Cells
are doubles; the tools' descriptions, the instructions and the recall are the real ones.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mlintern_jupyter.agent.dispatch import Dispatch
from mlintern_jupyter.agent.guards import Guards
from mlintern_jupyter.agent.loop import Agent, CurrentModel
from mlintern_jupyter.agent.model_calls import ModelCalls
from mlintern_jupyter.context.digest import request
from mlintern_jupyter.context.instructions import system_prompt
from mlintern_jupyter.context.meter import Meter
from mlintern_jupyter.context.pinned import edits_of, pinned_text, pinned_tokens
from mlintern_jupyter.context.status import status_text
from mlintern_jupyter.context.window import Window
from mlintern_jupyter.events import (
    CellProposed,
    CellStarted,
    Compacted,
    EffectSettled,
    RunRecorded,
    SessionStarted,
    Steered,
    TurnStarted,
)
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.names import resolve
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.policy.gate import Gate
from mlintern_jupyter.policy.rules import Rule, Rules
from mlintern_jupyter.protocols import CallTerms, ToolContext
from mlintern_jupyter.recipes.book import Book
from mlintern_jupyter.record.chain import NumberedFact
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer
from mlintern_jupyter.tools.base.answer import finished
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.build import build_tools
from mlintern_jupyter.tools.catalog import toolsets
from mlintern_jupyter.usage import Limits

GOAL = "Post-train the base model until it adds three-digit numbers. Never open the held-out file."
ASKED = "QUESTIONS. What did call 3 print? What did I change in cell k40? What is the best score?"
EDITED, BEST = 40, 77
SYSTEM = system_prompt(toolsets())
NOTES = "The intern ran many cells. Nothing failed. The details are not in these notes."
"""What the scripted model writes down of old steps: next to nothing, so that recall has to do."""


def output_of(number: int) -> str:
    """What cell ``number`` shows: code, digits, words, now and then a lot of it."""
    chance = random.Random(number)
    size = 14_000 if number % 50 == 0 else chance.choice([80, 300, 900, 2_400])
    rows = [
        f"{chance.random():.12f} loss {chance.random():.4f} step {n}" for n in range(size // 40)
    ]
    return "\n".join(rows)


def secret_of(number: int) -> str:
    """Something that no other cell prints."""
    return f"{random.Random(-number).randrange(16**8):08x}"


@dataclass
class Cells:
    """Stands in for a notebook: every call runs one more cell."""

    turn: LongTurn
    done: int = 0

    def run(self, name: str, arguments: dict[str, object]) -> ToolResult:
        self.done += 1
        number, commit = self.done, self.turn.commit
        source = str(arguments.get("source", ""))
        ran = source.replace("lr = 4e-5", "lr = 7e-6") if number % EDITED == 0 else source
        cell = f"k{number}"
        commit(CellProposed(cell, f"call {number}", "script", "code", source))
        commit(CellStarted(cell, "", ran))
        score = 0.9 if number == BEST else 0.5 + number / 10_000
        facts = {"cell": cell, "state": "done", "eval": {"name": f"m{number}", "accuracy": score}}
        commit(RunRecorded({"what": "eval", "key": cell, "accuracy": score, "n": 200}, cell))
        if number >= self.turn.calls and not self.turn.asked:
            self.turn.asked = True
            commit(Steered(ASKED))
        text = f"cell {cell} done\nprinted secret of call {number}: {secret_of(number)}\n"
        return finished(ToolResult(text + output_of(number), facts))


class Double:
    """A cell tool with the real description."""

    manual, timeout_s, resumes = "", None, True

    def __init__(self, real, cells: Cells) -> None:
        self.spec = real.spec
        self.cells = cells

    def bind(self, arguments: str) -> dict[str, object]:
        return json.loads(arguments)

    def terms(self, arguments) -> CallTerms:
        del arguments
        return CallTerms(self.spec.name, frozenset({"execute"}))

    async def __call__(self, ctx, grant, /, **arguments: object) -> ToolResult:
        del ctx
        grant.use(self.terms(arguments), arguments)
        return self.cells.run(self.spec.name, arguments)


class Toolbox:
    def __init__(self, tools) -> None:
        self.tools = {tool.spec.name: tool for tool in tools}
        self._specs = tuple(tool.spec for tool in tools)

    def specs(self):
        return self._specs

    def find(self, name: str):
        return self.tools[name]


def text_of(message: dict) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(p.get("text", "") for p in content)


def say(body: dict, at_once: int) -> Turn:
    """What the model says: more cells, or at the end the answers, from the request alone."""
    messages = body["messages"]
    if text_of(messages[0]).startswith("You keep the notes"):
        return Turn(NOTES)
    texts = [text_of(message) for message in messages]
    if not any("QUESTIONS. What did call 3" in text for text in texts):
        done = max(
            (int(n) for text in texts for n in re.findall(r"\bcell k(\d+) done\b", text)), default=0
        )
        return Turn(f"Trying {done + 1}.", calls=tuple(cells_from(done + 1, at_once)))
    return answers("\n".join(texts))


def cells_from(number: int, at_once: int) -> list[Call]:
    return [
        Call(
            "write_cell",
            {
                "kind": "script",
                "source": f"# cell {n}\nlr = 4e-5\n" + f"train(step={n}, lr=lr)\n" * (n % 9),
            },
            id=f"call_{n}",
        )
        for n in range(number, number + at_once)
    ]


def answers(seen: str) -> Turn:
    """The three answers where they stand in the request; else a search for the first missing."""
    found = {
        "call 3": (r"secret of call 3: ([0-9a-f]{8})", {"query": "secret of call 3"}),
        "edit": (
            r"cell k40: `lr = 4e-5` became `(lr = 7e-6)`",
            {"query": "the person changed cell k40"},
        ),
        "best": (r'accuracy"?:? (0\.9)\b', {"query": "eval accuracy 0.9"}),
    }
    said: list[str] = []
    for name, (pattern, way) in found.items():
        match = re.search(pattern, seen)
        if match is None:
            return Turn(f"Looking up {name}.", calls=(Call("recall", way, id=f"ask_{name[:4]}"),))
        said.append(f"{name}: {match[1]}")
    return Turn("; ".join(said))


EXPECTED = f"call 3: {secret_of(3)}; edit: lr = 7e-6; best: 0.9"


@dataclass
class LongTurn:
    """One turn and everything it left behind."""

    calls: int
    context_tokens: int | None
    at_once: int = 1
    """Calls in one reply."""
    state: SessionState = field(default_factory=SessionState)
    facts: list = field(default_factory=list)
    asked: bool = False
    answer: str = ""
    requests: list = field(default_factory=list)

    def commit(self, fact) -> int:
        self.facts.append(fact)
        self.state.apply(NumberedFact(len(self.facts), "", fact))
        return len(self.facts)

    def of(self, kind) -> list:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def run(self) -> LongTurn:
        """Play it against a server that refuses what does not fit."""
        script = partial(say, at_once=self.at_once)
        with ScriptedServer(script, context_tokens=self.context_tokens) as server:
            plan = resolve("openai/scripted", api_base=server.base_url, price=None, env={})
            self.answer = asyncio.run(self._play(LitellmModel(plan)))
            self.requests = server.requests
        return self

    async def _play(self, model: LitellmModel) -> str:
        state = self.state
        self.commit(SessionStarted("s", GOAL, model.name, "unattended", {}, {}, "c", ".", "0"))
        self.commit(TurnStarted(1, GOAL, "%%intern", f'Mode: auto.\nfacts: {{"goal": "{GOAL}"}}'))
        budget = Budget(Limits(steps=2_000), lambda: state.spent, time.monotonic)
        asking = ModelCalls(budget, self.commit, lambda _: None, state.call_ids.__contains__)
        window = Window(SYSTEM, self.context_tokens, Meter(), model.name)
        toolbox = self._toolbox()
        guards = Guards(plan=lambda: ())
        going, quiet = asyncio.Event(), asyncio.Event()
        going.set()

        async def in_use() -> CurrentModel:
            return CurrentModel(model, window)

        async def digest_of(material: str, most: int) -> str:
            view = request(material, most)
            step = state.main.step + 1
            return (await asking.ask(model, view, window.tokens(view), step, "compaction")).text

        async def reader_tokens():
            return window.context_tokens

        async def nobody(asked):
            raise AssertionError(f"asked a person: {asked}")

        dispatch = Dispatch(
            toolbox=toolbox,
            gate=Gate(
                Rules((Rule("allow", effect="read"), Rule("allow", effect="execute"))),
                lambda: "unattended",
                lambda: state.main.sources,
            ),
            ask_person=nobody,
            context=lambda call: ToolContext(
                "s", call.id, model.name, Path(), None, self.commit, lambda _: None,
                lambda *_: True, quiet, budget.waiting, None,
            ),  # type: ignore[arg-type]
            conversation=lambda: state.main,
            commit=self.commit,
            signal=lambda _: None,
            guards=guards,
            clock=lambda: budget.seconds,
        )  # fmt: skip
        agent = Agent(
            in_use=in_use,
            use_fallback=lambda _: False,
            toolbox=toolbox,
            asking=asking,
            dispatch=dispatch,
            guards=guards,
            conversation=lambda: state.main,
            pinned=self._pinned,
            digest_of=digest_of,
            reader_tokens=reader_tokens,
            status=lambda w, _: status_text(state.limits, budget.spent, unmetered=True),
            attention=quiet,
            going=going,
            compaction_wanted=asyncio.Event(),
        )
        return await agent.run_turn()

    def _toolbox(self) -> Toolbox:
        state, cells = self.state, Cells(self)
        deps = ToolDeps(
            recipe_book=Book.load(),
            cells=lambda: state.cells,
            runs=lambda: state.runs,
            facts=lambda: state.facts,
            conversation=lambda: state.main,
            full_result=lambda _: "",
            find_secret=lambda _: None,
        )
        tools = build_tools(deps)
        return Toolbox([Double(t, cells) if t.spec.name == "write_cell" else t for t in tools])

    def _pinned(self, window: Window) -> str:
        state = self.state
        best = max(state.runs, key=lambda run: run["accuracy"], default=None)
        line = f"accuracy {best['accuracy']} ({best['key']}, n={best['n']})" if best else ""
        return pinned_text(
            goal=state.goal,
            request=state.turn_text,
            briefing=state.briefing,
            words=[fact.text for fact in self.of(Steered)],
            plan=state.plan,
            best=line,
            edits=edits_of(state.cells.values()),
            facts=state.facts,
            max_tokens=pinned_tokens(window.context_tokens),
        )

    @property
    def compactions(self) -> list[Compacted]:
        return self.of(Compacted)

    @property
    def cell_results(self) -> list[EffectSettled]:
        return [fact for fact in self.of(EffectSettled) if fact.tool == "write_cell"]

    @property
    def overflows(self) -> int:
        return sum(request.served == "overflow" for request in self.requests)

    def tokens(self) -> tuple[int, int]:
        """Prompt tokens of all answered requests by the server's count, and the cached ones."""
        answered = [r for r in self.requests if r.served == "answer"]
        return sum(r.tokens for r in answered), sum(r.cached_tokens for r in answered)
