"""Calls of an exchange by ccxt: its pace, its circuit breaker, and its errors as sentences.

ccxt is loaded by the first call: it takes 100 MB, and must not be there before a fork.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ops.breaker import Breaker
from sources.protocol import SourceFailed, SourceRefused
from sources.shared_pace import SharedPace

_FAILURES, _PAUSE, _WAIT = 5, 60.0, 30.0
_CLOCKS_APART_MS = 5_000
_COUNTRY_REFUSED = (403, 451)


class ExchangeClient:
    """ccxt's object of an exchange. url: is asked instead of its hosts. elsewhere: for people whose country it refuses."""

    def __init__(self, name: str, exchange: str, url: str, elsewhere: tuple[str, ...]) -> None:
        self._name, self._exchange, self._url, self._elsewhere = name, exchange, url.rstrip("/"), elsewhere
        self._loaded: dict[bool, Any] = {}
        self._lock = threading.RLock()
        self._pace = SharedPace(name)
        self._breaker = Breaker(pause=_PAUSE, failures=_FAILURES, refusal=self._left_alone)
        self._answer: tuple[int, Mapping[str, str]] = (0, {})

    def now_ms(self, client: Any) -> int:
        """Return the exchange's time. Raises SourceRefused if this machine's clock is far from it."""
        if not client.has.get("fetchTime"):
            return int(time.time() * 1000)
        before = time.time() * 1000
        now_ms: int = self.call(client.fetch_time)
        apart = (before + time.time() * 1000) / 2 - now_ms
        if abs(apart) > _CLOCKS_APART_MS:
            way = "ahead of" if apart > 0 else "behind"
            raise SourceRefused(
                f"this machine's clock is {abs(apart) / 1000:.0f} s {way} {self._name}'s: set it"
            )
        return now_ms

    def loaded(self, is_contract: bool) -> Any:
        """Return ccxt's object with the markets of spot or of contracts; most exchanges list both at once."""
        with self._lock:
            if is_contract not in self._loaded:
                client = self._made_client()
                types = client.options.get("fetchMarkets")
                if isinstance(types, dict) and isinstance(types.get("types"), list):
                    types["types"] = [each for each in types["types"] if (each != "spot") == is_contract]
                else:
                    self._loaded[not is_contract] = client
                self.call(client.load_markets)
                self._loaded[is_contract] = client
            return self._loaded[is_contract]

    def _made_client(self) -> Any:
        import ccxt  # noqa: PLC0415 it takes 100 MB

        client = getattr(ccxt, self._exchange)({"timeout": 20_000})
        client.throttle = lambda cost=None: self._pace.wait(
            client.rateLimit / 1000 * (1 if cost is None else cost)
        )
        client.on_rest_response = self._note_answer
        if self._url:
            client.urls["api"] = _moved(client.urls["api"], self._url)
        return client

    def _note_answer(self, status: int, *answer: Any) -> str:
        """Keep status and headers, which ccxt's errors lack."""
        _reason, _url, _method, headers, body, *_ = answer
        self._answer = (status, headers)
        return str(body).strip()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method of ccxt. Raises `SourceError`s."""
        with self._lock:
            self._breaker.check(self)
            self._answer = (0, {})
            try:
                found = function(*arguments)
            except Exception as error:
                if not type(error).__module__.startswith("ccxt"):
                    raise
                raise self._translated(error) from error
            self._breaker.succeeded()
            return found

    def _translated(self, error: Exception) -> Exception:
        """Return a `SourceError` for one of ccxt's."""
        import ccxt  # noqa: PLC0415 it takes 100 MB

        status, headers = self._answer
        if status in _COUNTRY_REFUSED:
            elsewhere = " or ".join(self._elsewhere) or "an exchange of your country"
            return SourceRefused(
                f"{self._name} refuses your country or address ({status}): fetch from {elsewhere}"
            )
        if isinstance(error, (ccxt.DDoSProtection, ccxt.RateLimitExceeded)):
            asked = headers.get("Retry-After", "")
            wait = float(asked) if asked.isdecimal() else _WAIT
            # Whoever goes on is banned.
            self._pace.hold(wait)
            return SourceFailed(f"{self._name} got too many requests and asks to wait {wait:.0f} s", wait)
        if isinstance(error, ccxt.OperationFailed):
            self._breaker.failed(self)
            return SourceFailed(
                f"{self._name} does not answer ({f'status {status}' if status else type(error).__name__})"
            )
        return SourceRefused(f"{self._name} refuses the question: {_shortened(str(error))}")

    def _left_alone(self) -> SourceFailed:
        return SourceFailed(
            f"{self._name} failed {_FAILURES} times in a row and is left alone for {_PAUSE:.0f} s", _PAUSE
        )


def _moved(urls: Any, url: str) -> Any:
    """Return the URLs of an exchange at another host, with their paths."""
    if isinstance(urls, dict):
        return {name: _moved(each, url) for name, each in urls.items()}
    return url + urlsplit(urls).path if isinstance(urls, str) else urls


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"
