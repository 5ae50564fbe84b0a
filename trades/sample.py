"""The sample: an invented market. The same arguments give the same rows; nothing here reads a clock or a store.

Prints arrive by a Poisson process. An equity has few in extended hours; over the regular session their rate is U-shaped. A
coin has them around the clock. The price is a random walk. Another release of numpy may draw other numbers.
"""

import datetime as dt
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from calendars.trading_calendar import exchange_calendar
from store.arrays import Floats, Integers
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import WORD_SEPARATOR, Dataset
from store.protocol import Action, Correction
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS

EQUITIES: Final = ("DEMOA", "DEMOB", "DEMOC")
FUND: Final = "DEMOX"  # it has bars only, so backtests fill orders by its bars
COIN: Final = "DEMO-USD"
MISPRINTED, SPLIT, PAYING, SILENT = "DEMOA", "DEMOA", "DEMOB", "DEMOC"
MISPRINT, CORRECTED_AFTER_NS = 1.05, 10 * SECOND_NS
# On Wednesdays nothing is traded in these minutes of the session.
SILENT_WEEKDAY, SILENT_MINUTES = 2, (210, 240)
SPLIT_RATIO, SPLIT_SESSION = 2.0, 120
DIVIDEND, DIVIDEND_SESSIONS = 0.45, range(30, 504, 63)
EPOCH, WALK_BEGINS = dt.date(1970, 1, 1), dt.date(2000, 1, 1)
LEVEL_DEVIATION, DAILY_DEVIATION, COIN_DAILY_DEVIATION = 0.008, 0.008, 0.03
# Prints per minute.
QUIET, NOON, EDGE, COIN_RATE = 0.4, 8.0, 32.0, 60.0
# The engine fills a tenth of a print, so an order of a few coins fills by the next print.
COIN_LOG_VOLUME: Final = math.log(200.0)
VENUES: Final = ("XNYS", "XNAS", "ARCX", "BATS", "EDGX", "IEXG", "FINN")
SIZES: Final = (10, 25, 50, 100, 200, 300, 500, 1_000)
SIZE_SHARES: Final = (0.12, 0.12, 0.12, 0.42, 0.1, 0.06, 0.04, 0.02)
# A trade is received at most so long after it; its quote is so much older.
MAX_LATENCY_NS, QUOTE_BEFORE_NS = 2_000_000, 500_000


class TradingSession(NamedTuple):
    """A day; bounds in nanoseconds UTC. `opens` and `closes` bound the regular session, the others the extended hours."""

    date: dt.date
    begins: int
    opens: int
    closes: int
    ends: int


class SampleDay(NamedTuple):
    """A symbol's day: trades and quotes in the store's schemas, row by row, in order of `received_at`."""

    symbol: str
    trades: pa.RecordBatch
    quotes: pa.RecordBatch
    correction: Correction | None = None
    corrected_at_ns: int = 0

    def between(
        self, after_ns: int, until_ns: int
    ) -> tuple[pa.RecordBatch, pa.RecordBatch, Correction | None]:
        """Return the quotes, the trades and the correction received after an instant, up to another one."""
        received_at = self.trades["received_at"].to_numpy()
        first, last = received_at.searchsorted([after_ns, until_ns], side="right").tolist()
        correction = self.correction if after_ns < self.corrected_at_ns <= until_ns else None
        return self.quotes.slice(first, last - first), self.trades.slice(first, last - first), correction


def trading_sessions(*, now: dt.datetime, days: int, symbol: str) -> tuple[TradingSession, ...]:
    """Return a symbol's last `days` trading days, ascending, of which the last has begun by `now` (aware).

    An equity has those of XNYS, which begin with pre-market. The coin trades around the clock: it has UTC dates.
    """
    now_ns = int(now.timestamp()) * SECOND_NS
    today = now_ns // DAY_NS
    if symbol == COIN:
        date = np.arange(today - days + 1, today + 1)
        columns = (date, date * DAY_NS, date * DAY_NS, (date + 1) * DAY_NS, (date + 1) * DAY_NS)
    else:
        table = exchange_calendar("XNYS").on_dates(today - days * 2 - 10, today)
        columns = (table.date, table.pre_ns, table.open_ns, table.close_ns, table.post_ns)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    sessions = [TradingSession(EPOCH + dt.timedelta(day), *bounds) for day, *bounds in rows]
    return tuple([session for session in sessions if session.begins <= now_ns][-days:])


