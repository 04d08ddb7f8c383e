"""What a Markdown text would load from another host when somebody only looks at it.

The text is rendered as a notebook would render it, and the HTML is read as a browser would: every
attribute that may be loaded, every style, and whatever hides in comments or raw text, since
browsers and parsers disagree where those end. Links are fine; nobody follows one by looking.

Not covered: what one front end makes of a text and no CommonMark reader does (its mathematics,
diagrams or extensions), and addresses put together by a script, which no front end runs.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from markdown_it import MarkdownIt

_LINKS = frozenset({("a", "href"), ("area", "href")})
"""Followed only by a person; the same on any other element is loaded at once."""
_WORDS = frozenset({"alt", "title", "id", "class", "name", "cite", "label", "value", "lang"})
"""Attributes that are read or shown, never loaded."""
_WORD_PREFIXES = ("aria-", "data-", "xmlns")
_LISTS = frozenset({"srcset", "imagesrcset", "ping"})
_DOCUMENTS = frozenset({"iframe", "frame", "object", "embed"})
"""What they show may itself load something, so not even a picture is taken on its word there."""
_RAW_TEXT = frozenset({"style", "script", "iframe", "xmp", "textarea", "title", "noembed"})
_INSIDE = re.compile(r"data:(?:image|audio|video|font)/|attachment:|blob:|#")
"""What loads nothing: the picture itself, or one that the notebook carries."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
_CSS_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//[^\s'\")]*|https?:[^\s'\")]*")
_CSS_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(\n)|(.))", re.IGNORECASE)
_DATA = re.compile(r"data:(?:image|audio|video|font)/[^\s'\")]*", re.IGNORECASE)
_DEEPEST = 8
"""Pages inside pages; more is no text that anybody means to be read."""


def remote_loads(markdown: str) -> str | None:
    """The first address that showing this text asks, as it is spelled there; ``None`` if none."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    # Both would hide what another renderer shows: addresses it drops, spellings it cleans up.
    reader.validateLink = lambda url: True
    reader.normalizeLink = lambda url: url
    return _in_html(reader.render(markdown))


def _in_html(html: str, depth: int = 0) -> str | None:
    if depth > _DEEPEST:
        return html[:40]
    page = _Page()
    page.feed(html)
    page.close()
    if page.found:
        return page.found[0]
    hidden = (_in_html(part, depth + 1) for part in page.hidden if "<" in part or "&" in part)
    return next((address for address in hidden if address), None)


class _Page(HTMLParser):
    """Collects what a browser would load, and the text it might take for markup."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.hidden: list[str] = []
        self._raw = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at every attribute of an element."""
        self._raw = tag if tag in _RAW_TEXT else self._raw
        for name, value in attrs:
            if value and (tag, name) not in _LINKS and name not in _WORDS:
                self._attribute(tag, name, value)

    def handle_endtag(self, tag: str) -> None:
        """Raw text ends with its element."""
        self._raw = "" if tag == self._raw else self._raw

    def handle_data(self, data: str) -> None:
        """Raw text may be markup to someone else, and in a style it is CSS."""
        if self._raw:
            self.hidden.append(data)
        if self._raw == "style":
            self._css(data)

    def handle_comment(self, data: str) -> None:
        """Browsers end comments earlier than some parsers do."""
        self.hidden.append(data)

    def handle_decl(self, decl: str) -> None:
        """A declaration is a comment to browsers."""
        self.hidden.append(decl)

    def unknown_decl(self, data: str) -> None:
        """So is CDATA."""
        self.hidden.append(data)

    def handle_pi(self, data: str) -> None:
        """And an instruction."""
        self.hidden.append(data)

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name.startswith(_WORD_PREFIXES):
            return
        if name == "srcdoc":
            self.hidden.append(value)
        elif name == "style" or (tag == "meta" and name == "content"):
            self._css(value)
        elif name in _LISTS:
            self.found += filter(_leaves, re.split(r"[,\s]+", _DATA.sub("", value)))
        elif _leaves(value) or (tag in _DOCUMENTS and value.lstrip().lower().startswith("data:")):
            self.found.append(value)
        elif "(" in value and not _INSIDE.match(value):
            self._css(value)

    def _css(self, style: str) -> None:
        style = re.sub(r"/\*.*?(?:\*/|$)", "", style, flags=re.DOTALL)
        style = _CSS_ESCAPE.sub(_unescaped, style)
        style = re.sub(r"[\t\n\r]", "", style).replace("\\", "/").lower()
        self.found += _CSS_ADDRESS.findall(_DATA.sub("", style))


def _leaves(url: str) -> bool:
    """Whether a browser that is given this address asks another host (or another program)."""
    # As the URL standard says: blanks around it and line ends inside it do not count.
    url = re.sub(r"[\t\n\r]", "", url.strip("".join(map(chr, range(33)))))
    url = url.replace("\\", "/").lower()
    if url.startswith("//"):
        return True
    return bool(_SCHEME.match(url)) and not _INSIDE.match(url)


def _unescaped(match: re.Match[str]) -> str:
    code, line_end, character = match.groups()
    if code:
        number = int(code, 16)
        return chr(number) if 0 < number < 0x110000 else "\ufffd"
    return "" if line_end else str(character)
