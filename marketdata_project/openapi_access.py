"""What the table of access says of each operation of the OpenAPI document."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from marketdata_project.error_codes import ErrorCode
from ratelimit.access.scopes import SENSITIVITIES
from ratelimit.access.table import ANY_CALLER, ANYBODY, READ, Access, access_of

_GUARD = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_OAUTH2 = "OAuth2"
# What is wrong with what a login shows in its body, and with how it was sent.
_OF_LOGINS = {"invalid_login", "invalid_token", "https_required"}
_OF_KEYS = {"grant_exceeded", "not_rotatable", "already_made"}

Operations = dict[tuple[str, str], Access | None]


def access_of_operations(endpoints: list[tuple[Any, ...]]) -> Operations:
    """The row of each path and method (in lower case), from what the schema's generator enumerates."""
    names = dict(_names(get_resolver()))
    return {
        (path, method.lower()): access_of(names.get(callback), method)
        for path, _regex, method, callback in endpoints
    }


def _names(resolver: URLResolver) -> Iterator[tuple[Any, str | None]]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            yield entry.callback, entry.name
        else:
            yield from _names(entry)


def add_access(operation: dict[str, Any], access: Access | None) -> None:
    """Tell what an operation asks for: to programs by `x-required-…`, to people by a line of the description."""
    if access is None:
        return
    needed = _needed(access)
    if needed:
        text = operation.get("description", "")
        operation["description"] = f"{text}\n\nNeeds {' and '.join(needed)}.".lstrip()
    if _has_scope(access):
        operation["x-required-scope"] = access.scope
        for requirement in operation.get("security", ()):
            if _OAUTH2 in requirement:
                requirement[_OAUTH2] = [access.scope]
    if _is_restricted(access):
        operation["x-required-sensitivity"] = access.sensitivity


def is_refused_with(access: Access | None, error: ErrorCode) -> bool:
    """Whether an operation with that row can be refused with a code."""
    if access is None:
        return True
    if error.status in _GUARD and access.scope == ANYBODY:
        return error.code in _OF_LOGINS
    # A session's missing CSRF token is `forbidden`: reads need none.
    of_row = {
        "missing_scope": _has_scope(access),
        "insufficient_sensitivity": _is_restricted(access),
        "forbidden": access.kind != READ,
        "invalid_login": False,
        "resync": access.kind == READ,
        "in_progress": access.scope != ANYBODY,
        "store_full": access.group == "data",
        **dict.fromkeys(_OF_KEYS, access.scope == "keys:manage" and access.kind != READ),
    }
    return of_row.get(error.code, True)


def _needed(access: Access) -> list[str]:
    scope = [f"the scope `{access.scope}`"] if _has_scope(access) else []
    clearance = [f"clearance for {access.sensitivity} data"] if _is_restricted(access) else []
    return [*scope, *clearance]


def _has_scope(access: Access) -> bool:
    return access.scope not in {ANYBODY, ANY_CALLER}


def _is_restricted(access: Access) -> bool:
    return _has_scope(access) and access.sensitivity != SENSITIVITIES[0]
