"""A session in somebody's kernel, seen and told from a terminal.

``mlintern status|stop|steer|approve|refuse``.

The way is the page's: a request on the kernel's control channel, which is answered while a cell
runs. Which kernel that is stands in the lock file of the session's record, as the path of its
connection file; whoever may read that file may run code in the kernel anyway.
"""

from __future__ import annotations

import argparse
import difflib
import json
import queue
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import indent
from typing import Any, cast

from jupyter_client.blocking.client import BlockingKernelClient

from mlintern_jupyter.commands import Answer, Steer, Stop
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.config import RECORD_FOLDER, record_root
from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.record.ledger import Ledger
from mlintern_jupyter.record.lock import Holder, read_holder
from mlintern_jupyter.record.state import fold
from mlintern_jupyter.session.readouts.questions import ask_text, inert, named
from mlintern_jupyter.session.running.identity import session_folders
from mlintern_jupyter.views import AskView
from mlintern_jupyter.wire import (
    CONTROL_REQUEST,
    AskStatus,
    SendCommand,
    ToKernel,
    to_json,
)

MOST = 50
ANSWER_S = 10.0
"""A terminal waits longer than a page: a kernel at work on a busy machine may take seconds."""


@dataclass(frozen=True)
class RecordedSession:
    """A session of the folder, and who has it open."""

    session: str
    goal: str
    folder: Path
    holder: Holder | None

    @property
    def is_open(self) -> bool:
        """Whether a living process holds its record."""
        return self.holder is not None


def add_verbs(verbs: Any) -> None:
    """Add what speaks to a session to the command line's parser."""
    status = verbs.add_parser("status", help="list the sessions of a folder, or show one")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.set_defaults(action=_status)
    stop = verbs.add_parser("stop", help="end a session's turn; its jobs go on")
    stop.add_argument("--jobs", action="store_true", help="cancel the folder's running jobs, too")
    stop.set_defaults(action=_stop)
    steer = verbs.add_parser("steer", help="tell a session something before its next step")
    steer.add_argument("text", nargs="+", metavar="TEXT")
    steer.set_defaults(action=_steer)
    approve = verbs.add_parser("approve", help="allow, once, what a session asks")
    approve.add_argument("words", nargs="*", metavar="CALL", help="as `mlintern status` prints it")
    approve.set_defaults(action=_answer, yes=True)
    refuse = verbs.add_parser("refuse", help="say no to what a session asks")
    refuse.add_argument("words", nargs="*", metavar="CALL [REASON]")
    refuse.set_defaults(action=_answer, yes=False)
    for verb in (status, stop, steer, approve, refuse):
        verb.add_argument("--session", metavar="NAME", help="as `mlintern status` prints it")
        verb.add_argument("--folder", type=Path, help="where the notebook is (default: here)")


def ask(holder: Holder, message: ToKernel, timeout_s: float = ANSWER_S) -> dict[str, Any]:
    """Send a request to the kernel that holds a session, and return its reply.

    Raises:
        UsageError: the kernel refuses the request.
        InternError: it cannot be reached, or does not answer in time.
    """
    client = _client(holder)
    # Only control: the other channels are the front end's, and wait while a cell runs.
    client.start_channels(shell=False, iopub=False, stdin=False, hb=False, control=True)
    try:
        request = client.session.msg(CONTROL_REQUEST, to_json(message))
        client.control_channel.send(request)
        reply = _reply(client, request["header"]["msg_id"], time.monotonic() + timeout_s)
    finally:
        client.stop_channels()
    if reply is None:
        raise InternError(
            f"the kernel ({holder.as_text()}) did not answer within {timeout_s:g} s",
            why="a kernel answers this while a cell trains, so being busy is no reason: it is"
            " stopped, stuck in a library's own code, or the intern was unloaded in it",
            do="look at its notebook; after a restart of the kernel `%intern resume` goes on from"
            " the record",
        )
    if not reply.get("ok"):
        what = str(reply.get("what") or "the kernel refused this")
        raise UsageError(what, why=str(reply.get("why", "")), do=str(reply.get("do", "")))
    return reply


