"""What cells show: a live plot that is saved as a picture, and nothing from elsewhere."""

from __future__ import annotations

import nbformat
import pytest
from intern_page import Desk, proposes
from playwright.sync_api import expect

from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

PLOT = (
    "import plotly.graph_objects as go\n"
    "fig = go.Figure(go.Scatter(y=[3, 2, 1], name='loss'), {'title': {'text': 'The loss'}})\nfig"
)


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(open_notebook, tmp_path)


def test_a_plot_is_live_in_the_page_and_a_picture_in_the_file_and_no_image_is_from_elsewhere(desk):
    remote = "### Loss\n\n![curve](https://example.com/curve.png)"
    script = [
        proposes(remote, kind="note"),
        proposes("### Loss\n\nIt falls.", kind="note"),
        proposes(PLOT, kind="plot"),
        Turn("done"),
    ]
    with ScriptedServer(script) as server:
        at = desk.begin(server)
        plot = at.proposed(PLOT)
        assert "loads something from elsewhere: https://example.com/curve.png" in at.answer(2)
        sources = [c.source for c in at.notebook.cells()]
        assert remote not in sources
        note = next(c for c in at.notebook.cells() if c.source == "### Loss\n\nIt falls.")
        assert note.type == "markdown"
        at.sees(at.node(note.id).get_by_role("heading", name="Loss"))
        at.press(plot, "Run")
        assert "The loss" in at.answer(4)
        drawn = at.node(plot).locator(".js-plotly-plot")
        expect(drawn.locator("svg").first).to_be_visible()
        expect(drawn.locator("svg").get_by_text("The loss")).to_be_visible()
        at.ended()
        (output,) = at.notebook.cell(plot).outputs
        assert "application/vnd.plotly.v1+json" in output["data"]
        at.notebook.wait_for(
            f"cells.find(c => c.id === '{plot}').outputs[0].data['image/png']", "a picture is made"
        )
        at.notebook.save()
    saved = {c.id: c for c in nbformat.read(at.folder / "n.ipynb", as_version=4).cells}
    data = saved[plot].outputs[0]["data"]
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert "The loss" in data["text/plain"]
