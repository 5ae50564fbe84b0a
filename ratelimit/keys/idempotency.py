"""The header by which a call is known again."""

import re

from ratelimit.exceptions import MalformedCall

_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(header: str | None) -> str | None:
    """The Idempotency-Key, quoted or bare; None without a header. Raises MalformedCall."""
    if header is None:
        return None
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise MalformedCall("invalid_idempotency_key", "Idempotency-Key is 1-255 visible ASCII characters")
    return key
