"""Evaluations and verdicts: both are code cells that say everything they need.

A comparison makes its evaluations again by the very calls that made them: their results are kept,
so that costs nothing, and the cell still works after a restart and in somebody else's kernel.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from mlintern_jupyter.bench.task import ItemSplit
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Effect, Tool, ToolContext
from mlintern_jupyter.recipes.rendering import literal
from mlintern_jupyter.record.state import CellRecord
from mlintern_jupyter.tools.base.cell_writer import CellWriter
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import Within, cell_tool

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_TAKEN = frozenset({"evaluate", "compare", "job", "benchmark", *dir(builtins)})


class EvaluationTools:
    """The tools ``evaluate`` and ``compare``."""

    def __init__(
        self,
        writer: CellWriter,
        cells: Callable[[], Mapping[str, CellRecord]],
        runs: Callable[[], Sequence[Mapping[str, Any]]],
    ) -> None:
        self._writer = writer
        self._cells = cells
        self._runs = runs

    async def evaluate(
        self,
        ctx: ToolContext,
        task: str,
        name: str,
        model: str = "",
        job: str = "",
        split: ItemSplit = "dev",
    ) -> ToolResult:
        """Score a model in an eval cell. Give model or job.

        ``model`` is a path or a Hub id, ``job`` the name of a finished job whose model is scored.
        Choose on ``dev``; ``heldout`` is for the final choice and the baseline, once.
        The result is kept: the same weights, items and decoding are scored once. Its facts are
        accuracy with a 95% interval, the chance level and rates (stopped, answer found, truncated).

        Args:
            task: e.g. nano/mcq
            name: of this evaluation
            model: path or Hub id
            job: a finished one
            split: heldout once, at the end
        """
        _check_name(name)
        if bool(model) == bool(job):
            raise ToolError("evaluate needs one of model and job, and not both")
        source = evaluation_cell(task, name, model=model, job=job, split=split)
        return await self._writer.propose(ctx, "eval", source, f"evaluate {name} on {task}")

    async def compare(
        self, ctx: ToolContext, baseline: str, chosen: str, tests: Annotated[int, Within(1)] = 1
    ) -> ToolResult:
        """Print the verdict on two evaluations of this session: improved, no evidence or worse.

        Exact McNemar on the same items, two-sided p < .05, with difference, 95% interval and the
        smallest detectable effect; Holm if more than one test is made.

        Args:
            baseline: name of an evaluation
            chosen: likewise
            tests: verdicts on this question in all
        """
        if baseline == chosen:
            raise ToolError("baseline and chosen are the same evaluation")
        statements = [self._made_by(baseline), self._made_by(chosen)]
        source = comparison_cell(baseline, chosen, statements, tests)
        return await self._writer.propose(ctx, "eval", source, f"compare {baseline}, {chosen}")

    def _made_by(self, name: str) -> list[str]:
        """The statements that make an evaluation: as they ran in a cell, else from its record."""
        for cell in reversed(list(self._cells().values())):
            ran = cell.ended is not None and cell.ended.state == "done"
            if ran and (made := statements_defining(cell.source, name)):
                return made
        evaluations = [run for run in self._runs() if run.get("what") == "eval"]
        for run in reversed(evaluations):
            if run.get("name") == name:
                call = evaluation_call(
                    literal(str(run["model"])), str(run["task"]), name, str(run["split"])
                )
                return [f"{identifier(name)} = {call}"]
        names = list(dict.fromkeys(str(run.get("name")) for run in evaluations))
        raise ToolError(
            f"there is no finished evaluation named {name!r}",
            do=f"evaluations are {', '.join(names) or 'none yet'}; make one with evaluate",
        )


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tools of this file."""
    tools = EvaluationTools(deps.cell_writer, deps.cells, deps.runs)
    effects: set[Effect] = {"notebook", "execute"}
    return [cell_tool(tools.evaluate, effects), cell_tool(tools.compare, effects)]


def evaluation_cell(task: str, name: str, *, model: str = "", job: str = "", split: str) -> str:
    """Source of a cell that scores one model."""
    variable = identifier(name)
    if not job:
        call = evaluation_call(literal(model), task, name, split)
        return f"from mlintern_jupyter import evaluate\n\n{variable} = {call}"
    trained = identifier(job)
    if trained == variable:
        trained += "_job"
    return "\n".join(
        [
            "from mlintern_jupyter import evaluate, job",
            "",
            f"{trained} = job({literal(job)}).result()",
            f"{variable} = {evaluation_call(f'{trained}.model', task, name, split)}",
        ]
    )


def evaluation_call(model: str, task: str, name: str, split: str) -> str:
    """The call of ``evaluate``; ``model`` is an expression."""
    chosen = "" if split == "dev" else f", split={literal(split)}"
    return f"evaluate({model}, task={literal(task)}, name={literal(name)}{chosen})"


def comparison_cell(
    baseline: str, chosen: str, statements: Sequence[Sequence[str]], tests: int
) -> str:
    """Source of a cell that makes two evaluations again and prints the verdict on them."""
    taken = {line.partition(" = ")[0] for made in statements for line in made[:-1]}
    first = _free(identifier(baseline), taken)
    second = _free(identifier(chosen), taken | {first})
    lines = [*statements[0][:-1], _assigned(first, statements[0][-1])]
    lines += [*statements[1][:-1], _assigned(second, statements[1][-1])]
    uses_job = any("job(" in line for line in lines)
    names = "compare, evaluate, job" if uses_job else "compare, evaluate"
    counted = "" if tests == 1 else f", tests={tests}"
    # Assigned, because compare shows its verdict itself: a bare value would show it twice.
    verdict = f"verdict = compare({first}, {second}{counted})"
    return "\n".join([f"from mlintern_jupyter import {names}", "", *lines, verdict])


def statements_defining(source: str, name: str) -> list[str]:
    """From a cell's text the assignment of ``evaluate(..., name=name)`` and the job it rests on.

    Only calls whose other parts are literals or a job's result are taken over: anything else may
    need names that are not in the new cell.
    """
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return []
    jobs: dict[str, str] = {}
    for variable, value in _assignments(body):
        text = ast.get_source_segment(source, value) or ""
        if re.fullmatch(r"job\(\s*(['\"])[\w.-]+\1\s*\)\.result\(\)", text):
            jobs[variable] = text
        elif _is_evaluation(value, name):
            used = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)} - {"evaluate", "job"}
            if used <= set(jobs):
                return [*(f"{u} = {jobs[u]}" for u in sorted(used)), f"{variable} = {text}"]
    return []


def identifier(name: str) -> str:
    """A variable for a name that hides nothing a cell needs."""
    variable = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not variable or variable[0].isdigit():
        variable = f"_{variable}"
    taken = keyword.iskeyword(variable) or variable in _TAKEN
    return f"{variable}_" if taken else variable


def _assignments(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                yield target.id, node.value


def _is_evaluation(value: ast.expr, name: str) -> bool:
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name)):
        return False
    named = {k.arg: k.value.value for k in value.keywords if isinstance(k.value, ast.Constant)}
    return value.func.id == "evaluate" and named.get("name") == name


def _assigned(variable: str, statement: str) -> str:
    return f"{variable} = {statement.partition(' = ')[2]}"


def _free(variable: str, taken: set[str]) -> str:
    while variable in taken:
        variable += "_scores"
    return variable


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ToolError(
            f"name {name!r} is not a short name",
            do="use letters, digits, `.`, `_` and `-`, at most 40 characters",
        )
