"""The header by which a request is known again, and in whose name it counts."""

import re
from typing import Any, cast

from rest_framework.request import Request

from http_requests.exceptions import InvalidParameter

REPLAYED = {"Idempotency-Replayed": "true"}
"""Headers of an answer that an earlier request with the same key was given."""

_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(request: Request) -> str | None:
    """The request's `Idempotency-Key`, parsed; None without one. Raises `InvalidParameter`."""
    return parse_key(request.headers.get("Idempotency-Key"))


def key_scope(request: Request) -> str:
    """In whose name a request's key counts: its caller's family, which stays the same when a key is rotated."""
    return str(cast("Any", request.user).family)


def parse_key(header: str | None) -> str | None:
    """The key in a header, 1-255 visible ASCII characters, quoted or bare; None without a header.

    Raises `InvalidParameter` for anything else.
    """
    if header is None:
        return None
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not _KEY.fullmatch(key):
        raise InvalidParameter("invalid_idempotency_key", "Idempotency-Key is 1-255 visible ASCII characters")
    return key
