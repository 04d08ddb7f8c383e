"""A world without trainings: what tools would answer, computed from a few numbers.

The recipe book and its tool are the real ones; cells, trainings and evaluations are pure functions
of a World.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlintern_jupyter.bench.statistics import verdict
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import Message, ToolCall, ToolResult, ToolSpec, View
from mlintern_jupyter.models.playbook.planner import Playbook
from mlintern_jupyter.recipes.book import Book
from mlintern_jupyter.tools.base.answer import finished
from mlintern_jupyter.tools.research.recipe import RecipeTools

N = 300
MOST_STEPS = 120
NAMES = (
    "plan", "write_cell", "wait_cell", "recipe", "evaluate", "compare", "manual", "read_notebook",
)  # fmt: skip
SPECS = tuple(ToolSpec(name, "", {"type": "object", "properties": {}}) for name in NAMES)
_RECIPE = re.compile(r"\(recipe ([a-z0-9-]+)\)")


@dataclass
class World:
    """What is true of a task, its base model and its data."""

    name: str = "tiny/mcq"
    chance: float = 0.25
    base: float = 0.0
    """Accuracy of the untouched base model."""
    mended: float | None = None
    """Accuracy with the stop token repaired; None where nothing is wrong with it."""
    stopped: float = 0.9
    audit: dict[str, Any] = field(default_factory=dict)
    skill: Mapping[str, float] = field(default_factory=dict)
    """Accuracy that a recipe's training reaches; 0.3 for those not named."""
    unclean: float = 0.0
    """What every training loses while bad rows are in the data."""
    train_steps: int = 600
    cells: Mapping[str, str] = field(default_factory=dict)
    """How a recipe's cell ends; ``done`` for those not named."""
    jobs: Mapping[str, str] = field(default_factory=dict)
    """How a job ends; ``completed`` for those not named."""
    heldout: bool = True
    early: int = 0
    """How often each call that waits for a cell comes back before the cell has ended."""

    def briefing(self) -> str:
        folder = self.name.replace("/", "-")
        facts = {
            "goal": f"improve {self.name}",
            "mode": "unattended",
            "limits": {"steps": 300},
            "benchmark": {
                "name": self.name,
                "folder": folder,
                "base_model": f"{folder}/base",
                "chance": self.chance,
                "max_new_tokens": 64,
                "limits": {"train_steps": self.train_steps, "tokens_per_step": 2048},
            },
        }
        return f"improve {self.name}\n\nfacts: {json.dumps(facts)}"


@dataclass
class Told:
    """What happened in one turn."""

    messages: list[Message]
    written: list[tuple[str, str]]
    """(recipe, source) of every cell proposed with write_cell, in order."""
    calls: list[tuple[str, dict[str, Any]]]
    final: str

    @property
    def recipes(self) -> list[str]:
        return [name for name, _ in self.written]

    @property
    def evaluated(self) -> list[str]:
        return [f"{a['name']}:{a.get('split', 'dev')}" for n, a in self.calls if n == "evaluate"]

    @property
    def trained(self) -> list[str]:
        return [name for name, source in self.written if source.startswith("%%job")]

    def source(self, recipe: str) -> str:
        return next(source for name, source in self.written if name == recipe)


