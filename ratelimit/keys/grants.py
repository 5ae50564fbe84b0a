"""Checks that a key's grants are within those of the caller who creates, rotates or revokes it."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from ratelimit.access.scopes import SENSITIVITIES
from ratelimit.callers import Caller, Network
from ratelimit.exceptions import GrantExceeded
from ratelimit.keys.selectors import stored_caller
from ratelimit.models import ApiKey

_Bound = TypeVar("_Bound", int, datetime)

_NOT_COMPARED = frozenset({"expires_at", "signed_only"})


def check_within(caller: Caller | None, key: ApiKey) -> None:
    """Raise GrantExceeded if a key has more grants than the caller. None is an operator, who may grant anything."""
    _refuse(() if caller is None else exceeded_grants(caller, stored_caller(key)))


def check_may_renew(caller: Caller | None, before_expiry: str) -> None:
    """Raise GrantExceeded if the caller expires and the key rotates automatically.

    Such a key would outlive the caller.
    """
    if caller is not None and caller.expires_at is not None and before_expiry == "rotate":
        _refuse(("before_expiry",))


def check_covers(caller: Caller | None, key: ApiKey) -> None:
    """Raise GrantExceeded if a key has more grants than the caller; `expires_at` and `signed_only` are ignored.

    For revoking a key, and for showing a stored one. A caller of None is an operator, who may do both.
    """
    exceeded = () if caller is None else exceeded_grants(caller, stored_caller(key))
    _refuse([name for name in exceeded if name not in _NOT_COMPARED])


def expiry_within(caller: Caller | None, expiry: datetime | None) -> datetime | None:
    """Return the earlier of an expiry and the caller's own expiry; None is no expiry."""
    own = None if caller is None else caller.expires_at
    return min((each for each in (expiry, own) if each is not None), default=None)


def exceeded_grants(caller: Caller, requested: Caller) -> list[str]:
    """Return the names of the grants in which `requested` exceeds `caller`."""
    within = {
        "scopes": requested.scopes <= caller.scopes,
        "accounts": all(caller.owns(account) for account in requested.accounts),
        "sensitivity": SENSITIVITIES.index(requested.sensitivity) <= SENSITIVITIES.index(caller.sensitivity),
        "networks": _is_inside(requested.networks, caller.networks),
        "rate": requested.rate <= caller.rate,
        "trading_rate": requested.trading_rate <= caller.trading_rate,
        "daily_quota": _is_at_most(requested.daily_quota, caller.daily_quota),
        "monthly_quota": _is_at_most(requested.monthly_quota, caller.monthly_quota),
        "expires_at": _is_at_most(requested.expires_at, caller.expires_at),
        "signed_only": requested.signed_only or not caller.signed_only,
    }
    return [name for name, is_within in within.items() if not is_within]


def _refuse(exceeded: Sequence[str]) -> None:
    if exceeded:
        raise GrantExceeded(f"beyond what the caller itself was granted: {', '.join(exceeded)}; ask for less")


def _is_at_most(value: _Bound | None, maximum: _Bound | None) -> bool:
    """Return whether a quota or an expiry is not above a maximum; None is unlimited."""
    return maximum is None or (value is not None and value <= maximum)


def _is_inside(networks: tuple[Network, ...], allowed: tuple[Network, ...]) -> bool:
    """Return whether all `networks` lie within the allowed ones; an empty tuple means every network."""
    if not allowed:
        return True
    return bool(networks) and all(
        any(_is_subnet(network, other) for other in allowed) for network in networks
    )


def _is_subnet(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)
