"""Clocks that jump, disks that are full or refuse, records that are torn: cases K12 to K18.

Real where a process can make it so: RLIMIT_FSIZE for a file that cannot grow, RLIMIT_NOFILE,
/proc for a file system nobody can write, bytes of the real ledger changed on disk. Second best,
and said at the case: a full disk and used-up inodes are errors put into the system call, because a
small file system needs a right to mount that not every machine gives; tests/record has them where
it does. Clocks: what Python reads is moved, since libfaketime is not everywhere.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import gc
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_rig import END_S, Engine, plan, steps, tool
from nbformat.v4 import new_code_cell

import mlintern_jupyter
from mlintern_jupyter.errors import InternError, LedgerDamaged
from mlintern_jupyter.events import EffectIntended, TurnEnded
from mlintern_jupyter.peers.notebook_file import NotebookFile
from mlintern_jupyter.policy.scrub import Scrubber
from mlintern_jupyter.protocols import ToolContext
from mlintern_jupyter.record import ledger as ledger_module
from mlintern_jupyter.record.ledger import LEDGER_FILE, Ledger
from mlintern_jupyter.testing.script import Call, Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

DAY = 86_400.0
WALL_CLOCK = {"time", "ctime", "localtime", "gmtime"}
MAY_READ_IT = {
    # A moment another clock names, or one that is only shown.
    "models/litellm/failures.py": "a Retry-After that is a date",
}


async def mark(ctx: ToolContext, number: int) -> str:
    """Leave a mark.

    Args:
        number: which
    """
    with (ctx.workdir / "marks").open("a") as file:
        file.write(f"{number}\n")
    return f"marked {number}"


def marking(count: int) -> list[Turn]:
    return [*(Turn(calls=(Call("mark", {"number": n}),)) for n in range(count)), Turn("Finished.")]


def marks(intern: Engine) -> list[int]:
    path = intern.folder / "marks"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


# K12 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-DAY, DAY, 3600.0, -3600.0])
def test_K12_a_clock_that_jumps_ends_nothing_and_changes_no_order(
    intern: Engine, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    real, calls = time.time, [0]

    def jumping() -> float:
        calls[0] += 1
        return real() + jump * (calls[0] % 3)

    monkeypatch.setattr(time, "time", jumping)
    with ScriptedServer(steps(3)) as server:
        end = intern.run(server, "--hours 0.5")
        assert len(server.requests) == 4
    assert (end.outcome, end.summary) == ("completed", "Finished.")
    numbers = [n.number for n in Ledger.view(intern.record).facts]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 0 <= intern.state().spent.seconds < 600


def test_K12_the_time_zone_changes_in_the_middle(
    intern: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(body: dict) -> Turn:
        zone = ("Pacific/Kiritimati", "America/Adak", "Europe/Rome")[len(body["messages"]) % 3]
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        said = sum(m["role"] == "assistant" for m in body["messages"])
        return Turn(calls=(plan(f"{said}"),)) if said < 4 else Turn("Finished.")

    try:
        with ScriptedServer(say) as server:
            assert intern.run(server, "--hours 0.5").outcome == "completed"
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    stamps = [n.at for n in Ledger.view(intern.record).facts]
    assert stamps == sorted(stamps), "stamps are in one zone"


def test_K12_limits_read_no_wall_clock() -> None:
    root = Path(mlintern_jupyter.__file__).parent
    found: list[str] = []
    for package in ("agent", "policy", "context", "models", "session"):
        for path in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                reads = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
                if reads and (node.value.id, node.attr) in {("time", n) for n in WALL_CLOCK}:
                    found.append(str(path.relative_to(root)))
    assert set(found) <= set(MAY_READ_IT), found


# K13, K14 -------------------------------------------------------------------------------------


@contextlib.contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes (the system refuses with EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", range(200, 4200, 400))
def test_K13_a_ledger_that_cannot_grow_stops_before_the_effect(intern: Engine, room: int) -> None:
    # The log of the server must not be what stops: it keeps none.
    intern.tools = [tool(mark, effects=frozenset({"execute"}))]
    size = [0]

    def say(body: dict) -> Turn:
        said = sum(m["role"] == "assistant" for m in body["messages"])
        if said == 1 and not size[0]:
            size[0] = (intern.record / LEDGER_FILE).stat().st_size + room
            resource.setrlimit(resource.RLIMIT_FSIZE, (size[0], unlimited[1]))
        return marking(3)[said]

    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ScriptedServer(say) as server:
        try:
            intern.start(server, "--mode auto")
            assert intern.session.worker.idle.wait(END_S)
            intended = len(intern.facts(EffectIntended))
            assert marks(intern) == list(range(intended))
            if intended == 3 and intern.state().outcome is not None:
                pytest.fail("the disk was never full: the case shows nothing")
            told = intern.told_end()
            assert told.outcome == "failed"
            assert "size" in told.do + told.reason
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        end = intern.resume()
        assert (end.outcome, end.summary) == ("completed", "Finished.")
    assert sorted(set(marks(intern))) == [0, 1, 2]
    settled = [f.call for f in intern.settled("mark")]
    assert len(settled) == len(set(settled)) == 3
    # A mark that was made and whose end could not be written is unknown, and is not made again.
    unknown = [f for f in intern.settled("mark") if f.facts.get("effect") == "unknown"]
    assert len(marks(intern)) == 3
    assert len(unknown) <= 1


def test_K13_a_full_disk_says_so(intern: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Second best: ENOSPC is put into the write."""
    intern.tools = [tool(mark, effects=frozenset({"execute"}))]
    whole = ledger_module.write_all
    full = [False]

    def write(descriptor: int, content: bytes) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(descriptor, content)

    monkeypatch.setattr(ledger_module, "write_all", write)

    def say(body: dict) -> Turn:
        said = sum(m["role"] == "assistant" for m in body["messages"])
        full[0] = full[0] or said == 1
        return marking(2)[said]

    with ScriptedServer(say) as server:
        intern.start(server, "--mode auto")
        assert intern.session.worker.idle.wait(END_S)
        told = intern.told_end()
        assert told.outcome == "failed"
        assert "disk is full" in told.reason + told.summary
        assert "free some space" in told.do
        assert marks(intern) == [0]
        full[0] = False
        monkeypatch.setattr(ledger_module, "write_all", whole)
        assert intern.resume().outcome == "completed"
    assert marks(intern) == [0, 1]


