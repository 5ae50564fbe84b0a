"""Run as a process by test_limiter: asks for tokens as fast as it can and prints what it was given.

Arguments: redis URL, rate. When it is ready it says so and reads the instants at which to begin and to end, in
microseconds since the epoch, from standard input.
"""

import json
import sys

from django.conf import settings

from tests.ratelimit.redis_server import cache_settings


def main(url: str, rate: int) -> None:
    settings.configure(CACHES=cache_settings(url), WORKERS=2)
    from django_redis import get_redis_connection  # noqa: PLC0415 after the settings

    from ratelimit.limiter import admit  # noqa: PLC0415

    client, now = get_redis_connection("default"), 0
    client.ping()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    begin, end = map(int, sys.stdin.readline().split())
    while now < begin:
        seconds, microseconds = client.time()
        now = seconds * 1_000_000 + microseconds
    admitted, first, last = 0, 0, 0
    while last < end:
        standing = admit(caller_identity="key:1", rate=rate, kind="read")
        first, last = first or standing.now_us, standing.now_us
        admitted += standing.admitted
    sys.stdout.write(json.dumps({"admitted": admitted, "first": first, "last": last}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
