"""Endpoints: the view of a path, and what the view declares of its calls.

A view declares `access = {"retrieve": Access(...), ...}`: what a call of each of its handlers requires and costs. The
handlers are a viewset's actions, and the methods of any other view. HEAD has GET's. A route may give `as_view` others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import Resolver404, ResolverMatch, resolve

from web.requests.parsers import DOCUMENT_BYTES, DOCUMENT_TYPES, media_type_of

# Two more values of `Access.scope`: everybody, and every caller with a valid credential.
ANYBODY = "anybody"
ANY_CALLER = "any caller"

# CLOSING: calls that cancel orders, close positions or stop trading. No other calls, and no quota, take their tokens.
# Their changes are events in the database, so their audit records may follow the answer.
READ, WRITE, TRADING, CLOSING = "read", "write", "trading", "closing"
KINDS = (READ, WRITE, TRADING, CLOSING)
# Bodies of at most this many bytes are read before the caller is authenticated.
SMALL_BODY_BYTES = 16 * 2**10
# A call with one of these audit classes is never answered without its audit record, except CLOSING.
AUDIT_CLASSES = ("trading", "risk", "config", "keys")

# Characters of the longest path that is cached. All endpoints' paths are shorter. Any client may send longer paths,
# which must not fill the cache.
LONGEST_CACHED = 256


@dataclass(frozen=True, slots=True)
class Access:
    """What the calls of one handler require and cost.

    scope: one of `ratelimit.access.scopes.SCOPES`, ANYBODY or ANY_CALLER.
    or_scope: a scope that suffices instead, or "".
    sensitivity: one of `ratelimit.access.scopes.SENSITIVITIES`.
    account: the URL keyword whose value is the account that owns the object.
    own_key: the URL keyword whose value is the id of an API key, which itself needs neither scope nor sensitivity.
    group, kind: the bucket that is charged.
    bucket: the endpoint's own bucket, which is charged instead, or "".
    rate: the most tokens per second of the endpoint's own bucket; None for the caller's rate.
    cost: the name of a rule in `ratelimit.limits.costs.COST_RULES`.
    audit_class: one of AUDIT_CLASSES, or "".
    body_bytes: the largest accepted body, in bytes.
    body_on_disk: whether the front writes a body over SMALL_BODY_BYTES to a file while it arrives.
    is_heavy: whether its calls may compute for long, however little they cost before.
    has_rows: whether its answers may have rows of market data, and not only facts about instruments and exchanges.
    """

    scope: str
    sensitivity: str = "public"
    account: str | None = None
    own_key: str | None = None
    group: str = "data"
    kind: str = READ
    cost: str = "one"
    audit_class: str = ""
    body_bytes: int = SMALL_BODY_BYTES
    or_scope: str = ""
    bucket: str = ""
    rate: int | None = None
    is_heavy: bool = False
    body_on_disk: bool = False
    has_rows: bool = True

    def __post_init__(self) -> None:
        if self.rate is not None and not self.bucket:
            raise ValueError("a rate needs a bucket of its own: others are charged at the caller's rate")

    @property
    def scope_text(self) -> str:
        """The required scope; two with "or" between them."""
        return f"{self.scope} or {self.or_scope}" if self.or_scope else self.scope

    @property
    def audit_first(self) -> bool:
        """Whether the audit record of a call is committed before its answer is sent."""
        return bool(self.audit_class) and self.kind != CLOSING


_OPEN = Access(ANYBODY)
_OPEN_TO_CALLERS = Access(ANY_CALLER)


def endpoint_at(path: str) -> ResolverMatch | None:
    """Return the view, url name and arguments of a decoded path; None for an unknown path."""
    return _cached_match(path) if len(path) <= LONGEST_CACHED else _match(path)


def access_of(view: Callable[..., Any], method: str) -> Access | None:
    """Return what a URL pattern's view declares of a method; None (access denied) if it declares nothing."""
    handler = _handler(view, method)
    return None if handler is None else _declared(view).get(handler)


def access_at(path: str, method: str) -> Access | None:
    """Return what the endpoint at a decoded path declares of a method; None if there is none."""
    endpoint = endpoint_at(path)
    return None if endpoint is None else access_of(endpoint.func, method)


def access_of_call(view: Callable[..., Any], method: str) -> Access | None:
    """Return what applies to a call; None if access is denied.

    OPTIONS, and methods that the view lacks (405), need a credential, unless one of its handlers is open to everybody.
    """
    if _handler(view, method) is not None:
        return access_of(view, method)
    scopes = {each.scope for each in _declared(view).values()}
    if not scopes:
        return None
    return _OPEN if ANYBODY in scopes else _OPEN_TO_CALLERS


def body_limit(path: str, method: str, content_type: str = "") -> int:
    """Return the size limit of a call's body in bytes; SMALL_BODY_BYTES if no endpoint has this path and method."""
    access = access_at(path, method)
    if access is None:
        return SMALL_BODY_BYTES
    is_document = not access.body_on_disk and media_type_of(content_type) in DOCUMENT_TYPES
    return min(access.body_bytes, DOCUMENT_BYTES) if is_document else access.body_bytes


class Endpoint(NamedTuple):
    """A path with its parameters in braces, a method, and the view of a URL pattern. access: None if undeclared."""

    path: str
    method: str
    view: Callable[..., Any]
    access: Access | None


def endpoint_list() -> tuple[Endpoint, ...]:
    """Return DRF's views by path and method; without those that are open to all, as the documentation."""
    return _endpoints_of(settings.ROOT_URLCONF)


@lru_cache(maxsize=2)
def _endpoints_of(urlconf: str) -> tuple[Endpoint, ...]:
    from rest_framework.schemas.generators import EndpointEnumerator  # noqa: PLC0415 needs the apps

    found = EndpointEnumerator(urlconf=urlconf).get_api_endpoints()
    return tuple(
        sorted(
            (
                Endpoint(path.removesuffix("/"), method, view, access_of(view, method))
                for path, method, view in found
                if view.initkwargs.get("permission_classes", view.cls.permission_classes)
            ),
            key=lambda each: each[:2],
        )
    )


def _declared(view: Callable[..., Any]) -> Mapping[str, Access]:
    of_route: Mapping[str, Access] | None = getattr(view, "initkwargs", {}).get("access")
    return getattr(getattr(view, "cls", None), "access", {}) if of_route is None else of_route


def _handler(view: Callable[..., Any], method: str) -> str | None:
    """Return the name of the view's handler of a method; None if it has none. OPTIONS is DRF's own."""
    name, view_class = "get" if method == "HEAD" else method.lower(), getattr(view, "cls", None)
    if view_class is None or name == "options" or name not in view_class.http_method_names:
        return None
    actions: Mapping[str, str] | None = getattr(view, "actions", None)
    if actions is not None:
        return actions.get(name)
    return name if hasattr(view_class, name) else None


def _match(path: str) -> ResolverMatch | None:
    try:
        match = resolve(path)
    except Resolver404:
        return None
    # All patterns that were tried before: most of a match's memory, and only Django's page for developers shows them.
    match.tried = None
    return match


_cached_match = lru_cache(maxsize=4096)(_match)
