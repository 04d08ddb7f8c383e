"""Defaults from a configuration file, and where the record is kept.

The file is TOML: ``$MLINTERN_CONFIG``, else ``mlintern/config.toml`` in the user's configuration
folder. Every key is an option of ``options.py`` (``max_steps = 100``), or ``record_dir``, or
``usd_per_hour``, or a table ``[mcp.NAME]`` that connects an MCP server. A broken file never widens
anything: it is named, with its line, and the safe defaults stand. A broken table costs that server.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from mlintern_jupyter.commands import Mode
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.options import MODES, OPTIONS, parse_default
from mlintern_jupyter.protocols import Effect
from mlintern_jupyter.reading import ReadingError, read

RECORD_FOLDER = "intern_runs"
_ALLOWED = {o.name: o for o in OPTIONS if o.name not in {"session", "again", "help"}}
_MCP_NAME = re.compile(r"[a-z0-9-]{1,24}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")
MCP_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class McpServer:
    """An MCP server the person connects; texts hold ``${NAME}`` where a variable belongs."""

    name: str
    command: str = ""
    """A program that speaks MCP on its standard input and output; else ``url``."""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """What its process gets beside what every child process of ours gets."""
    url: str = ""
    """Where it is reached by streamable HTTP."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Sent to the host of ``url`` and to no other."""
    effects: Mapping[str, frozenset[Effect]] = field(default_factory=dict[str, "frozenset[Effect]"])
    """What its tools do, by glob over their names, in the person's words. First match wins."""
    always: bool = False
    """Its tools stand beside our own from the start of each turn."""
    timeout_s: float = MCP_TIMEOUT_S
    """Longest one of its tools may take."""
    problem: str = ""
    """Why it cannot be used; everything else about it is empty then."""

    @property
    def secret_names(self) -> frozenset[str]:
        """The variables its texts name; what stands in them is given to this server alone."""
        texts = (self.command, *self.args, *self.env.values(), self.url, *self.headers.values())
        return frozenset(name for text in texts for name, _ in _VARIABLE.findall(text))

    @property
    def where(self) -> str:
        """Program or address as the person wrote it, without any variable's value."""
        return self.url or " ".join([self.command, *self.args])

    def effects_of(self, tool: str) -> frozenset[Effect]:
        """What the person said a tool does; empty: nothing was said."""
        for glob, effects in self.effects.items():
            if fnmatchcase(tool, glob):
                return effects
        return frozenset()


def expanded(text: str, env: Mapping[str, str]) -> str:
    """The text with ``${NAME}`` and ``${NAME:-otherwise}`` replaced.

    Raises:
        UsageError: a variable without an alternative is not set; names it.
    """

    def value(match: re.Match[str]) -> str:
        name, otherwise = match.groups()
        if otherwise is not None:
            return env.get(name) or otherwise
        if name not in env:
            raise UsageError(f"the variable {name} is not set", do=f"set {name}, or name a default")
        return env[name]

    return _VARIABLE.sub(value, text)


@dataclass(frozen=True)
class Config:
    """What the configuration file says, and what is wrong with it."""

    defaults: dict[str, Any] = field(default_factory=dict[str, Any])
    record_dir: Path | None = None
    problem: str = ""
    """Why the file was not used; shown to the person, never fatal."""
    usd_per_hour: float | None = 0.0
    """What an hour of this machine costs, e.g. a rented GPU; ``None`` where a file that could not
    be used may say so: a job is not started on an unknown price."""
    mcp: Mapping[str, McpServer] = field(default_factory=dict[str, McpServer])
    """The MCP servers the person connected, broken tables among them."""
    mode_cap: Mode = MODES[-1]
    """No session runs here in a more permissive mode; set by ``InternMagics.max_mode``."""

    def allows(self, mode: Mode) -> bool:
        """Whether a session may run in this mode here."""
        return MODES.index(mode) <= MODES.index(self.mode_cap)

    def check_mode(self, mode: Mode) -> None:
        """Raises UsageError that names the cap when a mode is above it."""
        if not self.allows(mode):
            raise UsageError(
                f"mode {mode} is above what is allowed here: {self.mode_cap}",
                why=f"InternMagics.max_mode = {self.mode_cap!r} in this kernel's configuration",
                do=f"use --mode {self.mode_cap}",
            )

    def with_defaults(self, defaults: dict[str, Any], mode_cap: Mode) -> Config:
        """These defaults before those of the file, and this cap."""
        return replace(self, defaults=self.defaults | defaults, mode_cap=mode_cap)


