"""A server nobody scripted: `transformers serve` with the shipped nano model, on this machine.

What it says is noise; what counts is the wire: no end marker, its own usage, an odd model name.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_rig import engine

import mlintern_jupyter.bench.nano as nano
from mlintern_jupyter.events import TurnEnded
from mlintern_jupyter.messages import Message, ToolCall, ToolSpec, View
from mlintern_jupyter.models.litellm.client import LitellmModel
from mlintern_jupyter.models.litellm.failures import RetryPolicy
from mlintern_jupyter.models.names import resolve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
MODEL = Path(nano.__file__).parent / "base"
VIEW = View((Message("user", "The capital of"),), (), 24)
ADD = ToolSpec("add", "Add.", {"type": "object", "properties": {"a": {"type": "integer"}}})
START_S = 240


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("serve")
    # Without this folder its list of models is a 500.
    (folder / "hub").mkdir()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(MODEL)]
    command += ["--host", "127.0.0.1", "--port", "0", "--device", "cpu"]
    env = {**os.environ, "HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        url = _wait_until_healthy(process, folder / "log")
        yield f"{url}/v1"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _wait_until_healthy(process: subprocess.Popen[bytes], log: Path) -> str:
    """Its address, which it says itself: a port picked for it could be taken meanwhile."""
    end = time.monotonic() + START_S
    while not (found := re.search(r"running on (http://127\.0\.0\.1:[1-9]\d*) ", log.read_text())):
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.2)
    with urllib.request.urlopen(f"{found[1]}/health", timeout=60) as answer:
        assert json.load(answer)["status"] == "ok"
    return found[1]


@pytest.mark.parametrize("prefix", ["openai", "vllm", "openai/responses"])
def test_an_answer_is_whole_and_counted(base_url: str, prefix: str) -> None:
    plan = resolve(f"{prefix}/{MODEL}", api_base=base_url, price=None, env={})
    pieces: list[str] = []
    # Asked again, a stream that was taken for a cut one would show here.
    model = LitellmModel(plan, RetryPolicy(restarts=0, retries=0))
    reply = asyncio.run(model.complete(VIEW, pieces.append))
    assert reply.stop in {"stop", "length"}
    assert "".join(pieces) == reply.text
    assert 1 <= reply.usage.input_tokens < 100
    assert 1 <= reply.usage.output_tokens <= 24
    assert model.unmetered


@pytest.mark.parametrize("prefix", ["openai", "openai/responses"])
def test_a_conversation_with_a_call_and_its_result_is_accepted(base_url: str, prefix: str) -> None:
    call = ToolCall("call_1", "add", '{"a": 1}')
    messages = (
        Message("system", "Be brief."),
        Message("user", "1 + 2?"),
        Message("assistant", "Adding.", (call,)),
        Message("tool", "3", call_id="call_1"),
    )
    plan = resolve(f"{prefix}/{MODEL}", api_base=base_url, price=None, env={})
    model = LitellmModel(plan, RetryPolicy(restarts=0, retries=0))
    reply = asyncio.run(model.complete(View(messages, (ADD,), 24), lambda _: None))
    assert reply.usage.input_tokens > 10


def test_it_sends_no_end_marker(base_url: str) -> None:
    body = {
        "model": str(MODEL),
        "messages": [{"role": "user", "content": "The"}],
        "max_tokens": 4,
        "stream": True,
    }
    request = urllib.request.Request(
        f"{base_url}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        said = answer.read()
    assert b"finish_reason" in said
    assert b"[DONE]" not in said, "it does now: what is checked without it is not checked here"


def test_a_turn_against_it_ends_with_a_stated_outcome(
    base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine(tmp_path, monkeypatch) as intern:
        intern.patient(silence_s=120)
        intern.type(
            f"%%intern say anything --model vllm/{MODEL} --api-base {base_url}"
            " --max-steps 3 --context 32768\n"
        )
        assert intern.session.worker.idle.wait(240)
        (end,) = intern.facts(TurnEnded)
        spent = intern.state().spent
    # A model of 260,000 parameters may answer, repeat itself until a limit, or say nothing.
    assert end.outcome in {"completed", "limit", "paused", "failed"}
    assert "mlintern_jupyter itself" not in end.reason, end
    assert end.summary or end.reason
    assert spent.usage.input_tokens > 0 or end.outcome == "failed"
