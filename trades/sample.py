"""The sample: an invented market. The same arguments give the same rows; nothing here reads a clock or a store.

Prints arrive by a Poisson process: those of an equity seldom in extended hours, those of a coin around the clock. The
price is a random walk. Another release of numpy may draw other numbers.
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
from store.declarations import Dataset
from store.protocol import Action, Correction
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS

EQUITIES: Final = ("DEMOA", "DEMOB", "DEMOC")
FUND: Final = "DEMOX"  # it has bars only, so backtests fill orders by its bars
COIN: Final = "DEMO-USD"
MISPRINTED, SPLIT, PAYING, SILENT = "DEMOA", "DEMOA", "DEMOB", "DEMOC"
# On Wednesdays nothing is traded in these minutes of the session.
SILENT_WEEKDAY, SILENT_MINUTES = 2, (210, 240)
SPLIT_RATIO, SPLIT_SESSION, DIVIDEND_SESSIONS = 2.0, 120, range(30, 504, 63)
EPOCH, WALK_BEGINS = dt.date(1970, 1, 1), dt.date(2000, 1, 1)
# Prints per minute: of an equity in extended hours and in the session, of the coin.
QUIET, REGULAR, COIN_RATE = 0.4, 13.0, 60.0
# The engine fills a tenth of a print, so an order of a few coins fills by the next print.
LOG_VOLUME: Final = math.log(200.0)
# A trade is received at most so long after it; its quote is so much older.
MAX_LATENCY_NS, QUOTE_BEFORE_NS = 2_000_000, 500_000
CORRECTED_AFTER_NS: Final = 10 * SECOND_NS


class TradingSession(NamedTuple):
    """A day; bounds in nanoseconds UTC. `opens` and `closes` bound the regular session, the others the extended hours."""

    date: dt.date
    begins: int
    opens: int
    closes: int
    ends: int


class SampleDay(NamedTuple):
    """A symbol's day: trades and quotes in the store's schemas, row by row, in order of `received_at`."""

    trades: pa.RecordBatch
    quotes: pa.RecordBatch
    correction: Correction | None = None
    corrected_at_ns: int = 0


def trading_sessions(*, now: dt.datetime, days: int, symbol: str) -> tuple[TradingSession, ...]:
    """Return a symbol's last `days` trading days, ascending, of which the last has begun by `now` (aware).

    An equity has those of XNYS, which begin with pre-market. The coin has UTC dates.
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
    """Make a whole day of an equity or the coin. One print of `MISPRINTED` is wrong."""
    rng = _generator(symbol, session.date)
    time_ns = _times(rng, symbol, session)
    count = len(time_ns)
    price = _prices(rng, symbol, session.date, count)
    volume = np.round(rng.lognormal(LOG_VOLUME, 0.8, count), 4 if symbol == COIN else 0)
    spread = rng.integers(1, 5, count)  # cents; a trade is at the bid or at the ask
    bid = np.rint(price * 100) - spread * rng.integers(0, 2, count)
    latency = rng.integers(200, MAX_LATENCY_NS // 1_000, count) * 1_000
    # In order: a print is never received before the one ahead of it.
    received = {"received_at": np.maximum.accumulate(time_ns + latency)}
    quotes = received | {
        "timestamp": time_ns - QUOTE_BEFORE_NS,
        "bid": bid / 100,
        "ask": (bid + spread) / 100,
    }
    quotes |= {name: rng.permutation(volume) for name in ("bid_size", "ask_size")}
    trades: dict[str, Any] = received | {"timestamp": time_ns, "price": price, "volume": volume}
    trades["sequence"] = np.arange(1, count + 1)
    trades["trade_id"] = [f"{symbol}-{session.date:%Y%m%d}-{number:06d}" for number in range(1, count + 1)]
    if symbol != COIN:
        is_regular = (time_ns >= session.opens) & (time_ns < session.closes)
        trades["conditions"] = np.where(is_regular, "regular", "extended_hours").tolist()
    if symbol != MISPRINTED:
        return SampleDay(_rows(TRADES, trades), _rows(QUOTES, quotes))
    row = count // 2
    right = float(price[row])
    price[row] = wrong = round(right * 1.05, 2)
    named = {"trade_id": trades["trade_id"][row], "price": wrong}
    correction = Correction(Action.CORRECT, int(time_ns[row]), named, {"price": right})
    corrected_at_ns = int(received["received_at"][row]) + CORRECTED_AFTER_NS
    return SampleDay(_rows(TRADES, trades), _rows(QUOTES, quotes), correction, corrected_at_ns)


def bar_rows(symbol: str, session: TradingSession, *, is_daily: bool, is_old: bool = False) -> pa.RecordBatch:
    """Return a day's bar, or its bars of minutes, without making its trades. is_old: of the shares before the split."""
    rng = _generator(symbol, session.date, "bars")
    time_ns = np.arange(session.begins, session.ends, MINUTE_NS)
    counts = rng.poisson(_rates(symbol, session, time_ns))
    volume = counts * math.exp(LOG_VOLUME) * rng.lognormal(0.0, 0.3, len(counts))
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
        PAYING: ({"kind": "dividend", "amount": 0.45, "currency": "USD"}, DIVIDEND_SESSIONS),
    }.get(symbol, ({}, []))
    times = [sessions[-n].opens // DAY_NS * DAY_NS for n in before if n < len(sessions)]
    rows = [{"timestamp": time_ns} | action for time_ns in times]
    return pa.RecordBatch.from_pylist(rows, schema=CORPORATE_ACTIONS.schema)


def _times(rng: np.random.Generator, symbol: str, session: TradingSession) -> Integers:
    """Draw the prints' times: whole microseconds inside a minute, never its start."""
    starts = np.arange(session.begins, session.ends, MINUTE_NS)
    counts = rng.poisson(_rates(symbol, session, starts))
    time_ns = np.repeat(starts, counts) + rng.integers(1, MINUTE_NS // 1_000, int(counts.sum())) * 1_000
    if symbol == SILENT and session.date.weekday() == SILENT_WEEKDAY:
        minute = (time_ns - session.opens) // MINUTE_NS
        time_ns = time_ns[(minute < SILENT_MINUTES[0]) | (minute >= SILENT_MINUTES[1])]
    return np.sort(time_ns)


def _rates(symbol: str, session: TradingSession, starts: Integers) -> Floats:
    """Return the expected prints of each minute."""
    is_regular = (starts >= session.opens) & (starts < session.closes)
    return np.where(is_regular, COIN_RATE if symbol == COIN else REGULAR, QUIET)


def _prices(rng: np.random.Generator, symbol: str, date: dt.date, count: int) -> Floats:
    """Draw a random walk from this day's level to the next day's, rounded to cents."""
    walk = np.cumsum(rng.normal(0.0, (0.03 if symbol == COIN else 0.008) / math.sqrt(count), count))
    start, end = _level(symbol, date), _level(symbol, date + dt.timedelta(days=1))
    log_price = start + walk + np.linspace(0.0, 1.0, count) * (end - start - walk[-1])
    return np.asarray(np.rint(100 * np.exp(log_price)) / 100, dtype=np.float64)


def _level(symbol: str, date: dt.date) -> float:
    """Return the log price at the start of a date: a walk of one step per date since WALK_BEGINS."""
    rng = _generator(symbol, "level")
    first = rng.uniform(math.log(40.0), math.log(240.0))
    return float(first + rng.normal(0.0, 0.008, (date - WALK_BEGINS).days).sum())


def _generator(*parts: object) -> np.random.Generator:
    """Return a generator seeded by these parts, the same in every process."""
    digest = hashlib.sha256("\x1f".join(map(str, (7, *parts))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _rows(dataset: Dataset, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """Return columns in a dataset's schema; those that are left out are null."""
    nulls = [None] * len(columns["timestamp"])
    arrays = [pa.array(columns.get(each.name, nulls), each.type) for each in dataset.schema]
    return pa.record_batch(arrays, schema=dataset.schema)
