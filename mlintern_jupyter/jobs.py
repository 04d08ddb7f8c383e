"""A job: one submission of a script to a backend, and the line of ``%%job`` that asks for it.

An option of ``%%job`` is one field of ``JobSpec``, made by ``_option``. From the fields follow how
its line is read, written and completed, the usage line and the help, whether mode ``auto`` lets its
cell run by itself, ``spec.json`` in the job's folder, and the job's identity.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal, cast

from mlintern_jupyter.errors import UsageError

JobState = Literal["held", "running", "completed", "failed", "cancelled", "lost", "absent"]
FINISHED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "lost"})

BUILT_IN_BACKENDS: Mapping[str, str] = {
    "local": "mlintern_jupyter.compute.local.backend:LocalBackend",
    "kernel": "mlintern_jupyter.compute.local.kernel:KernelBackend",
}
"""What may stand before the colon of ``--on``, beside the entry points of installed packages."""

KEY = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]*)-[0-9a-f]{8}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_PLACE = re.compile(r"[A-Za-z0-9_.-]+(:[^\s'\"]+)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SUM = re.compile(r"\$?(\d{1,7}(?:\.\d{1,2})?)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class JobOption:
    """One option of the line of ``%%job``."""

    flag: str
    value: str
    """Its value in the usage line, alternatives parted by ``|``; empty for a switch."""
    help: str
    parse: Callable[[str], Any]
    """Raises UsageError that says what may stand there."""
    write: Callable[[Any], str] = str
    """A value as ``parse`` reads it."""
    runs_unasked: bool = False
    """A cell with it may run by itself in mode ``auto``; one with any other option asks."""
    sets: str = ""
    """The field of ``JobSpec``; empty: it is about the submission, not about the job."""


def _option(
    flag: str, value: str, help: str, *, default: Any = None, identity: bool = True, **more: Any
) -> Any:
    """A field of ``JobSpec`` that an option of the line sets.

    Args:
        flag: as it is typed.
        value: see ``JobOption``, as for ``help`` and ``more``.
        help: one line.
        default: of the field. A job that has it keeps the key it had before there was the option.
        identity: whether the option changes what runs, so that with it the job is another one.
        more: ``parse``, ``write`` and ``runs_unasked``.
    """
    about = {"flag": flag, "value": value, "help": help, **more}
    return field(default=default, metadata={"option": about, "identity": identity})


def _place(text: str) -> str:
    if not _PLACE.fullmatch(text):
        raise no_such_place(text)
    return text


def no_such_place(on: str, also: tuple[str, ...] = ()) -> UsageError:
    """The error for a place that no backend has.

    Args:
        on: the value of ``--on``.
        also: names of backends that are installed beside the built-in ones.
    """
    known = " or ".join(f"--on {name}" for name in (*BUILT_IN_BACKENDS, *also))
    return UsageError(f"there is no place {on} to run a job on", do=f"use {known}")


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"--timeout {text} is not a duration", do="write 90s, 30m, 4h or 1d")
    return seconds


def _duration(seconds: float) -> str:
    for unit in ("d", "h", "m"):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{format(Decimal(repr(seconds)), 'f')}s"


def _dollars(text: str) -> float:
    match = _SUM.fullmatch(text.strip())
    if not match or float(match[1]) <= 0:
        raise UsageError(
            f"--max-usd {text} is not a sum above zero", do="write dollars as a number: 6 or 4.80"
        )
    return float(match[1])


def _sum(usd: float) -> str:
    return f"{usd:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class JobSpec:
    """What is asked to run. Its identity is its name and the hash of script and options."""

    name: str
    script: str
    on: str = _option(
        "--on",
        "|".join(BUILT_IN_BACKENDS),
        "where it runs: a process of this machine, or a smoke in the kernel",
        parse=_place,
        default="local",
        runs_unasked=True,
    )
    timeout_s: float | None = _option(
        "--timeout",
        "4h",
        "end it after so long: 90s, 30m, 4h, 1d",
        parse=_seconds,
        write=_duration,
        identity=False,
        runs_unasked=True,
    )
    max_steps: int | None = None
    """``MLINTERN_MAX_STEPS`` of a smoke: the same bytes, another identity than the full run."""
    max_usd: float | None = _option(
        "--max-usd",
        "USD",
        "the most it may cost; it is then held until you start it",
        parse=_dollars,
        write=_sum,
        identity=False,
    )
    """The most this job may cost; with it, or where the place has a price, the job is held first.
    Not part of the identity: the same run under another cap is the same run."""

    @property
    def backend(self) -> str:
        """Name of the backend: ``on`` up to its colon."""
        return self.on.partition(":")[0]

    @property
    def target(self) -> str:
        """What ``on`` asks of the backend: the text after its colon, empty where there is none."""
        return self.on.partition(":")[2]

    @property
    def sha256(self) -> str:
        """Hash of the script and of every option that changes what runs."""
        body = json.dumps({"script": self.script.strip(), **self._identity()}, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()

    @property
    def key(self) -> str:
        """``name-sha8``: names the job's folder and its record."""
        return f"{self.name}-{self.sha256[:8]}"

    def _identity(self) -> dict[str, Any]:
        """Options that are not at their default. ``on`` always was part of the hash."""
        found: dict[str, Any] = {"on": self.on}
        for each in _set_fields(self):
            value = getattr(self, each.name)
            if value != each.default and each.metadata.get("identity", True):
                found[each.name] = value
        return found

    def to_json(self) -> dict[str, Any]:
        """Every field but the script, which has a file of its own."""
        return {each.name: getattr(self, each.name) for each in fields(self) if _kept(each)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], script: str) -> JobSpec:
        """The job that ``to_json`` wrote, perhaps in a version with fewer options.

        Raises:
            KeyError: it has no name.
        """
        known = {each.name for each in fields(cls) if _kept(each)}
        given: dict[str, Any] = {k: v for k, v in data.items() if k in known}
        given |= {"name": data["name"], "script": script}
        return cls(**given)

    def line(self) -> str:
        """The first line of a cell that submits this job; options at their default are left out."""
        words = ["%%job", self.name]
        for option in JOB_OPTIONS:
            if not option.sets:
                continue
            value = getattr(self, option.sets)
            if option.sets == "on" or value != getattr(JobSpec, option.sets):
                words += [option.flag, option.write(value)] if option.value else [option.flag]
        return shlex.join(words)


