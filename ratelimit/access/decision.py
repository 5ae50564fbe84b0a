"""May a caller do what an endpoint does? A pure function of the caller and the endpoint's row."""

from dataclasses import dataclass

from ratelimit.access.scopes import SENSITIVITIES
from ratelimit.access.table import ANY_CALLER, ANYBODY, Access
from ratelimit.callers import Caller


@dataclass(frozen=True, slots=True)
class Denial:
    """Why not: an error code and a message. `not_found` is what an object that is not there gets."""

    code: str
    message: str


UNDECLARED = Denial("forbidden", "no access is declared here")
NOBODY = Denial("not_authenticated", "a credential is needed")
# In nothing other than what an unknown object gets: whose it is, is nobody else's to know.
NOT_THERE = Denial("not_found", "there is nothing here")


def may(caller: Caller | None, access: Access | None, *, account: str | None = None) -> Denial | None:
    """None where the caller may, else why not.

    account: whose object it is, where the row names the URL keyword of one.
    """
    if access is None:
        return UNDECLARED
    if access.scope == ANYBODY:
        return None
    if caller is None:
        return NOBODY
    denial = _ungranted(caller, access)
    if denial is None and access.account is not None and (account is None or not caller.owns(account)):
        return NOT_THERE
    return denial


def _ungranted(caller: Caller, access: Access) -> Denial | None:
    if access.scope != ANY_CALLER and access.scope not in caller.scopes:
        return Denial("missing_scope", f"the caller lacks the scope {access.scope}")
    if not is_cleared(caller.sensitivity, for_=access.sensitivity):
        message = f"the caller is cleared for {caller.sensitivity} data, this is {access.sensitivity}"
        return Denial("insufficient_sensitivity", message)
    return None


def is_cleared(sensitivity: str, *, for_: str) -> bool:
    """Whether who is cleared for the one may see the other; an unknown word clears for nothing."""
    return sensitivity in SENSITIVITIES and SENSITIVITIES.index(for_) <= SENSITIVITIES.index(sensitivity)
