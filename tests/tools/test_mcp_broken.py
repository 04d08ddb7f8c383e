"""MCP servers that break: M08 of the attack catalogue. The run survives, and so do the others."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from mcp_double import Desk, at_desk, bare, web_server
from mcp_server import BareWeb

from mlintern_jupyter.config import McpServer
from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.tools.mcp.transports import MESSAGE_LIMIT

TELL = '{"server": "s", "tool": "tell"}'


@pytest.mark.parametrize(
    ("trick", "says"),
    [
        ("crash", "it ended with 9"),
        ("huge", f"more than {MESSAGE_LIMIT // 1024**2} MB"),
        ("babble", "what it writes is not MCP"),
    ],
)
def test_m08_a_server_that_breaks_costs_its_tools_until_the_next_turn(
    tmp_path: Path, trick: str, says: str
) -> None:
    async def do(desk: Desk) -> None:
        await desk.welcome()
        assert says in await desk.refusal(TELL)
        before = _children()
        assert says in await desk.refusal('{"server": "s"}')
        assert _children() == before == set()
        assert desk.servers.status()[0].state == "down"
        await desk.turn()
        assert "1 tools of s" in (await desk.use('{"server": "s"}')).text

    at_desk(tmp_path, bare(trick), do=do)


def test_m08_a_call_that_hangs_ends_and_the_others_do_not_wait(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        await desk.welcome("s")
        await desk.welcome("t")
        hanging = asyncio.create_task(desk.call("use_mcp", TELL))
        assert (await desk.use('{"server": "t", "tool": "tell"}')).ok
        assert not hanging.done()
        hanging.cancel()
        await asyncio.wait({hanging})

    at_desk(tmp_path, bare("hang", timeout_s=600.0), bare("plain", name="t"), do=do)


def test_m08_a_call_that_hangs_has_an_end(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        await desk.welcome()
        assert "did not answer within 2 s" in await desk.refusal(TELL)

    at_desk(tmp_path, bare("hang", timeout_s=2.0), do=do)


def test_m08_a_server_that_never_begins_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlintern_jupyter.tools.mcp import connection

    monkeypatch.setattr(connection, "START_S", 2.0)

    async def do(desk: Desk) -> None:
        assert "did not answer within 2 s" in await desk.refusal('{"server": "s"}')
        assert _children() == set()

    at_desk(tmp_path, bare("sleeps"), do=do)


def test_m08_a_call_that_is_cancelled_leaves_the_server_in_order(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    async def do(desk: Desk) -> None:
        starting = asyncio.create_task(desk.use('{"server": "s"}'))
        # Ended before it left its mark, it would sleep again the next time.
        while not mark.exists():
            assert not starting.done()
            await asyncio.sleep(0.01)
        assert len(_children()) == 1
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert _children() == set()
        await desk.welcome()
        assert (await desk.use(TELL)).ok

    # One that answers could have begun before it is cancelled.
    at_desk(tmp_path, bare("sleeps once", env={"MARK": str(mark)}), do=do)


@pytest.mark.parametrize("trick", ["noise", "large"])
def test_m08_noise_and_large_answers_are_survived(tmp_path: Path, trick: str) -> None:
    async def do(desk: Desk) -> None:
        await desk.welcome()
        told = await desk.use(TELL)
        assert told.ok
        assert len(told.text) < 17_000

    at_desk(tmp_path, bare(trick), do=do)


def test_m08_an_answer_that_is_not_mcp_costs_its_call(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        await desk.welcome()
        assert "not MCP" in await desk.refusal(TELL)
        assert desk.servers.status()[0].state == "on"

    at_desk(tmp_path, bare("nonsense"), do=do)


def test_m08_last_words_are_for_the_person_and_not_for_the_model(tmp_path: Path) -> None:
    async def do(desk: Desk) -> None:
        said = await desk.refusal('{"server": "s"}')
        assert "it ended with 3" in said
        assert "licence" not in said
        assert desk.servers.status()[0].problem.endswith("no licence found")

    at_desk(tmp_path, bare("dies"), do=do)


def test_m08_a_server_over_http_that_goes_away_is_down(tmp_path: Path) -> None:
    with web_server(tmp_path) as (url, log):

        async def do(desk: Desk) -> None:
            await desk.welcome()
            for process in psutil.Process().children():
                if str(log) in process.cmdline():
                    process.kill()
                    # Killed is not gone: a request could still be taken and broken off.
                    process.wait(60)
            assert "is down" in await desk.refusal('{"server": "s", "tool": "links"}')

        at_desk(tmp_path, McpServer("s", url=url), do=do)


TEXT = b"x" * 20_000_000


@pytest.mark.parametrize(
    ("answer", "headers", "says"),
    [
        (b'{"text":"short"', {}, "short\n"),
        (b'{"text":"%s"' % TEXT, {}, "more than 16 MB"),
        (b'{"text":"%s"' % TEXT, {"content-type": "text/event-stream"}, "SSE stream failed"),
        (b'{"text":"short"', {"content-encoding": "gzip"}, "Failed to parse JSON"),
        (b'{"text":3', {}, "or not MCP"),
        (b"<html>", {"content-type": "text/html"}, "Unexpected content type"),
    ],
    ids=["plain", "long", "long stream", "packed", "no MCP", "no JSON"],
)
def test_m08_over_http_an_answer_of_any_kind_ends_in_a_result(
    tmp_path: Path, answer: bytes, headers: dict[str, str], says: str
) -> None:
    def body(number: bytes) -> bytes:
        result = b'{"content":[{"type":"text",%s}]}' % answer[1:]
        whole = b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (number, result)
        if "stream" in headers.get("content-type", ""):
            return b"event: message\ndata: %s\n\n" % whole
        return gzip.compress(whole) if "content-encoding" in headers else whole

    handler = type("Handler", (BareWeb,), {"body": staticmethod(body), "headers_of_call": headers})

    async def do(desk: Desk) -> None:
        await desk.welcome()
        try:
            told = (await desk.use(TELL)).text
        except ToolError as error:
            told = str(error)
        assert says in told
        assert "xxx" not in told
        assert desk.servers.status()[0].state == "on"

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/mcp"
            at_desk(tmp_path, McpServer("s", url=url, timeout_s=120.0), do=do)
        finally:
            server.shutdown()
            serving.join()


def test_m08_closing_ends_every_process_a_server_started(tmp_path: Path) -> None:
    pids: list[int] = []

    async def do(desk: Desk) -> None:
        await desk.welcome()
        pids.extend(map(int, (await desk.use(TELL)).text.split("\n")[0].split()))
        assert all(psutil.pid_exists(pid) for pid in pids)

    at_desk(tmp_path, bare("family"), do=do)
    assert len(pids) == 2
    # The grandchild is reaped by whoever adopted it, which may take a moment.
    until = time.monotonic() + 60
    while any(_runs(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(_runs(pid) for pid in pids)


def _children() -> set[int]:
    """Servers of this test that run."""
    # A browser or a server of other tests in this process is no child of the case.
    return {p.pid for p in psutil.Process().children() if _runs(p.pid) and _serves(p)}


def _serves(process: psutil.Process) -> bool:
    try:
        return any("mcp_server" in word for word in process.cmdline())
    except psutil.Error:
        return False


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
