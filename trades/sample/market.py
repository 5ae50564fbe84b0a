"""Generates plausible, reproducible trades for the demo symbols; each day independently of the days before it.

Prints arrive by a Poisson process. An equity has few in extended hours; over the regular session their rate is
U-shaped. A coin has them around the clock. The price is a random walk. Nothing here reads a clock or a store.
"""

import datetime as dt
import hashlib
import math
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from store.arrays import Floats, Integers
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS

SEED: Final = 7
EQUITIES: Final = ("DEMOA", "DEMOB", "DEMOC")
FUND: Final = "DEMOX"  # it has bars only, so backtests fill orders by its bars
COIN: Final = "DEMO-USD"
EXCHANGE_ZONE: Final = ZoneInfo("America/New_York")
PRE_MARKET_OPENS: Final = dt.time(4)
AFTER_HOURS: Final = 4 * 3_600 * SECOND_NS
WALK_BEGINS: Final = dt.date(2000, 1, 1)
DAILY_DEVIATION: Final = 0.008
QUIET_PRINTS_PER_MINUTE: Final = 0.4
NOON_PRINTS_PER_MINUTE: Final = 8.0
EDGE_PRINTS_PER_MINUTE: Final = 32.0
COIN_DAILY_DEVIATION: Final = 0.03
COIN_PRINTS_PER_MINUTE: Final = 60.0
# The median print: the engine fills a tenth of a print, so an order of a few coins fills by the next one.
COIN_LOG_VOLUME: Final = math.log(200.0)
VENUES: Final = ("XNYS", "XNAS", "ARCX", "BATS", "EDGX", "IEXG", "FINN")
SIZES: Final = (10, 25, 50, 100, 200, 300, 500, 1_000)
SIZE_SHARES: Final = (0.12, 0.12, 0.12, 0.42, 0.1, 0.06, 0.04, 0.02)
AUCTION_LOTS: Final = (150, 900)
# Nanoseconds. A trade is received at most so long after it.
MAX_LATENCY_NS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class TradingSession:
    """A trading day. `begins` and `ends` bound the extended hours, `opens` and `closes` the regular session.

    Bounds are nanoseconds since the epoch, UTC; `closes` and `ends` are exclusive.
    """

    date: dt.date
    begins: int
    opens: int
    closes: int
    ends: int


@dataclass(frozen=True, slots=True)
class SymbolDay:
    """One symbol's trades on one trading day, as columns of equal length, in order of arrival.

    Times are int64 nanoseconds since the epoch, UTC. Prices are multiples of 0.01, volumes positive integers.
    `sequence` counts from 1 and is the number in `trade_id`. A coin's volumes have four decimals; its trades have no
    exchange ("") and no conditions.
    """

    symbol: str
    date: dt.date
    time_ns: Integers
    price: Floats
    volume: Floats
    trade_id: list[str]
    sequence: Integers
    exchange: list[str]
    conditions: list[tuple[str, ...]]
    received_at_ns: Integers

    def __len__(self) -> int:
        return len(self.trade_id)

    def reported_by(self, now_ns: int) -> "SymbolDay":
        """Return the trades received at `now_ns` or before: always the first ones of the day."""
        count = int(np.searchsorted(self.received_at_ns, now_ns, side="right"))
        columns = [field.name for field in fields(self) if field.name not in {"symbol", "date"}]
        return replace(self, **{name: getattr(self, name)[:count] for name in columns})


def trading_sessions(*, now: dt.datetime, days: int) -> tuple[TradingSession, ...]:
    """Return the last `days` trading days of XNYS, ascending. The last one's pre-market has begun by `now` (aware).

    Holidays and early closes come from pandas-market-calendars; after-hours trading ends four hours after the
    close. Raises ValueError unless `days` is positive.
    """
    if days < 1:
        raise ValueError("days must be at least 1")
    today = now.astimezone(EXCHANGE_ZONE).date()
    first = today - dt.timedelta(days=days * 2 + 10)
    schedule = _calendar().schedule(first.isoformat(), today.isoformat())
    sessions = [
        _session(day.date(), opens.value, closes.value)
        for day, opens, closes in zip(
            schedule.index, schedule["market_open"], schedule["market_close"], strict=True
        )
    ]
    begun_sessions = [session for session in sessions if session.begins <= now.timestamp() * SECOND_NS]
    return tuple(begun_sessions[-days:])


