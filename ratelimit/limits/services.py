"""Charges each request or message to its caller's limits, or to its address's limits if it has no caller."""

import logging
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError

from ops.redis.loop_connection import LoopConnection
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.costs import COST_RULES, cost_of
from ratelimit.limits.limiter import process_limiter
from ratelimit.limits.quotas import DAY, MAX_QUOTA, MONTH, QuotaCharge
from ratelimit.limits.token_bucket import Bucket, BucketState, Charge, burst_of
from web.endpoints import CLOSING, TRADING, Access
from web.requests import addresses
from web.requests.received import call_in
from web.requests.work import Work
from web.requests.wsgi_variables import ADMISSION, CHARGED_CALL

DATA_GROUP = "data"
ADDRESS_BUCKET = "address"
LOGIN_BUCKET = "login"

logger = logging.getLogger(__name__)


def admit(caller: Caller, access: Access, *, cost: int) -> Admission:
    """Charge `cost` tokens for one request, or for one message on an open connection.

    Charges the caller's bucket of these calls, and the caller's quotas, in one call to Redis:
    all of them, or none. A cost above the bucket's size is charged as that size. Raises DatabaseError if the
    count of a quota cannot be read back.
    """
    return process_limiter().admit(*_charges(caller, access, cost))


def admit_soon(
    caller: Caller,
    access: Access,
    *,
    cost: int,
    redis: LoopConnection,
    then: Callable[[Admission | None], object],
    address: str | None = None,
) -> bool:
    """Charge like `admit`, from an event loop and without waiting; see `Limiter.admit_soon`.

    address: first charged like `admit_address`.
    """
    charge = partial(process_limiter().admit_soon, redis=redis)
    charge_caller = partial(charge, *_charges(caller, access, cost), then=then)
    if address is None:
        return charge_caller()

    def address_charged(admission: Admission | None) -> None:
        if admission is None or not charge_caller():
            then(None)

    return charge(_address_charge(address), (), then=address_charged)


def charge_debt(caller: Caller, access: Access, *, tokens: int) -> Admission:
    """Charge tokens for work that is done to what `admit` charges. The bucket may owe them; always admitted."""
    charge, quotas = _charges(caller, access, tokens)
    quotas = tuple(replace(quota, tokens=tokens) for quota in quotas if quota.tokens)
    return process_limiter().charge_debt(charge._replace(cost=tokens), quotas)


class ChargedCall(NamedTuple):
    """Whom a call was charged to, by which access, and its cost in tokens. caller: None: its address."""

    caller: Caller | None
    access: Access
    cost: int


def admit_call(
    environ: MutableMapping[str, Any], caller: Caller | None, access: Access, *, answer_format: str = ""
) -> Admission:
    """Charge a call once, by the cost rule of `access`; without a caller, charge one token to its address.

    Leaves the admission and the ChargedCall in the environ. answer_format: the name of the answer's format, which may
    change the cost. Raises DatabaseError like `admit`.
    """
    if ADMISSION in environ:
        charged: Admission = environ[ADMISSION]
        return charged
    call, cost = call_in(environ), 1
    if caller is None:
        admission = admit_address(call.address)
    else:
        length = call.headers.get("content-length", "")
        body_bytes = min(int(length), access.body_bytes) if length.isdecimal() else 0
        cost = cost_of(access.cost, call.query, answer_format, body_bytes)
        admission = admit(caller, access, cost=cost)
        cost = min(cost, admission.bucket.limit)
    environ[ADMISSION], environ[CHARGED_CALL] = admission, ChargedCall(caller, access, cost)
    return admission


