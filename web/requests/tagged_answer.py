"""Answers with an entity tag, a hash of their content. A client that sends the tag back gets 304 if nothing changed."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from django.http import HttpResponse
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from web.requests.compression import Encoding, accepted_encoding, compressed
from web.requests.conditional import REVALIDATED, content_tag, is_current


def tagged_answer(request: Request, data: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer with `data`, compressed as `Accept-Encoding` allows; a 304 if `If-None-Match` has its tag.

    An HTML page of the browsable API has no tag and is never compressed, because it may contain a CSRF token.
    """
    all_headers = {**REVALIDATED, **(headers or {})}
    if isinstance(request.accepted_renderer, BrowsableAPIRenderer):
        return Response(data, headers=all_headers)
    encoding = accepted_encoding(request.headers.get("Accept-Encoding"))
    all_headers["ETag"] = content_tag(
        msgspec.json.encode([data, request.accepted_renderer.media_type, encoding])
    )
    if is_current(request.headers.get("If-None-Match"), all_headers["ETag"]):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers=all_headers)
    response = Response(data, headers=all_headers)
    response.add_post_render_callback(partial(_encode, encoding=encoding))
    return response


def _encode(response: HttpResponse, *, encoding: Encoding | None) -> None:
    encoded = compressed(response.content, encoding)
    if encoded.encoding is not None:
        response.content = encoded.body
        response.headers["Content-Encoding"] = encoded.encoding
