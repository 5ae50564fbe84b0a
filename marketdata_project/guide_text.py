"""The guides of `docs/` as tokens of Markdown, with headings that can be linked, and cut into sections."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from django.conf import settings
from django.urls import reverse
from markdown_it import MarkdownIt
from markdown_it.token import Token

_FOLDER: Path = settings.BASE_DIR / "docs"
# HTML in a guide is shown as text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# Wide tables and code scroll in their own boxes, which the keyboard reaches.
_BOXES = (
    ("<table>", '<div class="wide-table" tabindex="0"><table>'),
    ("</table>", "</table></div>"),
    ("<pre>", '<pre tabindex="0">'),
)
_LINK_TO_GUIDE = re.compile(r"([a-z_]+)\.md(#.*)?")
_DROPPED_FROM_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class GuideSection:
    """A heading of a guide with the text up to the next heading.

    level: 1 for the guide's title. codes: the texts in backticks. url: leads to the heading.
    """

    guide: str
    guide_title: str
    level: int
    heading: str
    url: str
    text: str
    codes: frozenset[str]


@cache
def guide_names() -> tuple[str, ...]:
    """Return the names of the guides in order: their file names without `.md`."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.md")))


def guide_url(name: str) -> str:
    """Return the URL of a guide."""
    return reverse("root:guide", args=[name])


@cache
def guide_title(name: str) -> str:
    """Return the guide's first heading."""
    return _text_of(_parsed(name)[1])


@cache
def guide_html(name: str) -> str:
    """Return the guide as HTML, with links that lead to the pages of guides. All its text is escaped."""
    tokens = _parsed(name)
    for token in tokens:
        if token.children:
            token.children = list(_with_served_links(token.children))
        # The Content-Security-Policy forbids style attributes, such as the alignment of a column.
        token.attrs.pop("style", None)
        if token.type in {"fence", "code_block"}:
            # A block that scrolls is reached by the keyboard.
            token.attrSet("tabindex", "0")
    html: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    # Only the renderer writes tags: those of the guide's text are escaped.
    for plain, boxed in _BOXES:
        html = html.replace(plain, boxed)
    return html


@cache
def guide_sections(name: str) -> tuple[GuideSection, ...]:
    """Return the guide's sections in order."""
    tokens = _parsed(name)
    starts = [place for place, token in enumerate(tokens) if token.type == "heading_open"]
    return tuple(_section(name, tokens[start:end]) for start, end in pairwise([*starts, len(tokens)]))


def _section(name: str, tokens: Sequence[Token]) -> GuideSection:
    opening, heading, *rest = tokens
    level = int(opening.tag[1])
    inlines = [token for token in rest if token.type in {"inline", "fence", "code_block"}]
    codes = (
        child.content
        for each in (heading, *inlines)
        for child in each.children or ()
        if child.type == "code_inline"
    )
    return GuideSection(
        guide=name,
        guide_title=guide_title(name),
        level=level,
        heading=_text_of(heading),
        url=guide_url(name) + ("" if level == 1 else f"#{opening.attrs['id']}"),
        text=" ".join(" ".join(map(_text_of, inlines)).split()),
        codes=frozenset(codes),
    )


def _parsed(name: str) -> list[Token]:
    tokens = _MARKDOWN.parse((_FOLDER / f"{name}.md").read_text("utf-8"))
    _add_anchors(tokens)
    return tokens


def _add_anchors(tokens: Sequence[Token]) -> None:
    """Give each heading the id that GitHub gives it. Repeated headings get a number at the end of the id."""
    counts: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            anchor = _DROPPED_FROM_ANCHORS.sub("", _text_of(inline).lower()).replace(" ", "-")
            count = counts[anchor] = counts.get(anchor, -1) + 1
            opening.attrSet("id", f"{anchor}-{count}" if count else anchor)


def _text_of(token: Token) -> str:
    """Return the text of a token that has inline ones, or of a block of code."""
    if token.children is None:
        return token.content
    return "".join(" " if child.type == "softbreak" else child.content for child in token.children)


def _with_served_links(tokens: Sequence[Token]) -> Iterator[Token]:
    """Turn links to guides into links to their pages, with titles. Links to other files become plain text."""
    name, is_text = "", False
    for token in tokens:
        if token.type == "link_open":
            target = str(token.attrs["href"])
            link = _LINK_TO_GUIDE.fullmatch(target)
            name = link[1] if link is not None and link[1] in guide_names() else ""
            if link is not None and name:
                token.attrSet("href", guide_url(name) + (link[2] or ""))
            is_text = not name and not target.startswith(("#", "https:", "http:", "/"))
        elif name and token.content == f"{name}.md":
            token.content = guide_title(name)
        if not (is_text and token.type in {"link_open", "link_close"}):
            yield token