def charge_rest(caller: Caller, access: Access, work: Work, *, paid: int) -> tuple[int, Admission | None]:
    """Charge what work costs beyond `paid` tokens, as a debt. Return what is paid now, and the admission.

    The admission is None if nothing was charged. Calls of trading never pay for their time: an order must not wait
    because the one before was slow.
    """
    tokens = work.tokens
    if settings.PROCESSOR_MS_PER_TOKEN and access.kind not in {TRADING, CLOSING}:
        tokens = max(tokens, work.processor_ns // (settings.PROCESSOR_MS_PER_TOKEN * 1_000_000))
    if tokens <= paid:
        return paid, None
    try:
        return tokens, charge_debt(caller, access, tokens=tokens - paid)
    except DatabaseError as error:  # the work is done and must be answered
        logger.warning("the work of a call of %s was not charged: %s", caller.identity, error)
        return paid, None


def settle_call(environ: MutableMapping[str, Any], work: Work) -> None:
    """Charge what a call's work so far costs beyond what was charged before. Updates the environ.

    Does nothing for a call that was not admitted.
    """
    charged: ChargedCall | None = environ.get(CHARGED_CALL)
    if charged is None or charged.caller is None or not environ[ADMISSION].admitted:
        return
    cost, admission = charge_rest(charged.caller, charged.access, work, paid=charged.cost)
    if admission is not None:
        environ[ADMISSION], environ[CHARGED_CALL] = admission, charged._replace(cost=cost)


def admit_address(address: str) -> Admission:
    """Charge one token for a request of an anonymous client to its address (IPv6: its /64)."""
    return process_limiter().admit(_address_charge(address))


def _address_charge(address: str) -> Charge:
    return Charge(f"address:{addresses.identity_of(address)}", ADDRESS_BUCKET, _bucket(settings.ADDRESS_RATE))


def admit_login(identity: str, rate: int) -> Admission:
    """Charge one login attempt to `identity`, an address or a name; `rate` is per second."""
    return process_limiter().admit(Charge(identity, LOGIN_BUCKET, _bucket(rate)))


def bucket_state_of(caller: Caller, access: Access) -> BucketState:
    """Return the state of the bucket that is charged for such calls. Nothing is charged."""
    return (
        process_limiter()
        .admit(_charge(caller.identity, bucket_name(access), rate_of(caller, access), 0))
        .bucket
    )


@lru_cache(maxsize=256)
def bucket_name(access: Access) -> str:
    """Return a bucket's name in headers.

    The endpoint's own; else the kind, or for reads and writes of other groups than `data` both (`access-read`).
    """
    if access.bucket:
        return access.bucket
    if access.kind in {TRADING, CLOSING} or access.group == DATA_GROUP:
        return access.kind
    return f"{access.group}-{access.kind}"


def rate_of(caller: Caller, access: Access) -> int:
    """Return the rate of a caller's bucket for such calls, in tokens per second."""
    rate = caller.trading_rate if access.kind == TRADING else caller.rate
    return rate if access.rate is None else min(rate, access.rate)


def _charges(caller: Caller, access: Access, cost: int) -> tuple[Charge, tuple[QuotaCharge, ...]]:
    charge = _charge(caller.identity, bucket_name(access), rate_of(caller, access), cost)
    if caller.daily_quota is None and caller.monthly_quota is None:
        return charge, ()
    metered = charge.cost if COST_RULES[access.cost].is_metered else 0
    return charge, _quota_charges(caller.daily_quota, caller.monthly_quota, metered)


# Cached because a caller repeats its requests.
@lru_cache(maxsize=4096)
def _charge(identity: str, name: str, rate: int, cost: int) -> Charge:
    """Make a charge of `cost` tokens, at most the bucket's size, to a caller's bucket."""
    bucket = _bucket(rate)
    return Charge(identity, name, bucket, min(cost, bucket.burst))


@lru_cache(maxsize=1024)
def _bucket(rate: int) -> Bucket:
    rate = max(1, rate)
    return Bucket(rate=rate, burst=burst_of(rate))


@lru_cache(maxsize=1024)
def _quota_charges(daily: int | None, monthly: int | None, tokens: int) -> tuple[QuotaCharge, ...]:
    """Make charges of `tokens`, at most a quota's size: a call that costs more takes it whole."""
    quotas = ((DAY, daily), (MONTH, monthly))
    return tuple(
        QuotaCharge(unit, min(limit, MAX_QUOTA), min(tokens, max(limit, 1)))
        for unit, limit in quotas
        if limit is not None
    )
