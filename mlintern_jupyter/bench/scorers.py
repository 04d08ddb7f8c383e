"""What counts as a right answer: pure functions from output and expectation to a judgement.

All three look at the *end* of the output. A model that answers and then rambles on, because nothing
stopped it, is wrong: exactly what happens to real checkpoints whose stop token is missing.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a scorer says of one output."""

    correct: bool
    """Whether the output ends with the right answer."""
    found: bool
    """Whether an answer in the wanted form was found at all."""
    error: str = ""
    """Kind of mistake in a few words, the same for all items that fail alike; else empty."""


_RIGHT = Judgement(correct=True, found=True)
_NUMBER = re.compile(r"ANSWER:\s*(-?\d[\d,]*(?:\.\d+)?)")
_OPTION = re.compile(r"ANSWER:\s*\(?([A-Z])\)?(?![A-Za-z])")
_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


def _at_end(pattern: re.Pattern[str], output: str) -> tuple[str, str]:
    """The answer that the output ends with and "", or "" and the kind of mistake."""
    if not output.strip():
        return "", "empty"
    matches = list(pattern.finditer(output))
    if not matches:
        return "", "no answer"
    last = matches[-1]
    if output[last.end() :].strip(" \n.*"):
        return "", "answer not at the end"
    return last.group(1), ""


def number_at_end(output: str, expected: str) -> Judgement:
    """Judge an output that has to end with ``ANSWER: <number>``; ``1,234.0`` equals ``1234``."""
    answer, mistake = _at_end(_NUMBER, output)
    if mistake:
        return Judgement(correct=False, found=False, error=mistake)
    if float(answer.replace(",", "")) == float(expected.replace(",", "")):
        return _RIGHT
    return Judgement(correct=False, found=True, error="wrong answer")


def option_at_end(output: str, expected: str) -> Judgement:
    """Judge an output that has to end with ``ANSWER: <letter>``."""
    answer, mistake = _at_end(_OPTION, output)
    if mistake:
        return Judgement(correct=False, found=False, error=mistake)
    return (
        _RIGHT if answer == expected else Judgement(correct=False, found=True, error="wrong answer")
    )


def one_tool_call(output: str, expected: str) -> Judgement:
    """Judge an output that has to be exactly one ``<tool_call>`` whose JSON equals ``expected``.

    Args:
        output: the model's text. Words before the call are allowed, anything after it is not.
        expected: JSON text of ``{"name": ..., "arguments": {...}}``; order of keys and spacing are
            free.
    """
    if not output.strip():
        return Judgement(correct=False, found=False, error="empty")
    calls = list(_CALL.finditer(output))
    if not calls:
        return Judgement(correct=False, found=False, error="no answer")
    if len(calls) > 1:
        return Judgement(correct=False, found=True, error="several calls")
    if output[calls[0].end() :].strip():
        return Judgement(correct=False, found=False, error="answer not at the end")
    return _judge_call(calls[0].group(1), json.loads(expected))


def _judge_call(text: str, wanted: dict[str, Any]) -> Judgement:
    def wrong(error: str) -> Judgement:
        return Judgement(correct=False, found=True, error=error)

    try:
        call: Any = json.loads(text)
    except ValueError:
        return wrong("not JSON")
    if not isinstance(call, dict) or set(cast(dict[str, Any], call)) != set(wanted):
        return wrong("wrong schema")
    if call["name"] != wanted["name"]:
        return wrong("wrong name")
    return _RIGHT if call == wanted else wrong("wrong arguments")


SCORERS: Mapping[str, Callable[[str, str], Judgement]] = MappingProxyType(
    {"number": number_at_end, "option": option_at_end, "tool": one_tool_call}
)
"""Scorer by the name a ``task.toml`` uses."""
