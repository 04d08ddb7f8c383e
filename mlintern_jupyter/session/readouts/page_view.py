"""Where everything stands, for a page: computed from the fold each time it asks, cheaply.

Runs on the control thread, between and during cells. The open session is read under its lock;
records of other sessions are read once per change, and only for a moment at each call.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter import __version__
from mlintern_jupyter.bench.catalogue import names as benchmark_names
from mlintern_jupyter.commands import Mode, ModelRole
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.config import load_config
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.events import Compacted
from mlintern_jupyter.jobs import job_of_cell
from mlintern_jupyter.models.names import providers, resolve
from mlintern_jupyter.policy.autorun import may_run_unreviewed
from mlintern_jupyter.policy.budget import Budget
from mlintern_jupyter.record.cell_record import CellRecord
from mlintern_jupyter.record.conversation import AgentRecord
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.readouts.card import card_text
from mlintern_jupyter.session.readouts.inventory import on_fallback
from mlintern_jupyter.session.readouts.questions import ask_views
from mlintern_jupyter.session.readouts.record_list import record_views
from mlintern_jupyter.session.running.session import Session
from mlintern_jupyter.tools import catalog
from mlintern_jupyter.usage import dollars
from mlintern_jupyter.views import (
    AgentView,
    CompactionView,
    KernelView,
    OutcomeView,
    OwnCellView,
    PendingCellView,
    PlanItemView,
    ProviderView,
    ScoreView,
    SessionView,
    SourceView,
)

_PLAN_STATES = {"pending": "todo"}
_URL = re.compile(r"https?://[^\s)>\]\"'`]+")
_DATASET = re.compile(r"load_dataset\(\s*(['\"])([\w.-]+/[\w.-]+)\1")
AGENTS_KEPT = 10
TASK_MOST = 400
_NEEDS_YES = lru_cache(maxsize=256)(may_run_unreviewed)


def kernel_view(
    session: Session | None,
    root: Path,
    mode_cap: Mode,
    default_model: str,
    env: Mapping[str, str],
) -> KernelView:
    """Everything a page shows.

    Args:
        session: the one open in this kernel.
        root: the folder of records.
        mode_cap: the most permissive mode that is allowed here.
        default_model: from the configuration; empty if none.
        env: where keys are looked for; only their names are told.
    """
    return KernelView(
        version=__version__,
        python=platform.python_version(),
        folder=str(root),
        mode_cap=mode_cap,
        default_model=default_model,
        session=None if session is None else session_view(session),
        records=record_views(root, session),
        jobs=Jobs(root).views(),
        providers=tuple(_providers(env)),
        benchmarks=benchmark_names(),
        missing=catalog.missing_abilities(),
    )


def session_view(session: Session) -> SessionView:
    """The open session as it stands at one moment between two facts."""
    # Read from disk before: whoever wants to commit waits for the state.
    jobs_usd = Jobs(session.folder.parent).committed_usd(session.state.session)
    with session.reading() as state:
        return SessionView(
            session=state.session,
            goal=state.goal,
            status=state.status,
            running=session.working,
            held=state.pause_reason,
            mode=cast("Mode", state.mode),
            model=state.model,
            models=cast("dict[ModelRole, str]", dict(state.models)),
            on_fallback=on_fallback(state),
            magic_cell_id=state.cell_id,
            magic_source=state.turn_source,
            record=str(session.folder),
            turn=state.turn,
            step=state.step,
            limits=state.limits,
            spent=state.spent,
            unmetered=bool(state.options.get("unmetered")),
            context_used=state.spending.last_usage.total,
            context_tokens=session.context_tokens,
            context_assumed=session.context_assumed,
            compaction=_compaction(state.main.layout),
            closing=session.working and _near_limit(state, jobs_usd),
            plan=tuple(
                PlanItemView(i["step"], _PLAN_STATES.get(i["state"], i["state"]))
                for i in state.plan
            ),
            activity=session.activity,
            cells=len(state.cells),
            cell_ids=tuple(state.cells),
            asks=ask_views(state),
            pending=tuple(_pending(state, session.wanted())),
            agents=_agents(state, session.working),
            allowed_kinds=state.allowed_kinds,
            best=best_score(state.runs),
            sources=tuple(_sources(state.cells.values())),
            own_cells=tuple(
                OwnCellView(cell.cell_id, cell.first_line, cell.state)
                for cell in state.person_cells
            ),
            queued_cells=state.queued_cells,
            outcome=_outcome(state),
            card=card_text(state, session.note()),
        )


def _outcome(state: SessionState) -> OutcomeView | None:
    end = state.outcome
    return None if end is None else OutcomeView(end.outcome, end.reason, end.summary, end.do)


def _near_limit(state: SessionState, jobs_usd: float) -> bool:
    budget = Budget(state.limits, lambda: state.spent, lambda: 0.0, lambda: jobs_usd)
    return budget.near_limit()


def _compaction(made: Compacted | None) -> CompactionView | None:
    if made is None:
        return None
    return CompactionView(made.step, made.why, made.tokens_before, made.tokens_after)


def _agents(state: SessionState, working: bool) -> tuple[AgentView, ...]:
    """Those at work, and the newest of those that ended."""
    known = list(state.agents.items())
    ended = [name for name, agent in known if agent.ended is not None]
    left_out = set(ended[: max(0, len(known) - AGENTS_KEPT)])
    return tuple(agent_view(name, agent, working) for name, agent in known if name not in left_out)


def agent_view(name: str, agent: AgentRecord, working: bool) -> AgentView:
    """A sub-agent as its facts say.

    Args:
        name: of the sub-agent.
        agent: its record.
        working: whether a turn runs: without one nobody is at work.
    """
    end, talk = agent.ended, agent.conversation
    unsaid = "working" if working else "unfinished"
    return AgentView(
        agent=name,
        role=agent.started.role,
        task=agent.started.task[:TASK_MOST],
        state=unsaid if end is None else end.outcome,
        steps=talk.step,
        doing=", ".join(call.name for call in talk.pending) if end is None and working else "",
        reason="" if end is None else end.reason,
    )


def _pending(state: SessionState, wanted: Collection[str]) -> Iterable[PendingCellView]:
    for cell_id, cell in state.cells.items():
        proposed, stands = cell.proposed, state.state_of(cell_id)
        # A run that was aborted in the queue leaves a cell that somebody decided to run.
        waits = stands == "proposed" or (stands == "queued" and cell_id in wanted)
        if proposed.cell_type == "code" and waits:
            lines = (line.strip() for line in proposed.source.splitlines())
            yield PendingCellView(
                cell_id=cell_id,
                kind=proposed.kind,
                first_line=next(filter(None, lines), "")[:120],
                why=proposed.why,
                asks=_NEEDS_YES(proposed.source),
                cost=_cost(proposed.source),
            )


def job_cost(source: str, usd_per_hour: float | None) -> str:
    """What running a ``%%job`` cell may cost, in words; empty where nothing is to pay.

    Args:
        source: the cell's text; any other cell, and a line that is refused, costs nothing.
        usd_per_hour: the price of this machine; ``None`` if it is not known.
    """
    job = job_of_cell(source)
    if job is None:
        return ""
    spec = job.spec
    if usd_per_hour == 0 and spec.max_usd is None:
        return ""
    if usd_per_hour is None or spec.timeout_s is None:
        return "cost not known" + (f", cap ${spec.max_usd:g}" if spec.max_usd else "")
    quote = usd_per_hour * spec.timeout_s / 3600
    return f"up to {dollars(quote)}, held until you start it"


def best_score(runs: Iterable[Mapping[str, Any]]) -> ScoreView | None:
    """The best dev evaluation of the task scored last, beside the first one of that task.

    A voided evaluation supports no claim and is not looked at.
    """
    all_runs = list(runs)
    scored = [
        run
        for run in all_runs
        if run.get("what") == "eval" and run.get("split") == "dev" and not run.get("voided")
    ]
    if not scored:
        return None
    same = [run for run in scored if run.get("task") == scored[-1].get("task")]
    # Of equals the newest: it is the one being worked on.
    best = max(reversed(same), key=lambda run: float(run.get("accuracy") or 0.0))
    verdicts = [run for run in all_runs if run.get("what") == "comparison"]
    low, high = cast("tuple[float, float]", best.get("ci95") or (0.0, 1.0))
    chance = best.get("chance")
    return ScoreView(
        name=str(best.get("name", "")),
        task=str(best.get("task", "")),
        split="dev",
        value=float(best.get("accuracy") or 0.0),
        low=float(low),
        high=float(high),
        n=int(best.get("n") or 0),
        baseline=None if same[0] is best else float(same[0].get("accuracy") or 0.0),
        chance=None if chance is None else float(chance),
        verdict=str(verdicts[-1].get("word", "")) if verdicts else "",
    )


def _sources(cells: Iterable[CellRecord]) -> list[SourceView]:
    found: dict[str, SourceView] = {}
    for cell in cells:
        proposed = cell.proposed
        named = proposed.sources
        if proposed.kind in {"dataset", "literature"}:
            named += _named_in(cell.source)
        for url in named:
            found.setdefault(url, SourceView(url, proposed.cell_id, proposed.kind))
    return list(found.values())


def _cost(source: str) -> str:
    # The configuration is read only where there is a job to price.
    is_job = source.lstrip().startswith("%%job")
    return job_cost(source, load_config().usd_per_hour) if is_job else ""


@lru_cache(maxsize=512)
def _named_in(source: str) -> tuple[str, ...]:
    """Addresses in a cell's text, and data sets of the Hub that it loads."""
    hub = (f"https://huggingface.co/datasets/{m[2]}" for m in _DATASET.finditer(source))
    return tuple(dict.fromkeys((*(url.rstrip(".,;:") for url in _URL.findall(source)), *hub)))


def _providers(env: Mapping[str, str]) -> Iterable[ProviderView]:
    for name, about in providers().items():
        keys = cast("list[str]", about["keys"])
        if not keys:
            continue
        variable = next((key for key in keys if env.get(key)), "")
        here = bool(variable) or (bool(about.get("key_file")) and _logged_in(name, env))
        yield ProviderView(name, variable or keys[0], here)


def _logged_in(provider: str, env: Mapping[str, str]) -> bool:
    try:
        return resolve(f"{provider}/any", api_base=None, price=None, env=env).key_present
    except UsageError:
        return False
