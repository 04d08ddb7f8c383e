"""Write what the page takes from the kernel: ``src/wire.ts``, its words, and the package's version.

The kernel alone names the messages, so that the two sides cannot drift apart: ``--check`` says
whether the committed files are what Python gives today. Needs pydantic (extra ``dev``) and
json-schema-to-typescript (``npm ci`` in this folder).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from mlintern_jupyter import __version__, cells, commands, events, jobs, wire

HERE = Path(__file__).parent
TARGET = HERE / "src" / "wire.ts"
PACKAGE_FILES = (HERE / "package.json", HERE / "package-lock.json")
JSON2TS = HERE / "node_modules" / ".bin" / "json2ts"

CONSTANTS: dict[str, Any] = {
    "VERSION": __version__,
    "WIRE_VERSION": wire.WIRE_VERSION,
    "COMM_ID": wire.COMM_ID,
    "CONTROL_REQUEST": wire.CONTROL_REQUEST,
    "CONTROL_REPLY": wire.CONTROL_REPLY,
    "PING_TIMEOUT_S": wire.PING_TIMEOUT_S,
    "LEAD_EXPIRES_S": wire.LEAD_EXPIRES_S,
    "CARD_MIME": cells.CARD_MIME,
}
ALIASES: dict[str, Any] = {
    "Mode": commands.Mode,
    "ModelRole": commands.ModelRole,
    "JobState": jobs.JobState,
    "CellKind": cells.CellKind,
    "CellState": cells.CellState,
    "CellType": cells.CellType,
    "Outcome": events.Outcome,
}
MESSAGES: dict[str, Any] = {
    "ToPeer": wire.ToPeer,
    "ToKernel": wire.ToKernel,
    "Reply": wire.Reply,
    "Command": commands.Command,
}
EVENTS: dict[str, Any] = {"Fact": events.Fact, "Signal": events.Signal}
# Plain JSON objects in Python, because the words of the wire lie below those they carry.
CARRIED = {
    ("FactSaid", "fact"): "Fact",
    ("SignalSaid", "signal"): "Signal",
    ("SendCommand", "command"): "Command",
    ("HelloReply", "messages"): "Said[]",
}
SAID = """
/**
 * A message as the kernel says it. `seq` numbers it within its `boot`, from when the extension was
 * loaded; 0: it may be dropped and is not repeated.
 */
export type Said = ToPeer & { seq: number; boot: string };
"""
HEAD = """/**
 * The words between the kernel and the page. Generated from mlintern_jupyter/{wire,views,commands,
 * events,cells}.py by `make types`: change those, not this file.
 */
"""

Schema = dict[str, Any]


def _dataclasses_in(hint: Any) -> Iterator[type[Any]]:
    """Every dataclass a type names, however deep."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
        for inner in typing.get_type_hints(hint).values():
            yield from _dataclasses_in(inner)
    for argument in typing.get_args(hint):
        yield from _dataclasses_in(argument)


def _definitions(unions: dict[str, Any]) -> dict[str, Schema]:
    """Schemas of the unions' dataclasses by class name, a union itself as one more definition."""
    every: Any = typing.Union[tuple(unions.values())]  # noqa: UP007
    for cls in set(_dataclasses_in(every)):
        # Field docstrings become the page's comments.
        cls.__pydantic_config__ = ConfigDict(use_attribute_docstrings=True)
    schema = TypeAdapter[Any](every).json_schema(
        mode="serialization", ref_template="#/definitions/{model}"
    )
    found: dict[str, Schema] = schema["$defs"]
    for name, union in unions.items():
        found[name] = {"anyOf": [_ref(member.__name__) for member in _members(union)]}
    return found


def _members(union: Any) -> tuple[type[Any], ...]:
    return typing.get_args(union)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _written(name: str, given: Schema) -> Schema:
    """A type by its name in TypeScript (json2ts would write a described reference out)."""
    return {"tsType": name} | {k: given[k] for k in ("description",) if k in given}


