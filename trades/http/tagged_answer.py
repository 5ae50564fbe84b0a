"""Answers that no cache holds: tagged by what they say, so that a client which has them gets 304."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from trades.http.conditional import REVALIDATED, content_tag, is_current


def tagged_answer(request: Request, data: Any, headers: Mapping[str, str] | None = None) -> Response:
    """The answer with these data; 304 if the client has it. A page for a browser is made for one person: it has no tag."""
    said = {**REVALIDATED, **(headers or {})}
    if isinstance(request.accepted_renderer, BrowsableAPIRenderer):
        return Response(data, headers=said)
    said["ETag"] = content_tag(orjson.dumps([data, request.accepted_renderer.media_type]))
    if is_current(request.headers.get("If-None-Match"), said["ETag"]):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers=said)
    return Response(data, headers=said)
