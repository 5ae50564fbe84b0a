"""Questions that are put again where a process lost Redis meanwhile, because then limits are kept otherwise.

A machine that stands still for longer than a process waits for Redis is reason enough. Not every answer shows it,
because one thread may find Redis again before another one's answer is made; the limiter's log lines do.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from ratelimit.limits import limiter
from tests.front.front_server import Reply
from tests.patience import PATIENCE_SECONDS
from tests.system.clients import OHLC, clients_of_every_web
from tests.system.installation import Installation

Answers = TypeVar("Answers")
_ATTEMPTS = 10
_RETRY_SECONDS = 1.0
_LOSSES = re.compile(rf"^(\S+ \S+) \w+ {re.escape(limiter.logger.name)} ", re.MULTILINE)
_LOST = re.compile(rf"^\S+ \S+ WARNING {re.escape(limiter.logger.name)} Redis is away", re.MULTILINE)
# What a limit is asked about, of a rate that is charged exactly.
_PATH, _RATE = f"{OHLC}?symbol=NOTSTORED", 999


def is_disturbed(replies: Sequence[Reply]) -> bool:
    return any("x-degraded" in reply.headers for reply in replies)


def losses(installation: Installation) -> list[str]:
    """When a process has lost Redis or found it again, in the order in which they said so."""
    return _LOSSES.findall(installation.served.output.read_text())


def times_lost(installation: Installation) -> int:
    """How many times a process has lost Redis."""
    return len(_LOST.findall(installation.served.output.read_text()))


def settle(installation: Installation) -> None:
    """Return when every web process shares its limits with the others.

    A process notices that Redis is back when it is asked something.
    """
    ends_at = time.monotonic() + PATIENCE_SECONDS
    with clients_of_every_web(installation.served, installation.new_key(rate=_RATE), each=1) as clients:
        while time.monotonic() < ends_at:
            if not is_disturbed([client.get(_PATH) for client in clients]):
                return
            time.sleep(0.1)
    raise AssertionError("Redis is away")


def undisturbed(ask: Callable[[], list[Reply]]) -> list[Reply]:
    """What `ask` is answered while Redis is there for every process."""
    for _ in range(_ATTEMPTS):
        replies = ask()
        if not is_disturbed(replies):
            return replies
        time.sleep(_RETRY_SECONDS)
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
