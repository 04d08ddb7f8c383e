"""Questions as a person reads them: what a tool call would do, with nothing hidden in it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.events import Asked
from mlintern_jupyter.record.state import SessionState
from mlintern_jupyter.usage import dollars
from mlintern_jupyter.views import AskView

MOST = 6000
"""Characters of all arguments that are shown."""
LINE = 300
_HEAD = 3 * MOST // 4
_INDENT = "    "
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and symbols that are drawn as nothing."""


def ask_view(question: Asked, role: str = "") -> AskView:
    """A question as the page shows it.

    Args:
        question: as it was recorded, secrets masked.
        role: of the sub-agent that asks.
    """
    return AskView(
        call=question.call,
        tool=inert(question.tool),
        arguments=arguments_text(question.arguments),
        effects=question.effects,
        why=one_line(question.why),
        price_usd=question.price_usd,
        visibility=one_line(question.visibility),
        sources=tuple(one_line(source) for source in question.sources),
        agent=role or one_line(question.agent),
        hosts=tuple(one_line(host) for host in question.hosts),
        keys=tuple(one_line(key) for key in question.keys),
    )


def ask_views(state: SessionState) -> tuple[AskView, ...]:
    """Every open question, the oldest first."""
    roles = {name: agent.started.role for name, agent in state.agents.items()}
    return tuple(
        ask_view(question, roles.get(question.agent, "")) for question in state.asks.values()
    )


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """Arguments one a line. A text cannot pass for another argument: its lines are indented."""
    lines: list[str] = []
    for name, value in arguments.items():
        text = value if isinstance(value, str) else _json(value)
        first, *rest = visible(text).split("\n")
        shown = [first] if not rest else ["", *(_INDENT + line for line in (first, *rest))]
        lines.append("\n".join([f"{one_line(name)}: {shown[0]}".rstrip(), *shown[1:]]))
    return _bounded("\n".join(lines)) or "(no arguments)"


def visible(text: str) -> str:
    """The text with every character that draws nothing, or turns the reading, as an escape."""
    return "".join(_escape(c) if _is_unseen(c) else c for c in text)


def one_line(text: str) -> str:
    """The text visible, in one line of bounded length."""
    flat = visible(text).replace("\n", "\\n")
    return flat if len(flat) <= LINE else f"{flat[: LINE - 1]}…"


def inert(name: str) -> str:
    """A name that cannot end the code span it stands in: names come from models and servers."""
    return one_line(name).replace("`", "'")


def ask_text(ask: AskView, command: str = "%intern") -> str:
    """A question in words, with how to answer it without a page, by ``%intern`` or ``mlintern``."""
    who = f"the {ask.agent} sub-agent" if ask.agent else "the intern"
    lines = [
        f"{who} asks to use {ask.tool} ({inert(ask.call)})",
        f"  would do: {effects_text(ask.effects)}; {price_text(ask.price_usd)};"
        f" seen by: {ask.visibility}",
        f"  asked because: {ask.why}",
    ]
    if ask.hosts:
        lines.append(f"  connects to: {reach_text(ask.hosts, ask.keys)}")
    if ask.sources:
        lines.append(f"  untrusted text it had read: {', '.join(ask.sources)}")
    lines += [_INDENT + line for line in ask.arguments.split("\n")]
    return "\n".join([*lines, f"  {how_to_answer(ask.call, command)}"])


def how_to_answer(call: str, command: str = "%intern") -> str:
    """The two answers, as the person types them."""
    name = inert(call)
    return f"`{command} approve {name}` allows it once, `{command} refuse {name} [reason]` does not"


def effects_text(effects: Collection[str]) -> str:
    """What a call may do; nothing declared is said to be unknown."""
    return ", ".join(effects) or "nobody has said what"


def reach_text(hosts: Collection[str], keys: Collection[str]) -> str:
    """Where a call connects to, and which keys it is given for that, by name."""
    given = f", given {', '.join(keys)}" if keys else ""
    return f"{', '.join(hosts)}{given}"


def price_text(usd: float | None) -> str:
    """Its price in words; unknown is never zero."""
    if usd is None:
        return "price unknown"
    return "costs nothing" if usd == 0 else f"costs {dollars(usd)}"


def named(calls: Iterable[str], words: str) -> tuple[str, str]:
    """The open question that is meant, and the words behind its name.

    Args:
        calls: ids of the open questions.
        words: ``[CALL] [reason]``; the beginning of an id is enough, and with one question open
            nothing is needed.

    Raises:
        UsageError: none is open, or it is not clear which is meant.
    """
    waiting = list(calls)
    first, _, rest = words.strip().partition(" ")
    if not waiting:
        raise UsageError("no question of the intern is open", do="`%intern status` says how it is")
    meant = [call for call in waiting if call == first]
    meant = meant or [call for call in waiting if first and call.startswith(first)]
    if len(meant) == 1:
        return meant[0], rest.strip()
    if len(waiting) == 1 and not meant:
        return waiting[0], words.strip()
    raise UsageError(
        f"{len(waiting)} questions are open: {', '.join(waiting)}"
        if not first
        else f"{first} names {len(meant) or 'none'} of the open questions: {', '.join(waiting)}",
        do=f"name one, e.g. {waiting[0]}",
    )


def _json(value: Any) -> str:
    # Compact where it is short; a long structure is read line by line.
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LINE else json.dumps(value, ensure_ascii=False, indent=2)


def _bounded(text: str) -> str:
    if len(text) <= MOST:
        return text
    tail = MOST - _HEAD
    left_out = len(text) - MOST
    note = f"\n[… {left_out:,} characters are not shown here; the record holds them …]\n"
    return text[:_HEAD] + note + text[-tail:]


def _is_unseen(char: str) -> bool:
    if char == "\n" or " " <= char <= "~":
        return False
    kind = unicodedata.category(char)
    variation = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return kind in _UNSEEN or kind == "Zs" or variation or char in _BLANK


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
