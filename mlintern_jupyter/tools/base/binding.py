"""Strict reading of a call's raw arguments, against the schema the model was given.

One JSON object, nothing given twice, nothing unknown or missing, every type and choice exact, every
number finite, every text whole. What is refused is named, with what came and what is allowed.

The part of JSON schema that is understood is what ``tools.schema`` writes: ``type``, ``enum``,
``minimum``, ``maximum``, ``items``, ``properties`` with ``required``, ``additionalProperties``,
``anyOf``, and the empty schema, which allows any JSON value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, cast

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolSpec

Schema = Mapping[str, Any]

_TYPES: dict[str, tuple[type[Any], str]] = {
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "number": (float, "a number"),
    "boolean": (bool, "true or false"),
    "null": (type(None), "null"),
}


def bound(spec: ToolSpec, arguments: str) -> dict[str, Any]:
    """The arguments a call gives, in the order of the parameters, without defaults.

    Raises:
        ToolError: the text is not one JSON object that fits; says why and what is allowed.
    """
    try:
        return _bound(spec.parameters, arguments)
    except ValueError as error:
        choices = _choices(spec.parameters)
        raise ToolError(
            f"{spec.name}: {error}", do=f"parameters are {choices}" if choices else "give none"
        ) from None


def allowed(schema: Schema) -> str:
    """What a schema allows, in words."""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "anyOf" in schema:
        return " or ".join(allowed(choice) for choice in schema["anyOf"])
    kind = schema.get("type")
    if kind == "array":
        return f"a list, each item {allowed(schema['items'])}"
    if kind == "object":
        fields = schema.get("properties")
        if fields is None:
            return f"an object, each value {allowed(schema.get('additionalProperties', {}))}"
        return f"an object of {', '.join(f'{n} ({allowed(s)})' for n, s in fields.items())}"
    return f"{_TYPES[kind][1]}{_range(schema)}" if kind else "any value"


def _choices(parameters: Schema) -> str:
    return "; ".join(
        f"{name}: {allowed(schema)}{'' if name in parameters['required'] else ' (optional)'}"
        for name, schema in parameters["properties"].items()
    )


def _bound(parameters: Schema, arguments: str) -> dict[str, Any]:
    given = one_object(arguments)
    properties = cast("dict[str, Schema]", parameters["properties"])
    for name in given:
        if name not in properties:
            raise ValueError(f"has no parameter {_shown(name)}")
    missing = [name for name in parameters["required"] if name not in given]
    if missing:
        raise ValueError(f"needs {', '.join(missing)}")
    return {
        name: _checked(schema, given[name], name)
        for name, schema in properties.items()
        if name in given
    }


def one_object(arguments: str) -> dict[str, Any]:
    """Arguments as one strict JSON object; nothing at all is an empty one.

    Raises:
        ValueError: it is none, names a key twice, or holds NaN or Infinity.
    """
    try:
        given = json.loads(
            arguments.strip() or "{}",
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise ValueError("arguments are nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"arguments are not valid JSON: {error}") from None
    if not isinstance(given, dict):
        raise ValueError(f"arguments must be one JSON object, not {_shown(given)}")
    return cast("dict[str, Any]", given)


def _checked(schema: Schema, value: Any, where: str) -> Any:
    """The value, if it fits the schema. Raises ValueError that says where it does not."""
    if "anyOf" in schema:
        return _checked_choice(schema, value, where)
    if "enum" in schema:
        # True is 1 to Python, not to JSON.
        if any(type(value) is type(one) and value == one for one in schema["enum"]):
            return value
        raise _wrong(where, value, schema)
    kind = schema.get("type")
    if isinstance(value, list) and kind in {None, "array"}:
        items = cast("list[Any]", value)
        inner = schema.get("items", {})
        return [_checked(inner, item, f"{where}[{i}]") for i, item in enumerate(items)]
    if isinstance(value, dict) and kind in {None, "object"}:
        return _checked_object(schema, cast("dict[str, Any]", value), where)
    return _checked_scalar(schema, value, where)


def _checked_choice(schema: Schema, value: Any, where: str) -> Any:
    for choice in schema["anyOf"]:
        try:
            return _checked(choice, value, where)
        except ValueError:
            continue
    raise _wrong(where, value, schema)


def _checked_object(schema: Schema, value: dict[str, Any], where: str) -> dict[str, Any]:
    fields = schema.get("properties")
    if fields is None:
        inner = schema.get("additionalProperties", {})
        return {_text(n): _checked(inner, v, f"{where}.{_text(n)}") for n, v in value.items()}
    if not set(schema["required"]) <= set(value) <= set(fields):
        raise _wrong(where, value, schema)
    return {n: _checked(s, value[n], f"{where}.{n}") for n, s in fields.items() if n in value}


def _checked_scalar(schema: Schema, value: Any, where: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is not a finite number")
    kind = schema.get("type")
    if isinstance(value, str) and kind in {None, "string"}:
        return _text(value)
    if kind is None:
        return value
    given = cast("type[Any]", type(value))
    wanted = _TYPES[kind][0] if kind in _TYPES else list
    if (given is wanted or (wanted is float and given is int)) and _within(schema, value):
        return value
    raise _wrong(where, value, schema)


def _within(schema: Schema, value: Any) -> bool:
    if "minimum" not in schema:
        return True
    return bool(schema["minimum"] <= value <= schema.get("maximum", math.inf))


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" of {low} or more" if low is not None else ""


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text holds half a character (a lone surrogate) at {error.start}; send it whole"
        ) from None
    return value


def _wrong(where: str, value: Any, schema: Schema) -> ValueError:
    return ValueError(f"{where} is {_shown(value)}, allowed is {allowed(schema)}")


def _shown(value: Any) -> str:
    # Escaped, because a refused text may hold what cannot be encoded.
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if name in seen:
            raise ValueError(f"{_shown(name)} is given twice")
        seen[name] = value
    return seen


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
