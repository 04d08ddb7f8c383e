"""Limits said in prose: "stay under $20 and 6 hours, at most 50 steps".

Read conservatively. A limit is taken only where the words leave one reading: an upper bound
("under", "at most", "budget of"), an amount, and a unit that can be enforced. Everything else
that looks like a limit is handed back as not understood, so that it is said instead of lost. Of
two limits of one kind the tighter holds.

Not covered: other languages than English, other currencies than the US dollar, limits on a part
of the work ("each run under an hour"), deadlines ("by tomorrow").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mlintern_jupyter.usage import dollars

Kind = Literal["usd", "hours", "steps", "other"]

_UNITS: tuple[tuple[str, Kind, float], ...] = (
    (r"minutes?|mins?", "hours", 1 / 60),
    (r"hours?|hrs?|h", "hours", 1.0),
    (r"days?", "hours", 24.0),
    (r"usd|dollars?|bucks|\$", "usd", 1.0),
    (r"steps?", "steps", 1.0),
)
_WORDS = {
    "half an": 0.5, "half a": 0.5, "an": 1, "a": 1, "one": 1, "two": 2, "three": 3, "four": 4,
    "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12,
    "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "a hundred": 100,
}  # fmt: skip
_ARTICLES = {"a", "an", "half a", "half an"}
_FOREIGN = re.compile(
    r"[€£¥]|eur(?:os?)?|gbp|chf|jpy|cad|aud|pounds?|yen|francs?|cents?|gpus?", re.I
)

_DIGITS = r"\d+(?:[.,]\d+)*"
_SAID = "|".join(re.escape(w).replace(r"\ ", r"\s+") for w in sorted(_WORDS, key=len, reverse=True))
_QUANTITY = re.compile(
    rf"""(?<![\w.,$€£¥-])(?:
    (?P<sign>(?:(?:US|CA|AU|NZ|HK)\s?|[CASR])?[$€£¥])\s*(?P<money>{_DIGITS})(?P<kilo>k\b)?
        (?P<span>\s*(?:-|–|to)\s*[$€£¥]?\d[\d.,]*\w*)?
    | (?P<hour>\d+)\s*(?i:hours?|hrs?|h)\s*(?:and\s+)?
        (?P<minute>\d{{1,2}})(?:\s*(?i:minutes?|mins?|m))?\b
    | (?P<number>{_DIGITS}(?P<spread>\s*(?:-|–|to)\s*\d[\d.,]*)?|(?i:{_SAID})(?=[\s-]+[A-Za-z]))
        [\s-]*(?P<unit>[A-Za-z]+|[%$€£¥])
    )""",
    re.VERBOSE,
)
_CLEAN = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_UPPER = re.compile(
    r"""(?:
    \b(?:(?:stay|keep|be|finish|stop)\s+(?:\w+\s+)?)?(?:under|below|within|less\s+than|fewer\s+than)
    | \b(?:at\s+most|up\s+to|(?:no|not)\s+(?:more|longer)\s+than|max(?:imum)?(?:\s+(?:of|is))?)
    | (?:\w*n['’]t|\b(?:not|never|without))\s+(?:\w+\s+){0,3}?(?:more\s+than|longer\s+than|exceed)
    | \b(?:budget|cap(?:ped)?|limit(?:ed)?|ceiling)
        (?:\s+(?:it|yourself|this))?(?:\s+(?:is|of|at|to))?
    | \byou\s+(?:have|get|(?:may|can)\s+(?:spend|use))
    | [<≤]=?
    )\s*[:=]?\s*(?:(?:a|the)\s+total\s+of\s+|about\s+|around\s+|roughly\s+|~\s*)?$""",
    re.IGNORECASE | re.VERBOSE,
)
_LOWER = re.compile(
    r"(?:n['’]t|\b(?:no|not|never))\s+(?:\w+\s+)?(?:under|below|less\s+than|fewer\s+than)\W*$", re.I
)
_AFTER = re.compile(
    r"\s*\(?(?:(?:max(?:imum)?|tops|at\s+most|or\s+less|budget|cap|limit)\b)", re.IGNORECASE
)
_NEGATED = re.compile(
    r"don['’]?t\s+(?:worry|care|mind|need)|\b(?:no\s+need|need\s+not|not\s+limited|ignore|unless|"
    r"(?:may|can)\s+(?:exceed|go\s+over)|last\s+time|previous(?:ly)?)\b",
    re.IGNORECASE,
)
_PART = re.compile(
    r"\b(?:each|every|per|jobs?|evals?|evaluations?|epochs?|train(?:ing|ed)?|optimi[sz]er|scripts?|"
    r"smokes?|downloads?|answers?|responses?|replies|latency|warm-?up|sft|grpo|dpo)\b",
    re.IGNORECASE,
)
_PART_AFTER = re.compile(r"\s*of\s+(?:gpu|compute|audio|video|training|data|speech)\b", re.I)
_RATE = re.compile(
    r"\s*(?:/\s*\w+|(?:per|each|every)\b(?:\s+\w+)?|apiece\b|an?\s+(?:hour|day|run|job|step)\b)",
    re.I,
)
_JOINER = re.compile(r"\s*[,&+/]?\s*(?:(?:and|or|plus)\b)?\s*(?:also\b)?\s*", re.IGNORECASE)
_LITTLE = "and|or|but|in|for|on|to|per|of|at|with|after|before|then"
_REST = re.compile(rf"[\w.-]*(?:\s+(?!(?:{_LITTLE})\b)[A-Za-z]+)?")
_CLAUSE = re.compile(r"[,:(]|\b(?:and|but)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|[\n;]")
_VAGUE = re.compile(
    r"\b(?:overnight|by\s+(?:tomorrow|tonight|noon|midnight|(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    r"\d{1,2}(?::\d\d(?:\s?[ap]m)?|\s?[ap]m))|(?:a\s+)?(?:few|couple\s+of|several)\s+"
    r"(?:minutes|hours|days|dollars|steps)|for\s+free|spend\s+nothing|cheaply)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ProseLimits:
    """Limits read out of a request (``None``: none said), and what was not understood."""

    usd: float | None = None
    """Dollars for language model and compute together."""
    hours: float | None = None
    """Hours of wall clock."""
    steps: int | None = None
    """Model replies."""
    understood: tuple[tuple[str, str], ...] = ()
    """The words, and the limit they mean."""
    not_understood: tuple[str, ...] = ()
    """Words that look like a limit and are not enforced."""


@dataclass(frozen=True)
class _Quantity:
    """An amount with its unit, and where in the sentence it stands."""

    kind: Kind
    amount: float
    start: int
    end: int
    reported: bool
    """Mentioned even without a bound: digits before a unit that limits are said in."""


def parse_prose_limits(text: str) -> ProseLimits:
    """Read the limits out of a request in the person's own words."""
    taken: list[tuple[str, _Quantity]] = []
    rest: list[str] = []
    for sentence in _SENTENCE.split(text):
        for chain in _chains(sentence):
            for words, quantity, holds in _read_chain(sentence, chain):
                if holds:
                    taken.append((words, quantity))
                elif words:
                    rest.append(words)
        rest += [match.group() for match in _VAGUE.finditer(sentence)]
    tightest: dict[Kind, float] = {}
    for _, quantity in taken:
        so_far = tightest.get(quantity.kind, quantity.amount)
        tightest[quantity.kind] = min(quantity.amount, so_far)
    steps = tightest.get("steps")
    return ProseLimits(
        tightest.get("usd"),
        tightest.get("hours"),
        None if steps is None else int(steps),
        tuple((words, _meaning(q.kind, q.amount, tightest[q.kind])) for words, q in taken),
        tuple(dict.fromkeys(rest)),
    )


def _read_chain(sentence: str, chain: list[_Quantity]) -> list[tuple[str, _Quantity, bool]]:
    """Each quantity with the words it was said in, and whether it is a limit to enforce."""
    before, after = sentence[: chain[0].start], sentence[chain[-1].end :]
    bound = _UPPER.search(before)
    by_itself = not re.search(r"\w", before + after)
    bounded = by_itself or bool(_AFTER.match(after)) or bool(bound and not _LOWER.search(before))
    clause = _CLAUSE.split(before)[-1]
    negated = bool(_NEGATED.search(clause))
    read: list[tuple[str, _Quantity, bool]] = []
    for quantity in chain:
        first = bound.start() if bound and quantity is chain[0] else quantity.start
        rate = _RATE.match(sentence, quantity.end)
        part = quantity.kind != "usd" and bool(_PART.search(clause))
        part = part or bool(_PART_AFTER.match(sentence, quantity.end))
        holds = bounded and quantity.amount > 0 and not (rate or part or negated)
        last = _end_of_words(sentence, quantity, rate)
        words = sentence[first : quantity.end if holds else last].strip(" ,.")
        if part:
            words = f"{clause.strip()} {sentence[quantity.start : last]}".strip(" ,.")
        read.append((words if bounded or quantity.reported else "", quantity, holds))
    return read


def _end_of_words(sentence: str, quantity: _Quantity, rate: re.Match[str] | None) -> int:
    if rate:
        return rate.end()
    more = _REST.match(sentence, quantity.end) if quantity.kind == "other" else None
    return more.end() if more else quantity.end


def _chains(sentence: str) -> list[list[_Quantity]]:
    """Quantities with nothing but ``and``, ``or`` or a comma between them share one bound."""
    chains: list[list[_Quantity]] = []
    for match in _QUANTITY.finditer(sentence):
        quantity = _quantity(match)
        if quantity is None:
            continue
        if chains and _JOINER.fullmatch(sentence, chains[-1][-1].end, quantity.start):
            chains[-1].append(quantity)
        else:
            chains.append([quantity])
    return chains


def _quantity(match: re.Match[str]) -> _Quantity | None:
    """What a match counts; amount 0 when it cannot be enforced, ``None`` when it is no quantity."""
    if match["hour"]:
        hours = float(match["hour"]) + float(match["minute"]) / 60
        return _Quantity("hours", hours, match.start(), match.end(), True)
    if match["sign"]:
        ours = match["sign"].replace(" ", "") in {"$", "US$"} and not match["span"]
        amount = _number(match["money"]) * (1000 if match["kilo"] else 1) if ours else 0.0
        return _Quantity("usd" if ours else "other", amount, match.start(), match.end(), True)
    said = " ".join(match["number"].lower().split())
    kind, factor = _unit(match["unit"])
    if kind == "other" and (said in _ARTICLES or re.fullmatch(_LITTLE, match["unit"], re.I)):
        return None
    amount = 0.0 if match["spread"] or kind == "other" else _number(said) * factor
    if kind == "steps" and amount != int(amount):
        amount = 0.0
    named = kind != "other" or bool(_FOREIGN.fullmatch(match["unit"]))
    return _Quantity(kind, amount, match.start(), match.end(), named and said[0].isdigit())


def _unit(word: str) -> tuple[Kind, float]:
    for pattern, kind, factor in _UNITS:
        if re.fullmatch(pattern, word, re.IGNORECASE):
            return kind, factor
    return "other", 0.0


def _number(said: str) -> float:
    """The number in digits or words; 0 where the digits can be read in two ways ("1,5")."""
    if said in _WORDS:
        return float(_WORDS[said])
    return float(said.replace(",", "")) if _CLEAN.fullmatch(said) else 0.0


def _meaning(kind: Kind, amount: float, tightest: float) -> str:
    if amount > tightest:
        return "a tighter limit of this kind was said too, and holds"
    if kind == "usd":
        return f"at most {dollars(amount)} for language model and compute together"
    if kind == "hours":
        return f"at most {amount:.4g} h of wall clock"
    return f"at most {amount:g} steps (model replies)"
