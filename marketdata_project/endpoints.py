"""The views that are no endpoints of the API; the size limits of bodies; the threads that answer a call."""

from ratelimit.access.scopes import TRADING_SCOPES
from ratelimit.limits.costs import cost_of
from web.endpoints import (
    CLOSING,
    LONGEST_CACHED,
    READ,
    SMALL_BODY_BYTES,
    TRADING,
    WRITE,
    access_at,
    access_of,
    endpoint_at,
)
from web.requests.received import SAFE_METHODS

# The url names of views that are no endpoints of the API, open to anybody: web pages, the documentation, health and metrics.
PUBLIC_VIEWS = frozenset(
    {
        "dashboard",
        "endpoints",
        "login-link",
        "admin-login",
        "healthz",
        "readyz",
        "metrics",
        "schema",
        "docs",
        "errors",
        "guides",
        "guide",
    }
)

# URL namespaces of pages with a session: the admin, which requires a staff session, and the login page.
DJANGO_SITES = frozenset({"admin", "login"})

# Characters of the longest query that the event loop parses.
_LONGEST_PARSED = 2_048
# The lane of reads that compute for long: they wait for each other, and other reads do not wait for them.
HEAVY = "heavy"
HEAVY_TOKENS = 10
# The lane of logins, which wait for turns to check a password.
LOGIN = "login"
# The url names of all endpoints that check passwords; Django's sites both have a `login`.
_LOGINS = frozenset({"auth-token", "login"})


def body_limit(path: str, method: str) -> int:
    """Return the size limit of a call's body in bytes; SMALL_BODY_BYTES if no endpoint has this path and method."""
    access = access_at(path, method)
    return SMALL_BODY_BYTES if access is None else access.body_bytes


def lane_of(path: str, method: str, query: str) -> str:
    """Return which of the front's lanes answers a call.

    TRADING or CLOSING for calls of trading; LOGIN for logins; HEAVY for reads that are declared to be so, or whose work
    is known to cost HEAVY_TOKENS, or whose query is too long to tell; else READ or WRITE. Called in the event loop. A
    path that is not cached is only READ or WRITE, because to resolve it may take long.
    """
    endpoint = endpoint_at(path) if len(path) <= LONGEST_CACHED else None
    access = None if endpoint is None else access_of(endpoint.func, method)
    if access is not None and access.scope in TRADING_SCOPES:
        return CLOSING if access.kind == CLOSING else TRADING
    if method not in SAFE_METHODS:
        return LOGIN if endpoint is not None and endpoint.url_name in _LOGINS else WRITE
    if access is None:
        return READ
    if len(query) > _LONGEST_PARSED:
        return HEAVY
    return HEAVY if access.is_heavy or cost_of(access.cost, query) >= HEAVY_TOKENS else READ
