"""``metrics.jsonl`` is read on from where it was, by whoever follows a job."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlintern_jupyter.compute import job_folder, metrics
from mlintern_jupyter.compute.jobs import Jobs
from mlintern_jupyter.compute.local import run_state
from mlintern_jupyter.compute.metrics import MetricsFile
from mlintern_jupyter.jobs import JobSpec, JobTerms


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Bytes read from metrics files since this was asked last."""
    count = [0]

    class Counting(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            got = super().readinto(buffer)
            count[0] += got
            return got

    def opened(self: Path, mode: str) -> Any:
        assert mode == "rb"
        return io.BufferedReader(Counting(self), buffer_size=1)

    class Counted(type(Path())):
        open = opened

    real = metrics.MetricsFile.__init__

    def made(self: MetricsFile, path: Path, most_bytes: int | None = None) -> None:
        real(self, Counted(path), most_bytes)

    monkeypatch.setattr(metrics.MetricsFile, "__init__", made)

    def since() -> int:
        found, count[0] = count[0], 0
        return found

    return since


def test_the_second_look_at_a_long_file_reads_only_what_is_new(
    tmp_path: Path, bytes_read: Callable[[], int]
) -> None:
    folder = job_folder.create(tmp_path / "jobs", JobSpec("sft", "1"), tmp_path, JobTerms())
    assert folder is not None
    run_state.write_pid(folder)
    path = folder / "metrics.jsonl"
    path.write_bytes(lines(*({"step": step, "loss": 1 / step} for step in range(1, 200_001))))
    size, jobs = path.stat().st_size, Jobs(tmp_path)
    for look in (lambda: len(jobs.status(folder.name).metrics), lambda: len(jobs.views()[0].curve)):
        look()
        assert bytes_read() in range(4_000_000, size + 1)
        look()
        assert bytes_read() == 0
    more = lines({"step": 200_001, "loss": 0.5})
    with path.open("ab") as file:
        file.write(more)
    status = jobs.status(folder.name)
    assert bytes_read() == len(more) + metrics._CHECKED_BYTES
    assert (status.step, len(status.metrics), status.newest["loss"]) == (200_001, 200_001, 0.5)
    assert jobs.views()[0].step == 200_001
    assert bytes_read() == len(more) + metrics._CHECKED_BYTES


def test_a_half_written_line_waits_until_it_is_whole(path: Path) -> None:
    file = MetricsFile(path)
    assert file.new_rows() == (False, [])
    path.write_bytes(b'{"step": 1}\n{"step"')
    assert file.new_rows() == (False, [{"step": 1}])
    assert file.new_rows() == (False, [])
    with path.open("ab") as more:
        more.write(b': 2}\n{"step": 3}')
    assert file.new_rows() == (False, [{"step": 2}, {"step": 3}]), "the last line may have no end"
    with path.open("ab") as more:
        more.write(b'\n{"step": 4}\n')
    assert file.new_rows() == (False, [{"step": 4}])


@pytest.mark.parametrize(
    "odd", [b"no json", b"[1]", b"null", b"", b"\xff\xfe", b"[" * 100_000, b'{"step": ', b"1"]
)
def test_a_line_that_is_no_object_is_passed_over(path: Path, odd: bytes) -> None:
    path.write_bytes(lines({"step": 1}) + odd + b"\n" + lines({"step": 2}))
    assert MetricsFile(path).new_rows() == (False, [{"step": 1}, {"step": 2}])


@pytest.mark.parametrize("how", ["cut", "replaced", "written over", "written over, longer", "gone"])
def test_a_file_that_begins_anew_is_read_anew(path: Path, how: str) -> None:
    file = MetricsFile(path)
    path.write_bytes(lines({"step": 1}, {"step": 2}))
    assert len(file.new_rows()[1]) == 2
    new = lines({"step": 7}) if how == "cut" else lines({"step": 7}, {"step": 8}, {"step": 9})
    if how == "written over":
        new = lines({"step": 7}, {"step": 8}) + b'{"'
    if how == "gone":
        path.unlink()
        assert file.new_rows() == (True, [])
        path.write_bytes(new)
        assert file.new_rows() == (False, [{"step": 7}, {"step": 8}, {"step": 9}])
        return
    if how == "replaced":
        (path.parent / "new").write_bytes(new)
        (path.parent / "new").replace(path)
    else:
        path.write_bytes(new)
    anew, rows = file.new_rows()
    assert anew
    assert rows[0] == {"step": 7}


def test_of_a_file_that_grew_by_much_only_the_end_is_read_where_that_is_enough(path: Path) -> None:
    path.write_bytes(lines(*({"step": step} for step in range(1000))))
    _, rows = MetricsFile(path, most_bytes=100).new_rows()
    assert 0 < len(rows) < 10
    assert rows[-1] == {"step": 999}
