"""The header by which a request is known again."""

import re

from http_requests.exceptions import InvalidParameter

_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(header: str | None) -> str | None:
    """The `Idempotency-Key`, 1-255 visible ASCII characters, quoted or bare; None without a header.

    Raises `InvalidParameter` for anything else.
    """
    if header is None:
        return None
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not _KEY.fullmatch(key):
        raise InvalidParameter("invalid_idempotency_key", "Idempotency-Key is 1-255 visible ASCII characters")
    return key