class Notebook:
    """Answers tool calls the way the real tools do."""

    def __init__(self, world: World, book: Book) -> None:
        self.world = world
        self.facts: dict[str, Any] = {}
        self.scores: dict[str, list[bool]] = {}
        self.attempts: dict[str, int] = {}
        self.written: list[tuple[str, str]] = []
        self.recipes = RecipeTools(book, lambda: self.facts)
        self.open: dict[str, tuple[int, ToolResult]] = {}
        """Cells whose call came back early: how often still, and what they end with."""

    def answer(self, call: ToolCall) -> str:
        arguments = json.loads(call.arguments)
        try:
            result = getattr(self, call.name)(**arguments)
        except ToolError as error:
            return str(error)
        if call.name in {"write_cell", "evaluate", "compare"} and self.world.early:
            self.open[result.facts["cell"]] = (self.world.early, result)
            result = self.wait_cell(result.facts["cell"])
        told = finished(result)
        self.facts |= told.facts
        return told.text

    def wait_cell(self, cell_id: str) -> ToolResult:
        left, result = self.open.pop(cell_id)
        if left == 0:
            return result
        self.open[cell_id] = (left - 1, result)
        state = "running" if left % 2 else "proposed"
        return ToolResult("it came back early", {"cell": cell_id, "state": state})

    def plan(self, items: list[dict[str, str]]) -> ToolResult:
        self.last_plan = items
        return ToolResult("plan", {"plan": {"of": len(items)}})

    def recipe(self, name: str = "", values: dict[str, Any] | None = None) -> ToolResult:
        return asyncio.run(self.recipes.recipe(None, name, values))  # type: ignore[arg-type]

    def write_cell(self, kind: str, source: str, why: str, setup: bool, sources: list[str]):
        found = _RECIPE.search(why)
        assert found, "every cell of the playbook comes from a recipe"
        name = found[1]
        self.written.append((name, source))
        self.attempts[name] = self.attempts.get(name, 0) + 1
        state = "written" if kind in {"literature", "report"} else self._end(name)
        facts: dict[str, Any] = {"cell": f"c{len(self.written)}", "state": state}
        if state == "done":
            facts |= self._said(name, source)
        elif state != "written":
            facts["error"] = f"Trouble: {state}"
        return ToolResult(f"cell {state}", facts, ok=state in {"done", "written"})

    def _end(self, name: str) -> str:
        states = self.world.cells.get(name, "done").split(",")
        return states[min(self.attempts[name], len(states)) - 1]

    def _said(self, name: str, source: str) -> dict[str, Any]:
        if name.startswith("audit"):
            return {"audit": self.world.audit}
        if name.startswith("fix"):
            return {"fix": {"model": "made/mended"}}
        if name.startswith("clean"):
            return {"clean": {"data": "made/clean.jsonl", "kept": 800, "of": 2000}}
        return {}

    def evaluate(
        self, task: str, name: str, model: str = "", job: str = "", split: str = "dev"
    ) -> ToolResult:
        if split == "heldout" and not self.world.heldout:
            return ToolResult(
                "no items", {"cell": "e", "state": "failed", "error": "UsageError: no held-out"}
            )
        facts: dict[str, Any] = {"cell": "e", "state": "done"}
        if job:
            state = self.world.jobs.get(job, "completed")
            facts["job"] = {"name": job, "state": state, "steps": self._steps(job), "seconds": 30.0}
            if state != "completed":
                failed = {"state": "failed", "error": f"JobFailed: job {job} {state}"}
                return ToolResult("failed", {**facts, **failed}, ok=False)
        accuracy = self._accuracy(model, job)
        right = round(accuracy * N)
        # Which items are right depends on the name alone, so that pairs differ in places.
        order = sorted(range(N), key=lambda i: hash((i * 7919) % 301 + (len(name) % 3) * i))
        self.scores[name] = [False] * N
        for item in order[:right]:
            self.scores[name][item] = True
        half = 1.96 * (accuracy * (1 - accuracy) / N) ** 0.5 + 0.005
        facts["eval"] = {
            "name": name,
            "model": model or f"intern_runs/jobs/{job}/model",
            "task": task,
            "split": split,
            "n": N,
            "accuracy": accuracy,
            "ci95": [max(0.0, accuracy - half), min(1.0, accuracy + half)],
            "chance": self.world.chance,
            "rates": {"stopped": 1.0 if job else self.world.stopped, "answer_found": 0.5},
        }
        return ToolResult("scored", facts)

    def _steps(self, job: str) -> int:
        source = next(s for n, s in reversed(self.written) if n == job)
        found = re.search(r"MLINTERN_MAX_STEPS\", (\d+)", source)
        return int(found[1]) if found else 0

    def _accuracy(self, model: str, job: str) -> float:
        if job:
            source = next(s for n, s in reversed(self.written) if n == job)
            lost = 0.0 if "made/clean.jsonl" in source else self.world.unclean
            return max(0.0, self.world.skill.get(job, 0.3) - lost)
        if model == "made/mended":
            return self.world.mended if self.world.mended is not None else self.world.base
        return self.world.base

    def compare(self, baseline: str, chosen: str, tests: int = 1) -> ToolResult:
        found = verdict(self.scores[baseline], self.scores[chosen], self.world.chance, tests)
        comparison = {
            "baseline": baseline,
            "chosen": chosen,
            "split": "heldout" if baseline.endswith("heldout") else "dev",
            "n": N,
            "word": found.word,
            "difference": found.difference,
            "ci95": [found.low, found.high],
            "p": found.p,
            "mde": found.smallest_detectable,
            "reason": found.reason,
        }
        facts = {"cell": "v", "state": "done", "comparison": comparison}
        return ToolResult("compared", facts)


def drive(
    world: World,
    *,
    book: Book | None = None,
    seed: int = 0,
    said: Mapping[int, str] | None = None,
    model: Playbook | None = None,
) -> Told:
    """One whole turn. ``said`` are words of the person, by the step after which they fall."""
    model = model or Playbook(seed=seed)
    notebook = Notebook(world, book or Book.load())
    messages = [Message("system", "..."), Message("user", world.briefing())]
    calls: list[tuple[str, dict[str, Any]]] = []
    for step in range(MOST_STEPS):
        view = View(tuple(messages), SPECS, 8192)
        reply = asyncio.run(model.complete(view, lambda _: None))
        messages.append(Message("assistant", reply.text, reply.calls))
        if not reply.calls:
            told = Told(messages, notebook.written, calls, reply.text)
            told.plan = notebook.last_plan  # type: ignore[attr-defined]
            return told
        for call in reply.calls:
            calls.append((call.name, json.loads(call.arguments)))
            messages.append(Message("tool", notebook.answer(call), call_id=call.id))
        if said and step in said:
            messages.append(Message("user", said[step]))
    raise AssertionError(f"no end after {MOST_STEPS} steps")


AUDIT = {
    "rows": 2000,
    "wrong_rows": "made/wrong_rows.json",
    "bad_rows": 0.0,
    "options": 4,
    "prompt_is_prefix": True,
    "end_token": "<|im_end|>",
    "end_token_stops": True,
    "preference_pairs": False,
    "model_mb": 3.5,
}
SHAPES = {"sft-answer-only": 0.3, "sft-option-by-option": 0.6, "sft-longer": 0.7}


def mcq(**changed) -> World:
    return World(**{"audit": AUDIT, "skill": SHAPES, **changed})


def without(*names: str) -> Book:
    pages = {name: page for name, page in Book.load().pages.items() if name not in names}
    return Book(pages)
