"""Which cells may run by themselves in mode ``auto``: an allow-list, kept in ``autorun.toml``.

A cell is read, never run. It passes when everything it imports and calls is on the list, and when
every place it writes to can be seen to lie in the workspace. What cannot be seen asks: a name from
another cell, a path put together at run time, a module nobody listed.

A guard against accidents, not a sandbox: Python that wants to hide what it does can.
"""

from __future__ import annotations

import ast
import posixpath
import re
import tomllib
import warnings
from collections import Counter
from importlib.resources import files
from typing import Any

from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.jobs import JOB_OPTIONS, parse_job_line

_RULES: dict[str, Any] = tomllib.loads(
    files("mlintern_jupyter.policy").joinpath("autorun.toml").read_text(encoding="utf-8")
)
_OUTSIDE = re.compile(r"^(/|~|\\|[A-Za-z]:[\\/])|(^|/)\.\.(/|$)")
"""A place to write to that is not below the workspace."""
_NAMES_OUTSIDE = re.compile(
    r"^/[\w.-]+/|^/(tmp|etc|home|root|usr|var|opt|mnt|dev|proc|srv|content|data)$"
    r"|^~[\w-]*(/|$)|^[A-Za-z]:[\\/]|(^|/)\.\.(/|$)"
)
"""Text that can only be meant as such a place (``/no_think`` and ``\\d+`` are not)."""
_HEADER = re.compile(r"(?ms)^# /// script\s*$(?P<body>(?:\s^#[^\n]*$)*?)\s^# ///\s*$")
_WRITING = frozenset("wax+")
_PATH_MAKERS = frozenset({"pathlib.Path", "os.path.join", ".str"})
_DEEPEST = 20


def may_run_unreviewed(source: str) -> str:
    """Whether a code cell stays inside: empty if it does, else the reason to ask a person."""
    try:
        code, reason = _python(source)
        if reason:
            return reason
        with warnings.catch_warnings():
            # Python warns of odd escapes in the cell; that is for its run, not for its reading.
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return "it is not plain Python"
    reader = _Reader(tree)
    try:
        reader.visit(tree)
    except RecursionError:
        return "it is nested too deeply to be read"
    return reader.reason


def _python(source: str) -> tuple[str, str]:
    """The cell's Python without the magics that are allowed, and the reason if one is not."""
    first, _, body = source.lstrip().partition("\n")
    words = first.split()
    if first.startswith("%%"):
        if words[0] == "%%job":
            line = first.lstrip().removeprefix("%%job")
            return body, _job_reason(line) or _packages_reason(body)
        if first.strip() not in _RULES["magics"]["cells"]:
            return body, f"{words[0]} is not on the list"
        return body, ""
    lines = source.split("\n")
    if any(line.startswith(("%", "!")) for line in lines):
        allowed = set(_RULES["magics"]["lines"])
        lines = ["" if line.strip() in allowed else line for line in lines]
    return "\n".join(lines), ""


def _job_reason(line: str) -> str:
    try:
        job = parse_job_line(line)
    except UsageError as error:
        return error.what
    if job.spec.on != _RULES["job"]["on"]:
        return "only a job on this machine runs by itself"
    for option in JOB_OPTIONS:
        if option.flag in job.said and not option.runs_unasked:
            return f"a job with {option.flag} asks"
    return ""


def _packages_reason(script: str) -> str:
    header = _HEADER.search(script)
    if header is None:
        return ""
    lines = (line.strip().removeprefix("#") for line in header["body"].splitlines())
    try:
        wanted = tomllib.loads("\n".join(lines)).get("dependencies", [])
    except tomllib.TOMLDecodeError:
        return "the script's header cannot be read"
    for requirement in wanted:
        name = re.match(r"\s*([A-Za-z0-9._-]*)", str(requirement))
        package = re.sub(r"[-_.]+", "-", name[1]).lower() if name else ""
        if package not in _RULES["job"]["packages"] or "@" in str(requirement):
            return f"the script asks for the package {requirement}"
    return ""


