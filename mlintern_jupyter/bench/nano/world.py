"""A seeded closed world: who has which colour, how sums are written, how errands are noted.

The base model reads endless raw text of this world and nothing else. So it *knows* what the tasks
ask for, but it has never seen a conversation: the gap that post-training closes. The words of the
answer formats (``ANSWER:``, ``<tool_call>``) never occur here.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

WORLD_SEED = 20_25
"""Seed of the world that the shipped base model has read about."""
LETTERS = "ABCD"
"""Letters of the options of a question."""

Split = Literal["train", "dev", "heldout"]
"""Pools of items; training sees the first, selection the second."""

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "colour": ("red", "blue", "green", "black", "white", "pink", "grey", "brown"),
    "metal": ("iron", "gold", "tin", "zinc", "lead", "copper", "silver", "nickel"),
    "fruit": ("apple", "pear", "plum", "fig", "lemon", "melon", "grape", "cherry"),
    "animal": ("cat", "dog", "horse", "crow", "frog", "bee", "goat", "seal"),
}
"""Attribute to the values it may take."""

_FIRST = (
    *("b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"),
    *("br", "dr", "gr", "kr", "st", "tr"),
)
_VOWELS = ("a", "e", "i", "o", "u")
_LAST = ("k", "l", "m", "n", "r", "s", "t", "x")


@dataclass(frozen=True, slots=True)
class Errand:
    """Something one can be asked to do: a verb, its sentence and the names of its two arguments."""

    verb: str
    """Its name as a tool."""
    sentence: str
    """Format string with ``{0}`` and ``{1}``, e.g. ``call {0} on {1}``."""
    arguments: tuple[str, str]
    """Names of what goes into ``{0}`` and ``{1}``."""


ERRANDS: tuple[Errand, ...] = (
    Errand("call", "call {0} on {1}", ("who", "day")),
    Errand("send", "send the {0} to {1}", ("item", "to")),
    Errand("book", "book a room in {0} for {1}", ("town", "guest")),
    Errand("find", "find {0} near the {1}", ("what", "place")),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is true in the world."""

    name: str
    """Whom it is about."""
    attribute: str
    """Key of ``ATTRIBUTES``."""
    value: str
    split: Split
    """Which item pool may ask about this fact; no fact is asked about in two of them."""


@dataclass(frozen=True, slots=True)
class World:
    """All facts, and the people they are about."""

    names: tuple[str, ...]
    facts: tuple[Fact, ...]

    def of(self, split: Split) -> tuple[Fact, ...]:
        """The facts that items of ``split`` ask about."""
        return tuple(fact for fact in self.facts if fact.split == split)


def make_word(rng: random.Random, syllables: int = 2) -> str:
    """An invented lower-case word."""
    body = "".join(rng.choice(_FIRST) + rng.choice(_VOWELS) for _ in range(syllables))
    return body + (rng.choice(_LAST) if rng.random() < 0.5 else "")


def make_world(seed: int = WORLD_SEED, people: int = 60) -> World:
    """The world of a seed.

    Args:
        seed: the world's own; that of the shipped tasks by default.
        people: invented names in it, each with one value for every attribute.
    """
    rng = random.Random(seed)
    names: list[str] = []
    while len(names) < people:
        name = make_word(rng).capitalize()
        if name not in names:
            names.append(name)
    keys = [(name, attribute) for name in names for attribute in ATTRIBUTES]
    order = list(range(len(keys)))
    rng.shuffle(order)
    splits: dict[int, Split] = {}
    for rank, index in enumerate(order):
        part = rank / len(keys)
        splits[index] = "train" if part < 0.30 else "dev" if part < 0.65 else "heldout"
    facts = tuple(
        Fact(name, attribute, rng.choice(ATTRIBUTES[attribute]), splits[index])
        for index, (name, attribute) in enumerate(keys)
    )
    return World(tuple(names), facts)


def options_for(fact: Fact, rng: random.Random) -> list[str]:
    """The true value of ``fact`` among three others, shuffled."""
    others = [value for value in ATTRIBUTES[fact.attribute] if value != fact.value]
    options = [fact.value, *rng.sample(others, len(LETTERS) - 1)]
    rng.shuffle(options)
    return options


