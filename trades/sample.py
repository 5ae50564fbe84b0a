"""Made-up trades with the look of real ones: any day of any symbol, reproducible, without its predecessors.

Pre-market, regular hours with their auctions and after-hours, put together from the processes of
`sample_process`, numbered in the order of arrival. Nothing here reads a clock or a store.
"""

import datetime as dt
import math
from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas_market_calendars

from store.arrays import Floats, Integers
from store.timestamps import SECOND_NS
from trades import sample_process as process
from trades.sample_process import Phase

EXCHANGE_ZONE: Final = ZoneInfo("America/New_York")
PRE_MARKET_OPENS: Final = dt.time(4)
AFTER_HOURS: Final = 4 * 3_600 * SECOND_NS
REGULAR_PRINTS: Final = 5_000
REGULAR_LENGTH: Final = 23_400 * SECOND_NS
PRE_MARKET_PRINTS: Final = 90
AFTER_HOURS_PRINTS: Final = 110

CONDITION_WORDS: Final = (
    "opening_print",
    "closing_print",
    "intermarket_sweep",
    "extended_hours",
    "out_of_sequence",
    "odd_lot",
)
OPENING, CLOSING, SWEEP, EXTENDED, LATE, ODD_LOT = (1 << bit for bit in range(len(CONDITION_WORDS)))

VENUES: Final = ("XNYS", "XNAS", "ARCX", "BATS", "EDGX", "IEXG", "FINN")
VENUE_SHARES: Final = (0.15, 0.19, 0.1, 0.1, 0.08, 0.04, 0.34)
LISTING_VENUES: Final = (VENUES.index("XNYS"), VENUES.index("XNAS"))
OFF_EXCHANGE: Final = VENUES.index("FINN")


@dataclass(frozen=True, slots=True)
class Session:
    """A trading day. The bounds are nanoseconds since the epoch, UTC; `closes` and `ends` are exclusive."""

    date: dt.date
    begins: int
    opens: int
    closes: int
    ends: int


@dataclass(frozen=True, slots=True)
class SymbolDay:
    """The trades of one symbol on one trading day, as columns of equal length, in order of arrival.

    `time_ns` and `received_at_ns` are int64 nanoseconds since the epoch, UTC; `price` lies on a grid of 0.01;
    `volume` is whole and positive; `sequence` counts the arrivals from 1 and is the number in `trade_id`.
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
        return replace(
            self,
            time_ns=self.time_ns[:count],
            price=self.price[:count],
            volume=self.volume[:count],
            trade_id=self.trade_id[:count],
            sequence=self.sequence[:count],
            exchange=self.exchange[:count],
            conditions=self.conditions[:count],
            received_at_ns=self.received_at_ns[:count],
        )


@dataclass(frozen=True, slots=True)
class _Prints:
    """Columns of prints before they are numbered: time in ns, price in cents, size, condition bits, venue."""

    time: Integers
    cents: Integers
    size: Integers
    flags: Integers
    venue: Integers

    @classmethod
    def joined(cls, *parts: "_Prints") -> "_Prints":
        """All parts, ordered by time; prints of one moment stay in the order of the parts."""
        whole = cls(*(np.concatenate(column) for column in zip(*map(cls.columns, parts), strict=True)))
        return whole.taken(np.argsort(whole.time, kind="stable"))

    def taken(self, rows: Integers) -> "_Prints":
        return _Prints(*(column[rows] for column in self.columns()))

    def columns(self) -> tuple[Integers, ...]:
        return (self.time, self.cents, self.size, self.flags, self.venue)


def trading_sessions(*, now: dt.datetime, days: int) -> tuple[Session, ...]:
    """The last `days` trading days of XNYS that began (pre-market) by the aware moment `now`, ascending.

    Holidays and early closes are those of pandas-market-calendars; after-hours trading ends four hours after
    the close, whenever that is. Raises ValueError where `days` is not positive.
    """
    if days < 1:
        raise ValueError("days must be at least 1")
    today = now.astimezone(EXCHANGE_ZONE).date()
    first = today - dt.timedelta(days=days * 2 + 10)
    calendar = pandas_market_calendars.get_calendar("XNYS")
    schedule = calendar.schedule(first.isoformat(), today.isoformat())
    sessions = [
        _session(day.date(), opens.value, closes.value)
        for day, opens, closes in zip(
            schedule.index, schedule["market_open"], schedule["market_close"], strict=True
        )
    ]
    begun = [session for session in sessions if session.begins <= now.timestamp() * SECOND_NS]
    return tuple(begun[-days:])


def _session(day: dt.date, opens: int, closes: int) -> Session:
    begins = dt.datetime.combine(day, PRE_MARKET_OPENS, EXCHANGE_ZONE)
    return Session(day, int(begins.timestamp()) * SECOND_NS, opens, closes, closes + AFTER_HOURS)


def symbol_day(*, seed: int, symbol: str, session: Session) -> SymbolDay:
    """Make the whole of `symbol`'s trading day: the same columns for the same arguments.

    Another release of numpy may draw other numbers from the same seed, and so give other trades.
    """
    rng = process.generator(seed, symbol, "day", session.date.isoformat())
    listing = int(process.generator(seed, symbol, "listing").choice(LISTING_VENUES))
    levels = process.levels_of(seed, symbol, session.date)
    opening = _auction(rng, session.opens + _micros(rng, 1_000, 400_000), levels[1], OPENING, listing)
    closing = _auction(rng, session.closes + _micros(rng, 100_000, 2_500_000), levels[2], CLOSING, listing)
    pre, regular, after = _phases(session, int(opening.time[0]), levels)
    extended = (_phase_prints(rng, phase, flags=EXTENDED, half_spread=2.0) for phase in (pre, after))
    prints = _Prints.joined(opening, closing, _phase_prints(rng, regular), *extended)
    prints, received_at = _in_order_of_arrival(rng, prints)
    return _named(symbol, session.date, prints, received_at)


def _micros(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high)) * 1_000


def _phases(session: Session, opened: int, levels: tuple[float, ...]) -> tuple[Phase, Phase, Phase]:
    """Pre-market, which grows towards the open; the regular hours, U-shaped; after-hours, which fade."""
    grid = np.linspace(0.0, 1.0, 512)
    u_shape = 0.55 + 2.2 * np.exp(-grid / 0.07) + 2.6 * np.exp((grid - 1) / 0.06) + 0.5 * (2 * grid - 1) ** 2
    rising, fading = 0.1 + np.exp((grid - 1) / 0.2), 0.05 + np.exp(-grid / 0.15)
    expected = REGULAR_PRINTS * (session.closes - session.opens) / REGULAR_LENGTH
    return (
        Phase(session.begins, session.opens, rising, PRE_MARKET_PRINTS, levels[:2], steps=1),
        Phase(opened, session.closes, u_shape, expected, levels[1:3], steps=5),
        Phase(session.closes, session.ends, fading, AFTER_HOURS_PRINTS, levels[2:], steps=1),
    )


def _phase_prints(
    rng: np.random.Generator, phase: Phase, *, flags: int = 0, half_spread: float = 0.5
) -> _Prints:
    """Draw a phase's prints, each with at least `flags`; half of the spread is given in cents."""
    seconds, cluster, swift = process.arrivals(rng, phase)
    size = process.sizes(rng, len(seconds))
    venue = rng.choice(len(VENUES), len(seconds), p=VENUE_SHARES).astype(np.int64)
    sweep = (rng.random(len(seconds)) < np.where(swift, 0.5, 0.08)) & (venue != OFF_EXCHANGE)
    bits = flags | np.where(sweep, SWEEP, 0) | np.where(size < 100, ODD_LOT, 0)
    # One order's prints are on one side, so a cluster shares its side of the spread.
    side = rng.choice((-1.0, 1.0), int(cluster.max(initial=0)) + 1)[cluster]
    cents = np.rint(100 * np.exp(process.bridge(rng, phase, seconds)) + side * half_spread)
    time = phase.begins + np.floor(seconds * 1e6).astype(np.int64) * 1_000
    return _Prints(time, cents.astype(np.int64), size, bits.astype(np.int64), venue)