def _tidy(node: Any) -> Any:
    """What json2ts needs for good output: every field there, tuples, names for our literals."""
    if isinstance(node, list):
        return [_tidy(item) for item in typing.cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    given = typing.cast("Schema", node)
    for name, alias in ALIASES.items():
        if given.get("enum") == list(typing.get_args(alias)):
            return _written(name, given)
    tidy = {k: _tidy(v) for k, v in given.items() if k not in {"title", "default"}}
    if "prefixItems" in tidy:
        tidy["items"] = tidy.pop("prefixItems")
    if "properties" in tidy:
        tidy["required"] = list(tidy["properties"])
        tidy["additionalProperties"] = False
    if "description" in tidy:
        tidy["description"] = _comment(tidy["description"])
    return tidy


def _comment(docstring: str) -> str:
    return docstring.replace("``None``", "`null`").replace("``", "`")


def _renamed(node: Any, names: dict[str, str]) -> Any:
    """The schema with its references changed to other definitions."""
    if isinstance(node, list):
        return [_renamed(item, names) for item in typing.cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    given = typing.cast("Schema", node)
    changed = {k: _renamed(v, names) for k, v in given.items()}
    if "$ref" in given:
        old = str(given["$ref"]).removeprefix("#/definitions/")
        changed["$ref"] = _ref(names.get(old, old))["$ref"]
    return changed


def _schema() -> Schema:
    """One schema for json2ts: interfaces with a leading I, unions and literals without."""
    messages, said = _definitions(MESSAGES), _definitions(EVENTS)
    for union in EVENTS.values():
        for member in _members(union):
            shape = said[member.__name__]
            tag = {"type": {"const": member.__name__, "type": "string"}}
            shape["properties"] = tag | shape.get("properties", {})
    for (message, field), union in CARRIED.items():
        properties = messages[message]["properties"]
        properties[field] = _written(union, properties[field])
    both = {name for name in messages if name in said and messages[name] != said[name]}
    definitions: dict[str, Schema] = {}
    for group, unions, suffix in ((messages, MESSAGES, ""), (said, EVENTS, "Fact")):
        names = {
            name: name if name in unions else f"I{name}{suffix if name in both else ''}"
            for name in group
        }
        tidy = _renamed(_tidy(group), names)
        definitions |= {names[name]: shape for name, shape in tidy.items()}
    for name, alias in ALIASES.items():
        definitions[name] = {"type": "string", "enum": list(typing.get_args(alias))}
    wanted = [*MESSAGES, *EVENTS, *ALIASES]
    return {
        "title": "Root",
        "type": "object",
        "properties": {name: _ref(name) for name in wanted},
        "required": wanted,
        "additionalProperties": False,
        "definitions": definitions,
    }


def typescript() -> str:
    """Text of ``wire.ts``.

    Raises:
        SystemExit: json2ts is not installed, or it failed.
    """
    if not JSON2TS.exists():
        raise SystemExit(f"{JSON2TS} is not there; run `npm ci` in {HERE}")
    made = subprocess.run(
        [JSON2TS, "--bannerComment", "", "--style.singleQuote", "--style.trailingComma", "none"],
        input=json.dumps(_schema()),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise SystemExit(f"json2ts failed: {made.stderr.strip()}")
    types, roots = re.subn(r"export interface Root \{.*?\n\}\n", "", made.stdout, flags=re.S)
    if roots != 1:
        raise SystemExit("json2ts did not write the root interface that is to be taken out")
    constants = "".join(
        f"export const {name} = {_literal(value)};\n" for name, value in CONSTANTS.items()
    )
    types = re.sub(r"/\*\*\n *\* (.*)\n *\*/", r"/** \1 */", types)
    types = re.sub(r"^\}\n", "}\n\n", types, flags=re.M)
    return f"{HEAD}\n{constants}\n{types.strip()}\n{SAID}"


def _literal(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def versioned(path: Path) -> str:
    """Text of an npm file that carries the package's version."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["version"] = __version__
    if "" in content.get("packages", {}):
        content["packages"][""]["version"] = __version__
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the files, or say whether they are what they should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail if one differs")
    check = parser.parse_args().check
    wanted = {TARGET: typescript()} | {path: versioned(path) for path in PACKAGE_FILES}
    differing = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if check:
        for path in differing:
            sys.stderr.write(f"{path} is not what the kernel's words give; run `make types`\n")
        return 1 if differing else 0
    for path in differing:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
