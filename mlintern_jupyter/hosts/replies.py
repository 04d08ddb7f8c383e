"""What the kernel answers to a peer: on the control thread, so also while a cell runs.

Every request gets a reply; a peer that reads silence as "no intern here" must be right.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from time import time
from typing import Any

from mlintern_jupyter import __version__
from mlintern_jupyter.cells import CellView
from mlintern_jupyter.errors import InternError, UsageError
from mlintern_jupyter.hosts.cell_owner import CellOwner
from mlintern_jupyter.hosts.leader import Leader
from mlintern_jupyter.hosts.outbox import Outbox, plain
from mlintern_jupyter.hosts.person_cells import ExecutionQueue
from mlintern_jupyter.reading import read
from mlintern_jupyter.views import KernelView
from mlintern_jupyter.wire import WIRE_VERSION


class Answers:
    """Takes the peer's messages and makes the replies.

    Args:
        outbox: where what a peer missed is kept.
        leader: which page leads.
        line: learns from each request how the peer's clock stands to ours.
        hosts: the sessions' notebooks, as they are now.
        on_command: takes a session id and a command as JSON; only hands over. What it raises is
            the peer's answer.
        status: more for the answer to AskStatus, at least ``{"active": [session ids]}``.
        view: everything a page shows; must not block.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        leader: Leader,
        line: ExecutionQueue,
        hosts: Callable[[], tuple[CellOwner, ...]],
        on_command: Callable[[str, dict[str, Any]], None],
        status: Callable[[], dict[str, Any]],
        view: Callable[[], KernelView | None],
    ) -> None:
        self.peer: str | None = None
        """What said hello last; ``None`` when nobody did or everybody said goodbye."""
        self.greeted = threading.Event()
        self._outbox = outbox
        self._leader = leader
        self._line = line
        self._hosts = hosts
        self._on_command = on_command
        self._status = status
        self._view = view

    def to(self, request: dict[str, Any]) -> dict[str, Any]:
        """The content of the reply to a control request."""
        answer: dict[str, Any]
        try:
            header = request["header"]
            self._line.heard(header["session"], sent_at(header), time())
            answer = {"ok": True, **self.hear(request["content"], header["session"])}
        except InternError as error:
            answer = {"ok": False, "what": error.what, "why": error.why, "do": error.do}
        except Exception as error:  # noqa: BLE001  the peer waits: no reply would hang it
            why = f"{type(error).__name__}: {error}"
            answer = {"ok": False, "what": "the request was not understood", "why": why, "do": ""}
        answer.setdefault("seq", self._outbox.last)
        answer["boot"] = self._outbox.boot
        return answer

    def hear(self, message: dict[str, Any], client: str) -> dict[str, Any]:
        """Take a message; what it is answered with. Raises whatever is wrong with it."""
        kind = message["kind"]
        if kind == "hello":
            return self._greet(message, client)
        if kind == "status":
            return self._status_reply(message)
        if kind == "command":
            self._on_command(message["session"], message["command"])
        elif kind == "cells":
            cells = [read(CellView, cell) for cell in message["cells"]]
            any(host.cells_read(message["request"], cells) for host in self._hosts())
        elif kind == "not_run":
            self._not_run(message)
        elif kind == "returned":
            self._returned(message["cell_id"])
        elif kind == "outputs":
            return self._outputs(message["cell_id"])
        elif kind == "bye":
            self._part(message["tab"])
        else:
            raise UsageError(f"there is no message {kind!r}")
        return {}

    def _greet(self, message: dict[str, Any], client: str) -> dict[str, Any]:
        if message["wire"] != WIRE_VERSION:
            raise _mismatch(message["wire"], message.get("version", ""))
        tab = message.get("tab", "")
        self._leader.hello(client, tab, take_lead=message.get("take_lead", False))
        self.peer = message["peer"]
        self.greeted.set()
        messages, more, last = self._outbox.page(
            message.get("last_seq", 0), message.get("boot", "")
        )
        status = None
        if message.get("whole"):
            status = {"ok": True, "boot": self._outbox.boot, **self._status_reply(message)}
        return {
            "wire": WIRE_VERSION,
            "seq": last,
            "leads": self._leader.leads(tab),
            "messages": messages,
            "more": more,
            "status": status,
        }

    def _status_reply(self, message: dict[str, Any]) -> dict[str, Any]:
        # Read in this order: what a session says before it ends is numbered below ``seq``, and
        # the view is not older than ``seq``.
        wanted = [cell for host in self._hosts() for cell in host.wanted()]
        status = {"wanted": wanted, **self._status(), "seq": self._outbox.last}
        tab = message.get("tab", "")
        self._leader.status_requested(tab, at_work=bool(status["active"]))
        view = self._view() if message.get("whole") else None
        status["leads"] = self._leader.leads(tab)
        status["view"] = None if view is None else plain(asdict(view))
        return status

    def _part(self, tab: str) -> None:
        self._leader.bye(tab)
        if self._leader.has_no_page:
            self.peer = None

    def _not_run(self, message: dict[str, Any]) -> None:
        cell_id, state = message["cell_id"], message["state"]
        owner = self._concerned(cell_id)
        if state == "missing":
            self._outbox.withhold(cell_id)
        self._outbox.forget_run(cell_id)
        owner.cell_not_run(cell_id, state, message.get("reason", ""))

    def _returned(self, cell_id: str) -> None:
        owner = self._concerned(cell_id)
        self._outbox.release(cell_id)
        owner.cell_returned(cell_id)

    def _outputs(self, cell_id: str) -> dict[str, Any]:
        outcome = self._concerned(cell_id).outcome_of(cell_id)
        if outcome is None:
            raise UsageError(f"cell {cell_id} has not ended")
        return plain({"outputs": outcome.outputs, "execution_count": outcome.execution_count})

    def _concerned(self, cell_id: str) -> CellOwner:
        owner = next((host for host in self._hosts() if host.concerns(cell_id)), None)
        if owner is None:
            raise UsageError(f"no session in this kernel has a cell {cell_id}")
        return owner


def sent_at(header: dict[str, Any]) -> float | None:
    """When a message was sent, by the sender's clock; ``None`` if it does not say."""
    date = header.get("date")
    return date.timestamp() if isinstance(date, datetime) else None


def _mismatch(wire: int, version: str) -> UsageError:
    """The older side is the one to be changed."""
    if wire < WIRE_VERSION:
        package, where = f"mlintern-jupyter=={__version__}", "where the Jupyter server runs"
        then = "reload the page"
    else:
        package = f"mlintern-jupyter=={version}" if version else "mlintern-jupyter"
        where, then = f"where the kernel runs ({sys.prefix})", "restart the kernel"
    page = f"mlintern-jupyter {version}, wire {wire}" if version else f"wire {wire}"
    return UsageError(
        f"the page and the kernel do not speak the same wire: {wire} and {WIRE_VERSION}",
        why=f"the page has {page}; the kernel has mlintern-jupyter {__version__}, "
        f"wire {WIRE_VERSION}",
        do=f"install the same version on both sides: `pip install -U '{package}'` {where}, "
        f"then {then}",
    )
