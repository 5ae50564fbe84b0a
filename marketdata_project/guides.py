"""The guides of `docs/` as HTML pages: the list at `/docs/guide`, each guide at `/docs/guide/NAME`.

Each process renders a page once.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

_FOLDER: Path = settings.BASE_DIR / "docs"
# HTML in a guide is shown as text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_LINK_TO_GUIDE = re.compile(r"([a-z_]+)\.md(#.*)?")
_DROPPED_FROM_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class GuidePage:
    """A page's HTML and its ETag."""

    body: bytes
    etag: str


@require_safe
def guides(request: HttpRequest) -> HttpResponseBase:
    """Answer with the list of all guides."""
    return _response(request, contents_page())


@require_safe
def guide(request: HttpRequest, guide: str) -> HttpResponseBase:
    """Answer with one guide; 404 if `docs/` has no such file."""
    if guide not in guide_names():
        raise Http404
    return _response(request, guide_page(guide))


@cache
def guide_names() -> tuple[str, ...]:
    """Return the names of the guides in order: their file names without `.md`."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.md")))


@cache
def contents_page() -> GuidePage:
    """Return the page that lists all guides by title."""
    guides = sorted((_guide_title(name), guide_url(name)) for name in guide_names())
    return _page("guides.html", {"guides": guides})


@cache
def guide_page(name: str) -> GuidePage:
    """Return the page of the guide `name`, one of `guide_names()`."""
    tokens = _parsed(name)
    _add_anchors(tokens)
    for token in tokens:
        if token.children:
            token.children = list(_with_served_links(token.children))
        # The Content-Security-Policy forbids style attributes, such as the alignment of a column.
        token.attrs.pop("style", None)
    html = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    # The renderer has escaped all text of the guide.
    return _page("guide.html", {"title": _guide_title(name), "html": mark_safe(html)})  # noqa: S308


def guide_url(name: str) -> str:
    """Return the URL of a guide."""
    return reverse("root:guide", args=[name])


def _parsed(name: str) -> list[Token]:
    return _MARKDOWN.parse((_FOLDER / f"{name}.md").read_text("utf-8"))


@cache
def _guide_title(name: str) -> str:
    return _heading_text(_parsed(name)[1])


def _page(template: str, context: dict[str, object]) -> GuidePage:
    body = render_to_string(template, context).encode()
    return GuidePage(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _response(request: HttpRequest, page: GuidePage) -> HttpResponseBase:
    """Return the page, or 304 if the client has it already."""
    response = HttpResponse(page.body, headers={"ETag": page.etag, "Cache-Control": "no-cache"})
    return get_conditional_response(request, etag=page.etag, response=response) or response


def _add_anchors(tokens: Sequence[Token]) -> None:
    """Give each heading the id that GitHub gives it. Repeated headings get a number at the end of the id."""
    counts: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            anchor = _DROPPED_FROM_ANCHORS.sub("", _heading_text(inline).lower()).replace(" ", "-")
            count = counts[anchor] = counts.get(anchor, -1) + 1
            opening.attrSet("id", f"{anchor}-{count}" if count else anchor)


def _heading_text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


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
            token.content = _guide_title(name)
        if not (is_text and token.type in {"link_open", "link_close"}):
            yield token
