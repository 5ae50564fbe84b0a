"""The largest body that each endpoint reads, as the table of access has it."""

from functools import lru_cache

from django.urls import Resolver404, resolve

from ratelimit.access.table import SMALL_BODY_BYTES, access_of


@lru_cache(maxsize=1024)
def body_limit(path: str, method: str) -> int:
    """Return the largest body of a request in bytes; a small one for a path or method that is no endpoint."""
    try:
        access = access_of(resolve(path).url_name, method)
    except Resolver404:
        access = None
    return SMALL_BODY_BYTES if access is None else access.body_bytes