def test_K14_a_notebook_that_cannot_be_saved_stays_whole(tmp_path: Path) -> None:
    said: list[str] = []
    file = NotebookFile.create(tmp_path / "n.ipynb", ["a = 1"], said.append)
    before = file.path.read_bytes()
    file.nb.cells.append(new_code_cell("b = '" + "x" * 5000 + "'"))
    with file_limit(2000):
        assert not file.save()
        assert file.path.read_bytes() == before
        with pytest.raises(InternError) as caught:
            file.save_or_raise()
    assert "mlintern export" in caught.value.do
    assert len(said) == 1
    assert file.save()
    assert b"xxxx" in file.path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["n.ipynb"]


# K15, K16 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocked", ["/proc/nowhere", "a file"])
def test_K15_nowhere_to_write_refuses_before_anything_is_asked(
    intern: Engine, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    (intern.folder / "a file").write_text("in the way")
    place = blocked if blocked.startswith("/") else str(intern.folder / blocked)
    config = intern.folder / "config.toml"
    config.write_text(f"record_dir = {json.dumps(place)}\n")
    monkeypatch.setenv("MLINTERN_CONFIG", str(config))
    monkeypatch.setenv("XDG_DATA_HOME", place)
    with ScriptedServer([]) as server:
        shown = intern.start(server)
        assert server.requests == []
    assert "cannot be written" in shown
    assert "do:" in shown or "LedgerUnwritable" in shown
    assert "Traceback" not in shown


def test_K15_the_folder_of_the_person_is_the_second_place(
    intern: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, home = intern.folder / "config.toml", intern.folder / "home"
    config.write_text('record_dir = "/proc/nowhere"\n')
    monkeypatch.setenv("MLINTERN_CONFIG", str(config))
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    with ScriptedServer([Turn("Done.")]) as server:
        shown = intern.start(server)
        assert intern.session.worker.idle.wait(END_S)
    assert str(home) in shown
    assert list(home.rglob(LEDGER_FILE))


def test_K16_too_many_open_files_is_a_clear_error(intern: Engine) -> None:
    with ScriptedServer([Turn("Done.")]) as server:
        intern.type("%intern help")
        # What is collected meanwhile would give numbers of files back.
        gc.collect()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        folder = intern.folder / "x"
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
            with pytest.raises(InternError) as caught:
                Ledger.create(folder, Scrubber.from_environment())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "too many files are open" in caught.value.why
        assert caught.value.do
        assert intern.run(server).outcome == "completed"


def test_K16_no_inode_left_is_a_clear_error(
    intern: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Second best: ENOSPC is put into opening a new file."""
    real = os.open

    def opened(path: object, flags: int, *more: object, **options: object) -> int:
        if flags & os.O_CREAT and "intern_runs" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, flags, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", opened)
    with ScriptedServer([]) as server:
        shown = intern.start(server)
        assert server.requests == []
    assert "disk is full" in shown
    assert "Traceback" not in shown


# K17, K18 -------------------------------------------------------------------------------------


def finished(intern: Engine) -> bytes:
    """A record of a turn that ended, whose session nobody holds."""
    with ScriptedServer(steps(2)) as server:
        intern.run(server)
    intern.close()
    return (intern.record / LEDGER_FILE).read_bytes()


def test_K17_a_torn_last_line_is_dropped_at_every_byte(intern: Engine) -> None:
    content = finished(intern)
    path, folder = intern.record / LEDGER_FILE, intern.record
    facts = Ledger.view(folder).facts
    last = content.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(last, len(content) - 1):
        path.write_bytes(content[:end])
        ledger = Ledger.open(folder, Scrubber.from_environment())
        assert ledger.facts == facts[:-1]
        ledger.close()
        assert path.read_bytes() == content[:last]
    path.write_bytes(content[: last + 20])
    intern.open()
    with ScriptedServer([]) as server:
        end = intern.resume()
        assert server.requests == []
    assert (end.outcome, end.summary) == ("completed", "Finished.")
    assert len(intern.facts(TurnEnded)) == 1


def test_K18_a_flipped_bit_in_an_old_line_is_found_at_every_byte(intern: Engine) -> None:
    content = finished(intern)
    path, folder = intern.record / LEDGER_FILE, intern.record
    lines = content.splitlines(keepends=True)
    at = min(range(1, len(lines) - 1), key=lambda n: len(lines[n]))
    start = sum(map(len, lines[:at]))
    facts = Ledger.view(folder).facts
    for offset in range(start, start + len(lines[at])):
        flipped = bytearray(content)
        flipped[offset] ^= 1 << (offset % 8)
        path.write_bytes(bytes(flipped))
        with pytest.raises(LedgerDamaged):
            Ledger.open(folder, Scrubber.from_environment())
        assert Ledger.view(folder).facts == facts[:at]
        assert path.read_bytes() == bytes(flipped)
    intern.open()
    with ScriptedServer([]) as server:
        shown = intern.type(f"%intern resume {folder.name}")
        assert server.requests == []
    assert "damaged" in shown
    assert "do:" in shown
    assert folder.name in intern.type("%intern sessions")
