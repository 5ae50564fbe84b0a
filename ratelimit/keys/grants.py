"""Checks that a key's grants are within those of the caller who creates, rotates or revokes it."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from ratelimit.access.scopes import SENSITIVITIES
from ratelimit.callers import Caller, Network
from ratelimit.entitlements import caller_from
from ratelimit.exceptions import GrantExceeded
from ratelimit.models import ApiKey

_Bound = TypeVar("_Bound", int, datetime)


# Attributes that are ignored when a caller revokes a key.
_OF_THE_KEY_ITSELF = frozenset({"expires_at", "signed_only"})


def check_within(caller: Caller | None, key: ApiKey) -> None:
    """Raise GrantExceeded if a key has more grants than the caller. None: an operator, who may grant anything."""
    _refuse(() if caller is None else exceeded_grants(caller, _granted_by(key)))


def check_may_renew(caller: Caller | None, before_expiry: str) -> None:
    """Raise GrantExceeded if the caller expires and the key rotates automatically, because the key would outlive it."""
    if caller is not None and caller.expires_at is not None and before_expiry == "rotate":
        _refuse(("before_expiry",))


def check_may_revoke(caller: Caller | None, key: ApiKey) -> None:
    """Raise GrantExceeded if a key has more grants than the caller; expiry and `signed_only` are ignored.

    caller: None is an operator, who may revoke every key.
    """
    exceeded = () if caller is None else exceeded_grants(caller, _granted_by(key))
    _refuse([name for name in exceeded if name not in _OF_THE_KEY_ITSELF])


def end_within(caller: Caller | None, end: datetime | None) -> datetime | None:
    """Return the earlier of an expiry and the caller's own expiry; None is no expiry."""
    own = None if caller is None else caller.expires_at
    return min((each for each in (end, own) if each is not None), default=None)


def exceeded_grants(caller: Caller, wanted: Caller) -> list[str]:
    """Return the names of the grants in which `wanted` exceeds `caller`."""
    within = {
        "scopes": wanted.scopes <= caller.scopes,
        "accounts": all(caller.owns(account) for account in wanted.accounts),
        "sensitivity": SENSITIVITIES.index(wanted.sensitivity) <= SENSITIVITIES.index(caller.sensitivity),
        "networks": _is_inside(wanted.networks, caller.networks),
        "rate": wanted.rate <= caller.rate,
        "trading_rate": wanted.trading_rate <= caller.trading_rate,
        "daily_quota": _is_at_most(wanted.daily_quota, caller.daily_quota),
        "monthly_quota": _is_at_most(wanted.monthly_quota, caller.monthly_quota),
        "expires_at": _is_at_most(wanted.expires_at, caller.expires_at),
        "signed_only": wanted.signed_only or not caller.signed_only,
    }
    return [name for name, is_within in within.items() if not is_within]


def _granted_by(key: ApiKey) -> Caller:
    return caller_from(key, identity=f"key:{key.pk}", name=key.name, credential="api_key")


def _refuse(exceeded: Sequence[str]) -> None:
    if exceeded:
        raise GrantExceeded(f"beyond what the caller itself was granted: {', '.join(exceeded)}; ask for less")


def _is_at_most(wanted: _Bound | None, most: _Bound | None) -> bool:
    """Return whether a quota or an expiry is not above another; None is unlimited."""
    return most is None or (wanted is not None and wanted <= most)


def _is_inside(networks: tuple[Network, ...], outer: tuple[Network, ...]) -> bool:
    """Return whether all `networks` lie within `outer`; an empty tuple means every network."""
    if not outer:
        return True
    return bool(networks) and all(
        any(_is_subnet(network, around) for around in outer) for network in networks
    )


def _is_subnet(network: Network, around: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(around, IPv4Network) and network.subnet_of(around)
    return isinstance(around, IPv6Network) and network.subnet_of(around)