def _client(holder: Holder) -> BlockingKernelClient:
    path = holder.connection_file
    if holder.host != socket.gethostname():
        raise InternError(
            f"this session is open on another machine: {holder.as_text()}",
            why="a kernel is reached from its own machine alone",
            do=f"run this command on {holder.host}",
        )
    if not path:
        raise InternError(
            f"this session is open in {holder.as_text()}, which is no Jupyter kernel",
            do="go on there, or end that process",
        )
    client = BlockingKernelClient(connection_file=path)
    try:
        client.load_connection_file()
    except (OSError, ValueError) as error:
        raise InternError(
            f"the kernel ({holder.as_text()}) cannot be reached: {path} cannot be read",
            why=str(error),
            do="run this as the user who runs the kernel; if the file is gone, use the notebook",
        ) from None
    return client


def _reply(client: BlockingKernelClient, request: str, deadline: float) -> dict[str, Any] | None:
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        try:
            heard = cast("dict[str, Any]", client.control_channel.get_msg(timeout=left))
        except queue.Empty:
            return None
        if heard["parent_header"].get("msg_id") == request:
            return heard["content"]


# the verbs ------------------------------------------------------------------------------------


def _status(arguments: argparse.Namespace) -> int:
    root = _root(arguments)
    found = _sessions(root)
    if arguments.session is not None:
        found = [_named(found, arguments.session, root)]
    # Open ones first; sorting keeps the newest first among each.
    found = sorted(found, key=lambda one: not one.is_open)[:MOST]
    sessions = [_summary_of(one) for one in found]
    if arguments.json:
        jobs = [asdict(job) for job in Jobs(root).views()]
        answer = {"record": str(root), "sessions": sessions, "jobs": jobs}
        sys.stdout.write(json.dumps(answer) + "\n")
        return 0
    if not sessions:
        sys.stdout.write(f"no sessions in {root}\n")
    for session in sessions:
        sys.stdout.write(f"{'* ' if session['open'] else '  '}{session['line']}\n")
        if session["now"]:
            sys.stdout.write(f"    {session['now']}\n")
        for question in _asks(session["view"]):
            sys.stdout.write(indent(_question(question), "    ") + "\n")
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    found, holder = _opened(arguments)
    if not arguments.jobs:
        _must_work(found, holder, "there is nothing to stop")
    ask(holder, SendCommand(found.session, asdict(Stop(arguments.jobs))))
    jobs = "and the running jobs" if arguments.jobs else "jobs go on (`--jobs` ends them, too)"
    sys.stdout.write(f"stopping {found.session}; {jobs}\n")
    return 0


def _steer(arguments: argparse.Namespace) -> int:
    found, holder = _opened(arguments)
    text = " ".join(arguments.text).strip()
    if not text:
        raise UsageError("what should the intern be told?", do="mlintern steer TEXT")
    _must_work(found, holder, "nobody would read this now")
    ask(holder, SendCommand(found.session, asdict(Steer(text))))
    sys.stdout.write(f"told {found.session}; it reads this before its next step\n")
    return 0


def _answer(arguments: argparse.Namespace) -> int:
    found, holder = _opened(arguments)
    asks = _asks(_view(found, ask(holder, AskStatus(whole=True))))
    call, reason = named([each["call"] for each in asks], " ".join(arguments.words))
    if arguments.yes and reason:
        raise UsageError(f"{reason.split()[0]} is no open question", do=f"mlintern approve {call}")
    ask(holder, SendCommand(found.session, asdict(Answer(call, arguments.yes, reason))))
    tool = next(each["tool"] for each in asks if each["call"] == call)
    said = "allowed, once" if arguments.yes else "refused"
    sys.stdout.write(f"{said}: {tool} ({inert(call)})\n")
    return 0


# which session --------------------------------------------------------------------------------


def _root(arguments: argparse.Namespace) -> Path:
    folder: Path | None = arguments.folder
    if folder is None:
        return record_root()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", do="--folder names the notebook's folder")
    return folder.absolute() / RECORD_FOLDER


def _sessions(root: Path) -> list[RecordedSession]:
    """The newest first."""
    return [
        RecordedSession(folder.session, folder.goal, folder.path, read_holder(folder.path / "lock"))
        for folder in reversed(session_folders(root))
    ]


