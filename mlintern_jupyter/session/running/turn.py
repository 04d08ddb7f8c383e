"""Running one turn to a stated outcome, and going on with one that was cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

from mlintern_jupyter.agent.loop import Agent
from mlintern_jupyter.commands import ResumeTurn, StartTurn
from mlintern_jupyter.errors import (
    InternError,
    Interrupted,
    LimitReached,
    NotebookGone,
    Paused,
    RecordError,
    UsageError,
)
from mlintern_jupyter.events import Outcome, TurnEnded, TurnResumed, TurnStarted
from mlintern_jupyter.session.running.resume import (
    cells_to_restore,
    final_answer,
    last_run,
    stopped_calls,
)
from mlintern_jupyter.session.running.session import Session

RESUME = "`%intern resume` goes on from here; nothing that finished is done again"
OF_JOBS = frozenset({"cost", "time"})
"""Limits that hold for the session's jobs, too: they end with them."""
LIMIT_CHECK_S = 1.0
"""How often a limit is looked at while a call, a cell or a job takes long."""


async def run_turn(session: Session, command: StartTurn | ResumeTurn) -> None:
    """Run one turn. Whatever happens, it ends with ``TurnEnded``."""
    turn = session.state.turn
    session.going.set()
    session.attention.clear()
    try:
        if isinstance(command, StartTurn):
            turn += 1
            started = TurnStarted(
                turn, command.text, command.source, command.briefing, command.cell_id
            )
            session.commit(started)
            summary = await _within_limits(session, await session.set_up_turn())
        else:
            summary = await _resume(session, turn, command.note)
        _end(session, turn, "completed", "the intern finished", summary)
    except asyncio.CancelledError:
        for answer in stopped_calls(session.state):
            session.commit(answer)
        _end(session, turn, "interrupted", "stopped by the person", "", RESUME)
    except InternError as error:
        if isinstance(error, LimitReached) and error.limit in OF_JOBS:
            await asyncio.to_thread(session.cancel_session_jobs)
        _end(session, turn, outcome_of(error), error.what, error.why, error.do or RESUME)
    except Exception as error:  # noqa: BLE001
        # The last boundary of the worker thread: a defect must end the turn visibly, too.
        what = f"an error in mlintern_jupyter itself: {type(error).__name__}: {error}"
        _end(session, turn, "failed", what, "", "report it with the ledger file; " + RESUME)
    finally:
        session.end_turn()


async def _resume(session: Session, turn: int, note: str) -> str:
    """Go on with an unfinished turn; its last answer, if that was given already."""
    last = final_answer(session.state)
    lost = cells_to_restore(session.state)
    session.commit(TurnResumed(turn, note))
    agent = await session.set_up_turn()
    assert session.host is not None
    for cell in lost:
        await session.host.insert_cell(cell)
    ran = last_run(session.state)
    if ran is not None:
        await session.host.update_cell(ran[0], mark=asdict(ran[1]))
    return await _within_limits(session, agent) if last is None else last


async def _within_limits(session: Session, agent: Agent) -> str:
    """The turn's answer; a limit that is passed while something takes long ends it there.

    Raises:
        LimitReached: it was passed; the model call and the tools' children are ended.
    """
    return await until(agent.run_turn(), agent.asking.budget.exceeded, LIMIT_CHECK_S)


async def until(
    work: Coroutine[Any, Any, str],
    exceeded: Callable[[], LimitReached | None],
    every_s: float,
) -> str:
    """What the work returns, unless a limit is passed first."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=every_s)
            passed = None if task.done() else exceeded()
            if passed is not None:
                task.cancel()
                await asyncio.wait({task})
                raise passed
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


def _end(
    session: Session, turn: int, outcome: Outcome, reason: str, summary: str, do: str = ""
) -> None:
    ended = TurnEnded(turn, outcome, reason, summary, do)
    try:
        session.commit(ended)
    except RecordError as error:
        # The record cannot take it, but the person must still see how the turn ended.
        ended = TurnEnded(turn, "failed", f"{reason}; {error.what}", summary, error.do)
        session.bus.fact(session.state.last_number, ended, recorded=False)


def outcome_of(error: InternError) -> Outcome:
    """Which stated outcome an error ends a turn with."""
    if isinstance(error, LimitReached):
        return "limit"
    # A missing key or tool can be mended, and then the turn goes on.
    if isinstance(error, Paused | NotebookGone | UsageError):
        return "paused"
    if isinstance(error, Interrupted):
        return "interrupted"
    return "failed"
