"""The sidebar, the bar at a cell and the status button, for everybody: by axe and by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from intern_page import LOAD, Desk, proposes, waits_for
from notebook_page import NotebookPage, write_notebook
from playwright.sync_api import expect

from mlintern_jupyter.events import Decided, Steered
from mlintern_jupyter.testing.script import Turn
from mlintern_jupyter.testing.scripted_server import ScriptedServer

AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
HIGH_CONTRAST = "JupyterLab Dark High Contrast"
OURS = [".jp-mlintern-Sidebar", ".jp-mlintern-CellBar", ".jp-mlintern-Status", ".jp-mlintern-Edge"]
JOB = """%%job curve --on local
import json, os, time
from pathlib import Path
folder = Path(os.environ["MLINTERN_JOB_DIR"])
with (folder / "metrics.jsonl").open("w") as file:
    for step in range(1, 21):
        row = {"step": step, "total_steps": 40, "loss": 2 / step, "lr": 1e-4}
        file.write(json.dumps(row) + "\\n")
end = time.monotonic() + 60
while time.monotonic() < end and not Path("enough").exists():
    time.sleep(0.1)
"""

# The value of a variable of the theme, as the browser computes a colour from it.
COLOURS = """
    const colour = name => {
        const probe = document.createElement('i');
        probe.style.color = `var(${name})`;
        document.body.append(probe);
        const found = getComputedStyle(probe).color;
        probe.remove();
        return found;
    };
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const behind = node => {
        for (let at = node; at; at = at.parentElement) {
            const [r, g, b, a = 1] = parts(getComputedStyle(at).backgroundColor);
            if (a === 1) { return [r, g, b]; }
        }
        return [255, 255, 255];
    };
    const bright = rgb => {
        const [r, g, b] = rgb.slice(0, 3).map(value => {
            const x = value / 255;
            return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = node => {
        const [a, b] = [bright(parts(getComputedStyle(node).color)), bright(behind(node))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    };
"""


@pytest.fixture
def desk(open_notebook, tmp_path):
    return Desk(open_notebook, tmp_path)


@pytest.fixture(autouse=True)
def light_again(page):
    """Lab remembers the theme for every page of this server."""
    yield
    if page.evaluate("() => Boolean(window.jupyterapp)"):
        wear(page, LIGHT)


def wear(page, theme):
    page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)


def faults(page, *rules):
    """What axe has against what is ours, serious and critical; with rules, by these alone."""
    if not page.evaluate("() => Boolean(window.axe)"):
        page.add_script_tag(path=AXE)
    found = page.evaluate(
        """([ours, rules]) => axe.run(
            { include: ours.filter(each => document.querySelector(each)).map(each => [each]) },
            { resultTypes: ['violations'], ...(rules.length ? { runOnly: rules } : {}) }
        ).then(({ violations }) => violations
            .filter(({ impact }) => impact === 'serious' || impact === 'critical')
            .flatMap(({ id, nodes }) => nodes.map(
                node => [id, node.html.slice(0, 160), node.failureSummary].join('\\n')))
        )""",
        [OURS, list(rules)],
    )
    return found


def named(page):
    """Every button of ours with what it is called, in folded sections too; empty: no name."""
    return page.evaluate(
        """ours => [...document.querySelectorAll(ours.map(each => `${each} button`).join())].map(
            button => button.getAttribute('aria-label')
                || (button.innerText || button.textContent).trim())""",
        OURS,
    )


def focus(page):
    """What has the focus: its name, and whether a person sees that it has."""
    return page.evaluate(
        """() => {
            const at = document.activeElement;
            const style = getComputedStyle(at);
            return {
                is_lost: at === document.body || at === null,
                name: at.getAttribute('aria-label') || at.innerText?.trim() || '',
                in_sidebar: Boolean(at.closest('.jp-mlintern-Sidebar')),
                cell: at.closest('.jp-Cell') !== null,
                outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0
            };
        }"""
    )


def no_session(open_notebook, tmp_path) -> NotebookPage:
    return open_notebook(write_notebook(tmp_path / "n.ipynb", [LOAD, JOB]))


def test_axe_finds_nothing_serious_while_a_cell_waits_in_any_theme(desk):
    with ScriptedServer([proposes("!pip list", "what is installed")]) as server:
        at = desk.begin(server, options="--mode auto")
        cell_id = at.proposed("!pip list")
        page = at.notebook.page
        for theme in (LIGHT, DARK):
            wear(page, theme)
            assert faults(page) == [], theme
        wear(page, HIGH_CONTRAST)
        assert faults(page, "color-contrast") == []
        at.press(cell_id, "Skip…")
        reason = at.bar(cell_id).get_by_role("textbox", name="Why is this cell skipped?")
        expect(reason).to_be_visible()
        for theme in (DARK, LIGHT):
            wear(page, theme)
            assert faults(page) == [], theme
        # What finds nothing must be able to find something.
        page.evaluate(
            """() => document.querySelector('.jp-mlintern-CellBar').append(
                document.createElement('button'))"""
        )
        (fault,) = faults(page)
        assert fault.startswith("button-name")
        at.click("Stop intern")
        at.ended()


def test_axe_finds_nothing_serious_before_a_session_and_beside_a_job_with_its_curve(
    open_notebook, tmp_path
):
    notebook = no_session(open_notebook, tmp_path)
    page = notebook.page
    notebook.command("mlintern:open-sidebar")
    sidebar = page.get_by_role("region", name="Intern")
    expect(sidebar.get_by_text("The intern is not loaded")).to_be_visible()
    for theme in (LIGHT, DARK):
        wear(page, theme)
        assert faults(page) == [], theme
    notebook.run_cell(0)
    notebook.run_cell(1)
    try:
        expect(sidebar.get_by_role("img", name="Loss of curve")).to_be_visible()
        expect(sidebar.get_by_role("meter", name="Progress of curve")).to_be_visible()
        for theme in (DARK, LIGHT):
            wear(page, theme)
            assert faults(page) == [], theme
        assert all(named(page))
    finally:
        (tmp_path / "enough").touch()
    assert notebook.errors == []


def test_every_button_and_field_has_a_name_and_how_it_stands_is_read_out(desk):
    with ScriptedServer([proposes("print('named')")]) as server:
        at = desk.begin(server)
        cell_id = at.proposed("print('named')")
        page = at.notebook.page
        wanted = {"Run", "Skip…", "Run all “dataset”", "Pause", "Stop intern"}
        wanted |= {"Interrupt cell", "More ways to stop", "Run: print('named')"}
        at.until(lambda: wanted <= set(named(page)), "every button is there")
        assert all(named(page)), named(page)
        expect(at.sidebar.get_by_role("textbox", name="Steer the intern")).to_be_visible()
        status = at.sidebar.get_by_role("status")
        expect(status).to_have_attribute("aria-live", "polite")
        expect(status).to_have_text("Waits for you")
        at.press(cell_id, "Skip…")
        reason = at.bar(cell_id).get_by_role("textbox", name="Why is this cell skipped?")
        expect(reason).to_be_focused()
        assert all(named(page))
        at.click("Stop intern")
        expect(status).to_have_text("Stopped")


class Keyboard:
    """A person without a mouse, who never loses sight of where the focus is."""

    def __init__(self, at):
        self.page = at.notebook.page
        self.notebook = at.notebook
        # Where a person is who has just opened the notebook: in command mode, on its first cell.
        at.activate(at.notebook.ids()[0])
        self.page.evaluate("() => document.querySelector('.jp-Cell.jp-mod-active').focus()")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            assert not focus(self.page)["is_lost"], key

    def write(self, text):
        self.page.keyboard.type(text)
        self.press("Enter")

    def is_on(self, name):
        """Wait until a control of the sidebar has the focus, and shows it."""
        self.page.wait_for_function(
            """name => {
                const at = document.activeElement;
                const said = at.getAttribute('aria-label') || at.innerText?.trim();
                return at.closest('.jp-mlintern-Sidebar') && said === name;
            }""",
            arg=name,
        )
        assert focus(self.page)["outlined"], name

    def is_on_cell(self, cell_id):
        self.notebook.wait_for(
            f"panel.content.activeCell.model.id === '{cell_id}'"
            " && document.activeElement.closest('.jp-Cell')",
            "selected",
        )


def test_a_person_with_a_keyboard_alone_runs_one_cell_and_skips_the_next(desk):
    first, second = "print('first')", "print('second')"
    with ScriptedServer([proposes(first), proposes(second), Turn("done")]) as server:
        at = desk.begin(server, below=["# mine"])
        one = at.proposed(first)
        keys = Keyboard(at)
        keys.press("i", "n")
        keys.is_on_cell(one)
        keys.press("Shift+Enter")
        at.wait_mark(one, "done")
        two = at.proposed(second)
        keys.press("i", "n")
        keys.is_on_cell(two)
        keys.press("i", "s")
        reason = at.bar(two).get_by_role("textbox", name="Why is this cell skipped?")
        expect(reason).to_be_focused()
        assert focus(keys.page)["outlined"]
        keys.write("we have seen it")
        at.wait_mark(two, "skipped")
        keys.is_on_cell(two)
        at.ended()
    decided = [(d.cell_id, d.run, d.reason) for d in at.facts(Decided)]
    assert decided == [(one, True, ""), (two, False, "we have seen it")]
    at.notebook.wait_printed(one, "first\n")
    assert at.notebook.errors == []


def test_a_person_with_a_keyboard_alone_steers_pauses_continues_and_stops(desk):
    with ScriptedServer([proposes("print('waits')")]) as server:
        at = desk.begin(server, below=["# mine"])
        cell_id = at.proposed("print('waits')")
        at.says_then(waits_for(cell_id))
        keys = Keyboard(at)
        keys.press("i", "t")
        keys.is_on("Steer the intern")
        keys.write("be brief")
        keys.is_on("Steer the intern")
        at.until(lambda: at.facts(Steered), "it was told")
        at.asked(2)
        keys.press("Escape")
        keys.is_on_cell(at.notebook.ids()[0])
        keys.press("i", "o")
        keys.is_on("Pause")
        keys.press("Enter")
        at.until(lambda: at.view()["held"], "held")
        # The button is gone; what was around it has the focus.
        keys.is_on("The turn")
        keys.press("Tab")
        keys.is_on("Continue")
        keys.press("Enter")
        at.until(lambda: not at.view()["held"], "not held any more")
        keys.is_on("The turn")
        keys.press("Tab")
        keys.is_on("Pause")
        keys.press("Tab")
        keys.is_on("Stop intern")
        keys.press("Enter")
        assert at.ended().status == "interrupted"
        expect(at.sidebar.get_by_role("status")).to_have_text("Stopped")
        keys.is_on("The turn")
        keys.press("Escape")
        keys.is_on_cell(at.notebook.ids()[0])
    assert [s.text for s in at.facts(Steered)] == ["be brief"]
    assert at.notebook.errors == []


def test_the_dark_theme_colours_bar_edge_and_sidebar_by_its_own_variables(desk):
    with ScriptedServer([proposes("print('dark')")]) as server:
        at = desk.begin(server)
        at.proposed("print('dark')")
        page = at.notebook.page
        seen = {}
        for theme in (LIGHT, DARK):
            wear(page, theme)
            seen[theme] = page.evaluate(f"""() => {{ {COLOURS}
                const style = name => getComputedStyle(document.querySelector(name));
                const texts = ['.jp-mlintern-CellBarText span:last-of-type', '.jp-mlintern-Kind',
                    '.jp-mlintern-CellBar button', '.jp-mlintern-CellBar button.jp-mod-main',
                    '.jp-mlintern-Goal', '.jp-mlintern-Standing',
                    '.jp-mlintern-Standing span + span',
                    '.jp-mlintern-Sidebar .jp-mlintern-Link', '.jp-mlintern-AmountText',
                    '.jp-mlintern-SteerBox'];
                return {{
                    bar: style('.jp-mlintern-CellBar').color,
                    font: colour('--jp-ui-font-color1'),
                    button: style('.jp-mlintern-CellBar button').backgroundColor,
                    layout: colour('--jp-layout-color1'),
                    edge: style('.jp-mlintern-Edge.jp-mod-waiting').backgroundColor,
                    warn: colour('--jp-warn-color1'),
                    contrast: Object.fromEntries(
                        texts.map(name => [name, contrast(document.querySelector(name))]))
                }};
            }}""")
        for look in seen.values():
            assert (look["bar"], look["button"]) == (look["font"], look["layout"])
            assert look["edge"] == look["warn"]
            assert min(look["contrast"].values()) >= 4.5, look["contrast"]
        assert seen[LIGHT]["bar"] != seen[DARK]["bar"]
        assert seen[LIGHT]["button"] != seen[DARK]["button"]
        # A theme of somebody else's that has its own idea of a warning.
        page.evaluate("() => document.body.style.setProperty('--jp-warn-color1', 'rgb(1, 2, 3)')")
        edge = at.notebook.page.locator(".jp-mlintern-Edge.jp-mod-waiting")
        expect(edge).to_have_css("background-color", "rgb(1, 2, 3)")
        at.click("Stop intern")
        at.ended()
