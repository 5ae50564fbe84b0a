"""The access table. The row of an endpoint and method tells who may call it, its bucket and cost, and its audit class.

`marketdata_project` provides the rows at start-up, by (url name, method). HEAD uses the row of GET. Without a row
nobody may call an endpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ops.needs import Need
from ratelimit.access.scopes import SENSITIVITIES
from ratelimit.callers import Caller

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


@dataclass(frozen=True, slots=True)
class Access:
    """One row of the access table.

    scope: one of SCOPES, ANYBODY or ANY_CALLER.
    or_scope: a scope that suffices instead, or "".
    sensitivity: one of SENSITIVITIES.
    account: the URL keyword whose value is the account that owns the object.
    own_key: the URL keyword whose value is the id of an API key, which itself needs neither scope nor sensitivity.
    group, kind: the bucket that is charged.
    bucket: the endpoint's own bucket, which is charged instead, or "".
    rate: the most tokens per second of the endpoint's own bucket; None for the caller's rate.
    cost: the name of a rule in `limits.costs`.
    audit_class: one of AUDIT_CLASSES, or "".
    body_bytes: the largest accepted body, in bytes.
    is_heavy: whether its calls may compute for long, however little they cost before.
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


Table = Mapping[tuple[str, str], Access]

# The credentials that are an API key itself. A token or a client certificate of the key is not: neither shows the
# key's secret, and either may end before the key.
_KEY_ITSELF = ("api_key", "signature")

_OPEN = Access(ANYBODY)
_OPEN_TO_CALLERS = Access(ANY_CALLER)


class AccessTable:
    """The rows of the access table.

    `other_methods` has each endpoint's access (by url name) for OPTIONS and for methods that the endpoint lacks. Such
    calls need a credential, unless one of the endpoint's methods is open to everybody.
    """

    def __init__(self, rows: Table) -> None:
        self.rows = rows
        self.other_methods: dict[str, Access] = {}
        for (name, _method), access in rows.items():
            if access.scope == ANYBODY:
                self.other_methods[name] = _OPEN
            else:
                self.other_methods.setdefault(name, _OPEN_TO_CALLERS)


ACCESS_TABLE: Need[AccessTable] = Need("ratelimit.access.table.ACCESS_TABLE")


def access_table() -> Table:
    return ACCESS_TABLE.get().rows


def access_of(url_name: str | None, method: str) -> Access | None:
    """Return the row of an endpoint and method; None (access denied) if there is none."""
    return access_table().get((url_name or "", "GET" if method == "HEAD" else method))


def access_of_call(url_name: str | None, method: str, *, is_implemented: bool = True) -> Access | None:
    """Return the row that applies to a call; None if access is denied.

    is_implemented: whether the endpoint has the method; if not, an admitted call is answered 405.
    """
    if method == "OPTIONS" or not is_implemented:
        return ACCESS_TABLE.get().other_methods.get(url_name or "")
    return access_of(url_name, method)


@dataclass(frozen=True, slots=True)
class Denial:
    """The reason for a refusal: an error code and a message."""

    code: str
    message: str


UNDECLARED = Denial("forbidden", "nobody may call this endpoint")
NOBODY = Denial("not_authenticated", "a credential is needed")
# The same answer as for an unknown object, so that nobody learns which objects other accounts have.
NOT_THERE = Denial("not_found", "there is nothing here")


def denial_of(
    caller: Caller | None, access: Access | None, *, arguments: Mapping[str, str] | None = None
) -> Denial | None:
    """Return why a caller may not use an endpoint; None if it may.

    arguments: the URL's keyword arguments, in which `access.account` and `access.own_key` are looked up.
    """
    if access is None:
        return UNDECLARED
    if access.scope == ANYBODY:
        return None
    if caller is None:
        return NOBODY
    of_url = arguments or {}
    if access.own_key is not None and _is_key_itself(caller, of_url.get(access.own_key)):
        return None
    denial = _grant_denial(caller, access)
    if denial is None and access.account is not None:
        account = of_url.get(access.account)
        return None if account is not None and caller.owns(account) else NOT_THERE
    return denial


def _is_key_itself(caller: Caller, key_id: str | None) -> bool:
    return caller.credential in _KEY_ITSELF and caller.identity == f"key:{key_id}"


def _grant_denial(caller: Caller, access: Access) -> Denial | None:
    if access.scope != ANY_CALLER and caller.scopes.isdisjoint((access.scope, access.or_scope)):
        return Denial("missing_scope", f"the caller lacks the scope {access.scope_text}")
    if not is_cleared(caller.sensitivity, for_=access.sensitivity):
        message = f"the caller may read data up to {caller.sensitivity}, this is {access.sensitivity}"
        return Denial("insufficient_sensitivity", message)
    return None


def is_cleared(sensitivity: str, *, for_: str) -> bool:
    """Return whether clearance for `sensitivity` covers data of sensitivity `for_`. An unknown word covers nothing."""
    return sensitivity in SENSITIVITIES and SENSITIVITIES.index(for_) <= SENSITIVITIES.index(sensitivity)
