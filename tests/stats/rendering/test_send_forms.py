"""The forms that send a body: which there are, and what they hold at first."""

import json
import re
from html import unescape
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from stats.rendering.renderers import DOCUMENT_RENDERERS
from tests.html_page import Page
from tests.stats.rendering.views import respond
from web.requests.parsers import CSVBytesParser, JSONBytesParser, MessagePackBytesParser

BATCH = {"trades": [{"symbol": "AAPL", "price": 1.5}, {"symbol": "AAPL", "price": 2, "note": "a,b"}]}


class Denied:
    """A permission that refuses a method."""

    def __init__(self, method: str) -> None:
        self.method = method

    def __call__(self) -> "Denied":
        return self

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method == self.method:
            raise PermissionDenied
        return True


class InputSerializer(serializers.Serializer[Any]):
    amount = serializers.IntegerField()
    examples: ClassVar = {"Three": {"amount": 3}}


class Writes(GenericViewSet[Any]):
    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    renderer_classes = DOCUMENT_RENDERERS
    parser_classes = [JSONBytesParser, CSVBytesParser, MessagePackBytesParser]
    serializer_class = InputSerializer

    @extend_schema(examples=[OpenApiExample("A batch", value=BATCH, request_only=True)])
    def ingest(self, request: Request) -> Response:
        return Response({"stored": 2})

    def change(self, request: Request) -> Response:
        return Response({"changed": True})

    @extend_schema(request=None)
    def cancel(self, request: Request) -> Response:
        return Response({"cancelled": True})


def bound(actions: dict[str, str], **attributes: Any) -> Any:
    """The viewset with its methods bound to actions."""
    view: Any = type("View", (Writes,), attributes)
    as_view = view.as_view
    view.as_view = lambda: as_view(actions)
    return view


def page(actions: dict[str, str], method: str = "get", **attributes: Any) -> Any:
    return respond(bound(actions, **attributes), accept="text/html", method=method)


def forms(html: str) -> list[dict[str, str | None]]:
    return [found for tag, found in Page(html).elements if tag == "form" and "data-method" in found]


def body(html: str) -> Any:
    """The document in the form's text."""
    text = re.search(r"<textarea[^>]*>(.*?)</textarea>", html, re.DOTALL)
    assert text is not None
    return json.loads(unescape(text[1]))


def media_types(html: str) -> list[str | None]:
    return [found["value"] for tag, found in Page(html).elements if tag == "option"]


def test_page_of_an_endpoint_without_get_opens_with_a_form():
    response = page({"post": "ingest"})
    html = response.content.decode()
    assert (response.status_code, response["Allow"]) == (200, "POST, OPTIONS")
    assert [form["data-method"] for form in forms(html)] == ["POST"]
    assert 'role="alert"' not in html


def test_a_form_holds_the_documentation_s_example():
    html = page({"post": "ingest"}).content.decode()
    assert body(html) == BATCH
    assert media_types(html) == ["application/json", "text/csv", "application/msgpack"]


def test_a_form_that_replaces_a_document_begins_with_its_values():
    class Read(Writes):
        def read(self, request: Request) -> Response:
            return Response({"amount": 7, "changed_at": "2025-01-02T14:30:00Z"})

    view: Any = bound({"get": "read", "put": "change"}, read=Read.read)
    assert body(respond(view, accept="text/html").content.decode()) == {"amount": 7}


def test_a_call_without_a_body_is_a_button():
    html = page({"post": "cancel", "delete": "change"}).content.decode()
    assert [form["data-method"] for form in forms(html)] == ["POST", "DELETE"]
    assert "<textarea" not in html


def test_a_call_that_takes_something_away_asks_first_in_the_words_of_its_documentation():
    @extend_schema(summary="Drop it", description="All of it.", request=None)
    def drop(view: Any, request: Request) -> Response:
        raise NotImplementedError

    calls = {"post": "cancel", "delete": "drop"}
    own: dict[str, Any] = {"drop": drop}
    cancel, delete = forms(page(calls, **own).content.decode())
    assert "data-question" not in cancel
    assert (delete["aria-label"], delete["data-question"]) == ("Drop it", "All of it.")
    (stop,) = forms(page({"post": "drop"}, asks_first=("drop",), **own).content.decode())
    assert stop["data-question"] == "All of it."


def test_a_page_is_named_by_its_call_in_words_with_code_as_code():
    @extend_schema(summary="Read a row", description="With <b> and `code`.")
    def read(view: Any, request: Request) -> Response:
        return Response({})

    html = page({"get": "read"}, read=read).content.decode()
    assert "<h1>Read a row</h1>" in html
    assert "<p>With &lt;b&gt; and <code>code</code>.</p>" in html


def test_who_may_not_call_an_endpoint_gets_no_form():
    response = page({"post": "ingest"}, permission_classes=[Denied("POST")])
    assert response.status_code == 405
    assert forms(response.content.decode()) == []
