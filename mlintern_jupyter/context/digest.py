"""Notes in place of old steps: what a model is asked to make them from, and what is made without.

Notes made without a model are one line a step; the oldest lines are merged into one that counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, cast

from mlintern_jupyter.context.reference import MARK, facts_in, head_of
from mlintern_jupyter.messages import Message, View

LEAST_PER_MESSAGE, MOST_PER_MESSAGE = 160, 1_600
"""Characters of one message in the material."""
OUTCOME = 100
NUMBERS = 160
LINE = 320
PROSE = 0.4
"""Largest share of notes without a model that earlier notes of a model take."""
_OUTPUT_TOKENS = 4_096
"""Room for a model that thinks before it writes."""
_OURS = re.compile(r"- steps? (\d+)(?: to (\d+))?: (.*)")
_SAID = "- said: "


def request(material: str, max_chars: int) -> View:
    """What the model that makes notes is given."""
    prompt = files("mlintern_jupyter.context").joinpath("prompts/digest.md").read_text("utf-8")
    said = f"{material}\n\nWrite the notes now, at most {max_chars} characters."
    return View((Message("system", prompt), Message("user", said)), (), _OUTPUT_TOKENS)


def material_of(
    previous: str, messages: Sequence[Message], numbers: Sequence[int], limit: int
) -> str:
    """Earlier notes and the messages that leave, as text of at most ``limit`` characters.

    Where the messages are too many, the oldest are one line a step.

    Args:
        previous: notes.
        messages: from the beginning of a step on.
        numbers: for each message the step it belongs to.
        limit: in characters.
    """
    head = f"Earlier notes:\n{previous}\n\n" if previous else ""
    rest = max(0, limit - len(head))
    most = rest * 3 // 4
    each = max(LEAST_PER_MESSAGE, min(MOST_PER_MESSAGE, most // max(1, len(messages))))
    names = {call.id: call.name for message in messages for call in message.calls}
    lines: list[str] = []
    cut = len(messages)
    while cut:
        text = _line_of(messages[cut - 1], numbers[cut - 1], names, each)
        most -= len(text) + 1
        if most < 0:
            break
        lines.append(text)
        cut -= 1
    left = rest - sum(len(text) + 1 for text in lines) - 10
    short = without_model("", messages[:cut], numbers[:cut], left) if cut else ""
    return f"{head}Steps:\n{chr(10).join([*([short] if short else []), *lines[::-1]])}"[:limit]


def without_model(
    previous: str, messages: Sequence[Message], numbers: Sequence[int], max_chars: int
) -> str:
    """Notes of at most ``max_chars`` characters; see ``material_of``."""
    lines = previous.split("\n") if previous else []
    ours = [line for line in lines if _OURS.fullmatch(line) or line.startswith(_SAID)]
    prose = "\n".join(line for line in lines if line not in set(ours)).strip()
    ours += _lines(messages, numbers)
    if len(prose) > PROSE * max_chars:
        prose = prose[: int(PROSE * max_chars)].rpartition("\n")[0] or prose[: max_chars // 4]
    return "\n".join(part for part in (prose, _merged(ours, max_chars - len(prose) - 1)) if part)


def _line_of(message: Message, step: int, names: Mapping[str, str], limit: int) -> str:
    if message.role == "assistant":
        calls = "".join(f"\ncalls {c.name} {head_of(c.arguments, limit)}" for c in message.calls)
        return f"step {step}: {head_of(message.text, limit)}{calls}"
    if message.role == "tool":
        name = names.get(message.call_id or "", "the call")
        return f"{name} answered: {_both_ends(message.text, limit)}"
    return f"told to the intern: {_both_ends(message.text, limit)}"


def _both_ends(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[{len(text) - 2 * half:,} characters left out]\n{text[-half:]}"


def _lines(messages: Sequence[Message], numbers: Sequence[int]) -> list[str]:
    found: list[str] = []
    answers = {m.call_id: m.text for m in messages if m.role == "tool"}
    for message, step in zip(messages, numbers, strict=True):
        if message.role == "user":
            found.append(f"{_SAID}{' '.join(message.text.split())[:OUTCOME]}")
        if message.role != "assistant":
            continue
        parts = [f"{_name(c.name)} {_outcome(answers.get(c.id, ''))}" for c in message.calls]
        said = " | ".join(parts) or f"said {' '.join(message.text.split())[:OUTCOME]}"
        found.append(f"- step {step}: {said[:LINE]}")
    return found


def _name(name: str) -> str:
    return re.sub(r"\W", "_", name)[:40] or "unnamed"


def _outcome(text: str) -> str:
    facts = facts_in(text)
    first = text.strip().partition("\n")[0]
    state = str(facts.get("state") or ("" if first.startswith(MARK) else first))
    return f"{' '.join(state.split())[:OUTCOME]}{_numbers(facts)}".strip().replace(" | ", " ")


def _numbers(facts: Mapping[str, Any]) -> str:
    found = [f"{key}={value}" for key, value in _scalars(facts) if key != "state"]
    return f"; {' '.join(found)}"[:NUMBERS] if found else ""


def _scalars(facts: Mapping[str, Any], depth: int = 0) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in facts.items():
        if isinstance(value, dict) and depth < 2:
            found += _scalars(cast("dict[str, Any]", value), depth + 1)
        elif isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 40):
            found.append((key[:30], " ".join(str(value).split())))
    return found


def _merged(lines: Sequence[str], limit: int) -> str:
    """The lines, the oldest of them merged into one until all fit."""
    total = sum(len(line) + 1 for line in lines)
    if total <= limit:
        return "\n".join(lines)
    counts: Counter[str] = Counter()
    first, last, head, taken = "", "", "", 0
    for line in lines:
        if taken and total + len(head) + 1 <= limit:
            break
        taken += 1
        total -= len(line) + 1
        ours = _OURS.fullmatch(line)
        if ours is None:
            continue
        first, last = first or ours[1], ours[2] or ours[1]
        counts.update(_counted(ours[3], many=bool(ours[2])))
        most = ", ".join(f"{name} {count}" for name, count in counts.most_common(12))
        head = f"- steps {first} to {last}: {most}"
    return "\n".join([*([head] if head else []), *lines[taken:]])[: max(0, limit)]


def _counted(body: str, *, many: bool) -> dict[str, int]:
    if not many:
        return dict(Counter(part.split(" ")[0] for part in body.split(" | ")))
    pairs = (part.rpartition(" ") for part in body.split(", "))
    return {name: int(count) for name, _, count in pairs if count.isdecimal()}
