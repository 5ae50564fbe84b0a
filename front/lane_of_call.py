"""Which lane's threads answer a call."""

from ratelimit.access.scopes import TRADING_SCOPES
from ratelimit.limits.costs import cost_of
from web.endpoints import CLOSING, LONGEST_CACHED, READ, TRADING, WRITE, access_of, endpoint_at
from web.requests.received import SAFE_METHODS

# Characters of the longest query that the event loop parses.
_LONGEST_PARSED = 2_048
# The lane of reads that compute for long: they wait for each other, and other reads do not wait for them.
HEAVY = "heavy"
HEAVY_TOKENS = 10
# The lane of logins, which wait for turns to check a password: a view says so with the attribute `checks_password`.
LOGIN = "login"


def lane_of(path: str, method: str, query: str) -> str:
    """Return which of the front's lanes answers a call.

    TRADING or CLOSING for calls of trading; LOGIN for logins; HEAVY for reads that are declared to be so, or whose work
    is known to cost HEAVY_TOKENS, or whose query is too long to tell; else READ or WRITE. Called in the event loop. A
    path that is not cached is only READ or WRITE, because to resolve it may take long.
    """
    endpoint = endpoint_at(path) if len(path) <= LONGEST_CACHED else None
    view = None if endpoint is None else endpoint.func
    access = None if view is None else access_of(view, method)
    if access is not None and access.scope in TRADING_SCOPES:
        return CLOSING if access.kind == CLOSING else TRADING
    if method not in SAFE_METHODS:
        return LOGIN if getattr(getattr(view, "cls", view), "checks_password", False) else WRITE
    if access is None:
        return READ
    if len(query) > _LONGEST_PARSED:
        return HEAVY
    return HEAVY if access.is_heavy or cost_of(access.cost, query) >= HEAVY_TOKENS else READ
