"""Answers that no cache holds: tagged by what they say, so that a client which has them gets 304."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from django.http import HttpResponse
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from http_requests.compression import Encoding, accepted_encoding, compressed
from http_requests.conditional import REVALIDATED, content_tag, is_current


def tagged_answer(request: Request, data: Any, headers: Mapping[str, str] | None = None) -> Response:
    """The answer with these data, compressed as the client likes it; 304 if the client has it.

    A page for a browser is made for one person: it has no tag, and as it may hold a token against forged
    requests it is never compressed.
    """
    said = {**REVALIDATED, **(headers or {})}
    if isinstance(request.accepted_renderer, BrowsableAPIRenderer):
        return Response(data, headers=said)
    encoding = accepted_encoding(request.headers.get("Accept-Encoding"))
    said["ETag"] = content_tag(orjson.dumps([data, request.accepted_renderer.media_type, encoding]))
    if is_current(request.headers.get("If-None-Match"), said["ETag"]):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers=said)
    response = Response(data, headers=said)
    response.add_post_render_callback(partial(_encode, encoding=encoding))
    return response


def _encode(response: HttpResponse, *, encoding: Encoding | None) -> None:
    done = compressed(response.content, encoding)
    if done.encoding is not None:
        response.content = done.body
        response.headers["Content-Encoding"] = done.encoding
