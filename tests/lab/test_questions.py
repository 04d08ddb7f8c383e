"""Calls that wait for a yes or a no, answered in the page: by click, by keyboard, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from intern_page import InternPage
from life_page import wait_for_text
from notebook_page import write_notebook
from playwright.sync_api import expect
from test_access import DARK, LIGHT, Keyboard, faults, named, wear

from mlintern_jupyter.events import Answered


@pytest.fixture
def asks(open_notebook, tmp_path: Path):
    """Opens a notebook in which the intern asks about these calls."""

    def opened(*calls: str) -> InternPage:
        cells = ["%load_ext asking_intern", f"%%intern {' '.join(calls)}\nask", "# mine"]
        notebook = open_notebook(write_notebook(tmp_path / "n.ipynb", cells))
        notebook.run_cell(0)
        notebook.run_cell(1)
        at = InternPage(notebook, tmp_path, server=None)  # type: ignore[arg-type]
        for call in calls:
            expect(question(at, call)).to_be_visible()
        return at

    return opened


def question(at: InternPage, call: str):
    return at.sidebar.get_by_role("group", name=f"The intern asks: hub_{call}", exact=True)


def answered(at: InternPage, number: int) -> list[Answered]:
    """The answers in the record, once there are so many."""
    at.until(lambda: len(at.facts(Answered)) >= number, f"{number} answers")
    return at.facts(Answered)


def ended(at: InternPage) -> str:
    at.until(lambda: at.state().outcome is not None, "the end of the turn")
    return at.state().outcome.summary


def test_a_question_shows_what_would_happen_and_hides_nothing_and_a_click_allows_it(asks):
    at = asks("one")
    asked = question(at, "one")
    for said in ("send to the network, publish", "price unknown", "everybody", "publish asks"):
        expect(asked.get_by_text(said, exact=False).first).to_be_visible()
    arguments = asked.get_by_label("Arguments").inner_text()
    assert "title: New model" in arguments
    # A line of the text cannot pass for an argument, nor can it be turned around.
    assert "\n    price: nothing\n" in arguments
    assert "\\u202egnp.exe\\u202c and\\u200b more" in arguments
    expect(asked.get_by_text("text that others wrote: mcp:papers, cell k3")).to_be_visible()
    expect(at.sidebar.get_by_role("status")).to_have_text("Waits for you")
    status = at.notebook.page.locator(".jp-mlintern-Status:visible").first
    expect(status).to_contain_text("1 question")
    page = at.notebook.page
    wanted = {"Allow once: hub_one", "Refuse: hub_one"}
    at.until(lambda: wanted <= set(named(page)), "both buttons are there")
    for theme in (LIGHT, DARK):
        wear(page, theme)
        assert faults(page) == [], theme
    wear(page, LIGHT)
    at.click("Allow once: hub_one")
    assert ended(at) == "yes"
    expect(question(at, "one")).to_have_count(0)
    assert answered(at, 1) == [Answered("one", yes=True)]
    assert at.notebook.errors == []


def test_a_person_with_a_keyboard_alone_refuses_and_says_why(asks):
    at = asks("one", "two")
    keys = Keyboard(at)
    keys.press("i", "q")
    # On the question, on none of its buttons: a key that is held down answers nothing.
    expect(question(at, "one")).to_be_focused()
    keys.press("Enter")
    assert at.facts(Answered) == []
    expect(question(at, "one").get_by_role("button", name="Allow once: hub_one")).to_be_enabled()
    keys.press("Tab", "Tab")
    keys.is_on("Allow once: hub_one")
    keys.press("Tab")
    keys.is_on("Refuse: hub_one")
    keys.press("Enter")
    reason = at.sidebar.get_by_role("textbox", name="Why is hub_one refused?")
    expect(reason).to_be_focused()
    keys.press("Escape")
    expect(reason).to_have_count(0)
    assert at.facts(Answered) == []
    question(at, "one").focus()
    keys.press("Tab", "Tab", "Tab", "Enter")
    expect(reason).to_be_focused()
    assert faults(at.notebook.page) == []
    keys.write("not under my name")
    assert answered(at, 1) == [Answered("one", yes=False, reason="not under my name")]
    expect(question(at, "one")).to_have_count(0)
    expect(question(at, "two")).to_be_visible()
    keys.press("Escape")
    keys.is_on_cell(at.notebook.ids()[0])
    # In words, from a cell of the notebook.
    at.notebook.type(2, "\n%intern approve two")
    at.notebook.press("Shift+Enter")
    assert ended(at) == "no: not under my name, yes"
    wait_for_text(at, at.notebook.ids()[2], "allowed, once: hub_two (two)")
    assert at.notebook.errors == []


def test_of_two_pages_the_first_answer_counts_and_the_second_is_told_so(asks):
    one = asks("call")
    two = InternPage(one.notebook.another(), one.folder, server=None)  # type: ignore[arg-type]
    two.notebook.command("mlintern:open-sidebar")
    expect(two.sidebar.get_by_text("Another page leads")).to_be_visible()
    late = question(two, "call").get_by_role("button", name="Allow once: hub_call")
    expect(late).to_be_enabled()
    one.sidebar.get_by_role("button", name="Refuse: hub_call").click()
    one.sidebar.get_by_role("button", name="Refuse", exact=True).click()
    assert answered(one, 1) == [Answered("call", yes=False)]
    one.until(lambda: one.view()["asks"] == [], "the question is closed")
    two.notebook.command("mlintern:approve", call="call")
    expect(two.sidebar.get_by_text("no question waits for an answer")).to_be_visible()
    expect(two.sidebar.get_by_text("it may have been answered already")).to_be_visible()
    assert ended(one) == "no: "
    assert one.facts(Answered) == [Answered("call", yes=False)]
    two.notebook.close()
