"""What each endpoint asks of its callers, as data: who may call it, what it costs, and how it is recorded.

The table itself is the setting ACCESS_TABLE, a dotted path to a mapping of (url name, method) to `Access`.
HEAD follows GET. What is not in the table is denied to everybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

# Instead of a scope: whoever calls, or whoever is known.
ANYBODY = "anybody"
ANY_CALLER = "any caller"

READ, WRITE, TRADING = "read", "write", "trading"
KINDS = (READ, WRITE, TRADING)
# A body of at most this size is read before it is known who sends it.
SMALL_BODY_BYTES = 16 * 2**10
# Calls of these are never answered without their record.
AUDIT_CLASSES = ("trading", "risk", "config", "keys")


@dataclass(frozen=True, slots=True)
class Access:
    """What an endpoint asks of its callers.

    scope: of `SCOPES`, or ANYBODY or ANY_CALLER. sensitivity: of `SENSITIVITIES`. account: the URL keyword
    that names the account whose object it is. group and kind name the bucket that is charged, cost the rule
    of `limits.costs` by which. audit_class: `trading`, `risk`, `config` or `keys` where no answer may go out
    without its record. body_bytes: the largest body that is read, in bytes.
    """

    scope: str
    sensitivity: str = "public"
    account: str | None = None
    group: str = "data"
    kind: str = READ
    cost: str = "one"
    audit_class: str = ""
    body_bytes: int = SMALL_BODY_BYTES


Table = Mapping[tuple[str, str], Access]

_OPEN = Access(ANYBODY)
_OPEN_TO_CALLERS = Access(ANY_CALLER)


@cache
def access_table() -> Table:
    table: Table = import_string(settings.ACCESS_TABLE)
    return table


def access_of(url_name: str | None, method: str) -> Access | None:
    """The row of an endpoint; None where it is not declared, which is: denied."""
    return access_table().get((url_name or "", "GET" if method == "HEAD" else method))


def access_asked(url_name: str | None, method: str, *, is_implemented: bool = True) -> Access | None:
    """The row by which a call is judged; None where it is denied.

    is_implemented: whether the endpoint has that method; one that it lacks is left to be a 405.
    """
    if method == "OPTIONS" or not is_implemented:
        return access_around(url_name)
    return access_of(url_name, method)


def access_around(url_name: str | None) -> Access | None:
    """What is asked for OPTIONS, and for a method that an endpoint does not have.

    It is a caller, where the endpoint's methods ask for one. None where the endpoint has no row at all.
    """
    return _around().get(url_name or "")


@cache
def _around() -> Mapping[str, Access]:
    found: dict[str, Access] = {}
    for (name, _method), access in access_table().items():
        if access.scope == ANYBODY:
            found[name] = _OPEN
        else:
            found.setdefault(name, _OPEN_TO_CALLERS)
    return found


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "ACCESS_TABLE":
        access_table.cache_clear()
        _around.cache_clear()


setting_changed.connect(_forget, dispatch_uid="ratelimit.access.table")
