"""The options of ``%%intern`` and ``mlintern run``: one table feeds both, and their help."""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

from mlintern_jupyter.commands import Mode
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.usage import Limits, Price

MODES: tuple[Mode, ...] = ("review", "auto", "unattended")
_TOOLSETS = re.compile(r"[+-]?[a-z][a-z0-9_]*")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True)
class Option:
    """One option: its flag, its value's name in help (empty for a switch), and one line."""

    flag: str
    value: str
    help: str
    parse: Callable[[str], Any]
    many: bool = False
    """It may stand several times; ``parse`` gives a tuple, and the tuples are joined."""

    @property
    def name(self) -> str:
        """The attribute of ``Options`` this sets."""
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True)
class Options:
    """What the person asked for besides the goal. ``None`` means: not said."""

    model: str | None = None
    mode: Mode | None = None
    budget: float | None = None
    hours: float | None = None
    max_steps: int | None = None
    max_tokens: int | None = None
    api_base: str | None = None
    price: Price | None = None
    context: int | None = None
    """Tokens the model's window holds, where its server does not say it."""
    research_model: str | None = None
    """Of the sub-agents; the main model if not said. So is the next."""
    compaction_model: str | None = None
    fallback_model: str | None = None
    """Takes over when the main model is down; nobody if not said."""
    tool: tuple[str, ...] = ()
    """Functions of the person's own that the intern may call, as ``PKG.MOD:FUNCTION``."""
    tools: tuple[str, ...] = ()
    """Toolsets: ``-NAME`` is all but this one; names without a sign are all that shall be on."""
    session: str | None = None
    again: bool = False
    help: bool = False
    said: frozenset[str] = field(default=frozenset())
    """Names that were given, as opposed to taken from the configuration."""

    def limits(self) -> Limits:
        """The budget these options set."""
        given = Limits(usd=self.budget, hours=self.hours, tokens=self.max_tokens)
        return given if self.max_steps is None else replace(given, steps=self.max_steps)


def _positive(text: str) -> float:
    value = float(text.removeprefix("$"))
    if not math.isfinite(value) or value <= 0:
        raise ValueError("must be a number above zero")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError("must be a whole number above zero")
    return value


def _mode(text: str) -> Mode:
    if text not in MODES:
        raise ValueError(f"must be one of {', '.join(MODES)}")
    return text


def _price(text: str) -> Price:
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError("must be IN,OUT in USD per million tokens, e.g. 0.5,1.5")
    numbers = [float(part) for part in parts]
    if not all(math.isfinite(n) and n >= 0 for n in numbers):
        raise ValueError("must be two numbers that are not negative")
    return Price(numbers[0], numbers[1], source="--price")


def _tools(text: str) -> tuple[str, ...]:
    paths = tuple(path.strip() for path in text.split(","))
    for path in paths:
        if not _DOTTED.fullmatch(path):
            raise ValueError("must be PKG.MOD:FUNCTION, e.g. my_tools.search:arxiv")
    return paths


