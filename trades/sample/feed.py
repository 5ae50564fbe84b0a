"""The demo market as a feed: which requests are due at an instant.

Trades are those of `trades.sample.market`, each due when it is received. Those of equities are the ones that `manage.py sample`
stores, so the next start stores what the feed left out. Nothing here reads a clock or a store.
"""

import datetime as dt
import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from store.instruments import CRYPTO, Instrument
from store.timestamps import MINUTE_NS, SECOND_NS, format_timestamp
from trades.sample.market import (
    COIN,
    EQUITIES,
    MAX_LATENCY_NS,
    QUOTE_BEFORE_NS,
    SEED,
    DayQuotes,
    SymbolDay,
    TradingSession,
    coin_day,
    day_quotes,
    symbol_day,
    trading_sessions,
)

COIN_INSTRUMENT: Final = Instrument(COIN, instrument_class=CRYPTO, currency="USD", tick_size=0.01)
# A new feed begins so long ago. The store recognises rows that it has.
OVERLAP_NS: Final = MINUTE_NS
LATE_SHARE: Final = 1 / 60
CORRECTED_SHARE: Final = 1 / 40
CANCELLED_SHARE: Final = 1 / 3
# Seconds after the trade is due.
LATE_SECONDS: Final = (5.0, 30.0)
CORRECTION_SECONDS: Final = (2.0, 20.0)
_LONGEST_WAIT: Final = 1.0
_DAYS_KEPT_NS: Final = 10 * MINUTE_NS
_INCOMPLETE_NS: Final = MAX_LATENCY_NS + QUOTE_BEFORE_NS


@dataclass(frozen=True, slots=True)
class FeedRows:
    """Rows to store, as docs/ingest.md has them. complete_until: no row before it comes any more, but late ones."""

    dataset: str
    rows: list[dict[str, Any]]
    complete_until: str | None = None


@dataclass(frozen=True, slots=True)
class FeedCorrection:
    """A trade to correct or to cancel, as docs/corrections.md has it."""

    symbol: str
    correction: dict[str, Any]


FeedPost: TypeAlias = FeedRows | FeedCorrection


@dataclass(frozen=True, slots=True)
class FeedDay:
    """A symbol's day as the feed has it."""

    trades: SymbolDay
    quotes: DayQuotes


