"""An open notebook reduced to what a test needs: it inserts, reads and runs what it is told to."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

from kernel_peer import KernelPeer

from mlintern_jupyter.cells import CellView
from mlintern_jupyter.wire import (
    COMM_ID,
    CONTROL_REQUEST,
    WIRE_VERSION,
    AskStatus,
    CellNotRun,
    CellRestored,
    CellsRead,
    Hello,
    SendCommand,
    ToKernel,
    to_json,
)

TAB = "tab-1"


class OpenPage:
    """A page on a kernel; nothing happens in it but while the test waits for something."""

    def __init__(self, peer: KernelPeer) -> None:
        self._client = peer.client
        self.cells: dict[str, str] = {}
        self.told_to_run: list[str] = []
        reply = self.say(Hello("lab", WIRE_VERSION, tab=TAB))
        assert reply["ok"], reply

    def say(self, message: ToKernel) -> dict[str, Any]:
        """A request on the control channel, and its reply."""
        request = self._client.session.msg(CONTROL_REQUEST, to_json(message))
        self._client.control_channel.send(request)
        while True:
            reply = self._client.control_channel.get_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == request["header"]["msg_id"]:
                return reply["content"]

    def view(self) -> dict[str, Any]:
        """What the page shows of the open session."""
        reply = self.say(AskStatus(whole=True, tab=TAB))
        assert reply["ok"], reply
        return reply["view"]["session"]

    def waiting(self) -> list[str]:
        """Ids of the cells that wait for the person, those that are in the notebook already."""
        return [p["cell_id"] for p in self.view()["pending"] if p["cell_id"] in self.cells]

    def wanted(self) -> list[str]:
        """Ids of the cells that a call of a running turn waits for."""
        return self.say(AskStatus(tab=TAB))["wanted"]

    def until_idle(self) -> None:
        """Wait until no turn runs: the record shows its end a moment before the kernel is free."""
        self.until(lambda: not self.say(AskStatus(tab=TAB))["active"])

    def command(self, kind: str, **more: Any) -> dict[str, Any]:
        """A press of a button."""
        return self.say(SendCommand(self.view()["session"], {"kind": kind, **more}))

    def run(self, cell_id: str, source: str | None = None) -> None:
        """The person runs a cell, edited or as it is."""
        if source is not None:
            self.cells[cell_id] = source
        content = {
            "code": self.cells[cell_id],
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        session = self._client.session
        message = session.msg("execute_request", content, metadata={"cellId": cell_id})
        self._client.shell_channel.send(message)

    def lose(self, cell_id: str) -> None:
        """A cell was not in the notebook for a while."""
        assert self.say(CellNotRun(cell_id, "missing"))["ok"]

    def find(self, cell_id: str) -> None:
        """It is there again."""
        assert self.say(CellRestored(cell_id))["ok"]

    def until(self, condition: Callable[[], Any], seconds: float = 60) -> Any:
        """Do what the kernel asks for until something is true; returns it."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, "it did not happen in time"
            try:
                message = self._client.get_iopub_msg(timeout=0.05)
            except queue.Empty:
                continue
            if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == COMM_ID:
                self._obey(message["content"]["data"])
        return found

    def _obey(self, told: dict[str, Any]) -> None:
        if told["kind"] == "insert":
            self.cells.setdefault(told["cell"]["id"], told["cell"]["source"])
        elif told["kind"] == "update" and told["source"] is not None:
            self.cells[told["cell_id"]] = told["source"]
        elif told["kind"] == "run":
            self.told_to_run.append(told["cell_id"])
            self.run(told["cell_id"])
        elif told["kind"] == "read":
            cells = tuple(CellView(name, "code", text) for name, text in self.cells.items())
            assert self.say(CellsRead(told["request"], cells))["ok"]