@cache
def _calendar() -> Any:
    """Return the exchange's calendar. The first schedule of each calendar takes half a second."""
    # Imported here because it takes half a second and 40 MB, which servers without the sample need not spend.
    import pandas_market_calendars  # noqa: PLC0415

    return pandas_market_calendars.get_calendar("XNYS")


def _session(day: dt.date, opens: int, closes: int) -> TradingSession:
    begins = dt.datetime.combine(day, PRE_MARKET_OPENS, EXCHANGE_ZONE)
    return TradingSession(day, int(begins.timestamp()) * SECOND_NS, opens, closes, closes + AFTER_HOURS)


def symbol_day(*, seed: int, symbol: str, session: TradingSession) -> SymbolDay:
    """Make a whole trading day of `symbol`; the same arguments give the same columns.

    Another release of numpy may draw other numbers from the same seed, and so give other trades.
    """
    rng = generator(seed, symbol, session.date.isoformat())
    auctions = np.array([session.opens, session.closes])
    time_ns = np.sort(np.concatenate((_arrivals(rng, session), auctions)))
    count = len(time_ns)
    is_extended = (time_ns < session.opens) | (time_ns > session.closes)
    volume = rng.choice(SIZES, count, p=SIZE_SHARES).astype(np.float64)
    auction_rows = np.searchsorted(time_ns, auctions)
    volume[auction_rows] = 100 * rng.integers(*AUCTION_LOTS, 2)
    conditions = list(map(_conditions, is_extended.tolist(), (volume < 100).tolist()))
    for row, word in zip(auction_rows.tolist(), ("opening_print", "closing_print"), strict=True):
        conditions[row] = (word,)
    received_at_ns = _received_at(rng, time_ns)
    return SymbolDay(
        symbol=symbol,
        date=session.date,
        time_ns=time_ns,
        price=_prices(rng, seed, symbol, session.date, count),
        volume=volume,
        trade_id=_trade_ids(symbol, session.date, count),
        sequence=np.arange(1, count + 1, dtype=np.int64),
        exchange=rng.choice(VENUES, count).tolist(),
        conditions=conditions,
        received_at_ns=received_at_ns,
    )