class SampleFeed:
    """The requests of the demo market from an instant on, as time goes by. Instants are nanoseconds since the epoch.

    `rng` decides which trades come late, and which are corrected or cancelled.
    """

    def __init__(self, *, now_ns: int, rng: random.Random) -> None:
        self._rng = rng
        self._sent_ns = now_ns - OVERLAP_NS
        # Late trades and corrections: a heap of instant, tie-breaker and request.
        self._later: list[tuple[int, int, FeedPost]] = []
        self._days: tuple[int, tuple[FeedDay, ...]] = (-1, ())

    def posts(self, now_ns: int) -> list[FeedPost]:
        """Return the requests that became due since the last call, in order: quotes before trades."""
        posts = [post for day in self._days_at(now_ns) for post in self._due(day, now_ns)]
        while self._later and self._later[0][0] <= now_ns:
            posts.append(heapq.heappop(self._later)[2])
        self._sent_ns = now_ns
        return posts

    def wait_seconds(self, now_ns: int) -> float:
        """Return the seconds until the next request is due, at most 1."""
        due = [instant for instant, _, _ in self._later[:1]]
        for day in self._days_at(now_ns):
            received = day.trades.received_at_ns
            due += received[received.searchsorted(now_ns, side="right") :][:1].tolist()
        return min([_LONGEST_WAIT, *((instant - now_ns) / SECOND_NS for instant in due)])

    def _days_at(self, now_ns: int) -> tuple[FeedDay, ...]:
        period = now_ns // _DAYS_KEPT_NS
        if self._days[0] != period:
            self._days = (period, tuple(_current_days(now_ns)))
        return self._days[1]

    def _due(self, day: FeedDay, now_ns: int) -> Iterator[FeedPost]:
        trades = day.trades
        first, last = trades.received_at_ns.searchsorted([self._sent_ns, now_ns], side="right").tolist()
        if first >= last:
            return
        rows = range(first, last)
        # Nothing older comes but what is late.
        complete = format_timestamp(now_ns - _INCOMPLETE_NS)
        yield FeedRows("quotes", [_quote(day, row) for row in rows], complete)
        in_time = [_trade(trades, row) for row in rows if not self._comes_later(trades, row, now_ns)]
        if in_time:
            yield FeedRows("trades", in_time, complete)

    def _comes_later(self, day: SymbolDay, row: int, now_ns: int) -> bool:
        """Draw what becomes of a trade. Returns True if it is late; a trade that is corrected comes now."""
        drawn = self._rng.random()
        if drawn < LATE_SHARE:
            self._put_off(FeedRows("trades", [_trade(day, row)]), LATE_SECONDS, now_ns)
            return True
        if drawn < LATE_SHARE + CORRECTED_SHARE:
            self._put_off(self._correction(day, row), CORRECTION_SECONDS, now_ns)
        return False

    def _put_off(self, post: FeedPost, seconds: tuple[float, float], now_ns: int) -> None:
        due_ns = now_ns + round(self._rng.uniform(*seconds) * SECOND_NS)
        heapq.heappush(self._later, (due_ns, self._rng.getrandbits(64), post))

    def _correction(self, day: SymbolDay, row: int) -> FeedCorrection:
        correction: dict[str, Any] = {
            "action": "cancel",
            "timestamp": format_timestamp(int(day.time_ns[row])),
            "trade_id": day.trade_id[row],
        }
        if self._rng.random() >= CANCELLED_SHARE:
            cents = self._rng.choice((-2, -1, 1, 2))
            correction |= {"action": "correct", "new_price": round(float(day.price[row]) + cents / 100, 2)}
        return FeedCorrection(day.symbol, correction)


def _current_days(now_ns: int) -> Iterator[FeedDay]:
    """Make the days of which rows may become due in the next minutes; of the coin also the date before."""
    now = dt.datetime.fromtimestamp(now_ns // SECOND_NS, dt.UTC)
    for session in trading_sessions(now=now, days=1):
        for symbol in EQUITIES:
            yield _equity_day(symbol, session)
    for date in (now.date() - dt.timedelta(days=1), now.date()):
        yield _coin_day(date)


@lru_cache(maxsize=2 * len(EQUITIES))
def _equity_day(symbol: str, session: TradingSession) -> FeedDay:
    trades = symbol_day(seed=SEED, symbol=symbol, session=session)
    return FeedDay(trades, day_quotes(trades, seed=SEED))


@lru_cache(maxsize=2)
def _coin_day(date: dt.date) -> FeedDay:
    trades = coin_day(seed=SEED, symbol=COIN, date=date)
    return FeedDay(trades, day_quotes(trades, seed=SEED))


def _trade(day: SymbolDay, row: int) -> dict[str, Any]:
    known = {
        "timestamp": format_timestamp(int(day.time_ns[row])),
        "symbol": day.symbol,
        "price": float(day.price[row]),
        "volume": float(day.volume[row]),
        "trade_id": day.trade_id[row],
        "sequence": int(day.sequence[row]),
        "exchange": day.exchange[row],
        "conditions": day.conditions[row],
        "received_at": format_timestamp(int(day.received_at_ns[row])),
    }
    return {name: value for name, value in known.items() if value not in ("", ())}


def _quote(day: FeedDay, row: int) -> dict[str, Any]:
    quotes = day.quotes
    return {
        "timestamp": format_timestamp(int(quotes.time_ns[row])),
        "symbol": day.trades.symbol,
        "bid": float(quotes.bid[row]),
        "bid_size": float(quotes.bid_size[row]),
        "ask": float(quotes.ask[row]),
        "ask_size": float(quotes.ask_size[row]),
        "received_at": format_timestamp(int(day.trades.received_at_ns[row])),
    }
