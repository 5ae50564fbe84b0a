"""Who may make a call: the decision about a caller and what the endpoint requires (`web.endpoints.Access`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ops.needs import Need
from ratelimit.access.scopes import SENSITIVITIES
from ratelimit.callers import Caller
from web.endpoints import ANY_CALLER, ANYBODY, Access

# The credentials that are an API key itself. A token or a client certificate of the key is not: neither shows the
# key's secret, and either may end before the key.
_KEY_ITSELF = ("api_key", "signature")


@dataclass(frozen=True, slots=True)
class Denial:
    """The reason for a refusal: an error code and a message."""

    code: str
    message: str


FETCHED_IN: Need[Callable[[Mapping[str, str]], bool]] = Need("ratelimit.access.denials.FETCHED_IN")
"""Returns whether the answer to a call with these URL arguments may have rows that were fetched from a source."""
_OF_FETCHED = Denial(
    "insufficient_sensitivity",
    "the answer may have rows of a source, whose terms forbid to pass them on: it needs a caller that may read internal"
    " data, or the setting PUBLIC_READS_FETCHED=1",
)
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


def fetched_denial(
    caller: Caller | None, access: Access | None, *, arguments: Mapping[str, str] | None = None
) -> Denial | None:
    """Return why a caller for public data alone may not read fetched rows; None if the call reads none.

    arguments: as of `denial_of`. May ask the database.
    """
    if caller is None or access is None or not access.has_rows or access.scope != "market:read":
        return None
    is_public = not is_cleared(caller.sensitivity, for_=SENSITIVITIES[1])
    return _OF_FETCHED if is_public and FETCHED_IN.get()(arguments or {}) else None


def is_cleared(sensitivity: str, *, for_: str) -> bool:
    """Return whether clearance for `sensitivity` covers data of sensitivity `for_`. An unknown word covers nothing."""
    return sensitivity in SENSITIVITIES and SENSITIVITIES.index(for_) <= SENSITIVITIES.index(sensitivity)
