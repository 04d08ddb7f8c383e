"""``mlintern``: the intern without a browser.

``mlintern run GOAL --notebook out.ipynb --model ... --mode unattended --budget USD`` works in a
real notebook with a real kernel, and leaves it as the record. Exit codes: 0 completed, 1 failed,
2 bad usage, 3 limit, 4 paused, 130 interrupted. ``mlintern status|stop|steer|approve|refuse`` speak
to a session that is open in a kernel, headless or not (``remote``).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlintern_jupyter import remote
from mlintern_jupyter.config import RECORD_FOLDER, Config, load_config
from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.options import OPTIONS, Options, parse_default
from mlintern_jupyter.progress import Progress
from mlintern_jupyter.record.experiments import before_and_after
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.state import SessionState, fold
from mlintern_jupyter.session.running.identity import session_folders
from mlintern_jupyter.session.wiring.prepare import prepare

if TYPE_CHECKING:
    from mlintern_jupyter.peers.headless import HeadlessResult

EXIT = {"completed": 0, "failed": 1, "limit": 3, "paused": 4, "interrupted": 130, "working": 4}
_SHARED = tuple(o for o in OPTIONS if o.name not in {"help", "again", "session"})
LOAD = "%load_ext mlintern_jupyter"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``mlintern`` command; returns the exit code."""
    arguments = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
    try:
        return arguments.action(arguments)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except InternError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _joined(words: Sequence[str]) -> list[str]:
    """``--tools -research`` as ``--tools=-research``: else argparse takes ``-r`` for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--tools" and word.startswith("-"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlintern", description="The intern without a browser.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    run = verbs.add_parser("run", help="work on a goal in a notebook, headless")
    run.add_argument("goal", nargs="?", default="", help="e.g. 'improve nano/mcq'")
    run.add_argument("--notebook", type=Path, required=True, help="the notebook to make or resume")
    run.add_argument("--resume", action="store_true", help="go on with the notebook's session")
    run.add_argument("--json", action="store_true", help="last line of stdout is one JSON object")
    for option in _SHARED:
        action = "append" if option.many else "store"
        run.add_argument(option.flag, metavar=option.value, help=option.help, action=action)
    run.set_defaults(action=_run)

    rerun = verbs.add_parser("rerun", help="run a record again, its local jobs really")
    rerun.add_argument("notebook", type=Path)
    rerun.set_defaults(action=_rerun)

    export = verbs.add_parser("export", help="build the notebook again from its ledger")
    export.add_argument("session", help="a session's name, or the folder of its ledger")
    export.add_argument("notebook", type=Path)
    export.set_defaults(action=_export)

    remote.add_verbs(verbs)
    return parser


def _options(arguments: argparse.Namespace) -> Options:
    given = {o: getattr(arguments, o.name) for o in _SHARED}
    values = {o.name: parse_default(o, text) for o, text in given.items() if text is not None}
    return Options(**values, said=frozenset(values))


def _run(arguments: argparse.Namespace) -> int:
    config = load_config()
    options = _options(arguments)
    path: Path = arguments.notebook.absolute()
    cells, execute = None, None
    if arguments.resume:
        state = _unfinished(path, config)
        # Ended before its request was written down: the notebook's own cells begin it.
        execute = [LOAD, f"%intern resume {state.session}"] if state.turn else None
    else:
        prepare(arguments.goal, "", options, config, nobody_to_ask=True)
        if path.exists():
            raise UsageError(
                f"{path} exists",
                do="give another --notebook, or --resume to go on with the session in it",
            )
        cells = [LOAD, _magic_cell(arguments)]
    with Progress(quiet=arguments.json or not sys.stderr.isatty()) as progress:
        # Reading notebooks takes a second and a half to import, and only two verbs do it.
        headless = importlib.import_module("mlintern_jupyter.peers.headless")
        notebook = headless.HeadlessNotebook(
            path, cells=cells, kernel_env=None, on_event=progress.hear, say=progress.say
        )
        result = asyncio.run(notebook.run(execute))
    return _report(arguments, result, config)


def _magic_cell(arguments: argparse.Namespace) -> str:
    words = [f"%%intern {arguments.goal}"]
    for option in _SHARED:
        value = getattr(arguments, option.name)
        if value is not None:
            text = ",".join(value) if option.many else value
            words.append(f"{option.flag} {shlex.quote(text)}")
    return " ".join(words)


def _report(arguments: argparse.Namespace, result: HeadlessResult, config: Config) -> int:
    state = _state(result, config)
    if state is None:
        sys.stderr.write(f"no session was started; see {result.path}\n")
        return 1
    end = state.outcome
    status = state.status
    reason = end.reason if end is not None else "the kernel ended before the turn did"
    before, after, verdict = before_and_after(state.runs)
    usage = state.spent.usage
    answer: dict[str, Any] = {
        "session": state.session,
        "status": "paused" if status == "working" else status,
        "reason": reason,
        "steps": state.spent.steps,
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "cost_usd": None if state.options.get("unmetered") else state.spent.usd,
        "metrics": {"before": before, "after": after, "verdict": verdict},
        "notebook": str(result.path),
        "ledger": str(_record(result, config) / "ledger.jsonl"),
    }
    if arguments.json:
        sys.stdout.write(json.dumps(answer) + "\n")
    else:
        sys.stdout.write(_summary(answer, end.do if end is not None else ""))
    return EXIT[status]


def _summary(answer: dict[str, Any], do: str) -> str:
    metrics = answer["metrics"]
    lines = [f"{answer['status']}: {answer['reason']}"]
    if do and answer["status"] != "completed":
        lines.append(f"do:  {do}")
    for name in ("before", "after"):
        if metrics[name] is not None:
            lines.append(f"{name}: {metrics[name]['text']}")
    if metrics["verdict"]:
        lines.append(f"verdict: {metrics['verdict']}")
    lines += [f"notebook: {answer['notebook']}", f"ledger: {answer['ledger']}"]
    return "\n".join(lines) + "\n"


def _root(notebook: Path, config: Config) -> Path:
    return config.record_dir or notebook.parent / RECORD_FOLDER


def _state(result: HeadlessResult, config: Config) -> SessionState | None:
    if not result.session:
        return None
    return fold(Ledger.view(_record(result, config)).facts)


def _record(result: HeadlessResult, config: Config) -> Path:
    folders = session_folders(_root(result.path, config))
    return next(f.path for f in folders if f.session == result.session)


def _unfinished(path: Path, config: Config) -> SessionState:
    if not path.exists():
        raise UsageError(f"{path} does not exist, so there is nothing to resume")
    text = path.read_text(encoding="utf-8")
    folders = [f for f in session_folders(_root(path, config)) if f.session in text]
    if not folders:
        raise UsageError(
            f"{path} has no session with a record in {_root(path, config)}",
            do="start one: mlintern run GOAL --notebook OTHER.ipynb",
        )
    state = fold(Ledger.view(folders[-1].path).facts)
    if state.status == "completed":
        raise UsageError(f"session {state.session} is finished; there is nothing to resume")
    return state


def _rerun(arguments: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "jupyter", "execute", str(arguments.notebook)]
    env = {**os.environ, "MLINTERN_RERUN": "1"}
    return subprocess.run(command, env=env, check=False).returncode


def _export(arguments: argparse.Namespace) -> int:
    named = Path(arguments.session)
    folder = named if named.is_dir() else Path(RECORD_FOLDER) / arguments.session
    if not (folder / "ledger.jsonl").is_file():
        raise UsageError(f"there is no ledger in {folder}", do="name the session or its folder")
    if arguments.notebook.exists():
        raise UsageError(f"{arguments.notebook} exists", do="give another name")
    export = importlib.import_module("mlintern_jupyter.record.export")
    export.write_notebook(fold(Ledger.view(folder).facts), arguments.notebook)
    sys.stdout.write(f"wrote {arguments.notebook}\n")
    return 0