def _toolsets(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    for word in words:
        if not _TOOLSETS.fullmatch(word):
            raise ValueError("must be names of toolsets, e.g. -research, or notebook,compute")
    return words


def _session(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", text):
        raise ValueError("must be letters, digits and dashes, as `%intern sessions` prints them")
    return text


OPTIONS: tuple[Option, ...] = (
    Option("--model", "NAME", "language model, as litellm spells it, or `playbook`", str),
    Option("--mode", "MODE", "review (default), auto or unattended", _mode),
    Option("--budget", "USD", "cap on model and compute cost together", _positive),
    Option("--hours", "H", "cap on wall-clock hours of its turns", _positive),
    Option("--max-steps", "N", "cap on model replies of the session (default 300)", _count),
    Option("--max-tokens", "N", "cap on tokens, prompt and output together", _count),
    Option("--api-base", "URL", "base URL of an OpenAI-compatible server", str),
    Option("--price", "IN,OUT", "USD per million tokens of a model without a known price", _price),
    Option("--context", "TOKENS", "the model's window, where its server does not say it", _count),
    Option("--research-model", "NAME", "model of the sub-agents (default: --model)", str),
    Option("--compaction-model", "NAME", "model that makes digests (default: --model)", str),
    Option("--fallback-model", "NAME", "takes over when the model is down (default: none)", str),
    Option(
        "--tool", "PKG.MOD:FUNCTION", "a tool of your own; may be said again", _tools, many=True
    ),
    Option(
        "--tools",
        "SETS",
        "toolsets: `-research` is all but this one, `compute,mcp` only these (`%intern tools`)",
        _toolsets,
        many=True,
    ),
    Option("--session", "ID", "the session this cell belongs to (stamped by the magic)", _session),
    Option("--again", "", "start a new session instead of showing the finished one", bool),
    Option("--help", "", "show this help", bool),
)
_BY_FLAG = {option.flag: option for option in OPTIONS}


def usage_text() -> str:
    """Help of the cell magic, made from the table."""
    width = max(len(f"{o.flag} {o.value}") for o in OPTIONS)
    lines = [f"  {f'{o.flag} {o.value}':<{width}}  {o.help}" for o in OPTIONS]
    return "\n".join(
        [
            "%%intern [options] <goal>",
            "further wishes, in your own words, on the lines below (optional)",
            "",
            "examples:",
            "  %%intern improve nano/mcq --model playbook",
            "  %%intern improve GPQA --model anthropic/claude-sonnet-4-5 --budget 20 --hours 6",
            "",
            "options:",
            *lines,
            "",
            "See also: `%intern help` (status, next, steer, stop, ...), `%config InternMagics`",
        ]
    )


def parse_line(line: str) -> tuple[str, Options]:
    """Split a magic's first line into the goal and its options; options may stand anywhere.

    Raises:
        UsageError: an unknown option, a missing or a wrong value; names the nearest option.
    """
    try:
        words = shlex.split(line, posix=True)
    except ValueError:
        # An apostrophe in plain words ("the model's score") is not an unbalanced quote.
        words = line.split()
    values: dict[str, Any] = {}
    goal: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if not word.startswith("--") or word == "--":
            goal.append(word)
            continue
        flag, has_value, value = word.partition("=")
        option = _BY_FLAG.get(flag)
        if option is None:
            raise unknown_option(flag)
        if not option.value:
            values[option.name] = True
            continue
        if not has_value:
            if index >= len(words):
                raise UsageError(
                    f"{flag} needs a value: {flag} {option.value}", do=f"{flag}: {option.help}"
                )
            value = words[index]
            index += 1
        _take(values, option, value)
    return " ".join(goal).strip(), Options(**values, said=frozenset(values))


def _take(values: dict[str, Any], option: Option, text: str) -> None:
    value = parse_value(option, text)
    values[option.name] = (*values.get(option.name, ()), *value) if option.many else value


def parse_default(option: Option, value: object) -> Any:
    """A value from a configuration: as on the line, or a list where several may be said.

    Raises:
        UsageError: names the option and what is allowed.
    """
    if option.many and isinstance(value, list | tuple):
        value = ",".join(str(one) for one in cast("Iterable[object]", value))
        if not value:
            return ()
    return parse_value(option, str(value))


def parse_value(option: Option, text: str) -> Any:
    """One option's value. Raises UsageError that names the option and what is allowed."""
    try:
        return option.parse(text)
    except ValueError as error:
        raise UsageError(
            f"{option.flag} {text}: {error}", do=f"{option.flag} {option.value}: {option.help}"
        ) from None


def unknown_option(flag: str) -> UsageError:
    """The error for an option that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(flag, _BY_FLAG, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return UsageError(
        f"there is no option {flag}",
        do=f"{hint}the options are {', '.join(_BY_FLAG)}; `%%intern --help` explains them",
    )


def merged(options: Options, defaults: dict[str, Any]) -> Options:
    """Options with what was not said filled in from the configuration."""
    unsaid = {k: v for k, v in defaults.items() if k not in options.said}
    return replace(options, **unsaid)