def _auction(rng: np.random.Generator, time: int, level: float, flag: int, venue: int) -> _Prints:
    cents, size = round(100 * math.exp(level)), 100 * int(rng.integers(150, 900))
    return _Prints(*(np.array([value], dtype=np.int64) for value in (time, cents, size, flag, venue)))


def _in_order_of_arrival(rng: np.random.Generator, prints: _Prints) -> tuple[_Prints, Integers]:
    """Order prints as they were reported, and tell when; a few of regular hours are minutes late."""
    candidates = np.flatnonzero((prints.flags & (OPENING | CLOSING | EXTENDED)) == 0)
    count = min(len(candidates), 4 + int(rng.poisson(10)))
    late = rng.choice(candidates, count, replace=False)
    latency = np.minimum(rng.lognormal(math.log(400), 0.6, len(prints.time)), 20_000).astype(np.int64) * 1_000
    punctual = np.ones(len(prints.time), dtype=np.bool_)
    punctual[late] = False
    received_at = prints.time + latency
    # One feed delivers in order: a print is never received before the one ahead of it.
    received_at[punctual] = np.maximum.accumulate(received_at[punctual])
    delay = np.minimum(60 + rng.exponential(240, count), 1_800)
    received_at[late] = prints.time[late] + (delay * 1e6).astype(np.int64) * 1_000
    flags = prints.flags | np.where(punctual, 0, LATE)
    order = np.argsort(received_at, kind="stable")
    return replace(prints, flags=flags).taken(order), received_at[order]


def _named(symbol: str, day: dt.date, prints: _Prints, received_at: Integers) -> SymbolDay:
    count = len(received_at)
    # An id has no spaces, a symbol may.
    stem = f"{symbol.replace(' ', '_')}-{day:%Y%m%d}"
    words = {flags: _words(flags) for flags in np.unique(prints.flags).tolist()}
    return SymbolDay(
        symbol=symbol,
        date=day,
        time_ns=prints.time,
        price=prints.cents / 100,
        volume=prints.size.astype(np.float64),
        trade_id=[f"{stem}-{number:06d}" for number in range(1, count + 1)],
        sequence=np.arange(1, count + 1, dtype=np.int64),
        exchange=[VENUES[venue] for venue in prints.venue.tolist()],
        conditions=[words[flags] for flags in prints.flags.tolist()],
        received_at_ns=received_at,
    )


def _words(flags: int) -> tuple[str, ...]:
    return tuple(word for bit, word in enumerate(CONDITION_WORDS) if flags >> bit & 1) or ("regular",)
