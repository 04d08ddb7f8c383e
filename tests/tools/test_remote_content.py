"""Markdown that would ask another host when somebody only looks at it."""

from __future__ import annotations

import asyncio
import html

import pytest
from notebook_double import Notebook

from mlintern_jupyter.errors import ToolError
from mlintern_jupyter.tools.base.cell_writer import CellWriter
from mlintern_jupyter.tools.base.lint import check_cell
from mlintern_jupyter.tools.base.remote_content import remote_loads

FINE = [
    "# Report\n\nThe loss fell from 2.1 to **1.4**; see <https://example.org/a.png>.",
    "[the paper](https://arxiv.org/abs/1.2 'a: title') and https://example.org/x.png",
    "[paper][1]\n\n[1]: https://example.org/a.png",
    "<a href='https://example.org' title='https://example.org'>words</a>",
    "![plot](plots/loss.png) ![](attachment:loss.png) <img src='./a(1).png' alt='see http://x'>",
    "![dot](data:image/png;base64,iVBORw0KGgo=)",
    "<img srcset='data:image/jpeg;base64,//8A 1x, b.png 2x'>",
    "<audio src='data:audio/mp3;base64,//uQZAAA'></audio>",
    "`<img src=http://h/a.png>` and `![](http://h/a.png)`",
    "```html\n<img src=http://h/a.png>\n```\n\n    <img src=http://h/a.png>",
    "a < b, c > d, \\<img src=http://h/a.png\\>, $\\frac{a}{b}$, 12:30",
    "\\![](http://h/a.png)",
    "<p style='color: red; width: 50%' data-note='ratio: 2'>a: b</p>",
    "<svg xmlns='http://www.w3.org/2000/svg'><use href='#dot'/><rect fill='url(#g)'/></svg>",
    "<blockquote cite='https://example.org'>said</blockquote>",
    "<style>p { color: red } /* see http://h/ */</style> Words: http://example.org",
]

ELSEWHERE = [
    "![](http://h/a.png)",
    "see ![plot](<https://h/a b.png> 'title')",
    "[![badge](https://h/b.svg)](https://h)",
    "![plot][p]\n\n[p]: //h/a.png",
    "![p]\n\n[P]: HTTPS://h/a.png",
    "| a |\n|---|\n| ![](//h/a.png) |",
    "> - ![](http://h/a.png)",
    "# ![](http&colon;//h/a.png)",
    "![](&#104;ttp://h/a.png)",
    "![](ht&#10;tp://h/a.png)",
    "![](\\\\\\\\h\\a.png)",
    "![](ftp://h/a.png)",
    "![](file://h/a.png)",
    "<IMG SRC=HTTP://h/a.png>",
    "words <img\n  alt='>' src = \"\nht\ttp://h/a.png\">",
    "<img src='&#x68;ttps://h/a.png'>",
    "<img src=' \x01//h/a.png'>",
    "<img src='/\\h/a.png'>",
    "<div><img/src=//h/a.png></div>",
    "<image src=//h/a.png>",
    "<img src=a.png srcset='a.png 1x,http://h/b.png 2x'>",
    "<img src=a.png srcset='data:image/png;base64,iVBOR 1x, //h/b.png 2x'>",
    "<picture><source srcset=https://h/a.webp><img src=a.png></picture>",
    "<video poster=//h/a.png></video>",
    "<video><source src=http://h/a.mp4></video>",
    "<audio src=http://h/a.mp3></audio>",
    "<iframe src=https://h></iframe>",
    "<iframe srcdoc='&lt;img src=//h/a.png&gt;'></iframe>",
    "<iframe src='data:text/html,x'></iframe>",
    "<object data=//h/a.svg></object>",
    "<object data='data:image/svg+xml,x'></object>",
    "<embed src=//h/a.svg>",
    "<link rel=stylesheet href=//h/a.css>",
    "<base href=http://h/>",
    "<meta http-equiv=refresh content='0;url=http://h/'>",
    "<input type=image src=//h/a.png>",
    "<table background=//h/a.png><tr><td>x</table>",
    "<svg><image href=http://h/a.png></svg>",
    "<svg><image xlink:href=http://h/a.png></svg>",
    "<svg><use href=//h/a.svg#x></svg>",
    "<svg><rect fill='url(http://h/a.svg#g)'/></svg>",
    "<svg><style><img src=http://h/a.png></style></svg>",
    "<p style='background: url(http://h/a.png)'>x</p>",
    "<p style='background: u\\72l(\"//h/a.png\")'>x</p>",
    "<p style='background: image-set(\"\\68ttp://h/a.png\" 1x)'>x</p>",
    "<style>@import '//h/a.css';</style>",
    "<style>p { background: url(ht/**/tp://h/a.png) }</style>",
    "<!--> <img src=http://h/a.png> -->",
    "<!-- x --!> <img src=http://h/a.png> -->",
    "<!--> <img src=http://h/a.png>",
    "<? > <img src=http://h/a.png> ?>",
    "<![CDATA[ > <img src=http://h/a.png> ]]>",
    "<textarea></textarea/><img src=http://h/a.png>",
    "<a ping=http://h/ href=http://h/>x</a>",
]


@pytest.mark.parametrize("text", FINE)
def test_links_own_files_and_shown_code_load_nothing(text: str) -> None:
    assert remote_loads(text) is None


@pytest.mark.parametrize("text", ELSEWHERE)
def test_whatever_asks_another_host_is_found(text: str) -> None:
    assert remote_loads(text)


def test_a_page_in_a_page_in_a_page_is_refused_unread() -> None:
    page = "fine"
    for _ in range(10):
        page = f'<iframe srcdoc="{html.escape(page)}"></iframe>'
    assert remote_loads(page)


def test_the_refusal_names_the_address_and_the_way_out() -> None:
    with pytest.raises(ToolError, match=r"http://h/a\.png") as caught:
        check_cell("![](http://h/a.png)", "markdown", lambda text: None)
    assert "plain link" in caught.value.do
    check_cell("html = '![](http://h/a.png)'", "code", lambda text: None)


def test_it_is_refused_however_it_comes_and_nothing_is_written() -> None:
    notebook = Notebook()
    notebook.call("write_cell", call="c1", kind="note", source="fine", why="why")
    (cell_id,) = notebook.state.cells
    bad = {"source": "![](http://h/a.png)", "why": "why"}
    with pytest.raises(ToolError, match="elsewhere"):
        notebook.call("write_cell", call="c2", kind="report", **bad)
    with pytest.raises(ToolError, match="elsewhere"):
        notebook.call("edit_cell", call="c3", cell_id=cell_id, **bad)
    assert [cell.proposed.source for cell in notebook.state.cells.values()] == ["fine"]


def test_a_text_another_tool_writes_is_looked_at_too() -> None:
    notebook = Notebook()
    tools = CellWriter(lambda: notebook.state.cells, lambda text: None)
    with pytest.raises(ToolError, match="elsewhere"):
        asyncio.run(tools.write(notebook.context("c1"), "plan", "![](http://h/a.png)"))
