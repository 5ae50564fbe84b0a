"""Replaces secrets by `***` in audit records and logs. Pure.

A record keeps the values of query parameters and body fields that the API declares. All other values that a
client sent are masked. In free text (log lines, paths, declared values) two things are masked: text that looks like
a credential, and values assigned to a secret's name (`token=…`, `"password": "…"`).
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

MASK = "***"
DEPTH = 8
"""The number of nested levels of a body that are recorded; deeper levels are masked."""

_SECRET = re.compile(
    r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)"
    # Possessive: each word is read once, without backtracking, so a text of many such words is not slower.
    r"|\beyJ[\w-]{4,}+(?:\.[\w.-]+)?"
    r"|md_[\w-]{8}_[\w-]+|\bmds_[\w-]{20,}"
    # The random part of a key, alone or with its prefix: 43 signs of base64url, with letters of both cases and a digit.
    # One key of 1,900 has no digit. A word of 43 letters is a name.
    r"|(?<![\w-])(?:[\w-]{8}_)?(?=[\w-]*?[a-z])(?=[\w-]*?[A-Z])(?=[\w-]*?[0-9])[\w-]{43}(?![\w-])"
    r"|(?P<scheme>\b(?i:basic|bearer|api-key)(?:\s|%20|\+)+)[\w.~+/=-]+"
    # To the last @ before the path: passwords contain them, unescaped.
    r"|(?P<url>://)[^\s/?#\"]+(?=@)"
    # Not the number of a key (`primary key=3`), and no short word after `key:` in a sentence (`the key: AAPL`).
    r"|(?P<name>(?!(?i:key)[\w-]{0,16}+(?:=|: )[0-9]{1,9}(?![\w.~+/=-]))"
    r"(?!(?<![\w-])(?i:key): [\w.-]{1,15}(?![\w.~+/=-]))"
    r"(?i:key|token|secret|passw(?:or)?d|passphrase|pwd|signature|cookie|credential|authorization)[\w-]{0,16}+"
    r"""(?:(?:\\*["'])?\s*+=|\\*["']\s*+:|:(?=\s))\s*+)"""
    # The value: quoted, quoted within a quoted text, or a word, which may follow the name of a scheme.
    r"""(?:"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|(?P<quote>\\++["']).*?(?:(?P=quote)|\Z)"""
    r"""|(?:(?i:basic|bearer|digest|api-key)(?:\s|%20|\+)+)?[^\s,;&'"()\[\]{}]+)""",
    re.ASCII | re.DOTALL,
)
# Texts without any of these need no masking. Searching for them is several times cheaper than the expression.
_HINTS = (
    "md_", "mds_", "eyj", "-----begin", "basic", "bearer", "://", "key", "token", "secret", "passw",
    "passphrase", "pwd", "signature", "cookie", "credential", "authorization",
)  # fmt: skip
_RANDOM_PART = re.compile(r"(?<![\w-])[\w-]{43}", re.ASCII)
# The characters of the API's own values and paths; no percent sign, which may encode a secret.
_PLAIN = re.compile(r"[\w.,:;/*^~@|!$()&+= -]*", re.ASCII)
_PARAMETER_NAME = re.compile(r"[A-Za-z_-]{1,24}")


def masked_text(text: str) -> str:
    """Replace the secrets in a text: text that looks like a credential, and values assigned to a secret's name."""
    lowered = text.lower()
    for hint in _HINTS:
        if hint in lowered:
            return _SECRET.sub(_masked_match, text)
    return _SECRET.sub(_masked_match, text) if _RANDOM_PART.search(text) else text


def masked_path(path: str) -> str:
    """Replace the secrets in a decoded path, and segments that are not plain ASCII or still percent-encoded."""
    masked = masked_text(path)
    if masked != path and "-----" not in path:
        # Mask each segment alone, because a secret ends with its segment. Only a PEM block may contain slashes.
        masked = "/".join(map(masked_text, path.split("/")))
    if _PLAIN.fullmatch(masked):
        return masked
    return "/".join(each if _PLAIN.fullmatch(each) else MASK for each in masked.split("/"))


def masked_query(query: str, declared: frozenset[str]) -> str:
    """Replace the values of all parameters of a raw query that are not `declared`.

    A declared value is replaced, too, if it is not plain ASCII after decoding, or contains a secret.
    """
    parts = query.split("&")
    if _is_harmless(unquote_plus(query)) and declared.issuperset([part.partition("=")[0] for part in parts]):
        return query
    return "&".join([_masked_parameter(part, declared) for part in parts])


def masked_body(body: Mapping[str, Any], declared: frozenset[str], *, depth: int = DEPTH) -> dict[str, Any]:
    """Replace the values of all members of a JSON object that are not `declared`, at any level."""
    return {
        name if name in declared else masked_text(name): (
            _masked_value(value, declared, depth) if name in declared else MASK
        )
        for name, value in body.items()
    }


def masked_document(document: Any) -> Any:
    """Replace the secrets in the texts of a document that the program made."""
    if isinstance(document, str):
        return masked_text(document)
    if isinstance(document, Mapping):
        return {name: masked_document(value) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [masked_document(each) for each in document]
    return document


def _masked_parameter(part: str, declared: frozenset[str]) -> str:
    name, equals, value = part.partition("=")
    if name in declared:
        return part if _is_harmless(unquote_plus(value)) else f"{name}={MASK}"
    if equals and _PARAMETER_NAME.fullmatch(name):
        return f"{name}={MASK}"
    return MASK if part else part


def _is_harmless(decoded: str) -> bool:
    """Return whether a decoded query, or one of its values, may be recorded unchanged."""
    return _PLAIN.fullmatch(decoded) is not None and masked_text(decoded) == decoded


def _masked_value(value: Any, declared: frozenset[str], depth: int) -> Any:
    if isinstance(value, str):
        # Invisible characters inside a key would hide it from `masked_text`.
        return masked_text(value) if value.isprintable() else MASK
    if not isinstance(value, Mapping | list):
        return value
    if depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return masked_body(value, declared, depth=depth - 1)
    return [_masked_value(each, declared, depth - 1) for each in value]


def _masked_match(match: re.Match[str]) -> str:
    return (match["scheme"] or match["url"] or match["name"] or "") + MASK
