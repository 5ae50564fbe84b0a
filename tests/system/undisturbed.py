"""Questions that are put again where Redis was thought away meanwhile.

An answer says so, and then limits are kept otherwise and memories are not shared. A machine that stands still
for longer than a process waits for Redis is reason enough; what is always so is still found. Not every answer
says it: a process that has found Redis again keeps to its share for a while, and one thread may have found it
before another one's answer is made. The limiter says all of it in the log.
"""

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from ratelimit.limits import limiter
from ratelimit.limits.buckets.token_bucket import SECOND_US
from tests.marketdata_project.front_server import Reply
from tests.patience import PATIENCE_SECONDS
from tests.system.clients import OHLC, clients_of_every_web
from tests.system.installation import Installation

Answers = TypeVar("Answers")
_ATTEMPTS = 10
_SHARES_SECONDS = limiter.LATE_US / SECOND_US
_LOSSES = re.compile(rf"^(\S+ \S+) \w+ {re.escape(limiter.logger.name)} ", re.MULTILINE)
_LOST = re.compile(rf"^\S+ \S+ WARNING {re.escape(limiter.logger.name)} Redis is away", re.MULTILINE)
# What a limit is asked about, of a rate that no tokens are taken in advance of.
_PATH, _RATE = f"{OHLC}?symbol=NOTSTORED", 1000


def is_disturbed(replies: Sequence[Reply]) -> bool:
    return any("x-degraded" in reply.headers for reply in replies)


def losses(installation: Installation) -> list[str]:
    """When a process has lost Redis or found it again, in the order in which they said so."""
    return _LOSSES.findall(installation.served.output.read_text())


def times_lost(installation: Installation) -> int:
    """How many times a process has lost Redis."""
    return len(_LOST.findall(installation.served.output.read_text()))


def settle(installation: Installation) -> None:
    """Return when every web process shares its limits with the others, and none keeps to its share any more.

    A process notices that Redis is back when it is asked something.
    """
    ends_at = time.monotonic() + PATIENCE_SECONDS
    with clients_of_every_web(installation.served, installation.new_key(rate=_RATE), each=1) as clients:
        while time.monotonic() < ends_at:
            disturbed = is_disturbed([client.get(_PATH) for client in clients])
            left = _SHARES_SECONDS - _seconds_since(losses(installation)[-1:])
            if left <= 0 and not disturbed:
                return
            time.sleep(max(left, 0.1))
    raise AssertionError("Redis is away")


def undisturbed(ask: Callable[[], list[Reply]]) -> list[Reply]:
    """What `ask` is answered while Redis is there for every process."""
    for _ in range(_ATTEMPTS):
        replies = ask()
        if not is_disturbed(replies):
            return replies
        time.sleep(_SHARES_SECONDS)
    raise AssertionError("Redis is away")


def while_limits_are_shared(installation: Installation, ask: Callable[[], Answers]) -> Answers:
    """What `ask` brings where every web process shares its limits with the others all the while."""
    ends_at = time.monotonic() + 2 * PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        settle(installation)
        before = losses(installation)
        answers = ask()
        if losses(installation) == before:
            return answers
    raise AssertionError("Redis is away again and again")


def _seconds_since(instants: list[str]) -> float:
    """Seconds since the last instant as logs write it; endless without one."""
    if not instants:
        return float("inf")
    return (datetime.now() - datetime.strptime(instants[-1], "%Y-%m-%d %H:%M:%S,%f")).total_seconds()
