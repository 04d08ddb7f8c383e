"""The page of ``docs/extend/recipe.md`` is a recipe, and its cell does what it says."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest
from pages import block

from mlintern_jupyter.recipes.book import Book, read_page
from mlintern_jupyter.tools.base.lint import check_cell

PAGE = "recipe.md"
NAME = "reply-lengths.md"


def test_it_is_read_from_a_folder_of_pages_and_fits_when_it_says(tmp_path: Path):
    (tmp_path / NAME).write_text(block(PAGE, NAME))
    book = Book.load(tmp_path)
    assert book.problems == ()
    page = book.find("reply-lengths")
    assert page.fits({"benchmark": {}, "eval": {"accuracy": 0.2}})
    assert not page.fits({"benchmark": {}, "eval": {"accuracy": 0.95}})
    assert not page.fits({"eval": {"accuracy": 0.2}})
    assert set(read_page(block(PAGE, NAME)).after) <= set(Book.load().pages)


def test_its_cell_is_the_one_shown_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = read_page(block(PAGE, NAME))
    code = page.render(page.fill({"data": "train.jsonl"}))
    assert code == block(PAGE, "rendered").rstrip("\n")
    check_cell(code, "code", lambda _: False)
    rows = [{"completion": "x" * size} for size in (0, 10, 500)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert "3 replies, 1 of them empty" in printed.getvalue()
    assert 'facts: {"lengths": {"median": 10, "long": 1}}' in printed.getvalue()
