"""Run as a process by tests: asks for admission as fast as it can and prints what it was given.

Arguments: rate, daily quota (0: none), which ends it when it is used up. Redis and the database are those of
the environment. When it is ready it says so and reads the instants at which to begin and to end, in
microseconds since the epoch, from standard input.
"""

import json
import sys
from typing import Any

import django
from django.conf import settings

from tests.patience import PATIENCE_SECONDS
from tests.ratelimit.redis_server import patience_of


def main(rate: int, quota: int) -> None:
    django.setup()
    cache: dict[str, Any] = settings.CACHES["default"]
    cache["OPTIONS"] |= patience_of(PATIENCE_SECONDS)
    from django_redis import get_redis_connection  # noqa: PLC0415 after the settings

    from ratelimit.limits.limiter import process_limiter  # noqa: PLC0415
    from ratelimit.limits.quotas import QuotaCharge  # noqa: PLC0415
    from ratelimit.limits.token_bucket import Bucket, Charge  # noqa: PLC0415

    charge = Charge("key:1", "read", Bucket(rate, 2 * rate))
    quotas = (QuotaCharge("day", quota, 1),) if quota else ()
    client, now = get_redis_connection("default"), 0
    client.ping()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    begin, end = map(int, sys.stdin.readline().split())
    while now < begin:
        seconds, microseconds = client.time()
        now = seconds * 1_000_000 + microseconds
    admitted, first, last = 0, 0, 0
    is_used_up = False
    while last < end and not is_used_up:
        admission = process_limiter().admit(charge, quotas)
        first, last = first or admission.bucket.now_us, admission.bucket.now_us
        admitted += admission.admitted
        is_used_up = admission.code == "quota_exceeded"
    sys.stdout.write(json.dumps({"admitted": admitted, "first": first, "last": last}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