class _Reader(ast.NodeVisitor):
    """Walks a cell and keeps the first reason to ask."""

    def __init__(self, tree: ast.Module) -> None:
        self.reason = ""
        self._modules: dict[str, str] = {}
        self._assigned: dict[str, list[ast.expr]] = {}
        self._bound: Counter[str] = Counter()
        for node in ast.walk(tree):
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        """Remember how names are bound: one that is assigned once and no more is its value."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._note_value(target, node.value)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self._bound[node.id] += 1
        elif isinstance(node, ast.arg):
            self._bound[node.arg] += 1

    def _note_value(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._assigned.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            starred = any(isinstance(e, ast.Starred) for e in [*target.elts, *value.elts])
            if not starred and len(target.elts) == len(value.elts):
                for one, its in zip(target.elts, value.elts, strict=True):
                    self._note_value(one, its)

    def _ask(self, reason: str, node: ast.AST) -> None:
        line = getattr(node, "lineno", 0)
        self.reason = self.reason or f"{reason} (line {line})"

    # what is imported ------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            bound = name.asname or name.name.partition(".")[0]
            self._modules[bound] = name.name if name.asname else bound
            self._check_import(name.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            self._ask("a relative import is not on the list", node)
        for name in node.names:
            if module in _RULES["partial"]:
                if name.name not in _RULES["partial"][module]:
                    self._ask(f"{module}.{name.name} is not on the list", node)
            else:
                self._check_import(module, node)
            self._check_name(name.name, node)
            self._check_attribute(name.name, f"{module}.{name.name}", node)
            self._modules[name.asname or name.name] = f"{module}.{name.name}"

    def _check_import(self, module: str, node: ast.AST) -> None:
        top, _, rest = module.partition(".")
        if top in _RULES["partial"]:
            allowed = not rest or rest.partition(".")[0] in _RULES["partial"][top]
        else:
            allowed = top in _RULES["modules"] or module in _RULES["modules"]
        if not allowed:
            self._ask(f"the module {module} is not on the list", node)
        self._check_dotted(module, node)

    # what is used ----------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        self._check_name(node.id, node)
        if self._modules.get(node.id) in _RULES["partial"]:
            self._ask(f"the module {node.id} is used as a value", node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = self._dotted(node)
        self._check_attribute(node.attr, dotted, node)
        module, _, attribute = dotted.rpartition(".")
        if module in _RULES["partial"]:
            if attribute not in _RULES["partial"][module]:
                self._ask(f"{dotted} is not on the list", node)
            return
        self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        text = node.value
        sentence = not isinstance(text, str) or re.search(r"\s", text)
        if isinstance(text, str) and not sentence and _NAMES_OUTSIDE.search(text):
            self._ask(f"it names a place outside the workspace: {text[:60]}", node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "getattr":
            self._check_getattr(node)
        self._check_keywords(node)
        self._check_writes(node)
        self.generic_visit(node)

    def _check_getattr(self, node: ast.Call) -> None:
        name = node.args[1] if len(node.args) > 1 else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self._check_attribute(name.value, f".{name.value}", node)
        else:
            self._ask("an attribute is looked up by a name that cannot be seen", node)

    def _check_name(self, name: str, node: ast.AST) -> None:
        if name in _RULES["names"] or (name == "*"):
            self._ask(f"{name} is not on the list", node)

    def _check_attribute(self, attribute: str, dotted: str, node: ast.AST) -> None:
        if attribute in _RULES["attributes"] and not self._is_partial(dotted):
            self._ask(f"{attribute} is not on the list", node)
        if attribute.startswith("__") and attribute not in _RULES["dunders"]:
            self._ask(f"{attribute} is not on the list", node)
        self._check_dotted(dotted, node)

    def _is_partial(self, dotted: str) -> bool:
        module, _, attribute = dotted.rpartition(".")
        return attribute in _RULES["partial"].get(module, ())

    def _check_dotted(self, dotted: str, node: ast.AST) -> None:
        for name in _RULES["never"]:
            if dotted == name or dotted.startswith(f"{name}."):
                self._ask(f"{name} is not on the list", node)

    def _dotted(self, node: ast.expr) -> str:
        """``np.linalg.norm`` as ``numpy.linalg.norm``; what is not a module's begins with a dot."""
        if isinstance(node, ast.Name):
            return self._modules.get(node.id, f".{node.id}")
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        return "."

    # where it writes -------------------------------------------------------------------------

    def _check_keywords(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            allowed = _RULES["keywords"].get(keyword.arg)
            if allowed is not None and not self._all_in(keyword.value, allowed):
                self._ask(f"{keyword.arg} is given a value that is not on the list", node)
            if keyword.arg in _RULES["places"]["names"]:
                self._check_place(keyword.value, node)

    def _all_in(self, value: ast.expr, allowed: list[Any]) -> bool:
        values = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        return all(isinstance(v, ast.Constant) and v.value in [None, *allowed] for v in values)

    def _check_writes(self, node: ast.Call) -> None:
        function = node.func
        dotted = self._dotted(function)
        name = dotted.rpartition(".")[2]
        method = dotted.startswith(".") and isinstance(function, ast.Attribute)
        receiver = function.value if isinstance(function, ast.Attribute) and method else None
        if name == "open" and not self._opens_to_write(node, 0 if receiver else 1):
            return
        if receiver is not None and name in _RULES["path_methods"]["names"]:
            self._check_place(receiver, node)
            return
        if receiver is not None and name in {"rename", "replace"} and _moves(node):
            self._ask(f"{name} may move a file", node)
        place: int | None = _RULES["writes"].get(dotted, _RULES["writes"].get(name))
        if place is not None and len(node.args) > place:
            self._check_place(node.args[place], node)
        elif name == "open":
            self._ask("where it writes cannot be seen", node)

    def _opens_to_write(self, node: ast.Call, place: int) -> bool:
        if any(k.arg is None for k in node.keywords):
            return True
        named = [k.value for k in node.keywords if k.arg == "mode"]
        for mode in [*named, *node.args[place : place + 1]]:
            text = mode.value if isinstance(mode, ast.Constant) else None
            if not isinstance(text, str) or _WRITING & set(text):
                return True
        return any(isinstance(argument, ast.Starred) for argument in node.args)

    def _check_place(self, node: ast.expr, call: ast.AST) -> None:
        place = self._place(node, 0)
        if place is None:
            self._ask("where it writes cannot be seen", call)
        elif _OUTSIDE.search(place):
            self._ask(f"it writes outside the workspace: {place[:60]}", call)

    def _place(self, node: ast.expr, depth: int) -> str | None:
        """What an expression is as a path; ``None`` where constants and names do not show it."""
        if depth > _DEEPEST:
            return None
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Name):
            values = self._assigned.get(node.id, [])
            once = len(values) == 1 and self._bound[node.id] == 1
            return self._place(values[0], depth + 1) if once else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self._joined([node.left, node.right], depth)
        if isinstance(node, ast.Call) and self._dotted(node.func) in _PATH_MAKERS:
            return self._joined(node.args, depth)
        if isinstance(node, ast.Attribute) and node.attr == "parent":
            whole = self._place(node.value, depth + 1)
            return whole if whole is None or _OUTSIDE.search(whole) else posixpath.dirname(whole)
        if isinstance(node, ast.Subscript) and self._dotted(node.value) == "os.environ":
            key = node.slice.value if isinstance(node.slice, ast.Constant) else None
            return "." if key in _RULES["places"]["variables"] else None
        return None

    def _joined(self, parts: list[ast.expr], depth: int) -> str | None:
        """The parts as one path; one that leads outside stands for all of it."""
        places = [self._place(part, depth + 1) for part in parts]
        outside = [p for p in places if p is None or _OUTSIDE.search(p)]
        return outside[0] if outside else "/".join(p for p in places if p) or "."


def _moves(node: ast.Call) -> bool:
    """One positional argument that is no mapping: ``Path.replace``, not that of text or tables."""
    return len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Dict)
