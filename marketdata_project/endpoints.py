"""Finds the endpoint of a path, and the largest body that it accepts."""

from functools import lru_cache

from django.urls import Resolver404, ResolverMatch, resolve

from ratelimit.access.table import SMALL_BODY_BYTES, access_of

# Characters of the longest cached path; endpoints' paths are shorter. Paths come from clients: bound the cache.
_LONGEST_REMEMBERED = 256


def endpoint_at(path: str) -> ResolverMatch | None:
    """The view, its url name and its arguments at a decoded path; None for an unknown path."""
    return _remembered(path) if len(path) <= _LONGEST_REMEMBERED else _found(path)


def body_limit(path: str, method: str) -> int:
    """The largest body of a call in bytes; SMALL_BODY_BYTES for a path or method that is no endpoint."""
    endpoint = endpoint_at(path)
    access = None if endpoint is None else access_of(endpoint.url_name, method)
    return SMALL_BODY_BYTES if access is None else access.body_bytes


def _found(path: str) -> ResolverMatch | None:
    try:
        return resolve(path)
    except Resolver404:
        return None


_remembered = lru_cache(maxsize=4096)(_found)
