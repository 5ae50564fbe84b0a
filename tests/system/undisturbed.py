"""Questions that are put again where Redis was thought away meanwhile.

An answer says so, and then limits are kept otherwise and memories are not shared. A machine that stands still
for longer than a process waits for Redis is reason enough; what is always so is still found.
"""

import time
from collections.abc import Callable, Sequence

from ratelimit.limits.buckets.token_bucket import SECOND_US
from ratelimit.limits.limiter import LATE_US
from tests.marketdata_project.front_server import Reply

_ATTEMPTS = 10


def is_disturbed(replies: Sequence[Reply]) -> bool:
    return any("x-degraded" in reply.headers for reply in replies)


def settle() -> None:
    """Wait until every process is sure that all have found Redis again."""
    time.sleep(LATE_US / SECOND_US)


def undisturbed(ask: Callable[[], list[Reply]]) -> list[Reply]:
    """What `ask` is answered while Redis is there for every process."""
    for _ in range(_ATTEMPTS):
        replies = ask()
        if not is_disturbed(replies):
            return replies
        settle()
    raise AssertionError("Redis is away")
