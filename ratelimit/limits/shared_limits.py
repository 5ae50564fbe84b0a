"""Buckets and quotas in Redis, shared by all processes. One script call charges both, by Redis's own clock."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from django_redis import get_redis_connection

from ratelimit.limits.quotas import QuotaBalance, QuotaCharge, Reservation
from ratelimit.limits.token_bucket import BucketState, Charge, Taken, bucket_state
from redis_calls.loop_connection import LoopConnection
from redis_calls.script import Script

_KEYS_PER_SCAN = 1_000
# The script's outcome if the bucket has enough tokens but a quota has too few. The other outcomes are 1 (admitted) and
# 0 (the bucket has too few).
_QUOTA_SHORT = 2


class SharedAnswer(NamedTuple):
    """The bucket and the quotas' balances after a charge.

    is_short: the bucket had enough tokens, but Redis had too few reserved, unspent tokens of a quota, so nothing was
    charged.
    """

    bucket: BucketState
    balances: tuple[QuotaBalance | None, ...] = ()
    is_short: bool = False


@cache
def admission_script() -> Script:
    text = Path(__file__).with_name("admission.lua").read_text()
    return Script(text, note_restart=_drop_reservations)


def take_shared(
    charge: Charge,
    *,
    quotas: Sequence[QuotaCharge] = (),
    reservations: Sequence[Reservation | None] = (),
    now_us: int | None = None,
) -> SharedAnswer:
    """Charge a bucket and quotas: all of them, or none.

    All `quotas` must have the same `tokens`. `reservations` is empty, or has an item for each quota: a new reservation
    to add to the balance first, or None. `now_us` replaces the server's clock. Raises redis.exceptions.RedisError.
    """
    keys, arguments = _parameters(charge, quotas, reservations, now_us)
    # A repeated call would add its reservation twice.
    answer = admission_script()(keys, arguments, is_once=any(reservations))
    return _answer(charge, answer)


def ask_shared(
    redis: LoopConnection,
    charge: Charge,
    *,
    quotas: Sequence[QuotaCharge] = (),
    on_answer: Callable[[SharedAnswer | None], object],
) -> bool:
    """Charge like `take_shared`, from an event loop and without waiting. Return whether the charge was sent.

    `on_answer` is called later, with None if Redis did not answer or answered with an error.
    """

    def read(answer: Any) -> None:
        on_answer(None if isinstance(answer, Exception) else _answer(charge, answer))

    return redis.ask(read, *admission_script().command(*_parameters(charge, quotas)))


def bucket_key(charge: Charge) -> str:
    """Return the bucket's key in Redis."""
    return f"ratelimit:{charge.name}:{charge.identity}"


def quota_key(identity: str, unit: str) -> str:
    """Return the key in Redis of a quota's balance."""
    return f"ratelimit:quota:{unit}:{identity}"


def _parameters(
    charge: Charge,
    quotas: Sequence[QuotaCharge],
    reservations: Sequence[Reservation | None] = (),
    now_us: int | None = None,
) -> tuple[list[str], list[str | int]]:
    """Return the script's KEYS and ARGV."""
    bucket = charge.bucket
    keys = [bucket_key(charge), *[quota_key(charge.identity, quota.unit) for quota in quotas]]
    arguments: list[str | int] = [bucket.rate, bucket.burst, charge.cost, "" if now_us is None else now_us]
    if quotas:
        arguments += (quotas[0].tokens, *(quota.limit for quota in quotas), *map(_argument, reservations))
    return keys, arguments


def _answer(charge: Charge, answer: list[int]) -> SharedAnswer:
    now_us, outcome, full_us, full_part, *counts = answer
    taken = Taken(outcome != 0, full_us * charge.bucket.rate + full_part)
    state = bucket_state(
        charge.bucket, taken, name=charge.name, now_us=now_us, epoch_now_us=now_us, cost=charge.cost
    )
    if not counts:
        return SharedAnswer(state)
    balances = tuple(
        None if unspent < 0 else QuotaBalance(unspent, reserved)
        for unspent, reserved in zip(counts[::2], counts[1::2], strict=True)
    )
    return SharedAnswer(state, balances, outcome == _QUOTA_SHORT)


def _argument(reservation: Reservation | None) -> str:
    if reservation is None:
        return ""
    period = reservation.period
    return f"{period.begins_us} {period.ends_us} {reservation.tokens} {reservation.reserved}"


def _drop_reservations() -> None:
    """Delete the balances of all quotas.

    A restarted Redis may have loaded an old copy of its data, in which tokens that were given later are still unspent.
    The deleted tokens stay reserved in the database, so callers may get fewer than their quota, never more.
    """
    client = get_redis_connection("default")
    for key in client.scan_iter(match=quota_key("*", "*"), count=_KEYS_PER_SCAN):
        client.unlink(key)
