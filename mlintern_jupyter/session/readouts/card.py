"""The run card: the magic cell's output, a small summary that is readable in a saved notebook."""

from __future__ import annotations

from typing import Any

from mlintern_jupyter.cells import CARD_MIME
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.session.readouts.questions import (
    effects_text,
    how_to_answer,
    inert,
    price_text,
)
from mlintern_jupyter.usage import dollars


def card_text(state: SessionState, note: str = "") -> str:
    """Where a session stands, in a few lines of Markdown."""
    spent = state.spent
    usd = money(state)
    lines = [
        f"**intern** `{state.session}` · {state.status} · {state.goal}",
        "",
        f"model `{state.model}` · mode {state.mode} · step {spent.steps} of"
        f" {state.limits.steps} · {usd} · {len(state.cells)} cells",
    ]
    if state.plan:
        done = sum(item["state"] == "done" for item in state.plan)
        now = next((item["step"] for item in state.plan if item["state"] == "active"), "")
        lines += ["", f"plan: {done} of {len(state.plan)} done" + (f" · now: {now}" if now else "")]
    for question in state.asks.values():
        lines += [
            "",
            f"waits for your answer: `{inert(question.tool)}` ({effects_text(question.effects)};"
            f" {price_text(question.price_usd)}). `%intern status` shows what with; without a page:"
            f" {how_to_answer(question.call)}",
        ]
    if state.pause_reason:
        lines += ["", f"held: {state.pause_reason}"]
    if state.queued_cells:
        below = "1 cell" if state.queued_cells == 1 else f"{state.queued_cells} cells"
        verb = "was" if state.queued_cells == 1 else "were"
        lines += ["", f"{below} below {verb} already in line and did not wait for the intern."]
    end = state.outcome
    if end is not None:
        lines += ["", end.summary if end.outcome == "completed" else f"{end.reason}. {end.do}"]
    if note:
        lines += ["", note]
    return "\n".join(lines)


def card_bundle(state: SessionState, note: str = "", record: str = "") -> dict[str, Any]:
    """The card as a MIME bundle; Markdown and plain text for whoever has no renderer for it.

    Args:
        state: of the session.
        note: one more paragraph for the person.
        record: where the ledger is, as a saved notebook should name it.
    """
    text = card_text(state, note)
    card = {
        "v": 1,
        "session": state.session,
        "status": state.status,
        "goal": state.goal,
        "lines": text.split("\n"),
        "record": record,
    }
    return {CARD_MIME: card, "text/markdown": text, "text/plain": text}


def money(state: SessionState) -> str:
    """What was spent in words; unknown is said to be unknown, never zero."""
    return "unmetered" if state.options.get("unmetered") else dollars(state.spent.usd)
