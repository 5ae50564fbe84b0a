"""Finds the endpoint of a path, and the largest body that it accepts."""

from functools import lru_cache

from django.urls import Resolver404, ResolverMatch, resolve

from ratelimit.access.table import SMALL_BODY_BYTES, access_of

# Characters of the longest path that is cached. All endpoints' paths are shorter. Any client may send longer paths,
# which must not fill the cache.
_LONGEST_CACHED = 256


def endpoint_at(path: str) -> ResolverMatch | None:
    """Return the view, url name and arguments of a decoded path; None for an unknown path."""
    return _cached_match(path) if len(path) <= _LONGEST_CACHED else _match(path)


def body_limit(path: str, method: str) -> int:
    """Return the size limit of a call's body in bytes; SMALL_BODY_BYTES if no endpoint has this path and method."""
    endpoint = endpoint_at(path)
    access = None if endpoint is None else access_of(endpoint.url_name, method)
    return SMALL_BODY_BYTES if access is None else access.body_bytes


def _match(path: str) -> ResolverMatch | None:
    try:
        return resolve(path)
    except Resolver404:
        return None


_cached_match = lru_cache(maxsize=4096)(_match)
