"""Who may use the live feed, and what its requests cost. What is no coroutine may block: call it in a thread."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from django.db import DatabaseError
from rest_framework.exceptions import PermissionDenied

from ratelimit.access.denials import denial_of, fetched_denial
from ratelimit.authorize import authorize, check_access, check_limits
from ratelimit.callers import Caller
from ratelimit.credentials.identify import Identity, identify, use_nonce
from ratelimit.exceptions import CredentialError, NetworkNotAllowed
from ratelimit.limits.open_calls import OpenCalls
from ratelimit.limits.services import (
    admit,
    admit_address,
    charge_rest,
    rate_of,
)
from ratelimit.limits.token_bucket import burst_of
from stats.live.accounts import ACCOUNT_FEEDS
from stats.live.exceptions import TooManyConnections, UnknownAccount
from stats.live.hub import Arguments, Lanes, Result
from web.endpoints import Access
from web.requests.received import ReceivedCall
from web.requests.work import Work, counted_work

logger = logging.getLogger(__name__)

# A connection, and what its caller reads.
FEED = Access("market:read")
_OF_ACCOUNTS = Access("trading:read", sensitivity="confidential")


def identified(call: ReceivedCall) -> Identity | None:
    """Authenticate a caller; None without a credential. For a wrong one, a token is charged to its address.

    Raises `CredentialError`, `NetworkNotAllowed`, `LimitReached`, DatabaseError.
    """
    try:
        identity = identify(call, now=datetime.now(UTC))
    except CredentialError:
        check_limits(admit_address(call.address))
        raise
    return None if identity is None else use_nonce(identity)


def check_caller(identity: Identity) -> None:
    """Charge a caller one token for its connection. Raises `PermissionDenied`, `LimitReached`, DatabaseError."""
    authorize(identity.caller, FEED, lambda _caller, access: admit(identity.caller, access, cost=1))


def check_reader(caller: Caller) -> None:
    """Raise `PermissionDenied` if a caller may not use the feed now. Rows may have been fetched since it connected."""
    check_access(caller, FEED)
    if (denial := fetched_denial(caller, FEED)) is not None:
        raise PermissionDenied(denial.message, denial.code)


def may_follow(caller: Caller, account: str) -> bool:
    """Return whether a caller may have the channels of an account, if there is one. Does not block."""
    return denial_of(caller, _OF_ACCOUNTS) is None and caller.owns(account)


def check_account(caller: Caller, account: str) -> None:
    """Raise `PermissionDenied` or `UnknownAccount` unless a caller may have the channels of an account."""
    check_access(caller, _OF_ACCOUNTS)
    if not caller.owns(account) or ACCOUNT_FEEDS.get().head(account) is None:
        raise UnknownAccount(account)


def charge(caller: Caller, tokens: int) -> None:
    """Raise `LimitReached` if the caller has too few tokens."""
    check_limits(admit(caller, FEED, cost=tokens))


class ConnectionLimits:
    """The limits of a connection: how many its caller has, and what its reads of old messages cost.

    These cost their rows, or their processor time if that is more, and the connection's own token pays the first one.
    """

    def __init__(self, open_calls: OpenCalls, lanes: Lanes) -> None:
        self._open_calls, self._lanes = open_calls, lanes
        self._end: Callable[[], None] | None = None
        self._work, self._paid = Work(), 1

    async def open(self, identity: Identity) -> None:
        """Count the connection for its caller, and charge it. Raises `TooManyConnections` and the errors of `check_caller`."""
        self._end = self._open_calls.opened(identity.caller.identity)
        if self._end is None:
            raise TooManyConnections
        await self._lanes.ask(check_caller, identity)

    def close(self) -> None:
        """Count the connection no longer."""
        if self._end is not None:
            self._end()

    async def read_old(
        self, caller: Caller, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        """Call a function that reads old messages in a thread, and charge for it."""
        return await self._lanes.replay(self._charged, caller, function, *arguments)

    def _charged(
        self, caller: Caller, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        try:
            with counted_work(self._work), self._work.timed():
                return function(*arguments)
        finally:
            self._paid, _ = charge_rest(caller, FEED, self._work, paid=self._paid)


def most_channels_at_once(caller: Caller) -> int:
    """Return how many channels a caller may name in one message: as many as its bucket holds tokens."""
    return burst_of(max(1, rate_of(caller, FEED)))


def renewed_identities(identities: Sequence[tuple[ReceivedCall, Identity]]) -> list[Identity | Exception]:
    """Authenticate callers again. Return for each what it may now, or why it may no longer use the feed.

    As long as the database cannot be asked, the last answer counts.
    """
    return [_renewed(call, identity) for call, identity in identities]


def _renewed(call: ReceivedCall, identity: Identity) -> Identity | Exception:
    try:
        found = identify(call, now=datetime.now(UTC), signature=identity.signature)
        assert found is not None  # noqa: S101 the call has a credential
        check_reader(found.caller)
    except DatabaseError:
        return identity
    except Exception as error:
        if not isinstance(error, CredentialError | NetworkNotAllowed | PermissionDenied):
            logger.exception("a caller of the live feed cannot be authenticated again")
        return error
    return found
