"""Secrets in what is written down, replaced by `***`: by the name of their field, and by their shape. Pure.

Shapes: this service's API keys and signing secrets, JSON web tokens, PEM blocks, credentials of an Authorization header, whoever is named in a
URL's authority (`https://user:password@host`), signatures. When in doubt it is masked.
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
    r"|(?P<url>\b[a-z][a-z0-9+.-]*://)[^\s/?#@\"']+@"
    r"|(?P<bytes>=:)[A-Za-z0-9+/]{20,}={0,2}:"
    r"|(?P<webhook>\bv1a?,)[A-Za-z0-9+/]{40,}={0,2}"
    r"|(?P<hex>\bsha(?:1|256|512)=)[0-9a-f]{40,}",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
# Kept of a match is what introduces the secret.
_KEPT = ("scheme", "url", "bytes", "webhook", "hex")
# A text without any of these has no such shape. Plain containment is several times cheaper than the expression.
_SIGNS = ("md_", "mds_", "eyj", "-----begin ", "basic", "bearer", "api-key", "@", "=:", "v1,", "v1a,", "sha")
# A query without any of these needs no closer look: `%4x` to `%7x` are the escapes that can spell a letter or `_`. A colon
# alone is in every time.
_SUSPICIOUS = (
    "key", "token", "secret", "pass", "pwd", "sig", "auth", "credential", "cookie", "assertion", "jwt", "otp", "pin", "md_", "mds_",
    "eyj", "begin", "basic", "bearer", "@", "=:", "v1", "sha", "=%3a", "%3d", "%4", "%5", "%6", "%7",
)  # fmt: skip
_SEPARATOR = re.compile(r"([&;])")
_ASSIGNED = re.compile(
    r"""(?P<name>["']?\b[\w-]*(?:key|token|secret|passw(?:or)?d|passphrase|pwd|signature|credential|cookie)[\w-]*["']?\s*[=:]\s*)"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&'"()\[\]{}]+)""",
    re.IGNORECASE,
)
_ASSIGNED_SIGNS = ("key", "token", "secret", "pass", "pwd", "signature", "credential", "cookie")


def masked_text(text: str) -> str:
    """Replace what has the shape of a secret."""
    lowered = text.lower()
    for sign in _SIGNS:
        if sign in lowered:
            return _SHAPES.sub(_masked_shape, text)
    return text


def masked_line(text: str) -> str:
    """A line of a log: what has the shape of a secret, and what is assigned to its name (`token=…`, `"password": …`)."""
    masked = masked_text(text)
    lowered = masked.lower()
    if any(sign in lowered for sign in _ASSIGNED_SIGNS):
        return _ASSIGNED.sub(lambda found: f"{found['name']}{MASK}", masked)
    return masked


def masked_query(query: str) -> str:
    """Replace the values of secret parameters in a raw query by `***`; the rest stays as it was sent.

    A parameter is secret by its name (`api_key`, `token`, …: any case, percent-encoded or not) or because its
    value looks like a secret.
    """
    lowered = query.lower()
    for sign in _SUSPICIOUS:
        if sign in lowered:
            break
    else:
        return query
    return "".join(_masked_part(part) for part in _SEPARATOR.split(query))


def masked_document(document: Any, *, depth: int = DEPTH) -> Any:
    """A document of JSON with secrets replaced, whatever lies under a secret's name and whatever has a secret's shape.

    What is nested deeper than `depth` is replaced, too. Booleans and null are no secrets.
    """
    if isinstance(document, str):
        return masked_text(document)
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


def _is_secret_field(name: str) -> bool:
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
    if _is_shaped(unquote_plus(name)):
        return MASK
    if value and (_SECRET_NAME.search(unquote_plus(name)) or _is_shaped(unquote_plus(value))):
        return f"{name}{separator}{MASK}"
    return part


def _is_shaped(text: str) -> bool:
    return masked_text(text) != text


def _masked_shape(found: re.Match[str]) -> str:
    kept = next((found[name] for name in _KEPT if found[name]), "")
    tail = {"url": "@", "bytes": ":"}.get(found.lastgroup or "", "")
    return f"{kept}{MASK}{tail}"
