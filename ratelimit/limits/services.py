"""Whether a caller may go on: one admission per request or message, whoever asks for it."""

from functools import lru_cache

from django.conf import settings

from http_requests import addresses
from http_requests.methods import SAFE_METHODS
from http_requests.received import ReceivedCall
from ratelimit.access.table import READ, TRADING, WRITE, Access
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.buckets.token_bucket import Bucket, Charge
from ratelimit.limits.costs import COST_RULES, cost_of
from ratelimit.limits.limiter import process_limiter
from ratelimit.limits.quotas.periods import DAY, MONTH
from ratelimit.limits.quotas.spends import MAX_QUOTA, Spend
from ratelimit.limits.tiers import burst_of

DATA_GROUP = "data"
ADDRESS_BUCKET = "address"
LOGIN_BUCKET = "login"


def admit(caller: Caller, access: Access, *, cost: int) -> Admission:
    """The admission of one request, or of one message on an open connection, that costs `cost` tokens.

    Charged are the bucket of the caller, group and kind, and the caller's quotas: all of them in one call of
    Redis, or none of them. A cost above the burst is charged as the burst. Raises DatabaseError if a quota
    cannot be booked.
    """
    kind = access.kind
    charge = _charge(caller.family, access.group, kind, rate_of(caller, kind), cost)
    if caller.daily_quota is None and caller.monthly_quota is None:
        return process_limiter().admit(charge)
    metered = charge.cost if COST_RULES[access.cost].is_metered else 0
    return process_limiter().admit(charge, _spends(caller.daily_quota, caller.monthly_quota, metered))


def admit_call(
    call: ReceivedCall, caller: Caller | None, access: Access, *, answer_format: str = ""
) -> Admission:
    """The admission of a call, at the cost of its row; of whoever is not known, one of the address.

    answer_format: the name of the format that was chosen for the answer, where it matters. Raises as `admit`.
    """
    if caller is None:
        return admit_address(call.address)
    return admit(caller, access, cost=cost_of(access.cost, call.query, answer_format))


def admit_address(address: str) -> Admission:
    """The admission of one request of somebody who is not known, by its address (IPv6: by its /64)."""
    return process_limiter().admit(
        Charge(f"address:{addresses.identity_of(address)}", ADDRESS_BUCKET, _bucket(settings.ADDRESS_RATE))
    )


def admit_login(identity: str, rate: int) -> Admission:
    """The admission of one attempt to log in, by whatever it is counted by."""
    return process_limiter().admit(Charge(identity, LOGIN_BUCKET, _bucket(rate)))


def look(caller: Caller, *, group: str, kind: str) -> Admission:
    """How a bucket and the quotas of a caller stand; nothing is charged."""
    charge = _charge(caller.family, group, kind, rate_of(caller, kind), 0)
    return process_limiter().admit(charge, _spends(caller.daily_quota, caller.monthly_quota, 0))


@lru_cache(maxsize=256)
def bucket_name(group: str, kind: str) -> str:
    """What a bucket is called in headers: `read`, `write`, `trading`, else by group and kind."""
    if kind == TRADING or group == DATA_GROUP:
        return kind
    return f"{group}-{kind}"


def rate_of(caller: Caller, kind: str) -> int:
    """Tokens per second that flow into a caller's buckets of a kind."""
    return caller.trading_rate if kind == TRADING else caller.rate


def kind_of(method: str | None) -> str:
    """The kind of bucket that a method is charged to where nothing else is declared."""
    return READ if method in SAFE_METHODS else WRITE


# A caller makes the same requests again and again.
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
def _spends(daily: int | None, monthly: int | None, tokens: int) -> tuple[Spend, ...]:
    quotas = ((DAY, daily), (MONTH, monthly))
    return tuple(Spend(unit, min(limit, MAX_QUOTA), tokens) for unit, limit in quotas if limit is not None)