def coin_day(*, seed: int, symbol: str, date: dt.date) -> SymbolDay:
    """Make a whole UTC date of a coin, which trades around the clock; the same arguments give the same columns."""
    rng = generator(seed, symbol, date.isoformat())
    midnight = int(dt.datetime.combine(date, dt.time(), dt.UTC).timestamp()) * SECOND_NS
    count = int(rng.poisson(COIN_PRINTS_PER_MINUTE * DAY_NS / MINUTE_NS))
    time_ns = midnight + np.sort(rng.integers(0, DAY_NS // 1_000, count)) * 1_000
    return SymbolDay(
        symbol=symbol,
        date=date,
        time_ns=time_ns,
        price=_prices(rng, seed, symbol, date, count, deviation=COIN_DAILY_DEVIATION),
        volume=np.maximum(np.round(rng.lognormal(COIN_LOG_VOLUME, 0.8, count), 4), 0.0001),
        trade_id=_trade_ids(symbol, date, count),
        sequence=np.arange(1, count + 1, dtype=np.int64),
        exchange=[""] * count,
        conditions=[()] * count,
        received_at_ns=_received_at(rng, time_ns),
    )


def minute_bars(day: SymbolDay) -> dict[str, Any]:
    """Return bars of a day's prints by minute, as columns of `store.datasets.BARS`."""
    minutes = day.time_ns // MINUTE_NS
    first = np.flatnonzero(np.diff(minutes, prepend=-1))
    last = np.append(first[1:], len(day)) - 1
    return {
        "timestamp": minutes[first] * MINUTE_NS,
        "open": day.price[first],
        "high": np.maximum.reduceat(day.price, first),
        "low": np.minimum.reduceat(day.price, first),
        "close": day.price[last],
        "volume": np.round(np.add.reduceat(day.volume, first), 4),
        "trade_count": last - first + 1,
    }


def daily_bar(*, seed: int, symbol: str, date: dt.date) -> tuple[float, ...]:
    """Return the open, high, low, close and volume of a day whose prints are not made."""
    deviation, volume = (COIN_DAILY_DEVIATION, 24e6) if symbol == COIN else (DAILY_DEVIATION, 700e3)
    rng = generator(seed, symbol, date.isoformat(), "day")
    prices = _prices(rng, seed, symbol, date, 100, deviation=deviation).tolist()
    return prices[0], max(prices), min(prices), prices[-1], float(np.floor(volume * rng.lognormal(0.0, 0.1)))


def _trade_ids(symbol: str, date: dt.date, count: int) -> list[str]:
    stem = f"{symbol}-{date:%Y%m%d}"
    return [f"{stem}-{number:06d}" for number in range(1, count + 1)]


def _received_at(rng: np.random.Generator, time_ns: Integers) -> Integers:
    latency = rng.integers(200, MAX_LATENCY_NS // 1_000, len(time_ns)) * 1_000
    # The feed delivers in order: a print is never received before the one ahead of it.
    return np.asarray(np.maximum.accumulate(time_ns + latency), dtype=np.int64)


def generator(*parts: object) -> np.random.Generator:
    """Return a generator seeded by these parts, the same in every process."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _arrivals(rng: np.random.Generator, session: TradingSession) -> Integers:
    """Draw a Poisson number of prints for each minute, at whole microseconds inside it, never at its start."""
    starts = np.arange(session.begins, session.ends, MINUTE_NS)
    is_regular = (starts >= session.opens) & (starts < session.closes)
    from_noon = 2 * (starts - session.opens) / (session.closes - session.opens) - 1  # -1 to 1
    u_shape = NOON_PRINTS_PER_MINUTE + (EDGE_PRINTS_PER_MINUTE - NOON_PRINTS_PER_MINUTE) * from_noon**4
    counts = rng.poisson(np.where(is_regular, u_shape, QUIET_PRINTS_PER_MINUTE))
    offsets = rng.integers(1, MINUTE_NS // 1_000, int(counts.sum())) * 1_000
    return np.asarray(np.repeat(starts, counts) + offsets, dtype=np.int64)


def _prices(
    rng: np.random.Generator,
    seed: int,
    symbol: str,
    day: dt.date,
    count: int,
    *,
    deviation: float = DAILY_DEVIATION,
) -> Floats:
    """Draw a random walk from this day's level to the next day's, rounded to cents."""
    walk = np.cumsum(rng.normal(0.0, deviation / math.sqrt(count), count))
    start, end = (_level(seed, symbol, date) for date in (day, day + dt.timedelta(days=1)))
    log_price = start + walk + np.linspace(0.0, 1.0, count) * (end - start - walk[-1])
    return np.asarray(np.rint(100 * np.exp(log_price)) / 100, dtype=np.float64)


def _level(seed: int, symbol: str, day: dt.date) -> float:
    """Return the log price at the start of `day`: a walk of one step per date since WALK_BEGINS."""
    rng = generator(seed, symbol, "level")
    base = rng.uniform(math.log(40.0), math.log(240.0))
    return float(base + rng.normal(0.0, DAILY_DEVIATION, (day - WALK_BEGINS).days).sum())


def _conditions(is_extended: bool, is_odd_lot: bool) -> tuple[str, ...]:
    words = ("extended_hours",) * is_extended + ("odd_lot",) * is_odd_lot
    return words or ("regular",)
