"""A front end reduced to what a test needs: a real kernel, cells with ids, one control request."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from jupyter_client.manager import KernelManager

from mlintern_jupyter.wire import CONTROL_REQUEST, WIRE_VERSION, AskStatus, Hello, to_json

LOAD = "%load_ext mlintern_jupyter"
START_S = 120.0
STARTS = 3
"""A kernel on TCP that finds a port taken ends at once; so often another one is started."""


def without_status(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of a request but for what is left of the budget: another text at each step.

    It stands at the end, and with other words of ours in one message.
    """
    *before, last = messages
    words, found, _ = str(last["content"]).partition("[Standing: ")
    assert found, f"nothing is said of the budget: {last}"
    return [*before, {**last, "content": words.rstrip()}] if words else before


@contextmanager
def loaded(peer: KernelPeer, folder: Path, *, asks: bool = False) -> Iterator[KernelPeer]:
    """The intern loaded anew, in a folder of its own, in a kernel that other tests have used.

    To start a kernel and to load a model's library takes longer than most of what is tested.
    """
    peer.asks = asks
    peer.begin_in(folder)
    assert peer.run(LOAD).status == "ok"
    yield peer
    assert peer.run("%unload_ext mlintern_jupyter").status == "ok"
    peer.run("%reset -f")


@dataclass
class Shown:
    """What running one cell gave."""

    status: str
    text: str
    """Streams, plain displays and error values, a line each; a stream as it was written."""
    next_input: str = ""
    """Text the kernel gave for the next cell."""
    replaces: bool = False
    """It is meant for the cell that ran."""


@dataclass
class KernelPeer:
    """Runs cells one by one; ``answer_as`` makes the kernel believe that a peer is there."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict[str, str])
    asks: bool = False
    """Cells may ask for input, as those of a person's front end may."""
    tcp: bool = False
    """Listen on ports, as the kernels of a Jupyter server do."""

    def __enter__(self) -> KernelPeer:
        for left in reversed(range(STARTS)):
            try:
                self._start()
                break
            except RuntimeError:
                died = self.manager.provisioner is None or not self.manager.is_alive()
                self._end()
                # A port that was free when the manager looked may be another's when it is bound.
                if not (self.tcp and died and left):
                    raise
        return self

    def _start(self) -> None:
        self._sockets = tempfile.TemporaryDirectory(prefix="kernel-")
        self.manager = KernelManager()
        if not self.tcp:
            # Files of its own: nobody else can take them before the kernel is there.
            self.manager.transport, self.manager.ip = "ipc", f"{self._sockets.name}/k"
        env = {**os.environ, **self.env}
        env.pop("JPY_SESSION_NAME", None)
        self.manager.start_kernel(cwd=str(self.folder), env=env)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=START_S)

    def _end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self._sockets.cleanup()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def run(
        self,
        source: str,
        cell_id: str = "",
        timeout: float = 120,
        hear: Callable[[str], object] = len,
    ) -> Shown:
        """Execute a cell as a front end does that sends cell ids (or not).

        Args:
            source: the cell's text.
            cell_id: empty where the front end sends none.
            timeout: longest silence of the kernel; the first turn in it loads the model's library.
            hear: told every piece of a stream while the cell runs.
        """
        content = {
            "code": source,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": self.asks,
            "stop_on_error": False,
        }
        metadata = {"cellId": cell_id} if cell_id else {}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        said: list[str] = []
        stream = ""
        while True:
            heard = self.client.get_iopub_msg(timeout=timeout)
            if heard["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            kind, body = heard["msg_type"], heard["content"]
            if kind == "status" and body["execution_state"] == "idle":
                break
            if kind == "stream":
                # One print may come in two pieces, where the kernel paused between them.
                if body["name"] == stream:
                    said[-1] += body["text"]
                else:
                    said.append(body["text"])
                stream = body["name"]
                hear(body["text"])
            elif kind in {"display_data", "execute_result"}:
                said.append(body["data"].get("text/plain", ""))
                stream = ""
            elif kind == "error":
                said.append("\n".join([body["evalue"], *body["traceback"]]))
                stream = ""
        reply = self._reply(message["header"]["msg_id"], timeout)
        given = [p for p in reply.get("payload", ()) if p["source"] == "set_next_input"]
        if not given:
            return Shown(reply["status"], "\n".join(said))
        return Shown(reply["status"], "\n".join(said), given[-1]["text"], given[-1]["replace"])

    def begin_in(self, folder: Path) -> None:
        """Be in a folder as if the kernel had been started there."""
        self.folder = folder
        moved = f"import os; os.chdir({str(folder)!r}); get_ipython().starting_dir = os.getcwd()"
        assert self.run(moved).status == "ok"

    def complete(self, text: str) -> list[str]:
        """What the kernel offers at the end of a text."""
        return self._reply(self.client.complete(text, len(text)), 120)["matches"]

    def _reply(self, msg_id: str, timeout: float) -> dict[str, Any]:
        # Answers to the questions whether the kernel is ready may come late.
        while True:
            reply = self.client.get_shell_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == msg_id:
                return reply["content"]

    def answer_as(self, peer: str) -> dict[str, Any]:
        """Say hello on the control channel, as a page or the headless notebook does."""
        return self.ask(to_json(Hello(peer, WIRE_VERSION)))

    def ask(self, content: dict[str, Any]) -> dict[str, Any]:
        """Say anything on the control channel."""
        message = self.client.session.msg(CONTROL_REQUEST, content)
        self.client.control_channel.send(message)
        while True:
            reply = self.client.control_channel.get_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply["content"]

    def standing(self) -> dict[str, Any]:
        """What the kernel answers a page that asks: ``active`` sessions, ``wanted`` cells."""
        return self.ask(to_json(AskStatus()))

    def until_idle(self) -> None:
        """Wait until no turn runs: the record shows its end a moment before the kernel is free."""
        end = time.monotonic() + 60
        while self.standing()["active"]:
            assert time.monotonic() < end, "the turn went on"
            time.sleep(0.05)
