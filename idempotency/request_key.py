"""The Idempotency-Key header and its scope."""

import re
from typing import Any, cast

from rest_framework.request import Request

from http_requests.exceptions import InvalidParameter

REPLAYED = {"Idempotency-Replayed": "true"}
"""Headers of a replayed answer."""

_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(request: Request) -> str | None:
    """The request's `Idempotency-Key`, parsed; None without one. Raises `InvalidParameter`."""
    return parse_key(request.headers.get("Idempotency-Key"))


def key_scope(request: Request) -> str:
    """The scope in which a key is unique: the caller's family, which rotation does not change."""
    return str(cast("Any", request.user).family)


def parse_key(header: str | None) -> str | None:
    """Parse the header: 1-255 visible ASCII characters, quoted or bare. None without one.

    Raises InvalidParameter.
    """
    if header is None:
        return None
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not _KEY.fullmatch(key):
        raise InvalidParameter("invalid_idempotency_key", "Idempotency-Key is 1-255 visible ASCII characters")
    return key
