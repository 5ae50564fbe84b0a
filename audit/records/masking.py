"""Secrets in what is written down, replaced by `***`: by the name of their field, and by their shape. Pure.

Shapes: this service's API keys and signing secrets, their secret parts alone, JSON web tokens, PEM blocks,
credentials of an Authorization header, whoever is named in a URL's authority (`https://user:password@host`),
signatures. When in doubt it is masked.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

MASK = "***"
DEPTH = 32

_SECRET_NAME = re.compile(
    r"key|token|secret|passw|passphrase|pwd|signature|authori[sz]ation|credential|cookie|assertion"
    r"|^(?:auth|sig|jwt|pass|otp|pin)$",
    re.IGNORECASE,
)
# Fields that say which secret, not the secret itself.
_ABOUT_SECRET = re.compile(r"(?:_ids?|_prefix|_name|_type|_at|_seconds|_count|keyid)$", re.IGNORECASE)
_SHAPES = re.compile(
    r"(?P<pem>-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z))"
    r"|(?P<jwt>\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*){1,3})"
    r"|(?P<api_key>md_[\w-]{8}_[\w-]+|\bmds_[\w-]{20,})"
    r"|(?P<signing_secret>mds_[\w-]{20,})"
    r"|(?P<scheme>\b(?:basic|bearer|api-key)(?:\s|%20|\+)+)[\w.~+/=-]+"
    r"|(?P<url>(?<![a-z0-9+.-])[a-z0-9+.-]++://)[^\s/?#@\"']+@"
    r"|(?P<bytes>=:)[A-Za-z0-9+/]{20,}={0,2}:"
    r"|(?P<webhook>\bv1a?,)[A-Za-z0-9+/]{40,}={0,2}"
    r"|(?P<hex>\bsha(?:1|256|512)=)[0-9a-f]{40,}",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
# Kept of a match is what introduces the secret.
_KEPT = ("scheme", "url", "bytes", "webhook", "hex")
# A text without any of these has no such shape; containment is several times cheaper than the expression.
_SIGNS = ("md_", "mds_", "eyj", "-----begin ", "basic", "bearer", "api-key", "@", "=:", "v1,", "v1a,", "sha")
# What is secret of a key, alone or with its prefix: 256 random bits in base64url, with letters of both cases.
_BARE_CHARS = 43
_BARE = re.compile(r"(?<![\w-])(?:[\w-]{8}_)?[\w-]{43}(?![\w-])", re.ASCII)
# Signs that take no room: between the letters of a key they hide its shape.
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_DECODINGS = 3
# A query without any of these needs no closer look. A colon alone is in every time.
_SUSPICIOUS = (
    "key", "token", "secret", "pass", "pwd", "sig", "auth", "credential", "cookie", "assertion", "jwt", "otp",
    "pin", "md_", "mds_", "eyj", "begin", "basic", "bearer", "@", "=:", "v1", "sha",
)  # fmt: skip
# Of the escapes these: letters, digits, `-` and `_` of a key, `%25` an escape again, the last the beginning
# of an invisible sign.
_SUSPICIOUS_ESCAPE = re.compile("%(?:2[5d]|3[0-9d]|[4-7]|c[2d]|d8|e[12]|ef)")
_SEPARATOR = re.compile(r"([&;])")
# Each word is begun once and never given back: the time that a text takes grows as it does, and no faster.
_NAME = r"(?<![\w-])(?=[\w-]*?(?:key|token|secret|passw(?:or)?d|passphrase|pwd|signature|credential|cookie))[\w-]++"
_ASSIGNED = re.compile(
    rf"""(?P<name>["']?{_NAME}["']?\s*+[=:]\s*+)"""
    r"""(?P<value>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|[^\s,;&'"()\[\]{}]+)""",
    re.IGNORECASE,
)
# Within a value: `token=…` of an address, `"password": …` of JSON in a text, however often it was quoted. Not
# `key:12`, which is somebody's name.
_ASSIGNED_WITHIN = re.compile(
    rf"""(?P<name>{_NAME}\s*+=\s*+|(?<!\\)\\*+["']{_NAME}\\*+["']\s*+:\s*+)"""
    r"""(?:(?P<quote>\\++["']).*?(?:(?P=quote)|\Z)|"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|[^\s,;&'"()\[\]{}]+)""",
    re.IGNORECASE | re.DOTALL,
)
_ASSIGNED_SIGNS = ("key", "token", "secret", "pass", "pwd", "signature", "credential", "cookie")


def masked_text(text: str) -> str:
    """Replace what has the shape of a secret."""
    lowered = text.lower()
    for sign in _SIGNS:
        if sign in lowered:
            text = _SHAPES.sub(_masked_shape, text)
            break
    return _BARE.sub(_masked_bare, text) if len(text) >= _BARE_CHARS else text


def masked_path(path: str) -> str:
    """A decoded path: what has the shape of a secret, and what is assigned to its name (`token=…`).

    Segments that are so once they are decoded again or without invisible signs go whole.
    """
    masked = masked_text(path)
    if "=" in masked:
        masked = _masked_within(masked)
    if "%" in masked or not masked.isascii():
        return "/".join(MASK if _is_secret(_plain(segment)) else segment for segment in masked.split("/"))
    return masked


def masked_line(text: str) -> str:
    """A line of a log, masked where it looks secret or is assigned to a secret's name (`token=…`)."""
    masked = masked_text(text)
    lowered = masked.lower()
    if any(sign in lowered for sign in _ASSIGNED_SIGNS):
        return _ASSIGNED.sub(lambda found: f"{found['name']}{MASK}", masked)
    return masked


def masked_query(query: str) -> str:
    """Replace the values of secret parameters in a raw query by `***`; the rest stays as it was sent.

    A parameter is secret by its name (`api_key`, `token`, …: any case, percent-encoded or not) or because its
    value looks like a secret, or holds one (`callback=https://host/?token=…`).
    """
    if not _is_suspicious(query):
        return query
    return "".join(_masked_part(part) for part in _SEPARATOR.split(query))


def masked_document(document: Any, *, depth: int = DEPTH) -> Any:
    """A document of JSON with secrets replaced: what lies under a secret's name, and what has its shape.

    So is what a text assigns to a secret's name: `token=…` of an address, `"password": …` of JSON. What is
    nested deeper than `depth` is replaced, too. Booleans and null are no secrets.
    """
    if isinstance(document, str):
        return _masked_within(masked_path(document))
    if not isinstance(document, Mapping | list | tuple):
        return document
    if depth == 0:
        return MASK
    if isinstance(document, Mapping):
        return {
            masked_text(str(name)): _masked_member(str(name), value, depth)
            for name, value in document.items()
        }
    return [_masked_member("", value, depth) for value in document]


def _is_suspicious(query: str) -> bool:
    lowered = query.lower()
    for sign in _SUSPICIOUS:
        if sign in lowered:
            return True
    if "%" in lowered and ("=%3a" in lowered or _SUSPICIOUS_ESCAPE.search(lowered) is not None):
        return True
    if len(query) < _BARE_CHARS:
        return False
    # Cheaper than the expression, and most parameters are short.
    return max(map(len, query.split("&"))) >= _BARE_CHARS and _BARE.search(query) is not None


def _is_secret_field(name: str) -> bool:
    name = _plain(name)
    return _SECRET_NAME.search(name) is not None and _ABOUT_SECRET.search(name) is None


def _masked_member(name: str, value: Any, depth: int) -> Any:
    if isinstance(value, Mapping) and "path" in value and _is_secret_field(str(value["path"])):
        # A change: its values are those of the field that it names.
        return {each: told if each == "path" else MASK for each, told in value.items()}
    if value is None or isinstance(value, bool) or not _is_secret_field(name):
        return masked_document(value, depth=depth - 1)
    return MASK


def _masked_part(part: str) -> str:
    name, separator, value = part.partition("=")
    plain_name = _plain(name)
    if _is_shaped(plain_name):
        return MASK
    if value and (_SECRET_NAME.search(plain_name) or _is_secret(_plain(value))):
        return f"{name}{separator}{MASK}"
    return part


def _plain(text: str) -> str:
    """A text, decoded as often as it was encoded, _DECODINGS times at most, without invisible signs."""
    for _ in range(_DECODINGS):
        if text == (text := unquote_plus(text)):
            break
    return text if text.isascii() else _INVISIBLE.sub("", text)


def _is_shaped(text: str) -> bool:
    return masked_text(text) != text


def _is_secret(text: str) -> bool:
    return _is_shaped(text) or _masked_within(text) != text


def _masked_within(text: str) -> str:
    lowered = text.lower()
    for sign in _ASSIGNED_SIGNS:
        if sign in lowered:
            return _ASSIGNED_WITHIN.sub(rf"\g<name>{MASK}", text)
    return text


def _masked_shape(found: re.Match[str]) -> str:
    kept = next((found[name] for name in _KEPT if found[name]), "")
    tail = {"url": "@", "bytes": ":"}.get(found.lastgroup or "", "")
    return f"{kept}{MASK}{tail}"


def _masked_bare(found: re.Match[str]) -> str:
    text = found[0]
    return text if text.islower() or text.isupper() else MASK
