"""Answers in the event loop: calls whose caller and answer this process has at hand.

Nothing here waits for Redis, the database or a thread: the answer follows when Redis has charged the call. A call for
which anything must be read or computed elsewhere is left to the front.
"""

import asyncio
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter_ns
from typing import NamedTuple

from django.core.signals import setting_changed

from audit.services import call_record, call_spool
from front.answers import WITHOUT_BODY, count_answer
from front.environ import environ_for
from front.prepared import MAX_PREPARED, PreparedCall, key_of, prepared_call
from front.ready_answer import AWAITED, Awaited, Deliver, ReadyAnswer
from ops.metrics.declarations import EVENT_LOOP_ANSWERS
from ops.redis.loop_connection import LoopConnection
from ratelimit.access.denials import denial_of
from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_if_cached, only_key_digest
from ratelimit.limits.admission import Admission, admission_lines
from ratelimit.limits.services import admit_soon, rate_of
from ratelimit.limits.token_bucket import burst_of
from stats.delivery.finished_answers import FinishedAnswer
from web.correlation import accepted_id, correlation_headers
from web.proxies import address_of, is_trusted, trusted_environ, unmapped
from web.requests.received import ReceivedCall, call_in

# Headers of bodies, sessions, signatures, certificates and other protocols.
_NOT_PLAIN = frozenset(
    {
        b"content-length", b"content-type", b"transfer-encoding", b"expect", b"upgrade", b"cookie", b"origin",
        b"signature", b"signature-input", b"x-ssl-client-cert",
    }
)  # fmt: skip
# nginx always sends X-SSL-Client-Verify.
_NO_CERTIFICATE = (b"", b"NONE")
# The headers that decide what a call means, in any order.
_DECIDING = (b"accept", b"accept-encoding", b"host", b"x-forwarded-host", b"x-forwarded-proto")
MAX_REMEMBERED = 4_096
# Longer requests are not remembered, which bounds the memory of those that are.
_REMEMBERED_BYTES = 1_024
_DIGEST_BYTES = 16
# uvloop takes 1,024 events from a poll. If there are as many, it polls again in the same turn. Some are not clients'.
_ONE_POLL_CONNECTIONS = 1_000

_Key = tuple[str, bytes]
"""A peer's address, and a keyed hash of a request's bytes."""


class _KnownCall:
    """A GET without its address and its other headers, prepared; and the header lines of its last answer."""

    __slots__ = ("_sent", "call", "prepared")

    def __init__(self, call: ReceivedCall, prepared: PreparedCall) -> None:
        self.call = call
        self.prepared = prepared
        self._sent: tuple[dict[str, str], bytes] | None = None

    def call_from(self, address: str) -> ReceivedCall:
        """Return the call as a client at this address sends it."""
        method, scheme, host, path, target, query, _, headers = self.call
        return ReceivedCall(method, scheme, host, path, target, query, address, headers)

    def lines(self, answer: FinishedAnswer) -> bytes:
        """Return the header lines that do not depend on the caller. They are written once for the same headers."""
        sent = self._sent
        if sent is None or sent[0] is not answer.headers:
            headers = self.prepared.headers_of(answer, self.call)
            if answer.status not in WITHOUT_BODY:
                headers["Content-Length"] = str(len(answer.body))
            sent = self._sent = answer.headers, _lines(headers)
        return sent[1]


class _PlainCall(NamedTuple):
    """A parsed GET: what it means, as received, and three of its headers. client_id: the client's X-Correlation-ID.

    key: its name among the remembered calls.
    """

    key: _Key
    known: _KnownCall
    received: ReceivedCall
    key_digest: str
    if_none_match: str | None
    client_id: str | None


