"""Everything that can be refused before anything is started, spent or written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlintern_jupyter.bench.catalogue import Benchmark, find
from mlintern_jupyter.bench.readiness import check, probe_machine
from mlintern_jupyter.commands import Mode
from mlintern_jupyter.config import Config, notebook_folder
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.models.names import ModelPlan, resolve
from mlintern_jupyter.options import Options, merged
from mlintern_jupyter.policy.prose_limits import parse_prose_limits
from mlintern_jupyter.policy.rules import load_rules
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.tools.custom.check import check_custom_tools
from mlintern_jupyter.usage import Limits

_IMPROVE = re.compile(r"improve\s+(\S+)", re.IGNORECASE)
NO_MODEL = (
    "name one with --model, as litellm spells it (--model anthropic/claude-sonnet-4-5, or"
    " --model openai/NAME --api-base URL for a server of your own), or set `model = ...` in the"
    " configuration file; --model playbook needs no key and no network, and knows the nano tasks"
)


@dataclass(frozen=True)
class Prepared:
    """A request that can start."""

    goal: str
    text: str
    """Goal and further in_prose, verbatim."""
    mode: Mode
    limits: Limits
    options: Options
    model: ModelPlan
    benchmark: Benchmark | None
    notes: tuple[str, ...]
    """Said to the person when the session starts: limits understood, and not understood."""


def prepare(
    goal: str,
    body: str,
    options: Options,
    config: Config,
    *,
    nobody_to_ask: bool,
    env: Mapping[str, str] = os.environ,
) -> Prepared:
    """Check a request whole. Nothing is started, written or sent.

    Raises:
        UsageError: what is wrong with it, and what to do.
    """
    options = merged(options, config.defaults)
    if not goal and not body.strip():
        raise UsageError(
            "what should be improved?",
            do="write the goal after %%intern, e.g. `%%intern improve nano/mcq --model playbook`;"
            " `%%intern --help` lists the options",
        )
    _check_body(body)
    benchmark = named_benchmark(goal)
    mode, lowered = _mode(options, config)
    model, problem = _model(options, env)
    text = f"{goal}\n{body.strip()}".strip()
    limits, notes = _limits(text, options, mode)
    if benchmark is not None:
        refused = () if problem is None else (problem,)
        readiness = check(benchmark, refused, env, probe_machine(env), catalog.missing_abilities())
        if not readiness.ready and (problem is None or len(readiness.missing) > 1):
            raise UsageError(
                f"{benchmark.name} cannot be worked on here yet; nothing was started or spent",
                why=readiness.as_text(),
            )
        notes = (*notes, *readiness.notes())
    if model is None:
        assert problem is not None
        raise problem
    _check_mode(mode, limits, nobody_to_ask)
    _check_tools(options, notebook_folder())
    problems = (config.problem, *(s.problem for s in config.mcp.values()))
    problems = (*problems, load_rules(notebook_folder()).problem)
    notes = (*(p for p in problems if p), *lowered, *notes)
    return Prepared(goal, text, mode, limits, options, model, benchmark, notes)


def _check_body(body: str) -> None:
    """Raises UsageError when another cell's magic stands among the in_prose."""
    magic = next((line for line in body.splitlines() if line.startswith("%%")), None)
    if magic is not None:
        raise UsageError(
            f"two magics in one cell: {magic.split()[0]} stands below %%intern",
            do="give each a cell of its own",
        )


def _mode(options: Options, config: Config) -> tuple[Mode, tuple[str, ...]]:
    """The mode asked for, or the default as far as the cap lets it.

    Raises:
        UsageError: it was asked for on the line, and is above the cap.
    """
    mode = options.mode or "review"
    if "mode" in options.said:
        config.check_mode(mode)
    if config.allows(mode):
        return mode, ()
    note = f"mode {config.mode_cap}, not the default {mode}: InternMagics.max_mode caps it here"
    return config.mode_cap, (note,)


def _model(
    options: Options, env: Mapping[str, str]
) -> tuple[ModelPlan, None] | tuple[None, UsageError]:
    """The model's plan, or why there is none: said together with all else that is missing."""
    if options.model is None:
        return None, UsageError("no language model is chosen", do=NO_MODEL)
    try:
        plan = resolve(
            options.model,
            api_base=options.api_base,
            price=options.price,
            env=env,
            context=options.context,
        )
        _check_roles(options, options.model, env)
    except UsageError as error:
        return None, error
    return plan, None


def _check_roles(options: Options, first: str, env: Mapping[str, str]) -> None:
    """Raises UsageError when a model of another role cannot be asked."""
    for name in role_models(options).values():
        same = name.partition("/")[0] == first.partition("/")[0]
        resolve(name, api_base=options.api_base if same else None, price=None, env=env)


def role_models(options: Options) -> dict[str, str]:
    """Models that were named for other roles than the intern's own, by role."""
    said = {
        "research": options.research_model,
        "compaction": options.compaction_model,
        "fallback": options.fallback_model,
    }
    return {role: name for role, name in said.items() if name is not None}


def named_benchmark(goal: str) -> Benchmark | None:
    """The benchmark of ``improve NAME``; any other goal is a free one.

    Raises:
        UsageError: NAME is one word and no benchmark; lists what exists, nearest first.
    """
    match = _IMPROVE.fullmatch(goal.strip())
    return find(match.group(1)) if match else None


def _limits(text: str, options: Options, mode: Mode) -> tuple[Limits, tuple[str, ...]]:
    limits = options.limits()
    in_prose = parse_prose_limits(text)
    said = [words for words, _ in in_prose.understood] + list(in_prose.not_understood)
    if mode == "unattended":
        note = f"not enforced, unattended mode takes options only: {'; '.join(said)}"
        return limits, (note,) if said else ()
    # An option is exact words of the person; prose only fills what no option says.
    found = {
        "usd": in_prose.usd if limits.usd is None else None,
        "hours": in_prose.hours if limits.hours is None else None,
        "steps": in_prose.steps if options.max_steps is None else None,
    }
    limits = replace(limits, **{name: value for name, value in found.items() if value is not None})
    missed = tuple(f"not understood as a limit: {words}" for words in in_prose.not_understood)
    note = (f"limits enforced: {limits.as_text()}",) if said else ()
    return limits, note + missed


def _check_tools(options: Options, workdir: Path) -> None:
    """Raises UsageError when toolsets or functions that were named cannot be had."""
    on = catalog.switched(options.tools, catalog.toolsets())
    if {"tool", "tools"} <= options.said and "custom" not in on:
        raise UsageError(
            f"--tool {options.tool[0]} is a custom tool, and --tools {','.join(options.tools)}"
            " switches those off",
            do="add custom to --tools, or leave --tool out",
        )
    check_custom_tools(options.tool, workdir)


def _check_mode(mode: Mode, limits: Limits, nobody_to_ask: bool) -> None:
    if mode == "unattended" and limits.usd is None:
        raise UsageError(
            "unattended mode needs a budget",
            why="nobody is asked, so the budget is the only yes there is",
            do="add --budget USD, e.g. --budget 1",
        )
    if mode != "unattended" and nobody_to_ask:
        raise UsageError(
            f"mode {mode} needs somebody to ask, and nobody is there in a headless run",
            do="add --mode unattended --budget USD, or open the notebook in Jupyter",
        )
