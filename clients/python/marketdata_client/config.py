"""What a client is told: the server's URL, the credential, what to retry, how much to accept."""

import math
import random
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypedDict
from urllib.parse import urlsplit

import httpx

from marketdata_client.credentials import Anonymous, ApiKey, BearerToken, Credential
from marketdata_client.errors import MarketDataError, Refused
from marketdata_client.requests import Request, query_text

VERSION = files("marketdata_client").joinpath("VERSION").read_text().strip()
USER_AGENT = f"marketdata-client/{VERSION}"
# 503 of these does not pass by itself.
_LASTING = frozenset({"data_damaged"})
_PASSING = frozenset({429, 502, 503, 504})


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

    def pause(self, attempt: int, error: MarketDataError) -> float | None:
        """Return the seconds to wait after a failed attempt, counted from 1; None if it was the last."""
        refused = error if isinstance(error, Refused) else None
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
    if refused.code in {"in_progress", "upload_busy"}:
        return True
    return refused.status in _PASSING and refused.code not in _LASTING


@dataclass(frozen=True, slots=True)
class ClientConfig:
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

    def target(self, request: Request) -> tuple[str, dict[str, str]]:
        """Return a request's absolute URL and all its headers, signed anew if the credential signs."""
        query = query_text(request.query)
        url = self._url(request.path + (f"?{query}" if query else ""))
        encoding = "gzip" if self.compression else "identity"
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": encoding, **request.headers}
        return url, headers | self.credential.headers(request.method, url, headers, request.body)

    def websocket(self, path: str) -> tuple[str, dict[str, str]]:
        """Return a WebSocket's absolute URL and its headers. A signature is of the http URL, which the server sees."""
        url = self._url(path)
        return "ws" + url.removeprefix("http"), self.credential.headers("GET", url, {}, b"")

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


def make_config(base_url: str, key: str | None, options: Options) -> ClientConfig:
    """Raises ValueError if the URL is not of http or https, or a credential is wrong."""
    known: dict[str, Any] = {**options}
    token, credential = known.pop("token", None), known.pop("credential", None)
    if sum(each is not None for each in (key, token, credential)) > 1:
        raise ValueError("give one of key, token and credential")
    if key is not None:
        credential = ApiKey(key)
    if token is not None:
        credential = BearerToken(token)
    return ClientConfig(_checked(base_url), credential or Anonymous(), **known)


def _checked(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("the base URL must begin with http:// or https:// and have a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("the base URL must have no user, no query and no fragment")
    return base_url.rstrip("/")