class LoopDoor:
    """Finds an answer in this process's memory, charges the caller and records the call. A `Door`.

    connections: returns the number of this process's open connections.
    """

    def __init__(self, connections: Callable[[], int] = lambda: 0) -> None:
        self._spool = call_spool()
        self._connections = connections
        self._redis = LoopConnection()
        self._newest_poll: object | None = None
        self._calls: OrderedDict[_Key, _PlainCall] = OrderedDict()
        self._secret = os.urandom(_DIGEST_BYTES)
        EVENT_LOOP_ANSWERS.add(amount=0)

    def recalled(self, peer: str, data: bytes) -> _PlainCall | None:
        """Return what `read` made of the same bytes; None if it is not remembered."""
        if len(data) > _REMEMBERED_BYTES:
            return None
        key = self._key(peer, data)
        call = self._calls.get(key)
        if call is not None:
            self._calls.move_to_end(key)
        return call

    def read(
        self, peer: str, data: bytes, target: bytes, headers: list[tuple[bytes, bytes]]
    ) -> _PlainCall | None:
        """Return the call; None if the process does not know its key or what it means."""
        values = dict(headers)
        if len(values) < len(headers) or not _are_plain(tuple(values)):
            return None
        if values.get(b"x-ssl-client-verify", b"NONE") not in _NO_CERTIFICATE:
            return None
        is_proxy = is_trusted(peer)
        address = address_of(peer, _text(values, b"x-forwarded-for") or "") if is_proxy else unmapped(peer)
        digest = only_key_digest(
            authorization=_text(values, b"authorization"), x_api_key=_text(values, b"x-api-key")
        )
        # Nobody without a key fills the caches of calls.
        if digest is None or caller_if_cached(digest, address=address, now=datetime.now(UTC)) is None:
            return None
        known = _known_call(target, peer if is_proxy else "", tuple([values.get(name) for name in _DECIDING]))
        if known is None:
            return None
        client_id = _text(values, b"x-correlation-id")
        key, if_none_match = self._key(peer, data), _text(values, b"if-none-match")
        call = _PlainCall(key, known, known.call_from(address), digest, if_none_match, client_id)
        # Calls with their own ids are all different.
        if client_id is None and len(data) <= _REMEMBERED_BYTES:
            self._remember(call)
        return call

    def answer(self, call: _PlainCall, deliver: Deliver) -> Awaited | None:
        """Return AWAITED; None if it must be read or computed, or the caller is refused."""
        began_ns = perf_counter_ns()
        now, prepared = datetime.now(UTC), call.known.prepared
        caller = caller_if_cached(call.key_digest, address=call.received.address, now=now)
        if caller is None or denial_of(caller, prepared.access) is not None:
            return None
        answer = prepared.answer.finished_if_cached(
            if_none_match=call.if_none_match, now_ns=time.time_ns(), poll=self._poll()
        )
        if answer is None:
            # The front may have prepared the call again, and hold its newest answer there.
            self._calls.pop(call.key, None)
            return None
        if answer.tokens > prepared.cost or prepared.cost > burst_of(rate_of(caller, prepared.access)):
            # The front charges what the work costs beyond the first charge.
            return None

        def charged(admission: Admission | None) -> None:
            made = None
            try:
                if admission is not None:
                    made = self._recorded(call, caller, answer, admission, now=now, began_ns=began_ns)
            finally:
                deliver(made)
                # The calls that came behind this one may have been answered after the loop's next poll began.
                self._newest_poll = None

        access, cost = prepared.access, prepared.cost
        is_sent = admit_soon(caller, access, cost=cost, redis=self._redis, then=charged)
        return AWAITED if is_sent else None

    def _key(self, peer: str, data: bytes) -> _Key:
        # The bytes contain the caller's key, which no process keeps.
        return peer, hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=self._secret).digest()

    def _remember(self, call: _PlainCall) -> None:
        if len(self._calls) >= MAX_REMEMBERED:
            self._calls.popitem(last=False)
        self._calls[call.key] = call

    def _poll(self) -> object | None:
        """Return an object that stands for the event loop's newest poll for data; None if a turn may have several."""
        if self._newest_poll is None:
            if self._connections() >= _ONE_POLL_CONNECTIONS:
                return None
            self._newest_poll = object()
            # Called before the next poll.
            asyncio.get_running_loop().call_soon(self._end_poll)
        return self._newest_poll

    def _end_poll(self) -> None:
        self._newest_poll = None

    def _recorded(
        self,
        call: _PlainCall,
        caller: Caller,
        answer: FinishedAnswer,
        admission: Admission,
        *,
        now: datetime,
        began_ns: int,
    ) -> ReadyAnswer:
        """Record a call that was admitted, and return its answer."""
        known, correlation_id = call.known, accepted_id(call.client_id)
        call_record(
            spool=self._spool,
            call=call.received,
            at=now,
            caller=caller.identity,
            status=answer.status,
            latency_us=(perf_counter_ns() - began_ns) // 1000,
            correlation_id=correlation_id,
        )
        lines = known.lines(answer) + admission_lines(admission) + _lines(correlation_headers(correlation_id))
        count_answer(known.prepared.route, "GET", answer.status, began_ns=began_ns)
        EVENT_LOOP_ANSWERS.add()
        return ReadyAnswer(answer.status, lines, answer.body)


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("latin-1")


@lru_cache(maxsize=1_024)
def _are_plain(names: tuple[bytes, ...]) -> bool:
    """Return whether no header is dropped by the front (`_` in its name), or in need of more than this."""
    return b"host" in names and _NOT_PLAIN.isdisjoint(names) and not any(b"_" in name for name in names)


@lru_cache(maxsize=MAX_PREPARED)
def _known_call(target: bytes, proxy: str, deciding: tuple[bytes | None, ...]) -> _KnownCall | None:
    """Return what a GET means; None if the front must answer it. proxy: the peer if it is a trusted proxy, else ""."""
    if not target.startswith(b"/") or not target.isascii() or b"#" in target:
        return None
    path, _, query = target.partition(b"?")
    environ = environ_for(
        {
            "method": "GET",
            "raw_path": path,
            "query_string": query,
            "http_version": "1.1",
            "client": (proxy, 0),
            "scheme": "http",
            "headers": [(n, v) for n, v in zip(_DECIDING, deciding, strict=True) if v is not None],
        }
    )
    trusted_environ(environ)
    call = call_in(environ)
    prepared = prepared_call(key_of(call, environ))
    return None if prepared is None else _KnownCall(call, prepared)


def _text(values: dict[bytes, bytes], name: bytes) -> str | None:
    value = values.get(name)
    return None if value is None else value.decode("latin-1")


# Only tests change settings.
setting_changed.connect(lambda **_: _known_call.cache_clear(), weak=False, dispatch_uid=__name__)
