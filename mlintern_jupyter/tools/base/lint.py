"""What is wrong with a cell before anybody is asked to run it.

Every finding names the line and the way out. Not covered: names that do not exist, wrong keyword
arguments (``inspect_object`` is for that) and whether code is safe (policy decides that).
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Callable

from IPython.core.inputtransformer2 import TransformerManager

from mlintern_jupyter.cells import CellType
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.tools.base.remote_content import remote_loads

_PYTHON_MAGICS = frozenset({"job", "time", "timeit", "capture"})
"""Cell magics whose body is Python; the body of any other is not looked at."""
_CELL_MAGIC = re.compile(r"\s*%%(\w+)[^\n]*\n?(.*)", re.DOTALL)
_JOINERS = "\u200c\u200d"
"""Needed by some scripts and by emoji; they reorder and hide nothing."""


def check_cell(source: str, cell_type: CellType, has_secret: Callable[[str], str | None]) -> None:
    """Refuse a cell that cannot be right.

    Raises:
        ToolError: it is empty, hides characters, holds a secret, does not parse, trains in the
            kernel, or loads a picture from another host; says where and what to write instead.
    """
    if not source.strip():
        raise ToolError("the cell is empty")
    _check_visible(source)
    if secret := has_secret(source):
        raise ToolError(
            f"the cell holds a secret: {secret}",
            do="read it from the environment where the code runs: os.environ['NAME']",
        )
    if cell_type == "code":
        _check_code(source)
    elif address := remote_loads(source):
        raise ToolError(
            f"the text loads something from elsewhere: {address.strip()[:200]}",
            why="whoever opens the notebook would tell that host so, just by looking at it",
            do="write a plain link, [words](address), that the person may follow; a plot is a code"
            " cell that draws it; a file beside the notebook may be shown by its relative path",
        )


def _check_visible(source: str) -> None:
    for number, line in enumerate(source.split("\n"), 1):
        for character in line:
            if (
                unicodedata.category(character) not in {"Cc", "Cf"}
                or character in f"\t\r{_JOINERS}"
            ):
                continue
            raise ToolError(
                f"line {number} holds the invisible character U+{ord(character):04X}",
                why="a person who reviews the cell cannot see it",
                do=f"leave it out, or write it as an escape in a string: \\u{ord(character):04x}",
            )


def _check_code(source: str) -> None:
    magic = _CELL_MAGIC.match(source)
    if magic is None:
        _check_kernel_code(_parsed(TransformerManager().transform_cell, source, 0))
    elif magic[1] == "job":
        if not magic[2].strip():
            raise ToolError("the %%job cell has no script below its first line")
        # A job is a file that Python runs: no magics inside.
        _parsed(str, magic[2], source.count("\n") - magic[2].count("\n"))
    elif magic[1] in _PYTHON_MAGICS:
        _check_kernel_code(_parsed(TransformerManager().transform_cell, magic[2], 1))


def _parsed(transform: Callable[[str], str], source: str, lines_before: int) -> ast.Module:
    try:
        return ast.parse(transform(source))
    except SyntaxError as error:
        line = (error.lineno or 1) + lines_before
        shown = (error.text or "").strip()[:120]
        raise ToolError(f"the code does not parse, line {line}: {error.msg}: {shown}") from None
    except (ValueError, RecursionError) as error:
        raise ToolError(f"the code does not parse: {error}") from None


def _check_kernel_code(tree: ast.Module) -> None:
    """Training in the kernel leaves its result in a variable, which no restart survives."""
    trainers = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _makes_trainer(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _trains(node, trainers):
            raise ToolError(
                f"line {node.lineno} trains in the kernel, outside a %%job cell",
                why="what is expensive passes between cells as a file, never as a variable",
                do="make it one script cell that begins with `%%job NAME --on local`, saves the"
                ' model and is read with job("NAME").result()',
            )


def _trains(call: ast.Call, trainers: set[str]) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "train":
        return False
    # `model.train()` only switches a mode in torch; a trainer's `train()` trains.
    of = call.func.value
    if isinstance(of, ast.Name):
        return of.id in trainers or "trainer" in of.id.lower()
    return _makes_trainer(of)


def _makes_trainer(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    made = node.func
    name = made.attr if isinstance(made, ast.Attribute) else getattr(made, "id", "")
    return name.endswith("Trainer")
