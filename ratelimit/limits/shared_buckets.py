"""Buckets and quotas in Redis, shared by all processes: one script call for a request.

They go by Redis's own clock.
"""

import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from django_redis import get_redis_connection

from ratelimit.limits.buckets.local_buckets import NO_DEBT, Debt
from ratelimit.limits.buckets.token_bucket import Charge, Standing, Taken, standing
from ratelimit.limits.quotas.spends import Counter, Lot, Spend
from redis_calls.script import Script

_KEYS_PER_SCAN = 1_000
# What the script says came of a request, beside 0: the bucket has too little.
_ADMITTED, _SHORT = 1, 2


class _Failures:
    """Counts attempts to run the script that failed.

    That Redis does not know it, as after a restart, is one too.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def note(self) -> None:
        with self._lock:
            self.count += 1


_failures = _Failures()


def failures() -> int:
    """How many attempts to run the admission script have failed in this process.

    After each, Redis may have lost its buckets. Calls for anything else, as for cached answers, do not count.
    """
    return _failures.count


@cache
def bucket_script() -> Script:
    text = Path(__file__).with_name("admission.lua").read_text()
    # What Redis held when it was started anew may be old: tokens that were given since would be given twice.
    return Script(text, note_failure=_failures.note, note_restart=_forget_quotas)


class Told(NamedTuple):
    """What Redis says of a request: the bucket, what is known of quotas, whether they have too little."""

    standing: Standing
    counters: tuple[Counter | None, ...] = ()
    is_short: bool = False

    @property
    def is_given(self) -> bool:
        return self.standing.admitted and not self.is_short


def take_shared(
    charge: Charge,
    *,
    spends: Sequence[Spend] = (),
    lots: Sequence[Lot | None] = (),
    debt: Debt = NO_DEBT,
    now_us: int | None = None,
) -> Told:
    """What comes of charging a bucket and quotas, of which all give what a request costs, or none does.

    What is owed of `debt` is taken first and in any case, down to a bucket that lacks a second burst. All
    `spends` are of as many tokens. `lots` were booked just now: one for each quota, or none at all. `now_us`
    replaces the server's clock. Raises redis.exceptions.RedisError.
    """
    bucket = charge.bucket
    keys = [key_of(charge), *[quota_key(charge.identity, spend.unit) for spend in spends]]
    arguments: list[str | int] = [bucket.rate, bucket.burst, charge.cost]
    arguments += (debt.missing, debt.presumed, debt.owed, "" if now_us is None else now_us)
    if spends:
        arguments += (spends[0].tokens, *(spend.limit for spend in spends), *map(_lot_text, lots))
    answer = bucket_script()(keys, arguments, is_once=any(lots))
    return _told(charge, answer, has_quotas=bool(spends))


def _told(charge: Charge, answer: list[int], *, has_quotas: bool) -> Told:
    """The script's answer to a charge."""
    bucket = charge.bucket
    at_us, outcome, full_us, full_part, *counts = answer
    taken = Taken(outcome == _ADMITTED, full_us * bucket.rate + full_part)
    told = standing(bucket, taken, name=charge.name, now_us=at_us, epoch_now_us=at_us, cost=charge.cost)
    if not has_quotas:
        return Told(told)
    counters = tuple(
        None if rest < 0 else Counter(rest, booked)
        for rest, booked in zip(counts[::2], counts[1::2], strict=True)
    )
    if outcome == _SHORT:
        return Told(told._replace(admitted=True), counters, is_short=True)
    return Told(told, counters)


def key_of(charge: Charge) -> str:
    """The name of the bucket in Redis."""
    return f"ratelimit:{charge.name}:{charge.identity}"


def quota_key(identity: str, unit: str) -> str:
    """The name of what is left of the lots of a quota in Redis."""
    return f"ratelimit:quota:{unit}:{identity}"


def _lot_text(lot: Lot | None) -> str:
    if lot is None:
        return ""
    return f"{lot.period.begins_us} {lot.period.ends_us} {lot.tokens} {lot.booked} {int(lot.is_kept)}"


def _forget_quotas() -> None:
    """Drop what is at hand of all quotas: it was booked, so that too little is given at worst."""
    client = get_redis_connection("default")
    for key in client.scan_iter(match=quota_key("*", "*"), count=_KEYS_PER_SCAN):
        client.unlink(key)
