"""Calls of an exchange by ccxt: its pace, its circuit breaker, and its errors as sentences.

ccxt is loaded by the first call: it takes 100 MB, and must not be there before a fork.
"""

import fcntl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from ops.breaker import Breaker
from sources.protocol import FORM_ERRORS, SourceError, SourceFailed, SourceRefused, SourceUnreadable

_FAILURES, _PAUSE, _WAIT = 5, 60.0, 30.0
_CLOCKS_APART_MS = 5_000
_TIMEOUT_MS = 20_000
_LONGEST_SLEEP = 10.0
_COUNTRY_REFUSED, _TOO_MANY = (403, 451), (418, 429)


class SharedPace:
    """Says when the next request of a source may be sent: one pace for all processes of the machine.

    The instant is in a file that is locked while it changes. The clock is the machine's, because processes share it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._path = Path(settings.RUN_DIR) / "sources" / f"{name}.pace"

    def wait(self, seconds: float) -> None:
        """Wait for one's turn. The next one's turn is `seconds` later.

        Raises `SourceFailed` if that takes long, because the source asked all callers to wait.
        """
        wait = self._turn(time.time(), seconds) - time.time()
        if wait > _LONGEST_SLEEP:
            raise SourceFailed(f"{self._name} is not asked for {wait:.0f} s more, as it wished", wait)
        time.sleep(max(0.0, wait))

    def hold(self, seconds: float) -> None:
        """Let nobody ask the source for some seconds."""
        self._turn(time.time() + seconds, 0.0)

    def _turn(self, earliest: float, seconds: float) -> float:
        """Return the instant of the next turn, and move it on, unless it is too far ahead to be taken."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            mine = max(earliest, float(file.read() or 0))
            if not seconds or mine - time.time() <= _LONGEST_SLEEP:
                file.truncate(0)
                file.write(f"{mine + seconds:.6f}")
        return mine


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
            difference = f"{abs(apart) / 1000:.0f} s {'ahead of' if apart > 0 else 'behind'} {self._name}'s"
            raise SourceRefused(f"this machine's clock is {difference}: set it")
        return now_ms

    def loaded(self, is_contract: bool) -> Any:
        """Return ccxt's object with the markets of spot or of contracts; most exchanges list both at once."""
        with self._lock:
            if is_contract not in self._loaded:
                client = self._made_client()
                types = client.options.get("fetchMarkets")
                is_split = isinstance(types, dict) and isinstance(types.get("types"), list)
                if is_split:
                    types["types"] = [each for each in types["types"] if (each != "spot") == is_contract]
                self.call(client.load_markets)
                self._loaded |= {is_contract: client} if is_split else {True: client, False: client}
            return self._loaded[is_contract]

    def load_live(self) -> Any:
        """Load ccxt's WebSockets; return their module."""
        import ccxt.pro  # noqa: PLC0415 it takes 100 MB
        from ccxt.async_support.base.ws.client import Client  # noqa: PLC0415

        # ccxt takes messages out of aiohttp's queue without the overhead that aiohttp counts for each: after some thousand
        # messages the queue counts as full for ever, and aiohttp reads no more from the socket.
        Client.buffer = None
        return ccxt.pro

    def live(self, options: Mapping[str, Any], *, is_contract: bool) -> Any:
        """Return another object of ccxt, for WebSockets, with the markets of `loaded`."""
        known = self.loaded(is_contract)
        client = getattr(self.load_live(), self._exchange)({"options": options})
        client.set_markets_from_exchange(known)
        if self._url:
            client.urls["api"] = _moved(client.urls["api"], self._url)
        return client

    def _made_client(self) -> Any:
        import ccxt  # noqa: PLC0415 it takes 100 MB

        client = getattr(ccxt, self._exchange)({"timeout": _TIMEOUT_MS})
        client.throttle = lambda cost=1: self._pace.wait(client.rateLimit / 1000 * cost)
        client.on_rest_response = self._note_answer
        parse = client.parse_ohlcv
        client.parse_ohlcv = lambda row, market=None: _with_time(parse(row, market))
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
            except FORM_ERRORS as error:
                raise SourceUnreadable(f"{self._name} answered in another form than expected") from error
            except Exception as error:
                if not type(error).__module__.startswith("ccxt"):
                    raise
                failure = self.failure(error, *self._answer)
                if isinstance(failure, SourceFailed) and failure.retry_after is None:
                    self._breaker.failed(self)
                raise failure from error
            self._breaker.succeeded()
            return found

    def failure(self, error: Exception, status: int, headers: Mapping[str, str]) -> SourceError:
        """Return a `SourceError` for one of ccxt's. status, headers: of the answer; 0 without one."""
        import ccxt  # noqa: PLC0415 it takes 100 MB

        if status in _COUNTRY_REFUSED:
            elsewhere = " or ".join(self._elsewhere) or "an exchange of your country"
            return SourceRefused(
                f"{self._name} refuses your country or address ({status}): fetch from {elsewhere}"
            )
        if isinstance(error, (ccxt.DDoSProtection, ccxt.RateLimitExceeded)) or status in _TOO_MANY:
            asked = headers.get("Retry-After", "")
            wait = float(asked) if asked.isdecimal() else _WAIT
            # Whoever goes on is banned.
            self._pace.hold(wait)
            return SourceFailed(f"{self._name} got too many requests and asks to wait {wait:.0f} s", wait)
        if isinstance(error, ccxt.OperationFailed):
            is_late = isinstance(error, ccxt.RequestTimeout)
            what = f"no answer in {_TIMEOUT_MS // 1000} s" if is_late else "no connection"
            return SourceFailed(f"{self._name} is away ({f'status {status}' if status else what})")
        return SourceRefused(f"{self._name} refuses the question: {str(error)[:200]}")

    def _left_alone(self) -> SourceFailed:
        told = f"{self._name} failed {_FAILURES} times in a row and is left alone for {_PAUSE:.0f} s"
        return SourceFailed(told, _PAUSE)


def _moved(urls: Any, url: str) -> Any:
    """Return the URLs of an exchange at another host, with their paths."""
    if isinstance(urls, dict):
        return {name: _moved(each, url) for name, each in urls.items()}
    return url + urlsplit(urls).path if isinstance(urls, str) else urls


def _with_time(candle: list[Any]) -> list[Any]:
    """Return a candle. Raises `TypeError` for one without a time: ccxt would leave it out, as if nobody had traded."""
    return [int(candle[0]), *candle[1:]]
