"""The document that a call sends."""

from typing import Any

from rest_framework.request import Request

from ratelimit.exceptions import MalformedCall


def document_sent(request: Request) -> Any:
    """What the body says. Raises MalformedCall where there is none: that is not `{}`."""
    if request.stream is None:
        raise MalformedCall("malformed_json", "there is no body; send one JSON document")
    return request.data
