# pyright: basic
"""Arguments of a call against the JSON schema an MCP server gave for them.

The schema is a stranger's: nothing it refers to is fetched, its regular expressions are not run
(one can take longer than the universe has), and references are followed a bounded number of times.
The server checks the rest itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from mlintern_jupyter.tools.mcp.manifest import seen

MOST_REFERENCES = 2_000
_WORDS = Draft202012Validator.VALIDATORS


class _TooDeep(Exception):
    """The schema refers to itself too often."""


def problem(schema: dict[str, Any], arguments: dict[str, Any]) -> str:
    """What is wrong with the arguments, naming the parameter; empty where nothing is."""
    known = schema.get("properties")
    open_ended = "additionalProperties" in schema or "patternProperties" in schema
    if isinstance(known, dict) and not open_ended:
        for name in arguments:
            if name not in known:
                return f"has no parameter {name[:80]!r}"
    try:
        found = best_match(_validator(schema).iter_errors(arguments))
    except (_TooDeep, RecursionError):
        return "cannot be called: the schema of its parameters refers to itself without end"
    except Unresolvable:
        return "cannot be called: the schema of its parameters refers to another place"
    except Exception as error:  # noqa: BLE001
        # A stranger's schema can be malformed in every way; each costs this tool and nothing else.
        return f"cannot be called: the schema of its parameters is broken ({type(error).__name__})"
    return "" if found is None else _said(found)


def _validator(schema: dict[str, Any]) -> Any:
    followed = 0

    def counted(word: str) -> Any:
        def follow(validator: Any, ref: Any, instance: Any, schema: Any) -> Iterator[Any]:
            nonlocal followed
            followed += 1
            if followed > MOST_REFERENCES:
                raise _TooDeep
            yield from _WORDS[word](validator, ref, instance, schema)

        return follow

    ours = {
        "pattern": _unchecked,
        "patternProperties": _unchecked,
        "unevaluatedProperties": _unchecked,
        "additionalProperties": _additional,
        "$ref": counted("$ref"),
        "$dynamicRef": counted("$dynamicRef"),
    }
    # An empty registry: without one, a reference to an address would be fetched.
    return extend(Draft202012Validator, ours)(schema, registry=Registry())


def _unchecked(*_: Any) -> tuple[()]:
    return ()


def _additional(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
    if "patternProperties" in schema:
        return ()
    return _WORDS["additionalProperties"](validator, value, instance, schema)


def _said(error: ValidationError) -> str:
    where = ".".join(str(step) for step in error.absolute_path)
    return seen(f"{where}: {error.message}" if where else error.message)[:400]
