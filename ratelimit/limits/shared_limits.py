"""Buckets and quotas in Redis, shared by all processes. One script call charges both, by Redis's own clock."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from ops.redis.loop_connection import LoopConnection, give
from ops.redis.script import Script
from ratelimit.limits.quotas import QuotaBalance, QuotaCharge, Reservation
from ratelimit.limits.token_bucket import BucketState, Charge, charged_state

_KEYS_PER_SCAN = 1_000
# The script's outcome if the bucket has enough tokens but a quota has too few. The other outcomes are 1 (admitted) and
# 0 (the bucket has too few).
_QUOTA_SHORT = 2
# The most charges of one script call. Redis does nothing else meanwhile; a charge takes it 6 to 9 µs.
MAX_TOGETHER = 64


class SharedAnswer(NamedTuple):
    """The bucket and the quotas' balances after a charge.

    is_short: the bucket had enough tokens, but Redis had too few reserved, unspent tokens of a quota, so nothing was
    charged.
    """

    bucket: BucketState
    balances: tuple[QuotaBalance | None, ...] = ()
    is_short: bool = False


OnShared = Callable[[SharedAnswer | None], object]


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
    keys, arguments = _parameters((charge,), quotas, reservations, now_us)
    # A repeated call would add its reservation twice.
    answer = admission_script()(keys, arguments, is_once=any(reservations))
    return _answer(charge, answer)


def ask_shared(
    redis: LoopConnection, charge: Charge, quotas: Sequence[QuotaCharge], on_answer: OnShared
) -> bool:
    """Charge like `take_shared`, from an event loop and without waiting. Return whether the charge was sent.

    `on_answer` is called later, with None if Redis did not answer or answered with an error.
    """

    def read(answer: Any) -> None:
        on_answer(None if isinstance(answer, Exception) else _answer(charge, answer))

    return redis.ask(read, *admission_script().command(*_parameters((charge,), quotas)))


class SharedTurn:
    """Charges without quotas of one turn of an event loop. At its end one script call charges all of them."""

    def __init__(self, redis: LoopConnection) -> None:
        self.redis = redis
        self.is_open = True
        self._charges: list[Charge] = []
        self._on_answers: list[OnShared] = []
        redis.before_sending(self._send)

    def ask(self, charge: Charge, on_answer: OnShared) -> None:
        """Charge like `ask_shared`. Only while `is_open`."""
        self._charges.append(charge)
        self._on_answers.append(on_answer)
        self.is_open = len(self._charges) < MAX_TOGETHER

    def _send(self) -> None:
        self.is_open = False
        try:
            is_sent = self.redis.ask(self._read, *admission_script().command(*_parameters(self._charges)))
        except Exception:
            self._read(RedisError("the charges could not be sent"))
            raise
        if not is_sent:
            self._read(RedisConnectionError("there is no connection"))

    def _read(self, answer: Any) -> None:
        if isinstance(answer, Exception):
            for on_answer in self._on_answers:
                give(on_answer, None)
            return
        now_us = answer[0]
        buckets = zip(answer[1::3], answer[2::3], answer[3::3], strict=True)
        for charge, on_answer, bucket in zip(self._charges, self._on_answers, buckets, strict=True):
            give(on_answer, SharedAnswer(_state(charge, now_us, *bucket)))


def quota_key(identity: str, unit: str) -> str:
    """Return the key in Redis of a quota's balance."""
    return f"ratelimit:quota:{unit}:{identity}"


def _parameters(
    charges: Sequence[Charge],
    quotas: Sequence[QuotaCharge] = (),
    reservations: Sequence[Reservation | None] = (),
    now_us: int | None = None,
) -> tuple[list[str], list[str | int]]:
    """Return the script's KEYS and ARGV. Only a single charge may have quotas."""
    keys: list[str] = []
    arguments: list[str | int] = ["" if now_us is None else now_us, len(charges)]
    for identity, name, (rate, burst, _), cost, is_debt in charges:
        keys.append(f"ratelimit:{name}:{identity}")
        arguments += rate, burst, cost, int(is_debt)
    if quotas:
        keys += [quota_key(charges[0].identity, quota.unit) for quota in quotas]
        arguments += (quotas[0].tokens, *(quota.limit for quota in quotas), *map(_argument, reservations))
    return keys, arguments


def _state(charge: Charge, now_us: int, outcome: int, full_us: int, full_part: int) -> BucketState:
    _, name, bucket, cost, _ = charge
    used = (full_us - now_us) * bucket.rate + full_part
    return charged_state(bucket, used, admitted=outcome != 0, name=name, now_us=now_us, cost=cost)


def _answer(charge: Charge, answer: list[int]) -> SharedAnswer:
    now_us, outcome, full_us, full_part, *counts = answer
    state = _state(charge, now_us, outcome, full_us, full_part)
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