def config_path() -> Path:
    """Where the configuration file is looked for."""
    named = os.environ.get("MLINTERN_CONFIG")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    root = Path(base) if base else Path.home() / ".config"
    return root / "mlintern" / "config.toml"


def load_config(path: Path | None = None) -> Config:
    """Read the configuration; a missing file is an empty one."""
    path = path or config_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path} was not used: {error}. Safe defaults stand."
        return Config(problem=problem, usd_per_hour=None)
    config = _parsed(text, path)
    # A broken file must not make a rented machine free.
    unknown_price = config.problem and "usd_per_hour" in text
    return replace(config, usd_per_hour=None) if unknown_price else config


def _parsed(text: str, path: Path) -> Config:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Config(problem=f"{path} was not used: {error}. Safe defaults stand.")
    record_dir = data.pop("record_dir", None)
    mcp = _mcp_servers(data.pop("mcp", {}))
    price = data.pop("usd_per_hour", 0.0)
    if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
        wrong = f"usd_per_hour = {price!r} is not a number of dollars from 0 up"
        return Config(problem=f"{path} was not used: {wrong}", mcp=mcp)
    unknown = sorted(set(data) - set(_ALLOWED))
    if unknown:
        known = ", ".join([*_ALLOWED, "record_dir", "usd_per_hour", "mcp.NAME"])
        wrong = f"unknown key {unknown[0]!r}; keys are {known}"
        return Config(problem=f"{path} was not used: {wrong}", mcp=mcp)
    try:
        defaults = {name: parse_default(_ALLOWED[name], value) for name, value in data.items()}
    except UsageError as error:
        wrong = f"{path} was not used: {error.what}. Safe defaults stand."
        return Config(problem=wrong, mcp=mcp)
    folder = Path(record_dir).expanduser() if record_dir else None
    return Config(defaults, folder, usd_per_hour=float(price), mcp=mcp)


def _mcp_servers(tables: Any) -> dict[str, McpServer]:
    if not isinstance(tables, dict):
        return {"mcp": McpServer("mcp", problem="mcp is not a table; write [mcp.NAME]")}
    servers: dict[str, McpServer] = {}
    for name, table in cast("dict[str, Any]", tables).items():
        try:
            servers[name] = _mcp_server(name, table)
        except ValueError as error:
            servers[name] = McpServer(name, problem=f"[mcp.{name}] was not used: {error}")
    return servers


def _mcp_server(name: str, table: Any) -> McpServer:
    """Raises ValueError that says what is wrong with the table."""
    if not _MCP_NAME.fullmatch(name):
        raise ValueError("its name must be 1 to 24 of a-z, 0-9 and -")
    server = read(McpServer, table, given={"name": name, "problem": ""})
    if not 0 < server.timeout_s < math.inf:
        raise ReadingError("expected a number of seconds above 0", "timeout_s")
    if bool(server.command) == bool(server.url):
        raise ValueError("it needs either command or url")
    if server.url and not server.url.startswith(("http://", "https://", "${")):
        raise ReadingError("expected an address that begins with http:// or https://", "url")
    return server


def notebook_folder() -> Path:
    """The folder of the open notebook, else the one its kernel was started in, else the current.

    Jupyter Server puts the notebook's path into ``JPY_SESSION_NAME``; a notebook run by nbclient
    or papermill starts its kernel in the right folder. ``%cd`` changes neither.
    """
    named = os.environ.get("JPY_SESSION_NAME", "")
    if named.endswith(".ipynb") and Path(named).is_absolute() and Path(named).parent.is_dir():
        return Path(named).parent
    return _kernels_start() or Path.cwd()


def _kernels_start() -> Path | None:
    """Where this process began, if it is a kernel; nothing is imported to find out."""
    module = sys.modules.get("IPython.core.getipython")
    shell: Any = None if module is None else module.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    folder = Path(shell.starting_dir)
    return folder if folder.is_dir() else None


def from_notebook(path: str | Path) -> Path:
    """A path as a cell means it: seen from the notebook, which ``%cd`` does not move.

    Returns:
        The path as it is where it is absolute, or where no ``%cd`` came between; else the full path
        beside the notebook, or below the current folder if it is only there.
    """
    given, folder = Path(path).expanduser(), notebook_folder()
    if given.is_absolute() or folder == Path.cwd():
        return given
    beside = folder / given
    return given.absolute() if given.exists() and not beside.exists() else beside


def record_root(config: Config | None = None) -> Path:
    """The folder all records go to: configured, else ``intern_runs`` beside the notebook."""
    config = config or load_config()
    return config.record_dir or notebook_folder() / RECORD_FOLDER
