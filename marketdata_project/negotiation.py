"""Content negotiation: the format of an answer, and the parser of a body."""

import re
from collections.abc import Iterable
from functools import lru_cache

from django.http import Http404, HttpRequest, QueryDict
from rest_framework.exceptions import NotAcceptable, UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.utils.mediatypes import _MediaType

from http_requests.exceptions import InvalidParameter
from stats.rendering.query_form import without_empty

_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


class ContentNegotiation(DefaultContentNegotiation):
    """DRF's negotiation with the weights of RFC 9110, 12.4.2.

    A suffix or `format` in the URL overrides `Accept`; if the URL has both they must agree. An empty
    `Accept` means `*/*`. An unknown format is 406 and an unknown body type 415, each with the list of known
    ones. For an HTML page empty query parameters are dropped.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        chosen = self._chosen(request, list(renderers), format_suffix)
        if isinstance(chosen[0], BrowsableAPIRenderer):
            _drop_empty_inputs(request._request)  # noqa: SLF001 what all of DRF's request is made from
        return chosen

    def _chosen(
        self, request: Request, offered: list[BaseRenderer], format_suffix: str | None
    ) -> tuple[BaseRenderer, str]:
        named = _named(request, format_suffix)
        if named:
            renderer = self.filter_renderers(offered, named)[0]
            return renderer, renderer.media_type
        media_types = tuple(renderer.media_type for renderer in offered)
        weights = _weights(tuple(self.get_accept_list(request)), media_types)
        best = max(weights)
        if not best:
            raise NotAcceptable(f"media types are {', '.join(media_types)}")
        liked = [renderer for renderer, weight in zip(offered, weights, strict=True) if weight == best]
        chosen: tuple[BaseRenderer, str] = super().select_renderer(request, liked)
        return chosen

    def get_accept_list(self, request: Request) -> list[str]:
        return [media_type for media_type in super().get_accept_list(request) if media_type] or ["*/*"]

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        parser = super().select_parser(request, parsers)
        if parser is None:
            known = ", ".join(parser.media_type for parser in parsers)
            given = request.content_type[:100]
            raise UnsupportedMediaType(
                given, f"the endpoint does not read a body of type {given!r}; send one of {known}"
            )
        return parser

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:  # noqa: A002
        try:
            return super().filter_renderers(renderers, format)
        except Http404:
            known = ", ".join(renderer.format for renderer in renderers)
            raise NotAcceptable(f"formats are {known}") from None


def _named(request: Request, format_suffix: str | None) -> str | None:
    """The format in the URL, if any. Raises `InvalidParameter` if suffix and query differ."""
    asked = request.query_params.get("format")
    if format_suffix and asked and asked != format_suffix:
        raise InvalidParameter(
            "conflicting_parameters",
            f"the path asks for the format {format_suffix}, the query for {asked:.64}: give one",
        )
    return format_suffix or asked


def _drop_empty_inputs(request: HttpRequest) -> None:
    """Drop empty parameters, which an HTML form sends for inputs that were left empty."""
    asked = request.META.get("QUERY_STRING", "")
    kept = without_empty(asked)
    if kept != asked:
        request.META["QUERY_STRING"] = kept
        request.GET = QueryDict(kept)


@lru_cache(maxsize=256)
def _weights(accepted: tuple[str, ...], offered: tuple[str, ...]) -> tuple[float, ...]:
    """The weight of each offered media type by the ranges of `Accept`; 0 if no range covers it."""
    ranges = [_MediaType(text) for text in accepted]
    return tuple(_weight(_MediaType(media_type), ranges) for media_type in offered)


def _weight(offered: _MediaType, ranges: Iterable[_MediaType]) -> float:
    """The weight of the most specific range that covers the type."""
    covering = [each for each in ranges if offered.match(each)]
    if not covering:
        return 0.0
    weight = max(covering, key=lambda each: each.precedence).params.get("q", "1")
    return float(weight) if _WEIGHT.fullmatch(weight) else 1.0
