"""Secrets that clients put into paths and queries, replaced before anything is written down."""

import re
from urllib.parse import unquote_plus

MASK = "***"

_API_KEY = re.compile(r"md_[\w-]{8}_[\w-]+", re.ASCII)
_SECRET_NAME = re.compile(
    r"key|token|secret|passw|passphrase|pwd|signature|authori[sz]ation|credential|^(?:auth|sig|jwt|pass)$",
    re.IGNORECASE,
)
# A query without any of these needs no closer look: `%4x` to `%7x` are the escapes that can spell a letter or `_`.
# Plain containment is several times cheaper than one regular expression for them all.
_SUSPICIOUS = (
    "key", "token", "secret", "pass", "pwd", "sig", "auth", "credential", "jwt", "md_", "%4", "%5", "%6", "%7",
)  # fmt: skip
_SEPARATOR = re.compile(r"([&;])")


def masked_text(text: str) -> str:
    """Replace every API key in `text` by `***`."""
    return _API_KEY.sub(MASK, text) if "md_" in text else text


def masked_query(query: str) -> str:
    """Replace the values of secret parameters in a raw query by `***`; the rest stays as it was sent.

    A parameter is secret by its name (`api_key`, `token`, …: any case, percent-encoded or not) or because its
    value looks like an API key. When in doubt it is masked.
    """
    lowered = query.lower()
    for sign in _SUSPICIOUS:
        if sign in lowered:
            break
    else:
        return query
    return "".join(_masked_part(part) for part in _SEPARATOR.split(query))


def _masked_part(part: str) -> str:
    name, separator, value = part.partition("=")
    if _API_KEY.search(unquote_plus(name)):
        return MASK
    if value and (_SECRET_NAME.search(unquote_plus(name)) or _API_KEY.search(unquote_plus(value))):
        return f"{name}{separator}{MASK}"
    return part
