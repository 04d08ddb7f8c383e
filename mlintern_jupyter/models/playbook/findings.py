"""What the playbook knows so far, what that allows, and what it comes to in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from mlintern_jupyter.models.playbook import words
from mlintern_jupyter.models.playbook.recipes import Entry, default_steps, lacks, ordered
from mlintern_jupyter.models.playbook.words import Score, Training

HEADROOM = 0.97
"""Accuracy from which another idea is not worth its training."""
SHORTEST = 0.25
"""Share of a recipe's own steps below which a training says nothing about the recipe."""


@dataclass
class Findings:
    """Grows while the course is gone through; nothing of it outlives one reply."""

    task: Mapping[str, Any]
    """The benchmark's facts from the briefing."""
    seed: int
    entries: Sequence[Entry] = ()
    """The newest list of recipes."""
    used: set[str] = field(default_factory=set[str])
    audit: dict[str, Any] = field(default_factory=dict[str, Any])
    data: str = ""
    """The training rows, the clean ones as soon as there are such."""
    base: Score | None = None
    start: Score | None = None
    """What is to be beaten, and where trainings start: the base, mended if that did no harm."""
    trainings: list[Training] = field(default_factory=list[Training])
    comparison: dict[str, Any] = field(default_factory=dict[str, Any])
    done: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])

    @property
    def best(self) -> Training | None:
        """The newest training that was kept: each kept one scored more than all before."""
        return next((t for t in reversed(self.trainings) if t.kept), None)

    @property
    def bar(self) -> Score | None:
        """The score that the next idea has to beat."""
        return self.best.score if self.best else self.start

    # Recipes ----------------------------------------------------------------------------------

    def choose(self, stages: Sequence[str], more: Mapping[str, Any]) -> Entry | None:
        """The first page of these stages that fits, was not used, and can be filled in."""
        for entry in ordered(self.entries, stages, self.seed):
            fresh = bool(entry.get("fits")) and entry["name"] not in self.used
            if fresh and self.affordable(entry) and not lacks(entry, self.known(entry, more)):
                return entry
        return None

    def known(self, entry: Entry, more: Mapping[str, Any]) -> dict[str, Any]:
        """Everything a page may be filled with, by the name of its placeholder."""
        name, folder = str(entry["name"]), str(self.task["folder"])
        scores = [s for s in (self.base, self.start, *(t.score for t in self.trainings)) if s]
        models = {s.name: s.model for s in scores}
        facts = {k: v for k, v in self.audit.items() if isinstance(v, str | int | float)}
        known = {
            "task": self.task["name"],
            "folder": folder,
            "data": self.data or f"{folder}/train.jsonl",
            "out": f"{folder}/made/{name}",
            "job": name,
            "model": self.model_for(entry),
            "seed": self.seed + 1,
            "max_new_tokens": self.task.get("max_new_tokens"),
            "chance": self.task.get("chance"),
            "names": list(models),
            "models": list(models.values()),
            "jobs": [t.job for t in self.trainings if t.score],
        }
        limits = cast("Mapping[str, Any]", self.task.get("limits") or {})
        if limits.get("tokens_per_step"):
            known["tokens_per_step"] = int(limits["tokens_per_step"])
        if wanted := default_steps(entry):
            known["steps"] = min(wanted, self.steps_left(entry))
        return {**facts, **known, **more}

    def model_for(self, entry: Entry) -> str:
        """What a page starts from: tuning goes on from the best, everything else begins anew."""
        if entry["stage"] == "tune" and self.best and self.best.score:
            return self.best.score.model
        return self.start.model if self.start else str(self.task["base_model"])

    def steps_before(self, entry: Entry) -> int:
        """Optimizer steps that went into the model a page starts from."""
        return self.best.steps if self.best and entry["stage"] == "tune" else 0

    def steps_left(self, entry: Entry) -> int:
        """Optimizer steps the benchmark still allows: a second round counts with the first."""
        limits = cast("Mapping[str, Any]", self.task.get("limits") or {})
        allowed = limits.get("train_steps")
        if not allowed:
            return default_steps(entry)
        return max(0, int(allowed) - self.steps_before(entry))

    def affordable(self, entry: Entry) -> bool:
        """Whether enough of the benchmark's steps is left, and a model to tune where it tunes."""
        if entry["stage"] == "tune" and self.best is None:
            return False
        return self.steps_left(entry) >= SHORTEST * default_steps(entry)

    # Decisions --------------------------------------------------------------------------------

    def enough(self) -> str:
        """Why no further idea is needed, or nothing."""
        scored = [t for t in self.trainings if t.score]
        bar = self.bar
        if bar and len(scored) > 1 and bar.accuracy >= HEADROOM:
            return f"dev is at {100 * bar.accuracy:.1f}%, there is no headroom left"
        return ""

    def why_next(self) -> str:
        """What the last result says about the next idea."""
        if not self.trainings:
            return "First idea"
        last = self.trainings[-1]
        if last.score is None:
            return f"`{last.recipe}` gave no result, so another idea"
        verb = "keep it" if last.kept else "discard it"
        return (
            f"`{last.recipe}` scores {words.scored(last.score)}, {last.reason}: {verb}. Next idea"
        )

    # The end ----------------------------------------------------------------------------------

    def verdict(self) -> str:
        """What may be said in the end."""
        if self.comparison:
            return words.verdict(self.comparison)
        if not self.trainings:
            return "**no evidence**: nothing was trained."
        if self.best is None:
            return (
                "**no evidence**: no training scored more on dev than baseline and guessing, so"
                " the held-out items were not looked at."
            )
        return "**no evidence**: the comparison gave no result."

    def chosen(self) -> str:
        """Which model is the outcome."""
        best = self.best
        if best and best.score and self.comparison.get("word") == "improved":
            return f"`{best.job}`, in `{best.score.model}`."
        return f"None; the baseline stays: `{self.start.model if self.start else ''}`."

    def caveats(self) -> list[str]:
        """What the result does not show."""
        dropped = [t for t in self.trainings if t.score and not t.kept]
        lines = [f"`{t.job}` was discarded: {t.reason}." for t in dropped]
        return [*lines, "One training seed for each recipe; other seeds may score differently."]

    def report(self) -> dict[str, Any]:
        """What the report page is filled with."""
        return {
            "verdict": self.verdict(),
            "chosen": self.chosen(),
            "done": _listed(self.done),
            "failed": _listed([*self.failed, *self.caveats()]),
            "cost": words.cost(self.trainings),
            "again": (
                "Restart the kernel and run all cells: finished trainings and evaluations are"
                " shown from the record. `mlintern rerun` with this notebook really trains again."
            ),
        }

    def last_words(self) -> str:
        """The answer that ends the turn."""
        return (
            f"{self.verdict()} Chosen model: {self.chosen()} Ideas trained: {len(self.trainings)}."
            " The report cell says what was done, what did not work, and how to run it again."
        )


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
