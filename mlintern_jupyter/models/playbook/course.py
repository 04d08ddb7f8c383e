"""The course of action of the playbook: one generator that asks, is answered, and decides.

Every ``yield`` is one step of the turn. Nothing here knows how often it is gone through again.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeVar, cast

from mlintern_jupyter.models.playbook import words
from mlintern_jupyter.models.playbook.findings import Findings
from mlintern_jupyter.models.playbook.history import Ask, Move, Result
from mlintern_jupyter.models.playbook.recipes import Entry, filled, ordered
from mlintern_jupyter.models.playbook.words import Score, Training, score_of

T = TypeVar("T")
Course = Generator[Move, list[Result], T]
"""Says moves, hears results, comes to a T."""

RESERVED_STEPS = 16
"""Steps of the session kept back for verdict, figures and report."""
FEWEST_ROWS = 50
"""Clean rows below which the rows as they were offered are the better choice."""
NAME_LIMIT = 40
"""Characters of an evaluation's name."""
PLAN = (
    "Put the benchmark's files beside the notebook",
    "Measure the untouched base model",
    "Collect what is known, with sources",
    "Audit the data",
    "Mend what needs no training",
    "Train one idea at a time; keep what scores more on dev",
    "Look at the held-out items once and print the verdict",
    "Plot and report",
)


