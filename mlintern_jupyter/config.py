"""Defaults from a configuration file, and where the record is kept.

The file is TOML: ``$MLINTERN_CONFIG``, else ``mlintern/config.toml`` in the user's configuration
folder. Every key is an option of ``options.py`` (``max_steps = 100``), or ``record_dir``, or
``usd_per_hour``. A broken file never widens anything: it is named, with its line, and the safe
defaults stand.
"""

from __future__ import annotations

import math
import os
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlintern_jupyter.commands import Mode
from mlintern_jupyter.errors import UsageError
from mlintern_jupyter.options import MODES, OPTIONS, parse_value

RECORD_FOLDER = "intern_runs"
_ALLOWED = {o.name: o for o in OPTIONS if o.name not in {"session", "again", "help"}}


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
    price = data.pop("usd_per_hour", 0.0)
    if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
        wrong = f"usd_per_hour = {price!r} is not a number of dollars from 0 up"
        return Config(problem=f"{path} was not used: {wrong}")
    unknown = sorted(set(data) - set(_ALLOWED))
    if unknown:
        known = ", ".join([*_ALLOWED, "record_dir", "usd_per_hour"])
        return Config(problem=f"{path} was not used: unknown key {unknown[0]!r}; keys are {known}")
    try:
        defaults = {name: parse_value(_ALLOWED[name], str(value)) for name, value in data.items()}
    except UsageError as error:
        return Config(problem=f"{path} was not used: {error.what}. Safe defaults stand.")
    folder = Path(record_dir).expanduser() if record_dir else None
    return Config(defaults, folder, usd_per_hour=float(price))


def notebook_folder() -> Path:
    """The folder of the open notebook, else the kernel's current one.

    Jupyter Server puts the notebook's path into ``JPY_SESSION_NAME``; a notebook run by nbclient
    or papermill starts its kernel in the right folder or says none.
    """
    named = os.environ.get("JPY_SESSION_NAME", "")
    if named.endswith(".ipynb") and Path(named).is_absolute() and Path(named).parent.is_dir():
        return Path(named).parent
    return Path.cwd()


def record_root(config: Config | None = None) -> Path:
    """The folder all records go to: configured, else ``intern_runs`` beside the notebook."""
    config = config or load_config()
    return config.record_dir or notebook_folder() / RECORD_FOLDER
