"""What of a cell's outputs a model that can see is shown."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_clock import outwaited
from notebook_double import Notebook, Person
from PIL import Image

from mlintern_jupyter.hosts.plots import PLOTLY_MIME
from mlintern_jupyter.messages import PICTURE_BASE64_LIMIT, PICTURE_LONGEST_SIDE, ToolResult
from mlintern_jupyter.tools.base import pictures
from mlintern_jupyter.tools.base.cell_writer import CellWriter

RESULT = ToolResult("cell a done\n[image/png 1 kB]", {"loss": 1})
FIGURE = {"data": [{"type": "scatter", "y": [3, 2, 1], "name": "loss"}], "layout": {}}


def encoded(image: Image.Image, format: str = "PNG") -> str:
    out = io.BytesIO()
    image.save(out, format=format)
    return base64.b64encode(out.getvalue()).decode()


def plain(width: int = 8, height: int = 8, grey: int = 128) -> str:
    return encoded(Image.new("L", (width, height), grey))


def shown(**data: Any) -> dict[str, Any]:
    named = {key.replace("_", "/"): value for key, value in data.items()}
    return {"output_type": "display_data", "data": named}


def result_with(*outputs: dict[str, Any], sees: bool = True) -> ToolResult:
    return asyncio.run(pictures.with_pictures(RESULT, outputs, sees))


def opened(image: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(image)), formats=("PNG",))


def test_a_model_that_cannot_see_gets_the_result_as_it_was() -> None:
    assert result_with(shown(image_png=plain()), sees=False) is RESULT


def test_a_result_without_pictures_is_as_it_was() -> None:
    assert result_with({"output_type": "stream", "name": "stdout", "text": "hi"}) is RESULT


def test_a_picture_of_usual_size_goes_as_it_is_and_no_process_is_started(monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    picture = plain()
    halves = [picture[:20] + "\n", picture[20:]]
    given = result_with(shown(image_png=picture + "\n"), shown(image_png=halves))
    assert given.images == (picture, picture)
    assert (given.text, given.facts) == (RESULT.text, RESULT.facts)


def test_of_many_pictures_the_last_ones_are_shown_and_the_result_says_so() -> None:
    many = [plain(grey=grey) for grey in range(5)]
    given = result_with(*(shown(image_png=picture) for picture in many))
    assert given.images == tuple(many[-2:])
    assert "[5 pictures; only the last 2 are shown]" in given.text


def test_a_figure_is_drawn_a_large_picture_made_smaller_and_a_jpeg_made_a_png() -> None:
    figure = {"output_type": "display_data", "data": {PLOTLY_MIME: FIGURE, "text/plain": "f"}}
    wide = shown(image_png=plain(4 * PICTURE_LONGEST_SIDE, 40))
    drawn, small = result_with(figure, wide).images
    assert opened(drawn).size == (700, 420)
    assert opened(small).size == (PICTURE_LONGEST_SIDE, 10)
    jpeg = encoded(Image.new("RGB", (9, 7)), "JPEG")
    (made,) = result_with(shown(image_jpeg=jpeg)).images
    assert (opened(made).format, opened(made).size) == ("PNG", (9, 7))


def test_a_picture_with_its_own_drawing_of_the_figure_is_not_drawn_again(monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    picture = plain()
    both = {"output_type": "display_data", "data": {PLOTLY_MIME: FIGURE, "image/png": picture}}
    assert result_with(both).images == (picture,)


def test_a_picture_that_does_not_compress_is_made_small_enough() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 900), dtype=np.uint8)
    picture = encoded(Image.fromarray(noise))
    assert len(picture) > PICTURE_BASE64_LIMIT
    (made,) = result_with(shown(image_png=picture)).images
    assert len(made) <= PICTURE_BASE64_LIMIT


def test_what_is_no_picture_or_far_too_many_pixels_is_left_out_with_a_note() -> None:
    bomb = encoded(Image.new("1", (10_000, 10_000)))
    given = result_with(shown(image_png="bm8gcGljdHVyZQ=="), shown(image_png=bomb))
    assert given.images == ()
    assert "[2 of the pictures could not be made small enough to be shown]" in given.text


def test_a_helper_that_takes_too_long_is_killed_and_the_text_has_to_do(
    tmp_path, monkeypatch
) -> None:
    pid = tmp_path / "pid"
    slow = tmp_path / "python"
    slow.write_text(f"#!/bin/sh\necho $$ > {pid}.new; mv {pid}.new {pid}\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    figure = {"output_type": "display_data", "data": {PLOTLY_MIME: FIGURE}}
    drawing = pictures.with_pictures(RESULT, [figure], sees=True)
    given = asyncio.run(outwaited(drawing, [pid.exists], pictures.TIMEOUT_S + 1))
    assert given.images == ()
    assert "could not be made" in given.text
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, "it was not started"
        time.sleep(0.02)


def test_stopping_the_intern_ends_the_helper(tmp_path, monkeypatch) -> None:
    pid = tmp_path / "pid"
    slow = tmp_path / "python"
    slow.write_text(f"#!/bin/sh\necho $$ > {pid}.new; mv {pid}.new {pid}\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    figure = {"output_type": "display_data", "data": {PLOTLY_MIME: FIGURE}}

    async def stopped() -> None:
        work = asyncio.ensure_future(pictures.with_pictures(RESULT, [figure], sees=True))
        await asyncio.to_thread(wait_for, pid)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(stopped())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_this_process_imports_nothing_to_draw_with() -> None:
    code = (
        "import sys, mlintern_jupyter.tools.base.pictures; "
        "print(sorted({'matplotlib', 'PIL'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_a_cell_of_the_model_that_can_see_answers_with_its_picture() -> None:
    outputs = (shown(image_png=plain()),)
    for sees, images in ((True, (plain(),)), (False, ())):
        notebook = Notebook(persons=[Person(outputs=outputs)])
        writer = CellWriter(lambda notebook=notebook: notebook.state.cells, lambda text: None)
        context = replace(notebook.context("c1"), sees=sees)
        given = asyncio.run(writer.propose(context, "plot", "fig", "see whether it fell"))
        assert given.images == images
        assert "[image/png 1 kB]" in given.text
