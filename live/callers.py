"""Who may use the live feed, and what its requests cost. Everything here may block: call it in a thread."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import DatabaseError
from rest_framework.exceptions import PermissionDenied

from http_requests.received import ReceivedCall
from ratelimit.access.table import access_of, denial_of
from ratelimit.callers import Caller
from ratelimit.credentials.identify import Identity, identify, use_nonce
from ratelimit.exceptions import CredentialError, NetworkNotAllowed
from ratelimit.limits.admission import Admission
from ratelimit.limits.services import admit, admit_address
from ratelimit.limits.throttles import LimitReached

URL_NAME = "live-stream"


def identified(call: ReceivedCall) -> Identity | None:
    """Authenticate a caller; None without a credential. Without a valid one, a token is charged to its address.

    Raises `CredentialError`, `NetworkNotAllowed`, `LimitReached`, DatabaseError.
    """
    try:
        identity = identify(call, now=datetime.now(UTC))
    except CredentialError:
        _check(admit_address(call.address))
        raise
    if identity is None:
        _check(admit_address(call.address))
        return None
    return use_nonce(identity)


def check_caller(identity: Identity) -> None:
    """Charge a caller one token for its connection. Raises `PermissionDenied`, `LimitReached`, DatabaseError."""
    _check_access(identity)
    charge(identity.caller, 1)


def _check_access(identity: Identity) -> None:
    denial = denial_of(identity.caller, access_of(URL_NAME, "GET"))
    if denial is not None:
        raise PermissionDenied(denial.message, denial.code)


def charge(caller: Caller, tokens: int) -> None:
    """Raise `LimitReached` if the caller has too few tokens."""
    access = access_of(URL_NAME, "GET")
    assert access is not None  # noqa: S101 a caller without access was refused
    _check(admit(caller, access, cost=tokens))


def _check(admission: Admission) -> None:
    if not admission.admitted:
        raise LimitReached(admission)


def refusals_of(identities: Sequence[tuple[ReceivedCall, Identity]]) -> list[Exception | None]:
    """Return for each caller why it may no longer use the feed; None if it may.

    Raises nothing: as long as the database cannot be asked, the last answer counts.
    """
    return [_refusal_of(call, identity) for call, identity in identities]


def _refusal_of(call: ReceivedCall, identity: Identity) -> Exception | None:
    try:
        found = identify(call, now=datetime.now(UTC), signature=identity.signature)
        assert found is not None  # noqa: S101 the call has a credential
        _check_access(found)
    except (CredentialError, NetworkNotAllowed, PermissionDenied) as error:
        return error
    except DatabaseError:
        return None
    return None
