"""Long polls: answers that wait for an event, in the event loop (`Prefer: wait=N`)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from front.answers import Answer
from front.body import ClientGone
from front.environ import ON_EOF, Receive, Scope
from front.lanes import Lane
from front.sending import disconnected
from web.requests.waiting import AnswerWait

logger = logging.getLogger(__name__)


class LongPolls:
    """Delays answers until their event, or until the time is up."""

    def __init__(self, lane: Lane, events: Mapping[type, Callable[[Any], Awaitable[None]]]) -> None:
        """`events` has for each type of event a function that returns when an event has happened.

        The bodies are made in `lane` afterwards.
        """
        self._lane, self._events = lane, events
        self._waiting: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def close(self) -> None:
        """Send the answers that wait as they are, so that the process can end."""
        self._is_closed = True
        for task in self._waiting:
            task.cancel()

    async def answer_after(self, wait: AnswerWait, answer: Answer, scope: Scope, receive: Receive) -> Answer:
        """Return the answer as it is after the wait. Raises ClientGone.

        A client that closes its side of the connection is answered at once: it may have gone, or may still read.
        """
        if self._is_closed:
            return answer
        gone = asyncio.create_task(disconnected(receive))
        waiting = asyncio.create_task(self._wait(wait))
        self._waiting.add(waiting)
        scope[ON_EOF] = waiting.cancel
        try:
            await asyncio.wait((gone, waiting), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ClientGone
        finally:
            self._waiting.discard(waiting)
            del scope[ON_EOF]
            gone.cancel()
            waiting.cancel()
        return answer if self._is_closed else await self._lane.run(_renewed, wait, answer)

    async def _wait(self, wait: AnswerWait) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait.seconds):
                    await self._events[type(wait.event)](wait.event)
        except Exception:  # whatever it is, the client gets the answer
            logger.exception("an answer cannot wait any longer")


def _renewed(wait: AnswerWait, answer: Answer) -> Answer:
    """Return the answer with its new body; as it was if that cannot be made, which the client's next call is told."""
    try:
        renewed = wait.renewed()
    except Exception:
        logger.exception("an answer that has waited cannot be renewed")
        return answer
    if renewed is None:
        return answer
    changed = {name.lower().encode(): value for name, value in renewed.headers.items()}
    changed |= {b"content-length": str(len(renewed.body)), b"preference-applied": "wait"}
    headers = [header for header in answer.headers if header[0] not in changed]
    headers += [(name, value.encode()) for name, value in changed.items() if value is not None]
    return answer._replace(headers=headers, body=renewed.body)