class Improvement:
    """Improving a model on a benchmark that is a folder."""

    def __init__(self, briefing: Mapping[str, Any], seed: int) -> None:
        self.task = cast("dict[str, Any]", briefing.get("benchmark") or {})
        limits = cast("dict[str, Any]", briefing.get("limits") or {})
        self.step_limit = int(limits.get("steps") or 300)
        self.steps = 0
        self.know = Findings(self.task, seed)

    def run(self) -> Course[str]:
        """The whole turn; returns its last words."""
        know = self.know
        if not self.task.get("folder") or not self.task.get("base_model"):
            return words.NOT_A_FOLDER
        yield from self.ask(
            f"I follow the recipe book to improve a model on {self.task['name']}: measure first,"
            " change one thing at a time, judge on items that were not used to choose. First the"
            " plan and the book.",
            plan(0),
            Ask("recipe"),
        )
        if (yield from self.work("setup", "The benchmark's files")) is None:
            return (yield from self.give_up("the benchmark's files could not be put in place"))
        base = str(self.task["base_model"])
        text = "Before anything is changed: what does the untouched base model score?"
        know.base, result = yield from self.evaluate(text, "base", plan(1), model=base)
        if know.base is None:
            reason = f"the base model could not be evaluated ({result.trouble})"
            return (yield from self.give_up(reason))
        know.start = know.base
        know.done.append(words.base_reading(know.base))
        yield from self.literature()
        yield from self.audit_data()
        yield from self.mend()
        yield from self.try_ideas()
        yield from self.judge()
        yield from self.close()
        return know.last_words()

    # Asking ---------------------------------------------------------------------------------------

    def ask(self, text: str, *asks: Ask) -> Course[list[Result]]:
        """One step; a list of recipes among the results is remembered."""
        self.steps += 1
        results = list((yield Move(text, asks)))
        for at, result in enumerate(results):
            results[at] = yield from self.settled_result(result)
        for result in results:
            if isinstance(result.facts.get("recipes"), list):
                self.know.entries = cast("list[Entry]", result.facts["recipes"])
        return results

    def settled_result(self, result: Result) -> Course[Result]:
        """The result of a call that came back early, once its cell has ended."""
        while cell_id := result.open_cell:
            self.steps += 1
            asks = (Ask("wait_cell", {"cell_id": cell_id}),)
            (result,) = yield Move("That cell has not ended yet, so I wait on for it.", asks)
        return result

    def carry_out(self, text: str, ask: Ask, *before: Ask) -> Course[Result]:
        """One cell; once more if nobody knows how it ended."""
        results = yield from self.ask(text, *before, ask)
        if results[-1].state == "unknown":
            results = yield from self.ask("Nobody saw how that cell ended, so once more.", ask)
        return results[-1]

    def evaluate(
        self, text: str, name: str, *before: Ask, **what: str
    ) -> Course[tuple[Score | None, Result]]:
        """Score a model, given by ``model`` or by ``job``."""
        ask = Ask("evaluate", {"task": self.task["name"], "name": name[:NAME_LIMIT], **what})
        result = yield from self.carry_out(text, ask, *before)
        return score_of(result), result

    def work(
        self, stage: str, why: str, more: Mapping[str, Any] | None = None
    ) -> Course[tuple[Entry, Result] | None]:
        """Carry out the next page of a stage; another one if it does not work."""
        while entry := self.know.choose((stage,), more or {}):
            name = str(entry["name"])
            self.know.used.add(name)
            values = filled(entry, self.know.known(entry, more or {}))
            text = f"{why}: the recipe `{name}` ({entry['title']})."
            opened: Result = yield from self.carry_out(
                text, Ask("recipe", {"name": name, "values": values})
            )
            page = opened.about("recipe")
            if not page.get("code"):
                self.know.failed.append(f"`{name}`: the page could not be used ({opened.trouble}).")
                continue
            result = yield from self.carry_out(f"{entry['title']}.", cell(page))
            if result.state in {"done", "written"}:
                return entry, result
            self.know.failed.append(f"`{name}`: its cell ended {result.state} ({result.trouble}).")
        return None

    # The parts of the work --------------------------------------------------------------------

    def literature(self) -> Course[None]:
        """A summary of the pages that may be tried, with the papers they name."""
        know = self.know
        ideas = ordered(know.entries, ("train", "tune"), know.seed)
        ideas.sort(key=lambda entry: not entry.get("fits"))
        lines: list[str] = []
        for at in range(0, len(ideas), 3):
            part = ideas[at : at + 3]
            asks = [
                Ask("recipe", {"name": e["name"], "values": filled(e, know.known(e, {}))})
                for e in part
            ]
            before = [plan(2)] if at == 0 else []
            text = "I open the recipes that may be tried, to name their sources."
            results = yield from self.ask(text, *before, *asks)
            for entry, result in zip(part, results[len(before) :], strict=True):
                lines.append(words.idea_line(entry, result.about("recipe").get("sources") or ()))
        more = {
            "baseline": words.base_reading(know.base) if know.base else "",
            "ideas": "\n".join(lines) or "- none: the book has no recipe for training",
        }
        if (yield from self.work("literature", "What is known", more)) is None:
            know.failed.append("No summary of the literature: the book has no page that works.")

    def audit_data(self) -> Course[None]:
        """The audit; the work goes on without one, and says so."""
        know = self.know
        yield from self.ask("Before anything is trained on the data, a look at it.", plan(3))
        found = yield from self.work("audit", "The data")
        if found is None:
            know.failed.append("The data was not audited: the book has no page that works.")
            return
        know.audit = found[1].about("audit")
        know.done.append(f"Audit: {words.audit_reading(know.audit)}.")

    def mend(self) -> Course[None]:
        """Repairs of the model that need no training, each measured; then the bad rows."""
        know = self.know
        text = f"The audit says: {words.audit_reading(know.audit)}. Which recipes fit now?"
        yield from self.ask(text, plan(4), Ask("recipe"))
        while fixed := (yield from self.work("fix", "First what needs no training")):
            yield from self.measure_fix(*fixed)
        cleaned = yield from self.work("clean", "Clean rows before training")
        clean = cleaned[1].about("clean") if cleaned else {}
        if cleaned and int(clean.get("kept") or 0) >= FEWEST_ROWS and clean.get("data"):
            know.data = str(clean["data"])
            left = f"{clean['kept']} of {clean.get('of', '?')} rows are left"
            know.done.append(f"`{cleaned[0]['name']}`: {left}.")
        elif cleaned:
            know.failed.append(f"`{cleaned[0]['name']}`: too few rows left; all rows stay in use.")

    def measure_fix(self, entry: Entry, made: Result) -> Course[None]:
        """Keep a mended copy as what is to be beaten, unless it scores less."""
        know, name = self.know, str(entry["name"])
        model = str(made.about("fix").get("model") or "")
        if not model:
            know.failed.append(f"`{name}`: its cell names no model.")
            return
        text = "What does the repair alone change?"
        score, result = yield from self.evaluate(text, f"base-{name}", model=model)
        if score is None:
            know.failed.append(f"`{name}`: its model could not be evaluated ({result.trouble}).")
        elif know.start and score.accuracy < know.start.accuracy:
            know.failed.append(
                f"`{name}`: {words.scored(score)} on dev, less than before; dropped."
            )
        else:
            know.start = score
            know.done.append(f"`{name}`, without training: {words.scored(score)} on dev.")

    def try_ideas(self) -> Course[None]:
        """One training after another, until none is left that promises something."""
        know = self.know
        text = "Now training, one idea at a time. Which recipes fit what is known?"
        yield from self.ask(text, plan(5), Ask("recipe"))
        while not (reason := know.enough()):
            if self.steps > self.step_limit - RESERVED_STEPS:
                reason = "the session's last steps are needed for verdict and report"
                break
            entry = know.choose(("train", "tune"), {})
            if entry is None:
                reason = "no recipe is left that fits the facts and the limits"
                break
            made = yield from self.work(str(entry["stage"]), know.why_next())
            if made is not None:
                yield from self.measure_training(made[0])
        yield from self.ask(f"No further idea: {reason}.", plan(6))
        know.done.append(f"No further idea was tried: {reason}.")

    def measure_training(self, entry: Entry) -> Course[None]:
        """Evaluate what a job made, keep or discard it, and ask the book again."""
        know, name = self.know, str(entry["name"])
        text = "This waits for the training and scores on dev what it made."
        score, result = yield from self.evaluate(text, name, job=name)
        job, bar = result.about("job"), know.bar
        kept = bool(score and bar and score.accuracy > bar.accuracy and score.above_chance)
        if score is None or bar is None:
            reason = f"no score, its cell ended {result.state} ({result.trouble})"
            know.failed.append(f"`{name}`: {reason}.")
        else:
            reason = words.against(score, bar)
            end = "kept" if kept else "discarded"
            know.done.append(f"`{name}`: {words.scored(score)} on dev, {reason}; {end}.")
        steps = know.steps_before(entry) + int(job.get("steps") or 0)
        seconds = float(job.get("seconds") or 0.0)
        know.trainings.append(Training(name, name, steps, seconds, score, kept, reason))
        yield from self.ask("Which recipes fit now?", Ask("recipe"))

    def judge(self) -> Course[None]:
        """One look at the held-out items, if there is something to judge."""
        know = self.know
        baseline, chosen = know.start, know.best
        if baseline is None or chosen is None or chosen.score is None:
            return
        text = "The choice is made on dev. Now one look at the held-out items, first the baseline."
        first, result = yield from self.evaluate(
            text, f"{baseline.name}-heldout", model=baseline.model, split="heldout"
        )
        second = None
        if first:
            text = "The chosen model on the same held-out items."
            second, result = yield from self.evaluate(
                text, f"{chosen.job}-heldout", job=chosen.job, split="heldout"
            )
        if first is None or second is None:
            know.failed.append(
                f"No held-out verdict ({result.trouble}). The comparison is on dev, where the model"
                " was chosen, and so it is too kind."
            )
            first, second = baseline, chosen.score
        names = {"baseline": first.name, "chosen": second.name}
        result = yield from self.carry_out("The verdict, as printed.", Ask("compare", names))
        know.comparison = result.about("comparison")

    def close(self) -> Course[None]:
        """Figures and the report."""
        yield from self.ask("Figures and the report.", plan(7), Ask("recipe"))
        while (yield from self.work("plot", "A figure")):
            pass
        if (yield from self.work("report", "The report", self.know.report())) is None:
            self.know.failed.append("No report cell: the book has no page that works.")
        yield from self.ask("Everything on the plan is done.", plan(len(PLAN)))

    def give_up(self, reason: str) -> Course[str]:
        """End where going on makes no sense, with a plan that says so."""
        yield from self.ask(f"I stop here: {reason}.", plan(0, stopped=reason))
        return f"**no evidence**: {reason}. {' '.join(self.know.failed)}".strip()


def plan(active: int, *, stopped: str = "") -> Ask:
    """The plan with one item active; after the last one everything is done."""
    if stopped:
        return Ask("plan", {"items": [{"step": f"Stop: {stopped}"[:200], "state": "done"}]})
    states = ["done" if number < active else "pending" for number in range(len(PLAN))]
    if active < len(PLAN):
        states[active] = "active"
    items = [{"step": step, "state": state} for step, state in zip(PLAN, states, strict=True)]
    return Ask("plan", {"items": items})


def cell(page: Mapping[str, Any]) -> Ask:
    """A page's code as a cell."""
    return Ask(
        "write_cell",
        {
            "kind": page["kind"],
            "source": page["code"],
            "why": f"{page['title']} (recipe {page['name']})"[:200],
            "setup": bool(page.get("setup")),
            "sources": list(page.get("sources") or ()),
        },
    )