def _kept(each: Field[Any]) -> bool:
    return each.name != "script"


def _set_fields(spec: JobSpec) -> Iterator[Field[Any]]:
    """The fields that have a default: all but name and script."""
    return (each for each in fields(spec) if each.default is not MISSING)


def _options() -> Iterator[JobOption]:
    for each in fields(JobSpec):
        if "option" in each.metadata:
            yield JobOption(sets=each.name, **cast("dict[str, Any]", each.metadata["option"]))
    yield JobOption("--again", "", "submit a finished job again", parse=bool)


JOB_OPTIONS: tuple[JobOption, ...] = tuple(_options())
_BY_FLAG = {option.flag: option for option in JOB_OPTIONS}


@dataclass(frozen=True)
class JobLine:
    """The line of a ``%%job`` cell, with the script below it."""

    spec: JobSpec
    again: bool = False
    said: tuple[str, ...] = ()
    """Flags as they stand on the line."""


def job_usage() -> str:
    """The usage line of ``%%job``."""
    words = (f"{o.flag} {o.value}".strip() for o in JOB_OPTIONS)
    return " ".join(["%%job NAME", *(f"[{each}]" for each in words)])


def parse_job_line(line: str, script: str = "", max_steps: int | None = None) -> JobLine:
    """What the line of a ``%%job`` cell asks for.

    Args:
        line: the cell's first line behind ``%%job``.
        script: what stands below it.
        max_steps: of a smoke, which the environment asks for and not the line.

    Raises:
        UsageError: no name, an unknown option, or a bad value. Whether there is a backend for
            ``--on`` is not looked at.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"the line of %%job cannot be read: {error}", do=job_usage()) from None
    names: list[str] = []
    given: dict[str, Any] = {}
    said: list[str] = []
    while words:
        word, _, value = words.pop(0).partition("=")
        if not word.startswith("--"):
            names.append(word)
            continue
        option = _BY_FLAG.get(word)
        if option is None:
            raise UsageError(f"%%job has no option {word}", do=job_usage())
        said.append(word)
        if option.value and not value and not words:
            raise UsageError(f"{word} needs a value", do=job_usage())
        text = (value or words.pop(0)) if option.value else "yes"
        given[option.sets or word] = option.parse(text)
    again = bool(given.pop("--again", False))
    spec = JobSpec(_one_name(names), script, max_steps=max_steps, **given)
    return JobLine(spec, again, tuple(said))


def _one_name(names: list[str]) -> str:
    if len(names) != 1:
        raise UsageError(
            "%%job needs one name" + (f", not {len(names)}: {' '.join(names)}" if names else ""),
            do=job_usage(),
        )
    if not _NAME.fullmatch(names[0]):
        raise UsageError(
            f"{names[0]} cannot be a job's name",
            why="it names a folder",
            do="use letters, digits and dashes, e.g. sft-lora-1",
        )
    return names[0]


def job_of_cell(source: str) -> JobLine | None:
    """The job that a cell's text submits; ``None`` if it submits none."""
    first, _, script = source.lstrip().partition("\n")
    magic, _, line = first.partition(" ")
    if magic != "%%job":
        return None
    try:
        return parse_job_line(line, script)
    except UsageError:
        return None


