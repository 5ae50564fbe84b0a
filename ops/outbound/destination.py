"""A destination: another host that is asked over HTTP, with its limits, its breaker and its credentials."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import httpx
import msgspec
import tenacity

from ops.breaker import Breaker
from ops.outbound.addresses import parse_base_url
from ops.outbound.exceptions import (
    AnswerCut,
    AnswerMalformed,
    AnswerTooLarge,
    BreakerOpen,
    DestinationRefused,
    DestinationUnavailable,
    UnexpectedStatus,
)
from ops.outbound.network import CheckedTransport
from ops.outbound.pace import Pace

_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
# A `Retry-After` up to this many seconds is waited for; after a longer one the caller decides.
RETRY_AFTER_LIMIT = 30.0
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 10.0
_ERROR_BODY_BYTES = 4096
_JSON_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of calls.

    connect, read: seconds to connect, and between two pieces of an answer. total: seconds of a whole call: its
    attempts, the waits between them, and the answer with what the caller does meanwhile. max_bytes: of an answer.
    rate: attempts a second in this process; None for no limit. attempts: at most so many per call.
    failures: so many calls in a row that fail open the breaker, for `open_seconds`.
    """

    connect: float = 5.0
    read: float = 30.0
    total: float = 600.0
    max_bytes: int = 2**30
    rate: float | None = None
    attempts: int = 3
    failures: int = 3
    open_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            is_number = isinstance(value, int | float) and value > 0
            if not is_number and (name, value) != ("rate", None):
                raise ValueError(f"{name} is a number above zero")


@dataclass(frozen=True, slots=True)
class DestinationAnswer:
    """An answer with a status of 2xx. `pieces` gives its body once; it raises `AnswerCut`, `AnswerTooLarge`."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


class Destination:
    """Another host. Make one per process and host, and keep it: it holds the circuit breaker and the pace.

    name: for errors and logs. headers: of every request, such as credentials; they are never logged or shown.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises `DestinationRefused` for a URL that may not be asked, or a header that is none."""
        self.name = name
        self._url = parse_base_url(name, base_url)
        self._headers = {"Accept-Encoding": "identity", **(headers or {})}
        if not all(_is_header(value) for value in self._headers.values()):
            raise DestinationRefused(name, "a header or credential has characters that no header may have")
        self._limits = limits or Limits()
        self._pace = Pace(self._limits.rate)
        self._breaker = Breaker(
            pause=self._limits.open_seconds,
            refusal=partial(BreakerOpen, name, self._limits.open_seconds),
            failures=self._limits.failures,
        )

    def __repr__(self) -> str:
        return f"Destination({self.name!r})"

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Iterator[DestinationAnswer]:
        """GET `path` below the base URL, or POST a form to it, and yield the answer while its body is read.

        Until the answer begins, failed attempts are repeated. Redirects are not followed. path: begins with "/";
        its parts are percent-encoded. Raises `OutboundError`s.
        """
        deadline = time.monotonic() + self._limits.total
        with self._guarded(), self._client(deadline) as client:
            method = "GET" if form is None else "POST"
            request = client.build_request(method, self._target(path, params), headers=headers, data=form)
            with closing(self._retrying()(self._attempt, client, request)) as response:
                yield DestinationAnswer(response.status_code, response.headers, self._pieces(response))

    def get_json(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        max_bytes: int = _JSON_BYTES,
    ) -> tuple[Any, Mapping[str, str]]:
        """GET `path`; return the answer's JSON document, and its headers. Raises `OutboundError`s."""
        with self.stream(path, params=params) as answer:
            body = bytearray()
            for piece in answer.pieces:
                body += piece
                if len(body) > max_bytes:
                    raise AnswerTooLarge(self.name, f"a document has at most {max_bytes:,} bytes")
        try:
            return msgspec.json.decode(body), answer.headers
        except (ValueError, RecursionError):
            raise AnswerMalformed(self.name, "the answer is not JSON") from None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Count the call in the breaker. Raises `BreakerOpen`."""
        call = object()
        self._breaker.check(call)
        try:
            yield
        except BaseException as error:
            if self._is_failure(error):
                self._breaker.failed(call)
            else:
                self._breaker.succeeded()
            raise
        self._breaker.succeeded()

    def _is_failure(self, error: BaseException | None) -> bool:
        """Return whether this destination failed. Errors of a caller are no failures, unless one of these caused them."""
        while error is not None:
            if isinstance(error, DestinationUnavailable) and error.destination == self.name:
                return True
            error = error.__cause__ or error.__context__
        return False

    def _client(self, deadline: float) -> httpx.Client:
        transport = CheckedTransport(self.name, deadline)
        return checked_client(transport, self._headers, self._limits)

    def _target(self, path: str, params: Mapping[str, str] | None) -> httpx.URL:
        if not path.startswith("/"):
            raise DestinationRefused(self.name, "a path begins with /")
        url = self._url.copy_with(path=self._url.path.rstrip("/") + path)
        return url.copy_merge_params(params) if params else url

    def _retrying(self) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(DestinationUnavailable),
            wait=_wait,
            stop=tenacity.stop_after_attempt(self._limits.attempts)
            | tenacity.stop_before_delay(self._limits.total),
            reraise=True,
        )

    def _attempt(self, client: httpx.Client, request: httpx.Request) -> httpx.Response:
        """Send the request once, and return the answer, unread. Raises `OutboundError`s."""
        self._pace.wait()
        try:
            response = client.send(request, stream=True)
        except httpx.HTTPError as error:
            # An error of the library may quote a header.
            raise DestinationUnavailable(self.name, f"no answer ({type(error).__name__})") from None
        try:
            self._check(response)
        except BaseException:
            response.close()
            raise
        return response

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in _LATER:
            raise DestinationUnavailable(self.name, f"answered {status}", seconds_asked(response))
        if not response.is_success:
            raise UnexpectedStatus(self.name, status, self._beginning(response))
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise AnswerMalformed(self.name, "the answer is compressed; identity was asked for")

    def _beginning(self, response: httpx.Response) -> bytes:
        try:
            return next(response.iter_raw(_ERROR_BODY_BYTES), b"")
        except httpx.HTTPError:
            return b""

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        total = 0
        try:
            for piece in response.iter_raw():
                total += len(piece)
                if total > self._limits.max_bytes:
                    raise AnswerTooLarge(self.name, f"the answer has over {self._limits.max_bytes:,} bytes")
                yield piece
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise AnswerCut(self.name, f"the answer broke off ({type(error).__name__})") from None


def checked_client(transport: CheckedTransport, headers: Mapping[str, str], limits: Limits) -> httpx.Client:
    """Return a client that follows no redirect and ignores the environment."""
    return httpx.Client(
        transport=transport,
        headers=headers,
        timeout=httpx.Timeout(limits.read, connect=limits.connect),
        follow_redirects=False,
        trust_env=False,
    )


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()


_jittered = tenacity.wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT)


def _wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds until the next attempt: random, doubling, or as the destination asks."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = getattr(error, "retry_after", None) or 0.0
    return float("inf") if asked > RETRY_AFTER_LIMIT else max(_jittered(state), asked)


def seconds_asked(response: httpx.Response) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110, 10.2.3); None without a valid one.

    Of a 429 without it, those to `X-RateLimit-Reset`, which is an instant in seconds since 1970.
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    reset = response.headers.get("X-RateLimit-Reset", "").strip()
    if (
        not text
        and response.status_code == httpx.codes.TOO_MANY_REQUESTS
        and reset.isascii()
        and reset.isdigit()
    ):
        return max(0.0, float(reset[:10]) - time.time())
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
