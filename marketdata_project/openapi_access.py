"""What the table of access says of each operation of the OpenAPI document."""

from collections.abc import Callable, Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from marketdata_project.error_codes import ErrorCode, GivenBy
from ratelimit.access.scopes import SENSITIVITIES
from ratelimit.access.table import ANY_CALLER, ANYBODY, READ, Access, access_of

_OAUTH2 = "OAuth2"

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


def is_given_by(error: ErrorCode, access: Access | None, method: str) -> bool:
    """Whether an operation with that row and method (in lower case) can be refused with a code.

    Operations without a row have all codes that their method can be refused with.
    """
    if error.given_by in _CHANGES and method == "get":
        return False
    return access is None or _GIVEN_BY[error.given_by](access)


def _needed(access: Access) -> list[str]:
    scope = [f"the scope `{access.scope}`"] if _has_scope(access) else []
    clearance = [f"clearance for {access.sensitivity} data"] if _is_restricted(access) else []
    return [*scope, *clearance]


def _has_scope(access: Access) -> bool:
    return access.scope not in {ANYBODY, ANY_CALLER}


def _is_restricted(access: Access) -> bool:
    return _has_scope(access) and access.sensitivity != SENSITIVITIES[0]


def _has_caller(access: Access) -> bool:
    return access.scope != ANYBODY


_CHANGES = {GivenBy.CHANGES, GivenBy.CALLERS_CHANGES, GivenBy.KEY_CHANGES, GivenBy.DATA_CHANGES}
_GIVEN_BY: dict[GivenBy, Callable[[Access], bool]] = {
    GivenBy.EVERY: lambda _: True,
    GivenBy.READS: lambda access: access.kind == READ,
    GivenBy.CHANGES: lambda _: True,
    GivenBy.CALLERS: _has_caller,
    GivenBy.CALLERS_CHANGES: _has_caller,
    GivenBy.SCOPED: _has_scope,
    GivenBy.RESTRICTED: _is_restricted,
    GivenBy.LOGINS: lambda access: access.scope == ANYBODY,
    GivenBy.KEY_CHANGES: lambda access: access.scope == "keys:manage",
    GivenBy.DATA_CHANGES: lambda access: access.group == "data",
}
