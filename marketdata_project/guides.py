"""The guides of `docs/` as HTML pages: the list and the search at `/docs/guide`, each guide at `/docs/guide/NAME`.

Each process renders a page once, except for results of searches.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from marketdata_project.guide_search import MAX_RESULTS, MAX_WORDS, search, words_of
from marketdata_project.guide_text import guide_html, guide_names, guide_sections, guide_title, guide_url

# A guide with fewer headings has no list of them.
_MIN_CONTENTS = 3


@dataclass(frozen=True, slots=True)
class GuidePage:
    """A page's HTML and its ETag."""

    body: bytes
    etag: str


@require_safe
def guides(request: HttpRequest) -> HttpResponseBase:
    """Answer with the list of all guides; with `q=` words, with the sections that have all of them."""
    text = request.GET.get("q", "")
    return _response(request, results_page(text) if text.strip() else contents_page())


@require_safe
def guide(request: HttpRequest, guide: str) -> HttpResponseBase:
    """Answer with one guide; 404 if `docs/` has no such file."""
    if guide not in guide_names():
        raise Http404
    return _response(request, guide_page(guide))


@cache
def contents_page() -> GuidePage:
    """Return the page that lists all guides by title."""
    guides = sorted((guide_title(name), guide_url(name)) for name in guide_names())
    return _page("guides.html", {"guides": guides})


def results_page(text: str) -> GuidePage:
    """Return the page of what a search finds, or of why it is refused: it has more than MAX_WORDS words."""
    words = words_of(text)
    is_too_long = len(words) > MAX_WORDS
    results = [] if is_too_long else search(words)
    limits = {"max_words": MAX_WORDS, "is_cut": len(results) == MAX_RESULTS}
    return _page("guide_results.html", {"q": text, "results": results, "is_too_long": is_too_long, **limits})


@cache
def guide_page(name: str) -> GuidePage:
    """Return the page of the guide `name`, one of `guide_names()`."""
    contents = [section for section in guide_sections(name) if section.level == 2]
    title, end, rest = guide_html(name).partition("</h1>")
    return _page(
        "guide.html",
        {
            "title": guide_title(name),
            "contents": contents if len(contents) >= _MIN_CONTENTS else [],
            # The renderer has escaped all text of the guide.
            "heading": mark_safe(title + end),  # noqa: S308
            "html": mark_safe(rest),  # noqa: S308
        },
    )


def _page(template: str, context: dict[str, object]) -> GuidePage:
    body = render_to_string(template, context).encode()
    return GuidePage(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _response(request: HttpRequest, page: GuidePage) -> HttpResponseBase:
    """Return the page, or 304 if the client has it already."""
    response = HttpResponse(page.body, headers={"ETag": page.etag, "Cache-Control": "no-cache"})
    return get_conditional_response(request, etag=page.etag, response=response) or response
