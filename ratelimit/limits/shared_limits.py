"""Buckets and counts of quotas in Redis, shared by all processes. One script call charges both, by Redis's own clock."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from django_redis import get_redis_connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from ops.redis.loop_connection import LoopConnection, give
from ops.redis.script import Script
from ratelimit.limits.quotas import QuotaCharge, period_at
from ratelimit.limits.token_bucket import BucketState, Charge, charged_state

_KEYS_PER_SCAN = 1_000
_CHARGED = 1
# The most charges of one script call. Redis does nothing else meanwhile; a charge takes it 6 to 9 µs.
MAX_TOGETHER = 64


class SharedCharge(NamedTuple):
    """A charge to a bucket and to quotas: to all of them, or to none. All quotas have the same `tokens`.

    at_us: an instant of the quotas' periods, in microseconds since the epoch. known: the least used tokens of each
    quota, by the database and this process; empty: Redis's counts are enough.
    """

    charge: Charge
    quotas: Sequence[QuotaCharge] = ()
    at_us: int = 0
    known: Sequence[int] = ()


class SharedAnswer(NamedTuple):
    """The bucket, and how many tokens of each quota are used, after a charge. used: -1 if Redis has no count."""

    bucket: BucketState
    used: tuple[int, ...]
    is_charged: bool

    @property
    def has_counts(self) -> bool:
        """Whether Redis has a count of each quota. If not, nothing was charged."""
        return -1 not in self.used


OnShared = Callable[[SharedAnswer | None], object]


@cache
def admission_script() -> Script:
    text = Path(__file__).with_name("admission.lua").read_text()
    return Script(text, note_restart=_drop_counts)


def take_shared(charge: SharedCharge, *, now_us: int | None = None) -> SharedAnswer:
    """Charge a bucket and quotas. `now_us` replaces the server's clock. Raises redis.exceptions.RedisError."""
    answer = admission_script()(*_parameters((charge,), now_us))
    return next(_answers((charge,), answer))


class RedisBatch:
    """Charges of one turn of an event loop. At its end one script call charges all of them."""

    def __init__(self, redis: LoopConnection) -> None:
        self.redis = redis
        self.is_open = True
        self._charges: list[SharedCharge] = []
        self._on_answers: list[OnShared] = []
        redis.before_sending(self._send)

    def add(self, charge: SharedCharge, on_answer: OnShared) -> None:
        """Charge like `take_shared`, without waiting. Only while `is_open`.

        `on_answer` is called later, with None if Redis did not answer or answered with an error.
        """
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
        for on_answer, one in zip(self._on_answers, _answers(self._charges, answer), strict=True):
            give(on_answer, one)


def quota_key(identity: str, period: str) -> str:
    """Return the key in Redis of the count of a quota's used tokens."""
    return f"ratelimit:quota:{period}:{identity}"


def _parameters(
    charges: Sequence[SharedCharge], now_us: int | None = None
) -> tuple[list[str], list[str | int]]:
    """Return the script's KEYS and ARGV."""
    keys: list[str] = []
    arguments: list[str | int] = ["" if now_us is None else now_us, len(charges)]
    for (identity, name, (rate, burst, _), cost, is_debt), quotas, at_us, known in charges:
        keys.append(f"ratelimit:{name}:{identity}")
        arguments += rate, burst, cost, int(is_debt), len(quotas)
        for quota, used in zip(quotas, known or repeat(-1), strict=False):
            period = period_at(quota.unit, at_us)
            keys.append(quota_key(identity, period.name))
            arguments += quota.tokens, quota.limit, period.begins_us, period.ends_us, used
    return keys, arguments


def _answers(charges: Sequence[SharedCharge], answer: list[int]) -> Iterator[SharedAnswer]:
    now_us, begin = answer[0], 1
    for (_, name, bucket, cost, _), quotas, *_ in charges:
        end = begin + 3 + len(quotas)
        outcome, full_us, full_part, *used = answer[begin:end]
        begin = end
        parts = (full_us - now_us) * bucket.rate + full_part
        state = charged_state(bucket, parts, admitted=outcome != 0, name=name, now_us=now_us, cost=cost)
        yield SharedAnswer(state, tuple(used), outcome == _CHARGED)


def _drop_counts() -> None:
    """Delete the counts of all quotas, so that they are read back from the database.

    A restarted Redis may have loaded an old copy of its data, in which they are too low.
    """
    client = get_redis_connection("default")
    for key in client.scan_iter(match=quota_key("*", "*"), count=_KEYS_PER_SCAN):
        client.unlink(key)
