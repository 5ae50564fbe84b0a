"""Answers in the event loop: requests for contents that Django has answered before.

An identical request skips parsing and Django: its meaning and the headers that Django added are remembered. Its key, its
access, its limits and the freshness of the answer are checked anew. Nothing here waits for Redis, the database or a
thread: the answer follows when Redis has charged the caller. Everything else is Django's.
"""

import asyncio
import hashlib
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from time import perf_counter_ns
from typing import Any

from audit.services import call_record, call_spool
from front.answers import WITHOUT_BODY, Answer, ReadyAnswer, count_answer, encoded_headers, header_lines
from ops.metrics.declarations import EVENT_LOOP_ANSWERS
from ops.redis.loop_connection import LoopConnection
from ratelimit.access.denials import denial_of, is_cleared
from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_if_cached, only_key_digest
from ratelimit.limits.admission import COST_HEADER, Admission, admission_lines
from ratelimit.limits.costs import cost_of
from ratelimit.limits.services import ChargedCall, admit_soon, rate_of
from ratelimit.limits.token_bucket import burst_of
from stats.delivery.answers import FinishedAnswer
from stats.delivery.responses import RepeatableAnswer
from web.correlation import ALLOWED, accepted_id, correlation_headers
from web.requests.received import call_in
from web.requests.wsgi_variables import ANSWERING_KEY, CHARGED_CALL, REPEATABLE_ANSWER, ROUTE

MAX_REMEMBERED = 4_096
_DIGEST_BYTES = 16
# uvloop takes 1,024 events from a poll. If there are as many, it polls again in the same turn. Some are not clients'.
_ONE_POLL_CONNECTIONS = 1_000
_REMEMBERED_STATUSES = (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED)
# Each request may have another one. An id that is not accepted may be why a request is refused: too long, or malformed.
_OFFERED_ID = re.compile(rb"\r\nx-correlation-id:[ \t]*(%s)[ \t]*(?=\r\n)" % ALLOWED.encode(), re.IGNORECASE)
_ID_LINE = re.compile(rb"\r\nx-correlation-id:", re.IGNORECASE)
# Answers to requests with cookies may depend on a session. Each traceparent is another one.
_UNUSUAL = frozenset({"cookie", "expect", "traceparent", "upgrade"})
# Headers of an answer that belong to one call.
_OF_THE_CALL = re.compile(
    rb"x-correlation-id|x-degraded|x-cost|x-ratelimit-.*|ratelimit|ratelimit-policy|content-length"
)

_Key = tuple[str, bytes]
"""A peer's address, and a keyed hash of a request's bytes without a correlation id that may be accepted."""
_Deliver = Callable[[ReadyAnswer | None], object]


class _Read:
    """A request that Django has answered: what it means, and the headers that depend on neither caller nor answer."""

    __slots__ = (
        "_added",
        "_sent",
        "access",
        "call",
        "charged_address",
        "cost",
        "if_none_match",
        "key_digest",
        "repeatable",
        "route",
    )

    def __init__(
        self, environ: dict[str, Any], charged: ChargedCall, key_digest: str, answer: Answer
    ) -> None:
        repeatable: RepeatableAnswer = environ[REPEATABLE_ANSWER]
        call = call_in(environ)
        self.key_digest = key_digest
        self.if_none_match = call.headers.get("if-none-match")
        # Without the headers, which contain the key.
        self.call = call._replace(headers={})
        self.charged_address = call.address if ANSWERING_KEY in environ else None
        self.route: str = environ[ROUTE]
        self.access = charged.access
        self.cost = cost_of(charged.access.cost, call.query, repeatable.format)
        self.repeatable = repeatable
        of_the_answer = set(encoded_headers(repeatable.headers.items()))
        self._added = {
            name: value
            for name, value in answer.headers
            if (name, value) not in of_the_answer and not _OF_THE_CALL.fullmatch(name)
        }
        self._sent: tuple[dict[str, str], bytes] | None = None

    def price(self, answer: FinishedAnswer) -> int:
        """Return what the whole answer costs: its rule's tokens or, if it was more work, those of the work."""
        return max(self.cost, answer.tokens)

    def lines(self, answer: FinishedAnswer) -> bytes:
        """Return the header lines that do not depend on the caller. They are written once for the same headers."""
        sent = self._sent
        if sent is None or sent[0] is not answer.headers:
            headers = {**dict(encoded_headers(self.repeatable.linked(answer.headers).items())), **self._added}
            headers[COST_HEADER.lower().encode()] = b"%d" % self.price(answer)
            if answer.status not in WITHOUT_BODY:
                headers[b"content-length"] = b"%d" % len(answer.body)
            sent = self._sent = answer.headers, header_lines(headers.items())
        return sent[1]


