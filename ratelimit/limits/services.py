"""Charges each request or message to its caller's limits, or to its address's limits if it has no caller."""

from collections.abc import Callable
from functools import lru_cache

from django.conf import settings

from http_requests import addresses
from http_requests.received import SAFE_METHODS, ReceivedCall
from ratelimit.access.table import CLOSING, READ, TRADING, WRITE, Access
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.costs import COST_RULES, cost_of
from ratelimit.limits.limiter import Charging, process_limiter
from ratelimit.limits.quotas import DAY, MAX_QUOTA, MONTH, QuotaCharge
from ratelimit.limits.token_bucket import Bucket, BucketState, Charge, burst_of
from redis_calls.loop_connection import LoopConnection

DATA_GROUP = "data"
ADDRESS_BUCKET = "address"
LOGIN_BUCKET = "login"


def admit(caller: Caller, access: Access, *, cost: int) -> Admission:
    """Charge `cost` tokens for one request, or for one message on an open connection.

    Charges the caller's bucket for `access.group` and `access.kind`, and the caller's quotas, in one call to Redis:
    all of them, or none. A cost above the bucket's size is charged as that size. Raises DatabaseError if tokens of a
    quota cannot be reserved.
    """
    return process_limiter().admit(*_charges(caller, access, cost))


def admit_soon(
    caller: Caller,
    access: Access,
    *,
    cost: int,
    redis: LoopConnection,
    then: Callable[[Admission | None], object],
) -> Admission | Charging:
    """Charge like `admit`, from an event loop and without waiting; see `Limiter.admit_soon`."""
    charge, quotas = _charges(caller, access, cost)
    return process_limiter().admit_soon(charge, quotas, redis=redis, then=then)


def admit_call(
    call: ReceivedCall, caller: Caller | None, access: Access, *, answer_format: str = ""
) -> Admission:
    """Charge a call by the cost rule of `access`; without a caller, charge one token to its address.

    answer_format: the name of the answer's format, which may change the cost. Raises DatabaseError like `admit`.
    """
    if caller is None:
        return admit_address(call.address)
    return admit(caller, access, cost=cost_of(access.cost, call.query, answer_format))


def admit_address(address: str) -> Admission:
    """Charge one token for a request of an anonymous client to its address (IPv6: its /64)."""
    return process_limiter().admit(
        Charge(f"address:{addresses.identity_of(address)}", ADDRESS_BUCKET, _bucket(settings.ADDRESS_RATE))
    )


def admit_login(identity: str, rate: int) -> Admission:
    """Charge one login attempt to `identity`, an address or a name; `rate` is per second."""
    return process_limiter().admit(Charge(identity, LOGIN_BUCKET, _bucket(rate)))


def bucket_state_of(caller: Caller, *, group: str, kind: str) -> BucketState:
    """Return the state of a caller's bucket. Nothing is charged."""
    return process_limiter().admit(_charge(caller.family, group, kind, rate_of(caller, kind), 0)).bucket


@lru_cache(maxsize=256)
def bucket_name(group: str, kind: str) -> str:
    """Return a bucket's name in headers: its kind, or for reads and writes of other groups both (`access-read`)."""
    if kind in {TRADING, CLOSING} or group == DATA_GROUP:
        return kind
    return f"{group}-{kind}"


def rate_of(caller: Caller, kind: str) -> int:
    """Return the rate of a caller's buckets of a kind, in tokens per second."""
    return caller.trading_rate if kind == TRADING else caller.rate


def kind_of(method: str | None) -> str:
    """Return the kind of bucket to charge for a method if the access table has no row: READ or WRITE."""
    return READ if method in SAFE_METHODS else WRITE


def _charges(caller: Caller, access: Access, cost: int) -> tuple[Charge, tuple[QuotaCharge, ...]]:
    kind = access.kind
    charge = _charge(caller.family, access.group, kind, rate_of(caller, kind), cost)
    if caller.daily_quota is None and caller.monthly_quota is None:
        return charge, ()
    metered = charge.cost if COST_RULES[access.cost].is_metered else 0
    return charge, _quota_charges(caller.daily_quota, caller.monthly_quota, metered)


# Cached because a caller repeats its requests.
@lru_cache(maxsize=4096)
def _charge(family: str, group: str, kind: str, rate: int, cost: int) -> Charge:
    """Make a charge of `cost` tokens, at most the bucket's size, to a family's bucket."""
    bucket = _bucket(rate)
    return Charge(family, bucket_name(group, kind), bucket, min(cost, bucket.burst))


@lru_cache(maxsize=1024)
def _bucket(rate: int) -> Bucket:
    rate = max(1, rate)
    return Bucket(rate=rate, burst=burst_of(rate))


@lru_cache(maxsize=1024)
def _quota_charges(daily: int | None, monthly: int | None, tokens: int) -> tuple[QuotaCharge, ...]:
    quotas = ((DAY, daily), (MONTH, monthly))
    return tuple(
        QuotaCharge(unit, min(limit, MAX_QUOTA), tokens) for unit, limit in quotas if limit is not None
    )
