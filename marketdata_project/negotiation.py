"""Which format an answer gets."""

from collections.abc import Iterable

from django.http import Http404
from rest_framework.exceptions import NotAcceptable, UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class ContentNegotiation(DefaultContentNegotiation):
    """DRF's, but a `format` that there is not is 406 with the list of those there are, as for `Accept`.

    A body of another type than is read here is 415 with the list of those that are. An empty `Accept` asks for nothing in particular.
    """

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
