"""A real kernel driven by hand: cells with ids, requests on control, messages from iopub."""

from __future__ import annotations

import os
import queue
import threading
import time
from copy import copy
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from mlintern_jupyter.wire import COMM_ID, CONTROL_REQUEST, WIRE_VERSION

ROOT = Path(__file__).parents[2]
LONG_S = 60
"""More than a busy machine needs for anything that is waited for here."""


class HandPeer:
    def __init__(self, folder, python=None):
        self.manager = KernelManager(transport="ipc", ip=str(folder / "k"))
        if python is not None:
            self.manager.kernel_spec.argv[0] = str(python)
        env = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests' / 'doubles'}:{ROOT}"}
        # The history of all kernels is one file, which each locks as it starts.
        alone = ["--HistoryManager.enabled=False"]
        self.manager.start_kernel(cwd=str(folder), env=env, extra_arguments=alone)
        self.others = []
        self.boot = ""
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=2 * LONG_S)
        self.messages = queue.Queue()
        self.printed = queue.Queue()
        self.done = threading.Event()
        self.pump = threading.Thread(target=self._pump, daemon=True)
        self.pump.start()

    def close(self):
        self.done.set()
        self.pump.join()
        for client in (self.client, *self.others):
            client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def _pump(self):
        while not self.done.is_set():
            try:
                message = self.client.iopub_channel.get_msg(timeout=0.2)
            except queue.Empty:
                continue
            if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == COMM_ID:
                self.messages.put(message["content"]["data"])
            elif message["msg_type"] == "stream":
                self.printed.put(message["content"]["text"])

    def another_client(self):
        """A connection of its own, as every page and every reload of one makes it."""
        client = BlockingKernelClient()
        client.load_connection_info(self.manager.get_connection_info())
        client.start_channels()
        self.others.append(client)
        return client

    def as_client(self, client):
        """The same kernel, spoken to through another connection."""
        other = copy(self)
        other.client = client
        return other

    def load(self):
        load = self.send("%load_ext stub_intern")
        self.next("ping")
        self.hello()
        assert self.reply(load)["status"] == "ok"

    def start(self, scenario):
        assert self.run(f"%%intern {scenario}\n\n", "magic")["status"] == "ok"

    def send(self, code, cell_id=None, **content):
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
            **content,
        }
        metadata = {"cellId": cell_id} if cell_id else {}
        message = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def reply(self, msg_id):
        while True:
            message = self.client.shell_channel.get_msg(timeout=LONG_S)
            if message["parent_header"].get("msg_id") == msg_id:
                return message["content"]

    def run(self, code, cell_id=None):
        return self.reply(self.send(code, cell_id))

    def ask(self, content, timeout_s=LONG_S):
        message = self.client.session.msg(CONTROL_REQUEST, content)
        self.client.control_channel.send(message)
        while True:
            reply = self.client.control_channel.get_msg(timeout=timeout_s)
            if reply["parent_header"]["msg_id"] == message["header"]["msg_id"]:
                self.boot = reply["content"]["boot"]
                return reply["content"]

    def hello(self, last_seq=0, wire=WIRE_VERSION, **more):
        hello = {"kind": "hello", "peer": "hand", "wire": wire, "last_seq": last_seq}
        return self.ask(hello | {"boot": self.boot} | more)

    def not_run(self, cell_id, state, reason=""):
        report = {"kind": "not_run", "cell_id": cell_id, "state": state, "reason": reason}
        return self.ask(report)

    def returned(self, cell_id):
        return self.ask({"kind": "returned", "cell_id": cell_id})

    def facts(self):
        """Every fact so far, in order."""
        messages, last = [], 0
        while True:
            reply = self.hello(last)
            messages += reply["messages"]
            if not reply["more"]:
                return [m["fact"] for m in messages if m["kind"] == "fact"]
            last = messages[-1]["seq"]

    def status(self, **more):
        return self.ask({"kind": "status"} | more)

    def wanted(self, *cells):
        """Wait until these cells wait for a person: the intern asks first and then waits."""
        end = time.monotonic() + LONG_S
        while (wanted := self.status()["wanted"]) != list(cells):
            assert time.monotonic() < end, f"waiting for a person: {wanted}"
            time.sleep(0.05)

    def let_line_form(self):
        """Wait until what was sent so far is surely known to have been sent before what begins now.

        The kernel knows the clock of a client as well as its fastest request was fast.
        """
        began = time.monotonic()
        self.status()
        time.sleep(time.monotonic() - began)

    def next(self, kind):
        while True:
            message = self.messages.get(timeout=LONG_S)
            if message["kind"] == kind:
                return message

    def begin(self, code, cell_id=None):
        """Send a cell and wait until its code runs: an interrupt before that kills no cell."""
        msg_id = self.send(f"print('begun', flush=True)\n{code}", cell_id)
        while "begun" not in self.printed.get(timeout=LONG_S):
            pass
        return msg_id

    def interrupt(self, msg_id):
        """Interrupt a cell that runs, and return its reply."""
        self.manager.interrupt_kernel()
        return self.reply(msg_id)

    def recorded(self, kind, **fields):
        """Wait for a fact that a replay brings: of a flood iopub drops some, maybe the last."""
        end, last = time.monotonic() + 2 * LONG_S, 0
        while True:
            messages = self.hello(last)["messages"]
            for fact in (m["fact"] for m in messages if m["kind"] == "fact"):
                if fact["type"] == kind and fields.items() <= fact.items():
                    return
            assert time.monotonic() < end, f"never recorded: {kind} {fields}"
            if messages:
                last = messages[-1]["seq"]
            else:
                time.sleep(0.2)

    def heard(self, kind, **fields):
        """Wait for a fact of a type."""
        while True:
            fact = self.next("fact")["fact"]
            if fact["type"] == kind and fields.items() <= fact.items():
                return fact
