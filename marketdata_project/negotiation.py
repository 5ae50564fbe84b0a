"""Which format an answer gets."""

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
    """DRF's, with the weights of RFC 9110, 12.4.2; what there is not is 406 with the list of what there is.

    A `format` or a suffix in the address stands above `Accept`; two that differ are refused. An empty
    `Accept` asks for nothing in particular. For a page the query has no empty parameters. A body of another
    type than is read here is 415 with the list of those that are.
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
                given, f"a body of the type {given!r} is not read here; known are {known}"
            )
        return parser

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:  # noqa: A002
        try:
            return super().filter_renderers(renderers, format)
        except Http404:
            known = ", ".join(renderer.format for renderer in renderers)
            raise NotAcceptable(f"formats are {known}") from None


def _named(request: Request, format_suffix: str | None) -> str | None:
    """The format that the address names, if any.

    Raises `InvalidParameter` where its suffix and its query name two.
    """
    asked = request.query_params.get("format")
    if format_suffix and asked and asked != format_suffix:
        raise InvalidParameter(
            "conflicting_parameters",
            f"the path names the format {format_suffix}, the query {asked:.64}: take one",
        )
    return format_suffix or asked


def _drop_empty_inputs(request: HttpRequest) -> None:
    """A form without a script sends its empty inputs, too: on a page they are as if they had not been sent."""
    asked = request.META.get("QUERY_STRING", "")
    kept = without_empty(asked)
    if kept != asked:
        request.META["QUERY_STRING"] = kept
        request.GET = QueryDict(kept)


@lru_cache(maxsize=256)
def _weights(accepted: tuple[str, ...], offered: tuple[str, ...]) -> tuple[float, ...]:
    """How much a client that accepts some ranges likes each media type that is offered; 0: not at all."""
    ranges = [_MediaType(text) for text in accepted]
    return tuple(_weight(_MediaType(media_type), ranges) for media_type in offered)


def _weight(offered: _MediaType, ranges: Iterable[_MediaType]) -> float:
    """What the most special of the ranges that cover the type says."""
    covering = [each for each in ranges if offered.match(each)]
    if not covering:
        return 0.0
    weight = max(covering, key=lambda each: each.precedence).params.get("q", "1")
    return float(weight) if _WEIGHT.fullmatch(weight) else 1.0
