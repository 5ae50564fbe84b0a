"""A view over two bars in every format, as endpoints of rows are made."""

from typing import Any

from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from stats.rendering.renderers import RENDERERS
from tests.stats.rendering.tables import TWO_BARS, document
from web.requests.exceptions import InvalidParameter


class QuerySerializer(serializers.Serializer[Any]):
    symbol = serializers.CharField(help_text="The <instrument>.")
    resolution = serializers.ChoiceField(choices=["1m", "1h"], default="1m")
    limit = serializers.IntegerField(min_value=1, max_value=10_000, required=False)
    coverage = serializers.BooleanField(default=False)
    cursor = serializers.CharField(required=False)


class PlainBars(APIView):
    """Two bars."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    renderer_classes = RENDERERS

    def get(self, request: Request, **_: str) -> HttpResponseBase:
        if "wrong" in request.query_params:
            raise InvalidParameter("unknown_parameter", "the parameter wrong is not known here")
        name = request.accepted_renderer.format
        if name == "api":
            return Response({"bars": [], "next_cursor": "to&come", "prev_cursor": None})
        return Response(document(TWO_BARS))


class SpeakingBars(PlainBars):
    """Two bars, and a word."""

    def put(self, request: Request, **_: str) -> Response:
        """What a view says that knows no format."""
        return Response({"said": True})


class FormBars(PlainBars):
    """Two bars."""

    query_serializer_class = QuerySerializer


def respond(
    view: type[APIView], query: str = "", *, suffix: str = "", accept: str = "*/*", method: str = "get"
) -> Any:
    path = f"/bars.{suffix}" if suffix else "/bars"
    request = APIRequestFactory().generic(method.upper(), f"{path}?{query}", headers={"Accept": accept})
    kwargs = {"format": suffix} if suffix else {}
    response = view.as_view()(request, **kwargs)
    return response.render() if isinstance(response, Response) else response
