"""Admissions: one for each request or message, by a caller's limits or those of its address."""

from functools import lru_cache

from django.conf import settings

from http_requests import addresses
from http_requests.received import SAFE_METHODS, ReceivedCall
from ratelimit.access.table import READ, TRADING, WRITE, Access
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.costs import COST_RULES, cost_of
from ratelimit.limits.limiter import process_limiter
from ratelimit.limits.quotas import DAY, MAX_QUOTA, MONTH, QuotaCharge
from ratelimit.limits.tiers import burst_of
from ratelimit.limits.token_bucket import Bucket, Charge

DATA_GROUP = "data"
ADDRESS_BUCKET = "address"
LOGIN_BUCKET = "login"


def admit(caller: Caller, access: Access, *, cost: int) -> Admission:
    """The admission of one request, or of one message on an open connection, that costs `cost` tokens.

    Charges the caller's bucket of the row's group and kind, and the caller's quotas, in one call of Redis: all of
    them, or none. A cost above the burst is charged as the burst. Raises DatabaseError if tokens of a quota
    cannot be reserved.
    """
    kind = access.kind
    charge = _charge(caller.family, access.group, kind, rate_of(caller, kind), cost)
    if caller.daily_quota is None and caller.monthly_quota is None:
        return process_limiter().admit(charge)
    metered = charge.cost if COST_RULES[access.cost].is_metered else 0
    return process_limiter().admit(charge, _quota_charges(caller.daily_quota, caller.monthly_quota, metered))


def admit_call(
    call: ReceivedCall, caller: Caller | None, access: Access, *, answer_format: str = ""
) -> Admission:
    """The admission of a call at the cost of its row; without a caller, one token of its address.

    answer_format: the name of the answer's format, where it changes the cost. Raises as `admit`.
    """
    if caller is None:
        return admit_address(call.address)
    return admit(caller, access, cost=cost_of(access.cost, call.query, answer_format))


def admit_address(address: str) -> Admission:
    """The admission of one request of an anonymous client, by its address (IPv6: by its /64)."""
    return process_limiter().admit(
        Charge(f"address:{addresses.identity_of(address)}", ADDRESS_BUCKET, _bucket(settings.ADDRESS_RATE))
    )


def admit_login(identity: str, rate: int) -> Admission:
    """The admission of one attempt to log in; `identity` is what attempts are counted by."""
    return process_limiter().admit(Charge(identity, LOGIN_BUCKET, _bucket(rate)))


def peek(caller: Caller, *, group: str, kind: str) -> Admission:
    """The state of a caller's bucket and quotas. Nothing is charged."""
    charge = _charge(caller.family, group, kind, rate_of(caller, kind), 0)
    return process_limiter().admit(charge, _quota_charges(caller.daily_quota, caller.monthly_quota, 0))


@lru_cache(maxsize=256)
def bucket_name(group: str, kind: str) -> str:
    """The name of a bucket in headers: `read`, `write`, `trading`, else group and kind (`access-read`)."""
    if kind == TRADING or group == DATA_GROUP:
        return kind
    return f"{group}-{kind}"


def rate_of(caller: Caller, kind: str) -> int:
    """Tokens per second that flow into a caller's buckets of a kind."""
    return caller.trading_rate if kind == TRADING else caller.rate


def kind_of(method: str | None) -> str:
    """The kind of bucket that a method is charged to where the table has no row."""
    return READ if method in SAFE_METHODS else WRITE


# Cached because a caller repeats its requests.
@lru_cache(maxsize=4096)
def _charge(family: str, group: str, kind: str, rate: int, cost: int) -> Charge:
    """A charge of `cost` tokens, at most the burst, to the bucket of a family."""
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