@lru_cache(maxsize=16)
def sample_day(symbol: str, session: TradingSession) -> SampleDay:
    """Make a whole day of an equity or the coin. A wrong print comes once a day, in the middle of `MISPRINTED`'s trades."""
    rng = _generator(symbol, session.date)
    time_ns = _times(rng, symbol, session)
    count = len(time_ns)
    trades = _terms(rng, symbol, session, time_ns)
    # The feed delivers in order: a print is never received before the one ahead of it.
    latency = rng.integers(200, MAX_LATENCY_NS // 1_000, count) * 1_000
    trades |= {
        "timestamp": time_ns,
        "received_at": np.maximum.accumulate(time_ns + latency),
        "price": _prices(rng, symbol, session.date, count),
        "trade_id": [f"{symbol}-{session.date:%Y%m%d}-{number:06d}" for number in range(1, count + 1)],
        "sequence": np.arange(1, count + 1),
    }
    if symbol != COIN:
        trades["exchange"] = rng.choice(VENUES, count).tolist()
    quotes = _rows(QUOTES, _quotes(_generator(symbol, session.date, "quotes"), trades))
    if symbol != MISPRINTED:
        return SampleDay(symbol, _rows(TRADES, trades), quotes)
    row = count // 2
    right = float(trades["price"][row])
    trades["price"][row] = wrong = round(right * MISPRINT, 2)
    named = {"trade_id": trades["trade_id"][row], "price": wrong}
    correction = Correction(Action.CORRECT, int(time_ns[row]), named, {"price": right})
    corrected_at_ns = int(trades["received_at"][row]) + CORRECTED_AFTER_NS
    return SampleDay(symbol, _rows(TRADES, trades), quotes, correction, corrected_at_ns)


def bar_rows(symbol: str, session: TradingSession, *, is_daily: bool, is_old: bool = False) -> pa.RecordBatch:
    """Return a day's bar, or its bars of minutes, without making its trades. is_old: of the shares before the split."""
    rng = _generator(symbol, session.date, "bars")
    time_ns = np.arange(session.begins, session.ends, MINUTE_NS)
    counts = rng.poisson(_rates(symbol, session, time_ns))
    volume = counts * math.exp(COIN_LOG_VOLUME) * rng.lognormal(0.0, 0.3, len(counts))
    prices = _prices(rng, symbol, session.date, len(counts) * 4).reshape(len(counts), -1)
    if is_daily:
        time_ns, prices = np.array([session.opens // DAY_NS * DAY_NS]), prices.reshape(1, -1)
        counts, volume = counts.sum(keepdims=True), volume.sum(keepdims=True)
    ratio = SPLIT_RATIO if is_old else 1.0
    terms = {"open": prices[:, 0], "high": prices.max(1), "low": prices.min(1), "close": prices[:, -1]}
    bars: dict[str, Any] = {name: np.round(column * ratio, 2) for name, column in terms.items()}
    bars |= {"timestamp": time_ns, "trade_count": counts, "volume": np.floor(volume / ratio)}
    bars["resolution"] = ["1d" if is_daily else "1m"] * len(counts)
    return _rows(BARS, bars).filter(pa.array(counts > 0))


def action_rows(symbol: str, sessions: Sequence[TradingSession]) -> pa.RecordBatch:
    """Return the corporate actions of a symbol whose trading days are these, ascending."""
    action, before = {
        SPLIT: ({"kind": "split", "ratio": SPLIT_RATIO}, [SPLIT_SESSION]),
        PAYING: ({"kind": "dividend", "amount": DIVIDEND, "currency": "USD"}, DIVIDEND_SESSIONS),
    }.get(symbol, ({}, []))
    rows = [
        {"timestamp": sessions[-n].opens // DAY_NS * DAY_NS} | action for n in before if n < len(sessions)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=CORPORATE_ACTIONS.schema)


def _times(rng: np.random.Generator, symbol: str, session: TradingSession) -> Integers:
    """Draw the prints' times: whole microseconds inside a minute, never its start, which the auctions have."""
    starts = np.arange(session.begins, session.ends, MINUTE_NS)
    counts = rng.poisson(_rates(symbol, session, starts))
    time_ns = np.repeat(starts, counts) + rng.integers(1, MINUTE_NS // 1_000, int(counts.sum())) * 1_000
    if symbol == SILENT and session.date.weekday() == SILENT_WEEKDAY:
        minute = (time_ns - session.opens) // MINUTE_NS
        time_ns = time_ns[(minute < SILENT_MINUTES[0]) | (minute >= SILENT_MINUTES[1])]
    auctions = [] if symbol == COIN else [session.opens, session.closes]
    return np.sort(np.append(time_ns, auctions).astype(np.int64))


def _rates(symbol: str, session: TradingSession, starts: Integers) -> Floats:
    """Return the expected prints of each minute."""
    if symbol == COIN:
        return np.full(len(starts), COIN_RATE)
    is_regular = (starts >= session.opens) & (starts < session.closes)
    from_noon = 2 * (starts - session.opens) / (session.closes - session.opens) - 1  # -1 to 1
    return np.where(is_regular, NOON + (EDGE - NOON) * from_noon**4, QUIET)


def _terms(
    rng: np.random.Generator, symbol: str, session: TradingSession, time_ns: Integers
) -> dict[str, Any]:
    """Draw volumes, and derive an equity's sale conditions."""
    if symbol == COIN:
        return {"volume": np.round(rng.lognormal(COIN_LOG_VOLUME, 0.8, len(time_ns)), 4)}
    volume = rng.choice(SIZES, len(time_ns), p=SIZE_SHARES).astype(np.float64)
    auctions = np.searchsorted(time_ns, [session.opens, session.closes])
    volume[auctions] = 100 * rng.integers(150, 900, 2)
    is_extended = (time_ns < session.opens) | (time_ns > session.closes)
    words = np.array(["regular", "odd_lot", "extended_hours", f"extended_hours{WORD_SEPARATOR}odd_lot"])
    conditions = words[2 * is_extended + (volume < 100)]
    conditions[auctions] = "opening_print", "closing_print"
    return {"volume": volume, "conditions": conditions.tolist()}


def _quotes(rng: np.random.Generator, trades: Mapping[str, Any]) -> dict[str, Any]:
    """Make the quote before each trade; the trade is at the bid or at the ask."""
    count = len(trades["price"])
    spread = rng.integers(1, 5, count)  # cents
    bid = np.rint(trades["price"] * 100) - spread * rng.integers(0, 2, count)
    return {
        "timestamp": trades["timestamp"] - QUOTE_BEFORE_NS,
        "bid": bid / 100,
        "bid_size": rng.permutation(trades["volume"]),
        "ask": (bid + spread) / 100,
        "ask_size": rng.permutation(trades["volume"]),
        "received_at": trades["received_at"],
    }


def _prices(rng: np.random.Generator, symbol: str, date: dt.date, count: int) -> Floats:
    """Draw a random walk from this day's level to the next day's, rounded to cents."""
    deviation = COIN_DAILY_DEVIATION if symbol == COIN else DAILY_DEVIATION
    walk = np.cumsum(rng.normal(0.0, deviation / math.sqrt(count), count))
    start, end = _level(symbol, date), _level(symbol, date + dt.timedelta(days=1))
    log_price = start + walk + np.linspace(0.0, 1.0, count) * (end - start - walk[-1])
    return np.asarray(np.rint(100 * np.exp(log_price)) / 100, dtype=np.float64)


def _level(symbol: str, date: dt.date) -> float:
    """Return the log price at the start of a date: a walk of one step per date since WALK_BEGINS."""
    rng = _generator(symbol, "level")
    return float(
        rng.uniform(math.log(40.0), math.log(240.0))
        + rng.normal(0.0, LEVEL_DEVIATION, (date - WALK_BEGINS).days).sum()
    )


def _generator(*parts: object) -> np.random.Generator:
    """Return a generator seeded by these parts, the same in every process."""
    digest = hashlib.sha256("\x1f".join(map(str, (7, *parts))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _rows(dataset: Dataset, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """Return columns in a dataset's schema; those that are left out are null."""
    count = len(columns["timestamp"])
    arrays = [pa.array(columns.get(each.name, [None] * count), each.type) for each in dataset.schema]
    return pa.record_batch(arrays, schema=dataset.schema)