def name_of(key: str) -> str:
    """The job's name in its key."""
    match = KEY.fullmatch(key)
    return match["name"] if match else key


@dataclass(frozen=True)
class JobTerms:
    """What a job may cost, and whether it waits for a yes to that."""

    usd_per_hour: float = 0.0
    quote_usd: float | None = None
    """The most it may cost; ``None`` for a job on a machine without a price."""
    held: bool = False


@dataclass(frozen=True)
class SessionBudget:
    """What an unattended session may still spend: its yes to the jobs of its own cells."""

    session: str
    usd: float | None
    """Its limit less what its model calls cost; jobs are subtracted here. ``None``: not known."""


@dataclass(frozen=True)
class JobReport:
    """How a job stands, and how it ended if it did."""

    state: JobState
    seconds: float = 0.0
    """Of running; 0 for a job that waits."""
    exit_code: int | None = None
    reason: str = ""
    """Why it ended, where the exit code does not say: timeout, cancelled, machine restarted."""


@dataclass(frozen=True)
class LogPart:
    """A piece of a job's standard output and error."""

    text: str
    position: int
    """Where the next piece begins; means something to the backend that gave it alone."""


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands."""

    name: str
    key: str
    state: JobState
    seconds: float = 0.0
    exit_code: int | None = None
    reason: str = ""
    """Why it ended, where the exit code does not say: timeout, cancelled, machine restarted."""
    step: int | None = None
    """The optimizer's ``global_step``, from the newest metrics row."""
    total_steps: int | None = None
    metrics: tuple[dict[str, Any], ...] = ()
    """Rows of ``metrics.jsonl``: {"step": int, name: float, ...}."""
    newest: dict[str, float] = field(default_factory=dict[str, float])
    """The newest value of each number in ``metrics``."""
    log_tail: str = ""
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the script said it made: ``{"model": path, ...}`` from ``result.json``."""
    cost_usd: float | None = 0.0
    """So far; ``None`` where no price is known. A job on this machine costs 0 unless it is rented
    (``usd_per_hour`` of the configuration)."""
    quote_usd: float | None = None
    """The most it may cost: price per hour times timeout. A held job starts when a person says yes
    to this sum."""
    voided: str = ""
    """Why no claim may rest on this job, e.g. it opened held-out items."""
