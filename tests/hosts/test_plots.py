"""Plotly figures as outputs: JSON and a line of text, and a picture where nobody can draw."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from mlintern_jupyter.hosts.plots import PLOTLY_MIME, bundle_of, register

PNG = b"\x89PNG\r\n\x1a\n"


def figure() -> Any:
    fig = go.Figure(layout={"title": "Loss"})
    fig.add_scatter(x=[1, 2, 3], y=[3.0, None, 1.0], name="sft-1", mode="lines+markers")
    return fig


def bars() -> Any:
    bars = go.Bar(
        x=["a", "b"], y=[0.2, 0.6], error_y={"array": [0.1, 0.1], "arrayminus": [0.1, 0.2]}
    )
    fig = go.Figure(bars)
    fig.add_hline(y=0.25)
    return fig


def as_json(fig: Any) -> dict[str, Any]:
    return json.loads(fig.to_json())


def drawn(fig: Any) -> bytes:
    return base64.b64decode(bundle_of(as_json(fig), png=True)["image/png"])


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    yield InteractiveShell.instance()
    # The one shell of the process is not for the tests of other files to meet.
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("png", [False, True])
def test_figure_at_the_end_of_a_cell_is_shown_as_json_and_text_with_a_picture_only_on_request(
    shell: InteractiveShell, png: bool
):
    undo = register(shell, lambda: png)
    try:
        shell.user_ns["fig"] = figure()
        with capture_output() as said:
            shell.run_cell("fig")
    finally:
        undo()
    (output,) = said.outputs
    assert set(output.data) == {PLOTLY_MIME, "text/plain"} | ({"image/png"} if png else set())
    assert output.data["text/plain"] == "[figure: Loss (sft-1)]"
    assert output.data[PLOTLY_MIME]["data"][0]["y"] == [3.0, None, 1.0]


def test_undo_gives_figures_back_to_plotly(shell: InteractiveShell):
    formatter = shell.display_formatter.ipython_display_formatter
    before = dict(formatter.type_printers), dict(formatter.deferred_printers)
    undo = register(shell, lambda: False)
    formatter.lookup(figure())
    undo()
    assert (dict(formatter.type_printers), dict(formatter.deferred_printers)) == before


@pytest.mark.parametrize("make", [figure, bars])
def test_picture_is_a_png_and_equal_figures_make_equal_pictures(make: Any):
    assert drawn(make()).startswith(PNG)
    assert drawn(make()) == drawn(make())


def test_picture_changes_with_the_numbers_the_intervals_and_the_line_of_guessing():
    other = bars()
    other.data[0].y = [0.2, 0.7]
    wider = bars()
    wider.data[0].error_y.array = [0.3, 0.3]
    bare = bars()
    bare.layout.shapes = ()
    assert len({drawn(f) for f in (bars(), other, wider, bare)}) == 4


def test_numpy_values_that_plotly_packs_are_drawn_like_lists():
    numpy = pytest.importorskip("numpy")
    packed, listed = go.Figure(), go.Figure()
    packed.add_scatter(x=numpy.array([1, 2]), y=numpy.array([0.5, 0.7]))
    listed.add_scatter(x=[1, 2], y=[0.5, 0.7])
    assert "bdata" in json.dumps(as_json(packed))
    assert drawn(packed) == drawn(listed)


def test_trace_that_cannot_be_drawn_is_named_in_the_picture():
    pie, nothing = go.Figure(go.Pie(labels=["a"], values=[1])), go.Figure()
    assert drawn(pie) != drawn(nothing)


def test_registering_imports_neither_plotly_nor_matplotlib():
    code = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from mlintern_jupyter.hosts.plots import register\n"
        "register(InteractiveShell.instance(), lambda: True)\n"
        "print(sorted({'plotly', 'matplotlib', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