def _named(found: list[RecordedSession], name: str, root: Path) -> RecordedSession:
    mine = next((one for one in found if one.session == name), None)
    if mine is None:
        names = [one.session for one in found]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:3]
        raise UsageError(
            f"there is no session {name} in {root}",
            do=f"did you mean {' or '.join(near)}?"
            if near
            else "give the notebook's folder: --folder PATH",
        )
    return mine


def _opened(arguments: argparse.Namespace) -> tuple[RecordedSession, Holder]:
    """The session that is meant, and who has it open."""
    root = _root(arguments)
    found = _sessions(root)
    open_now = [one for one in found if one.is_open]
    if arguments.session is not None:
        one = _named(found, arguments.session, root)
    elif len(open_now) == 1:
        one = open_now[0]
    elif open_now:
        names = ", ".join(one.session for one in open_now)
        raise UsageError(f"{len(open_now)} sessions are open: {names}", do="add --session NAME")
    else:
        raise UsageError(
            f"no session in {root} is open in a kernel",
            do="`mlintern status` lists them; --folder PATH looks in another folder",
        )
    if one.holder is None:
        raise UsageError(
            f"session {one.session} is not open in any kernel",
            do="to go on with it, run `%load_ext mlintern_jupyter` and `%intern resume"
            f" {one.session}` in its notebook, or `mlintern run --resume --notebook FILE`",
        )
    return one, one.holder


def _must_work(found: RecordedSession, holder: Holder, so: str) -> None:
    if found.session not in ask(holder, AskStatus()).get("active", []):
        raise UsageError(
            f"session {found.session} is open, but no turn of it runs: {so}",
            do="change the text of its %%intern cell and run it for a further turn",
        )


# what is said ---------------------------------------------------------------------------------


def _summary_of(found: RecordedSession) -> dict[str, Any]:
    """A session as ``status`` shows it; what cannot be read or reached is said, never raised."""
    said: dict[str, Any] = {
        "session": found.session,
        "goal": found.goal,
        "status": "",
        "line": "",
        "record": str(found.folder),
        "open": found.is_open,
        "host": found.holder.host if found.holder else None,
        "pid": found.holder.pid if found.holder else None,
        "working": None,
        "now": "",
        "view": None,
    }
    try:
        state = fold(Ledger.view(found.folder).facts)
        said |= {"status": state.status if state.turn else "", "line": state.summary_line()}
    except InternError as error:
        said["line"] = f"{found.session}: {found.goal} (its record cannot be read: {error.what})"
    if found.holder is None:
        return said
    try:
        reply = ask(found.holder, AskStatus(whole=True))
    except InternError as error:
        return said | {"now": error.what}
    working = found.session in reply.get("active", [])
    view = _view(found, reply)
    now = _now(view, working, len(reply.get("wanted", [])))
    return said | {"working": working, "view": view, "now": f"{now} ({found.holder.as_text()})"}


def _view(found: RecordedSession, reply: dict[str, Any]) -> dict[str, Any] | None:
    """What a page would show of this session, if it is the one open there."""
    whole = cast("dict[str, Any]", reply.get("view") or {})
    shown = cast("dict[str, Any] | None", whole.get("session"))
    return shown if shown is not None and shown.get("session") == found.session else None


def _asks(view: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The open questions; none in a kernel that runs a version from before there were any."""
    return list((view or {}).get("asks", ()))


def _question(question: dict[str, Any]) -> str:
    return ask_text(AskView(**question), command="mlintern")


def _now(view: dict[str, Any] | None, working: bool, wanted: int) -> str:
    """What a session does at this moment, in words."""
    if not working:
        return "open, no turn runs"
    if view is not None and view.get("held"):
        return f"held: {view['held']}"
    if asks := len(_asks(view)):
        return f"waits for your answer to {'a question' if asks == 1 else f'{asks} questions'}"
    if wanted:
        cells = "a cell" if wanted == 1 else f"{wanted} cells"
        return f"waits for a person to run or skip {cells}"
    activity = str((view or {}).get("activity") or "")
    return f"at work: {activity}" if activity else "at work"
