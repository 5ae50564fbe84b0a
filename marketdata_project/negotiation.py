"""Content negotiation: the format of an answer, and the parser of a body."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from django.http import Http404, HttpRequest, QueryDict
from rest_framework.exceptions import NotAcceptable, UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.utils.mediatypes import _MediaType

from stats.rendering.page_links import without_empty
from web.requests.exceptions import InvalidParameter

# Java sends `.2`.
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|\.[0-9]{1,3}|1(\.0{0,3})?")
# A query of up to so many characters has no more fields than Django allows (DATA_UPLOAD_MAX_NUMBER_FIELDS).
# It is not parsed for a format that it does not name.
_SHORT_QUERY = 1_000
# In the Accept header of every browser that opens a page.
_OF_BROWSERS = "application/xhtml+xml"


def is_program(request: HttpRequest) -> bool:
    """Return whether a call is a program's: it has a credential in a header, and takes any type, but no browser's.

    Unless told otherwise, HTTP libraries such as Java's prefer HTML.
    """
    accept = request.META.get("HTTP_ACCEPT", "")
    has_credential = not {"HTTP_X_API_KEY", "HTTP_AUTHORIZATION", "HTTP_SIGNATURE"}.isdisjoint(request.META)
    return has_credential and "*/*" in accept and _OF_BROWSERS not in accept


class _Negotiation(DefaultContentNegotiation):
    """DRF's negotiation, to which an empty `Accept` means `*/*`."""

    def get_accept_list(self, request: Request) -> list[str]:
        return [media_type for media_type in super().get_accept_list(request) if media_type] or ["*/*"]


class ContentNegotiation(DefaultContentNegotiation):
    """DRF's negotiation, which also applies the weights (`q`) of RFC 9110, 12.4.2.

    A suffix or `format` in the URL overrides `Accept`; if the URL has both, they must agree. An empty `Accept` means
    `*/*`. The answer is 406 for an unknown format and 415 for an unknown body type; both list the known ones. For an
    HTML page empty query parameters are dropped. A program that takes any type gets no page.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer, media_type = self._select(request, list(renderers), format_suffix)
        if isinstance(renderer, BrowsableAPIRenderer):
            _drop_empty_inputs(request._request)  # noqa: SLF001 DRF's request reads all from Django's
        return renderer, media_type

    def _select(
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None
    ) -> tuple[BaseRenderer, str]:
        url_format = _url_format(request, format_suffix)
        if url_format:
            renderer = self.filter_renderers(renderers, url_format)[0]
            return renderer, renderer.media_type
        django_request = request._request  # noqa: SLF001 DRF's request reads all from Django's
        if is_program(django_request):
            renderers = [
                each for each in renderers if not isinstance(each, BrowsableAPIRenderer)
            ] or renderers
        classes = tuple(type(renderer) for renderer in renderers)
        selected, media_type = _selection(django_request.META.get("HTTP_ACCEPT", ""), classes)
        return renderers[classes.index(selected)], media_type

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        parser = super().select_parser(request, parsers)
        if parser is None:
            media_types = ", ".join(parser.media_type for parser in parsers)
            content_type = request.content_type[:100]
            raise UnsupportedMediaType(
                content_type,
                f"the endpoint does not read a body of type {content_type!r}; send one of {media_types}",
            )
        return parser

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:  # noqa: A002
        try:
            return super().filter_renderers(renderers, format)
        except Http404:
            formats = ", ".join(renderer.format for renderer in renderers)
            raise NotAcceptable(f"{_of_exports(format)}formats are {formats}") from None


def _url_format(request: Request, format_suffix: str | None) -> str | None:
    """Return the format in the URL, if any. Raises InvalidParameter if suffix and query differ."""
    query = request._request.META.get("QUERY_STRING", "")  # noqa: SLF001 DRF's request reads all from Django's
    has_format = len(query) > _SHORT_QUERY or "format" in unquote_plus(query)
    parameter = request.query_params.get("format") if has_format else None
    if format_suffix and parameter and parameter != format_suffix:
        raise InvalidParameter(
            "conflicting_parameters",
            f"the path asks for the format {format_suffix}, the query for {parameter:.64}: give one",
        )
    return format_suffix or parameter


def _of_exports(asked: str) -> str:
    """Return where Parquet is to be had, if that is asked for."""
    return "Parquet files are written by POST /api/v1/exports; " if "parquet" in asked.lower() else ""


def _drop_empty_inputs(request: HttpRequest) -> None:
    """Drop empty parameters, which an HTML form sends for inputs that were left empty."""
    query = request.META.get("QUERY_STRING", "")
    non_empty = without_empty(query)
    if non_empty != query:
        request.META["QUERY_STRING"] = non_empty
        request.GET = QueryDict(non_empty)


@lru_cache(maxsize=256)
def _selection(accept: str, renderers: tuple[type[BaseRenderer], ...]) -> tuple[type[BaseRenderer], str]:
    """Return the renderer that an `Accept` header prefers, and the answer's media type. Raises NotAcceptable."""
    request = Request(HttpRequest())
    request.META["HTTP_ACCEPT"] = accept
    negotiation = _Negotiation()
    ranges = [_MediaType(text) for text in negotiation.get_accept_list(request)]
    weights = [_weight(_MediaType(renderer.media_type), ranges) for renderer in renderers]
    best = max(weights)
    if not best:
        media_types = ", ".join(renderer.media_type for renderer in renderers)
        raise NotAcceptable(f"{_of_exports(accept)}media types are {media_types}")
    preferred = [renderer for renderer, weight in zip(renderers, weights, strict=True) if weight == best]
    # DRF reads only the media types of renderers, which their classes have, too.
    selected: Any = negotiation.select_renderer(request, preferred)  # type: ignore[arg-type]
    return selected  # type: ignore[no-any-return]


def _weight(media_type: _MediaType, ranges: Iterable[_MediaType]) -> float:
    """Return the weight of the most specific range that covers the type."""
    matches = [media_range for media_range in ranges if media_type.match(media_range)]
    if not matches:
        return 0.0
    weight = max(matches, key=lambda media_range: media_range.precedence).params.get("q", "1")
    return float(weight) if _WEIGHT.fullmatch(weight) else 1.0
