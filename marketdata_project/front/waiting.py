"""Answers that wait for the end of a job, in the event loop (`Prefer: wait=N`)."""

import asyncio
from collections.abc import Callable, Collection
from uuid import UUID

from django.db import close_old_connections

from jobs.waiting import JobEnds, JobWait
from marketdata_project.front.answers import Answer
from marketdata_project.front.body import ClientGone
from marketdata_project.front.environ import Receive
from marketdata_project.front.lanes import Lane
from marketdata_project.front.sending import disconnected

_OF_UNFINISHED = frozenset({b"content-length", b"retry-after"})


class AnswerWaiting:
    """Holds answers until their jobs have ended."""

    def __init__(
        self,
        ended: Callable[[Collection[UUID]], dict[UUID, bytes]] = lambda _: {},
        shown: Callable[[UUID], bytes | None] = lambda _: None,
    ) -> None:
        """Both functions are called in a thread and return documents, as JSON.

        `ended` returns those of the jobs that have ended, by id. `shown` returns that of one job; None if it is
        no longer there.
        """
        self._of_ended, self._shown = ended, shown
        self._lane = Lane("jobs", threads=1, after=close_old_connections)
        self._ends = JobEnds(self._ended)

    def close(self) -> None:
        """Send the answers that wait as they are, so that the process can end."""
        self._ends.close()

    async def at_end(self, wait: JobWait, answer: Answer, receive: Receive) -> Answer:
        """Return the answer with the job as it is after the wait. Raises ClientGone."""
        gone = asyncio.ensure_future(disconnected(receive))
        waiting = asyncio.ensure_future(self._ends.wait(wait))
        try:
            await asyncio.wait((gone, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise ClientGone
            document = waiting.result()
        finally:
            gone.cancel()
            waiting.cancel()
        if document is not None:
            return _with_body(answer, document, without=_OF_UNFINISHED)
        document = await self._lane.run(self._shown, wait.uuid)
        return (
            answer
            if document is None
            else _with_body(answer, document, without=frozenset({b"content-length"}))
        )

    def _ended(self, uuids: Collection[UUID]) -> asyncio.Future[dict[UUID, bytes]]:
        return self._lane.run(self._of_ended, uuids)


def _with_body(answer: Answer, body: bytes, *, without: Collection[bytes]) -> Answer:
    """Return an answer with another body, and without some of its headers."""
    headers = [header for header in answer.headers if header[0] not in without]
    headers += [(b"content-length", b"%d" % len(body)), (b"preference-applied", b"wait")]
    return answer._replace(headers=headers, body=body)
