"""Finds the endpoint of a path, the largest body that it accepts, and the threads that answer its calls."""

from functools import lru_cache

from django.urls import Resolver404, ResolverMatch, resolve

from ratelimit.access.scopes import TRADING_SCOPES
from ratelimit.access.table import CLOSING, READ, SMALL_BODY_BYTES, TRADING, WRITE, Access, access_of
from ratelimit.limits.costs import cost_of
from web.requests.received import SAFE_METHODS

# Characters of the longest query that the event loop parses.
_LONGEST_PARSED = 2_048
# The lane of reads that compute for long: they wait for each other, and other reads do not wait for them.
HEAVY = "heavy"
HEAVY_TOKENS = 10
# The lane of logins, which wait for turns to check a password.
LOGIN = "login"
# The url names of all endpoints that check passwords; Django's sites both have a `login`.
_LOGINS = frozenset({"auth-token", "login"})
# Characters of the longest path that is cached. All endpoints' paths are shorter. Any client may send longer paths,
# which must not fill the cache.
_LONGEST_CACHED = 256


def endpoint_at(path: str) -> ResolverMatch | None:
    """Return the view, url name and arguments of a decoded path; None for an unknown path."""
    return _cached_match(path) if len(path) <= _LONGEST_CACHED else _match(path)


def body_limit(path: str, method: str) -> int:
    """Return the size limit of a call's body in bytes; SMALL_BODY_BYTES if no endpoint has this path and method."""
    access = _access_at(path, method)
    return SMALL_BODY_BYTES if access is None else access.body_bytes


def lane_of(path: str, method: str, query: str) -> str:
    """Return which of the front's lanes answers a call.

    TRADING or CLOSING for calls of trading; LOGIN for logins; HEAVY for reads that are declared to be so, or whose work
    is known to cost HEAVY_TOKENS, or whose query is too long to tell; else READ or WRITE. Called in the event loop. A
    path that is not cached is only READ or WRITE, because to resolve it may take long.
    """
    endpoint = endpoint_at(path) if len(path) <= _LONGEST_CACHED else None
    access = None if endpoint is None else access_of(endpoint.url_name, method)
    if access is not None and access.scope in TRADING_SCOPES:
        return CLOSING if access.kind == CLOSING else TRADING
    if method not in SAFE_METHODS:
        return LOGIN if endpoint is not None and endpoint.url_name in _LOGINS else WRITE
    if access is None:
        return READ
    if len(query) > _LONGEST_PARSED:
        return HEAVY
    return HEAVY if access.is_heavy or cost_of(access.cost, query) >= HEAVY_TOKENS else READ


def _access_at(path: str, method: str) -> Access | None:
    endpoint = endpoint_at(path)
    return None if endpoint is None else access_of(endpoint.url_name, method)


def _match(path: str) -> ResolverMatch | None:
    try:
        match = resolve(path)
    except Resolver404:
        return None
    # All patterns that were tried before: most of a match's memory, and only Django's page for developers shows them.
    match.tried = None
    return match


_cached_match = lru_cache(maxsize=4096)(_match)