class EventLoopReads:
    """Finds an answer in this process's memory, charges the caller and records the call.

    connections: returns the number of this process's open connections.
    """

    def __init__(self, connections: Callable[[], int] = lambda: 0) -> None:
        self._spool = call_spool()
        self._connections = connections
        self._redis = LoopConnection()
        self._iteration: object | None = None
        self._reads: OrderedDict[_Key, _Read] = OrderedDict()
        self._secret = os.urandom(_DIGEST_BYTES)

    def remember(self, peer: str, data: bytes, environ: dict[str, Any], answer: Answer) -> None:
        """Remember how to answer a request again: only answers with a content, to callers whose key is known.

        data: a whole GET over HTTP/1.1 without a body, on a connection that stays open. environ: the request's, after
        the answer.
        """
        key, _ = self._key(peer, data)
        charged: ChargedCall | None = environ.get(CHARGED_CALL)
        if charged is None or charged.caller is None or charged.access.audit_class:
            return
        if REPEATABLE_ANSWER not in environ or answer.status not in _REMEMBERED_STATUSES:
            return
        headers = call_in(environ).headers
        digest = environ.get(ANSWERING_KEY) or only_key_digest(headers)
        if digest is None or not _UNUSUAL.isdisjoint(headers):
            return
        self._reads[key] = _Read(environ, charged, digest, answer)
        self._reads.move_to_end(key)
        if len(self._reads) > MAX_REMEMBERED:
            self._reads.popitem(last=False)

    def answer_without_django(self, peer: str, data: bytes, deliver: _Deliver) -> bool:
        """Begin to answer a request. Return False to leave it to the application, uncharged.

        So it is if the answer must be read or computed, or if the caller is refused. data: the whole request, from its
        first to its last byte. deliver: after True called once, in a later turn of the loop, with the answer; with None
        to leave the request to the application.
        """
        key, offered_id = self._key(peer, data)
        read = self._reads.get(key)
        if read is None:
            return False
        self._reads.move_to_end(key)
        began_ns, now = perf_counter_ns(), datetime.now(UTC)
        caller = caller_if_cached(read.key_digest, address=read.call.address, now=now)
        # Whether a caller for public data may read fetched rows is asked of the database.
        if (
            caller is None
            or not is_cleared(caller.sensitivity, for_="internal")
            or denial_of(caller, read.access) is not None
        ):
            return False
        answer = read.repeatable.call.from_memory(
            if_none_match=read.if_none_match, now_ns=time.time_ns(), poll=self._newest_iteration()
        )
        # Django charges what the bucket cannot pay at once.
        if answer is None or (cost := read.price(answer)) > burst_of(rate_of(caller, read.access)):
            return False

        def charged(admission: Admission | None) -> None:
            ready = None
            try:
                if admission is not None:
                    ready = self._recorded(
                        read, caller, answer, admission, offered_id=offered_id, now=now, began_ns=began_ns
                    )
            finally:
                deliver(ready)
                # The calls that came behind this one may have been answered after the loop's next poll began.
                self._iteration = None

        return admit_soon(
            caller, read.access, cost=cost, redis=self._redis, then=charged, address=read.charged_address
        )

    def _key(self, peer: str, data: bytes) -> tuple[_Key, str | None]:
        """Return a request's key, and its X-Correlation-ID if that may be accepted. Of several none is."""
        found = _OFFERED_ID.search(data)
        if found is not None:
            data = data[: found.start()] + data[found.end() :]
            found = None if _ID_LINE.search(data) else found
        # The bytes contain the caller's key, which no process keeps.
        digest = hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=self._secret).digest()
        return (peer, digest), None if found is None else found[1].decode("latin-1")

    def _newest_iteration(self) -> object | None:
        """Return an object that stands for the loop's iteration, in which freshness is checked once.

        None if an iteration may poll for data several times. All requests of one poll were sent before it.
        """
        if self._iteration is None:
            if self._connections() >= _ONE_POLL_CONNECTIONS:
                return None
            self._iteration = object()
            # Called before the next poll.
            asyncio.get_running_loop().call_soon(self._end_iteration)
        return self._iteration

    def _end_iteration(self) -> None:
        self._iteration = None

    def _recorded(
        self,
        read: _Read,
        caller: Caller,
        answer: FinishedAnswer,
        admission: Admission,
        *,
        offered_id: str | None,
        now: datetime,
        began_ns: int,
    ) -> ReadyAnswer:
        """Record a call that was admitted, and return its answer."""
        correlation_id = accepted_id(offered_id)
        call_record(
            spool=self._spool,
            call=read.call,
            at=now,
            caller=caller.identity,
            status=answer.status,
            latency_us=(perf_counter_ns() - began_ns) // 1000,
            correlation_id=correlation_id,
        )
        lines = (
            read.lines(answer)
            + admission_lines(admission)
            + header_lines(encoded_headers(correlation_headers(correlation_id).items()))
        )
        count_answer(read.route, "GET", answer.status, began_ns=began_ns)
        EVENT_LOOP_ANSWERS.inc()
        return ReadyAnswer(answer.status, lines, answer.body)
