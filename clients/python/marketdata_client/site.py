"""The server, as a client knows it: its URL, the credential, what to retry, how much to accept."""

import datetime as dt
import math
import random
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypedDict
from urllib.parse import quote, urlencode, urlsplit

import httpx

from marketdata_client.credentials import Anonymous, ApiKey, BearerToken, Credential
from marketdata_client.errors import MarketDataError, Refused
from marketdata_client.steps import Request

Parameter: TypeAlias = str | int | float | bool | dt.date | dt.datetime | Sequence[str] | None
USER_AGENT = "marketdata-client/0.1.0"
# 503 of these does not pass by itself.
_LASTING = frozenset({"data_damaged"})
_PASSING = frozenset({429, 502, 503, 504})
_IDEMPOTENCY_KEY = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Retries:
    """When a request is sent again. Only GETs and requests with an idempotency key are.

    attempts: how often at most, the first included; `math.inf`: for ever. longest_pause: seconds; if a server asks for
    more, the error is raised at once, or with `math.inf` it is asked then. Without a Retry-After, pauses double from
    `first_pause` on, with a random part. statuses: those that may pass beside 429, 502, 503 and 504. on_pause: is told
    what failed and the seconds until the next attempt.
    """

    attempts: float = 6
    first_pause: float = 0.25
    longest_pause: float = 60.0
    statuses: Collection[int] = ()
    on_pause: Callable[[MarketDataError, float], object] = lambda _error, _seconds: None

    def pause(self, attempt: int, refused: Refused | None) -> float | None:
        """Return the seconds to wait after a failed attempt, counted from 1; None if it is the last. refused: the answer, if any."""
        if attempt >= self.attempts:
            return None
        if refused is not None and not (refused.status in self.statuses or _may_pass(refused)):
            return None
        wanted = refused.retry_after if refused is not None else None
        if self.attempts == math.inf:
            return min(max(wanted or 0.0, self.back_off(attempt)), self.longest_pause)
        if wanted is None:
            return self.back_off(attempt)
        return wanted if wanted <= self.longest_pause else None

    def back_off(self, attempt: int) -> float:
        """Return the seconds of a pause that nobody asked for, with a random part so that clients spread."""
        doubled = self.first_pause * 2.0 ** min(attempt - 1, 20)
        return float(min(doubled, self.longest_pause) * random.uniform(0.5, 1.0))  # noqa: S311 no secret


def _may_pass(refused: Refused) -> bool:
    if refused.code == "in_progress":
        return True
    return refused.status in _PASSING and refused.code not in _LASTING


@dataclass(frozen=True, slots=True)
class Call:
    """A request before it has a URL and a credential. path: below the base URL, percent-encoded."""

    method: str
    path: str
    query: Mapping[str, Parameter] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_repeatable(self) -> bool:
        return self.method == "GET" or _IDEMPOTENCY_KEY in self.headers


@dataclass(frozen=True, slots=True)
class Site:
    """base_url: without a slash at the end. The others: see `Options`."""

    base_url: str
    credential: Credential
    retries: Retries = Retries()
    timeout: float = 30.0
    max_answer: int = 64 * 2**20
    max_rows: int = 20_000_000
    compression: bool = True
    ssl_context: ssl.SSLContext | None = None
    trust_env: bool = True

    def request(self, call: Call) -> Request:
        """Return the request to send, signed anew if the credential signs."""
        query = query_text(call.query)
        url = self._url(call.path + (f"?{query}" if query else ""))
        encoding = "gzip" if self.compression else "identity"
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": encoding, **call.headers}
        headers |= self.credential.headers(call.method, url, headers, call.body)
        return Request(call.method, url, headers, call.body)

    def websocket(self, path: str) -> Request:
        """Return the request that opens a WebSocket. A signature is of the http URL, which the server sees."""
        url = self._url(path)
        headers = self.credential.headers("GET", url, {}, b"")
        return Request("GET", "ws" + url.removeprefix("http"), headers)

    def _url(self, target: str) -> str:
        return str(httpx.URL(self.base_url + target))


class Options(TypedDict, total=False):
    """What a client may be told beside its URL and key.

    token: an access token, or credential: a `Signer`, instead of a key. retries: when to send again. timeout: seconds
    without any byte (30); a whole answer takes at most ten times as long. max_answer: bytes of an answer that is not
    streamed (64 MiB). max_rows: of a table that is read in whole (20 million). compression: whether to ask for gzip
    (True). ssl_context: instead of the usual one. trust_env: whether the environment's proxies and certificates are used
    (True); the live feed never asks a proxy.
    """

    token: str
    credential: Credential
    retries: Retries
    timeout: float
    max_answer: int
    max_rows: int
    compression: bool
    ssl_context: ssl.SSLContext
    trust_env: bool


def make_site(base_url: str, key: str | None, options: Options) -> Site:
    """Return a site. Raises ValueError if the URL is not of http or https, or a credential is wrong."""
    known: dict[str, Any] = {**options}
    token, credential = known.pop("token", None), known.pop("credential", None)
    if sum(each is not None for each in (key, token, credential)) > 1:
        raise ValueError("give one of key, token and credential")
    if key is not None:
        credential = ApiKey(key)
    if token is not None:
        credential = BearerToken(token)
    return Site(_checked(base_url), credential or Anonymous(), **known)


def _checked(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("the base URL must begin with http:// or https:// and have a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("the base URL must have no user, no query and no fragment")
    return base_url.rstrip("/")


def query_text(query: Mapping[str, Parameter]) -> str:
    """Return a query string. Parameters that are None are left out."""
    return urlencode(
        {name: _text(value) for name, value in query.items() if value is not None}, quote_via=quote, safe=""
    )


def _text(value: Parameter) -> str:
    match value:
        case bool():
            return str(int(value))
        case dt.datetime():
            if value.tzinfo is None:
                raise ValueError(f"{value} has no time zone; use datetime.UTC")
            return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
        case str() | int() | float() | dt.date():
            return str(value)
        case None:
            return ""
        case _:
            return ",".join(value)


def segment(text: str) -> str:
    """Return a text as one segment of a path."""
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot be a part of a path")
    return quote(text, safe="")
