"""The guides of `docs/` as HTML pages: the list and the search at `/docs/guide`, each guide at `/docs/guide/NAME`.

A guide's own text is made once in each process; the header around it says who is logged in.
"""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from marketdata_project.guide_search import MAX_RESULTS, MAX_WORDS, search, words_of
from marketdata_project.guide_text import guide_html, guide_names, guide_sections, guide_title, guide_url

# The groups of the list. Guides that no group names are in the last.
_GROUPS = {
    "Start": ("tutorial", "dashboard", "clients", "errors"),
    "Data": (
        "market_data", "formats", "streams", "exports", "live", "sessions", "gaps", "options", "reader", "following",
        "ingest", "uploads", "import", "corrections", "bar_policies", "instruments",
    ),
    "Trading": ("trading", "trading_rules", "strategies", "models"),
    "Operation": (
        "container", "settings", "keys", "credentials", "signatures", "mtls", "access", "limits", "jobs", "webhooks", "alerts", "backfills", "audit", "metrics",
        "memory", "outbound", "performance", "security", "faults", "versions",
    ),
    "Inside": (),
}  # fmt: skip
# A guide with fewer headings has no list of them.
_MIN_CONTENTS = 3


@require_safe
def guides(request: HttpRequest) -> HttpResponse:
    """Answer with the list of all guides; with `q=` words, with the sections that have all of them."""
    text = request.GET.get("q", "")
    if text.strip():
        return render(request, "guide_results.html", _results(text))
    return render(request, "guides.html", {"groups": _groups()})


def _groups() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the groups' names with the titles and URLs of their guides."""
    names = set(guide_names())
    others = sorted(names.difference(*_GROUPS.values()))
    return [
        (group, [(guide_title(name), guide_url(name)) for name in listed or others if name in names])
        for group, listed in _GROUPS.items()
    ]


def _results(text: str) -> dict[str, Any]:
    """Return what a search finds, or that it is refused: it has more than MAX_WORDS words."""
    words = words_of(text)
    is_too_long = len(words) > MAX_WORDS
    results = [] if is_too_long else search(words)
    limits = {"max_words": MAX_WORDS, "is_cut": len(results) == MAX_RESULTS}
    return {"q": text, "results": results, "is_too_long": is_too_long, **limits}


@require_safe
def guide(request: HttpRequest, guide: str) -> HttpResponse:
    """Answer with one guide; 404 if `docs/` has no such file."""
    if guide not in guide_names():
        raise Http404
    contents = [section for section in guide_sections(guide) if section.level == 2]
    title, end, rest = guide_html(guide).partition("</h1>")
    context = {
        "title": guide_title(guide),
        "contents": contents if len(contents) >= _MIN_CONTENTS else [],
        # The renderer has escaped all text of the guide.
        "heading": mark_safe(title + end),  # noqa: S308
        "html": mark_safe(rest),  # noqa: S308
    }
    return render(request, "guide.html", context)
