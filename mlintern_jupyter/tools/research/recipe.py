"""The recipe book as a tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.messages import ToolResult
from mlintern_jupyter.protocols import Tool, ToolContext
from mlintern_jupyter.recipes.book import STAGES, Book, Recipe
from mlintern_jupyter.tools.base.deps import ToolDeps
from mlintern_jupyter.tools.base.schema import read_tool


class RecipeTools:
    """The tool ``recipe``."""

    def __init__(self, book: Book, facts: Callable[[], Mapping[str, Any]]) -> None:
        self._book = book
        self._facts = facts

    async def recipe(
        self,
        ctx: ToolContext,
        name: str = "",
        values: dict[str, Any] | None = None,
    ) -> ToolResult:
        """List the pages of tested post-training code, or open one with its values filled in.

        The list says which pages fit the facts found so far. An opened page gives advice in its
        text and the ready code in ``facts.recipe.code``: hand that to write_cell, with the page's
        kind and sources.

        Args:
            name: page to open; none lists all
            values: by name, as the page asks
        """
        if not name:
            if values:
                raise ToolError("recipe: values need the name of a page")
            return self._list()
        page = self._book.find(name)
        used = page.fill(values or {})
        facts = {
            **_head(page),
            "sources": list(page.sources),
            "setup": page.setup,
            "values": used,
            "code": page.render(used),
        }
        lines = [f"{page.name}: {page.title} ({page.stage})", page.prose]
        if page.values:
            lines.append(f"values: {page.values_as_text()}")
        return ToolResult("\n".join(lines), {"recipe": facts})

    def _list(self) -> ToolResult:
        facts = self._facts()
        pages = sorted(self._book.pages.values(), key=lambda page: STAGES.index(page.stage))
        entries = [{**_head(page), **_list_entry(page, facts)} for page in pages]
        lines = [
            f"{'*' if entry['fits'] else ' '} {page.stage:<10} {page.name}: {page.line}"
            for page, entry in zip(pages, entries, strict=True)
        ]
        lines += [f"broken page {problem}" for problem in self._book.problems]
        head = f"{len(pages)} recipes; * fits what is known so far"
        return ToolResult("\n".join([head, *lines]), {"recipes": entries})


def make_tools(deps: ToolDeps) -> Sequence[Tool]:
    """The tool of this file."""
    return [read_tool(RecipeTools(deps.recipe_book, deps.facts).recipe)]


def _head(page: Recipe) -> dict[str, Any]:
    return {
        "name": page.name,
        "title": page.title,
        "stage": page.stage,
        "kind": page.kind,
        "after": list(page.after),
        "provides": list(page.provides),
    }


def _list_entry(page: Recipe, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "fits": page.fits(facts),
        "when": {path: list(said) for path, said in page.when.items()},
        "needs": [name for name, value in page.values.items() if value.required],
        "values": {n: v.default for n, v in page.values.items() if not v.required},
    }