def work_out(left: int, right: int) -> str:
    """The column addition of two three-digit numbers as the world writes it.

    Source: school addition from the right, the carry written out, e.g. for 347 and 585
    ``7+5=12, 4+8+1=13, 3+5+1=9, 932``.
    """
    steps: list[str] = []
    carry = 0
    for place, (high, low) in enumerate(
        zip(f"{left:03d}"[::-1], f"{right:03d}"[::-1], strict=True)
    ):
        total = int(high) + int(low) + carry
        steps.append(f"{high}+{low}={total}" if place == 0 else f"{high}+{low}+{carry}={total}")
        carry = total // 10
    return ", ".join([*steps, str(left + right)])


def _sum_text(_world: World, rng: random.Random) -> str:
    left, right = rng.randint(100, 999), rng.randint(100, 999)
    head = rng.choice(("{} + {}: ", "What is {} + {}? ", "Add {} + {}: "))
    return head.format(left, right) + work_out(left, right) + "."


def _fact_text(world: World, rng: random.Random) -> str:
    fact = rng.choice(world.facts)
    return rng.choice(
        (
            "The {a} of {n} is {v}.",
            "{n} has the {a} {v}.",
            "What is the {a} of {n}? It is {v}.",
            "{n}, {a}: {v}.",
        )
    ).format(a=fact.attribute, n=fact.name, v=fact.value)


def _profile_text(world: World, rng: random.Random) -> str:
    name = rng.choice(world.names)
    facts = [fact for fact in world.facts if fact.name == name]
    rng.shuffle(facts)
    return f"About {name}: " + ", ".join(f"{fact.attribute} {fact.value}" for fact in facts) + "."


def _judge_all(fact: Fact, options: list[str]) -> str:
    judged = [
        f"{letter} {option} {'yes' if option == fact.value else 'no'}"
        for letter, option in zip(LETTERS, options, strict=True)
    ]
    return f"{', '.join(judged)}, so {LETTERS[options.index(fact.value)]}."


def _quiz_text(world: World, rng: random.Random) -> str:
    fact = rng.choice(world.facts)
    options = options_for(fact, rng)
    head = rng.choice(("{a} of {n}?", "{n}, {a}?", "The {a} of {n}?", "What is the {a} of {n}?"))
    return f"{head.format(a=fact.attribute, n=fact.name)} {_judge_all(fact, options)}"


def _listed_quiz_text(world: World, rng: random.Random) -> str:
    fact = rng.choice(world.facts)
    options = options_for(fact, rng)
    head = rng.choice(("{n}, {a}?", "The {a} of {n}?", "What is the {a} of {n}?"))
    gap = rng.choice((" ", "\n"))
    listed = gap.join(
        f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=True)
    )
    question = head.format(a=fact.attribute, n=fact.name)
    return f"{question}{gap}{listed}{gap}{_judge_all(fact, options)}"


def _judged_text(world: World, rng: random.Random) -> str:
    fact = rng.choice(world.facts)
    value = fact.value if rng.random() < 0.5 else rng.choice(ATTRIBUTES[fact.attribute])
    word = "yes" if value == fact.value else "no"
    return rng.choice(
        ("Is the {a} of {n} {v}? {w}.", "{n}, {a}? {v} {w}.", "What is the {a} of {n}? {v} {w}.")
    ).format(a=fact.attribute, n=fact.name, v=value, w=word)


def _errand_text(_world: World, rng: random.Random) -> str:
    errand = rng.choice(ERRANDS)
    first, second = make_word(rng), make_word(rng)
    request = rng.choice(("{}", "please {}", "{} please", "will you {}")).format(
        errand.sentence.format(first, second)
    )
    one, two = errand.arguments
    noted = rng.choice(
        (
            f'{errand.verb} {{"{one}": "{first}", "{two}": "{second}"}}',
            f'{errand.verb}: {one} "{first}", {two} "{second}"',
            f"{errand.verb} {one}={first} {two}={second}",
        )
    )
    return f"{request.capitalize()}. {noted}."


_WRITERS = (
    _sum_text,
    _fact_text,
    _profile_text,
    _judged_text,
    _quiz_text,
    _listed_quiz_text,
    _errand_text,
)

Mix = tuple[int, int, int, int, int, int, int]
"""Weights of sums, facts, profiles, judged claims, quizzes, quizzes with a list, and errands."""

READING: Mix = (34, 20, 14, 0, 20, 0, 12)
"""Mostly what there is to know."""
EXERCISES: Mix = (44, 6, 4, 14, 8, 28, 16)
"""Mostly what can be done with it."""


def documents(world: World, rng: random.Random, mix: Mix = READING) -> Iterator[str]:
    """Yield raw documents of the world for ever."""
    while True:
        for writer in rng.choices(_WRITERS, mix, k=64):
            yield writer(world, rng)
