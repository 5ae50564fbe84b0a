"""What the market data must say, computed row by row from what was stored: plain, slow, and of none of the project's code.

A row is a dictionary as it was ingested, with `time_ns` (nanoseconds UTC) for its timestamp. Rows come in
order of arrival.
"""

import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pandas as pd

from tests.stats.market_data.published_hours import Exchange

Row = dict[str, Any]

SECOND_NS = 10**9
UNITS_NS = {"s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3_600 * SECOND_NS}
INTRADAY = ("1s", "45s", "1m", "3m", "5m", "7m", "10m", "30m", "90m", "2h", "4h", "5h", "12h")
PERIODS = ("1d", "3d", "1w", "2w", "1M", "3M")
PERIOD_DAYS = {"d": 1, "w": 7, "M": 31}
LAST = 2**63


@dataclass(frozen=True, slots=True)
class Cut:
    """How rows are put into bars: the resolution, and the exchange whose trading dates and hours count.

    by_date: days, weeks and months are cut by trading date (`session=exchange`).
    """

    resolution: str
    exchange: Exchange | None = None
    by_date: bool = False
    hours: str = "all"

    def keeps(self, row: Row) -> bool:
        """Whether the row lies within the hours."""
        return self.exchange is None or self.exchange.is_within(row["time_ns"], self.hours)

    def key(self, time_ns: int) -> tuple[int, int, str | None]:
        """Label and end of the bar of an instant, and the bar's date where it has one."""
        if self.resolution[-1] in UNITS_NS:
            length = int(self.resolution[:-1]) * UNITS_NS[self.resolution[-1]]
            start = time_ns // length * length
            return start, start + length, None
        first = beginning(self.date_of(time_ns), self.resolution)
        return self.label(first), self.label(following(first, self.resolution)), first.isoformat()

    def date_of(self, time_ns: int) -> dt.date:
        if self.by_date and self.exchange is not None:
            return self.exchange.session_of(time_ns).date
        return dt.datetime.fromtimestamp(time_ns // SECOND_NS, dt.UTC).date()

    def label(self, first: dt.date) -> int:
        """What a period that begins on or after a date is called: the beginning of its first session."""
        if not self.by_date or self.exchange is None:
            return midnight(first)
        session = self.exchange.first_from(first)
        return session.label_ns if self.hours == "all" else session.window(self.hours)[0]


def midnight(date: dt.date) -> int:
    return int(pd.Timestamp(date).as_unit("ns").value)


def beginning(date: dt.date, resolution: str) -> dt.date:
    """The first day of the days, weeks (from a Monday) or months that a date lies in, counted from 1970."""
    count, unit = int(resolution[:-1]), resolution[-1]
    if unit == "M":
        months = 12 * date.year + date.month - 1
        year, month = divmod(months - (months - 12 * 1970) % count, 12)
        return dt.date(year, month + 1, 1)
    start = dt.date(1969, 12, 29) if unit == "w" else dt.date(1970, 1, 1)
    return date - dt.timedelta(days=(date - start).days % (count * PERIOD_DAYS[unit]))


def following(first: dt.date, resolution: str) -> dt.date:
    """The first day of the next days, weeks or months."""
    days = int(resolution[:-1]) * PERIOD_DAYS[resolution[-1]]
    return beginning(first + dt.timedelta(days=days), resolution)


def ordered(rows: Iterable[Row]) -> list[Row]:
    """By event time, then sequence (rows without one last), then arrival."""
    return sorted(rows, key=lambda row: (row["time_ns"], _or(row.get("sequence"), LAST)))


def _or(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def ticks(rows: Iterable[Row], cut: Cut, start_ns: int, end_ns: int) -> list[Row]:
    """The rows of a range, in order."""
    return [row for row in ordered(rows) if start_ns <= row["time_ns"] < end_ns and cut.keeps(row)]


def bars(rows: Iterable[Row], cut: Cut, start_ns: int, end_ns: int) -> list[Row]:
    """The whole bars that a range touches, ascending."""
    found = []
    kept = [row for row in ordered(rows) if cut.keeps(row)]
    for (label, end, date), group in itertools.groupby(kept, key=lambda row: cut.key(row["time_ns"])):
        if label < end_ns and end > start_ns:
            found.append({"time_ns": label, **bar(list(group)), **({} if date is None else {"date": date})})
    return found


def bar(prints: Sequence[Row]) -> Row:
    """The bar of ordered prints; every sum is exact and rounded once."""
    prices = [row["price"] for row in prints]
    volume = float(sum(Fraction(row["volume"]) for row in prints))
    notional = float(sum(Fraction(row["price"] * row["volume"]) for row in prints))
    return {
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "volume": volume,
        "vwap": min(max(notional / volume, min(prices)), max(prices)) if volume else None,
        "trade_count": len(prints),
        "final": True,
    }


SIDES = ("bid", "ask")


def quote_bars(rows: Iterable[Row], cut: Cut, start_ns: int, end_ns: int) -> list[Row]:
    """Bars of the bid and of the ask, per exchange, by time and then exchange.

    Whenever hours begin, the quote that stands is the first of them, wherever it comes from.
    """
    found: dict[tuple[int, str | None], Row] = {}
    by_exchange: dict[str | None, list[Row]] = {}
    for row in ordered(rows):
        by_exchange.setdefault(row.get("exchange"), []).append(row)
    for exchange, quotes in by_exchange.items():
        known: Row = {}
        for (is_kept, (label, end, date)), group in itertools.groupby(
            quotes, key=lambda row: (cut.keeps(row), cut.key(row["time_ns"]))
        ):
            found_bar, known = quote_bar(list(group), known)
            if is_kept and label < end_ns and end > start_ns:
                dated = {} if date is None else {"date": date}
                piece = {"time_ns": label, "exchange": exchange, **found_bar, **dated}
                before = found.get((label, exchange))
                found[label, exchange] = piece if before is None else both(before, piece)
    return sorted(found.values(), key=lambda one: (one["time_ns"], one["exchange"] or ""))


def both(first: Row, second: Row) -> Row:
    """Two pieces of one bar of quotes."""
    merged = first | {name: second[name] for name in second if name.endswith(("_close", "_size"))}
    merged["quote_count"] += second["quote_count"]
    for side in SIDES:
        for name, choose in ((f"{side}_high", max), (f"{side}_low", min)):
            merged[name] = choose((v for v in (first[name], second[name]) if v is not None), default=None)
        if first[f"{side}_open"] is None:
            merged[f"{side}_open"] = second[f"{side}_open"]
    return merged


def quote_bar(quotes: Sequence[Row], known: Mapping[str, Any]) -> tuple[Row, Row]:
    """The bar of ordered quotes of one venue, and what is known after them.

    A side that is not given stays as it was.
    """
    found: Row = {"quote_count": len(quotes), "final": True}
    after = dict(known)
    for side in SIDES:
        prices = [row[side] for row in quotes if row.get(side) is not None]
        seen = [known[side], *prices] if side in known else prices
        for row in quotes:
            if row.get(side) is not None:
                after |= {side: row[side], f"{side}_size": row.get(f"{side}_size")}
        found |= {
            f"{side}_open": seen[0] if seen else None,
            f"{side}_high": max(seen, default=None),
            f"{side}_low": min(seen, default=None),
            f"{side}_close": seen[-1] if seen else None,
            f"{side}_size": after.get(f"{side}_size"),
        }
    return found, after


def adjusted(prints: Sequence[Row], actions: Sequence[Row], mode: str, cut: Cut) -> list[Row]:
    """Prints as they look after the splits (and dividends) that came later; an action has the `date` of its ex-date.

    Split: price / ratio, volume * ratio. Dividends of one ex-date: price * (1 - their sum / close), close being the
    last price of the last regular session before it (CRSP, "Data Definitions: Factor to Adjust Prices").
    """
    if mode == "raw":
        return list(prints)
    by_time = ordered(prints)
    dates = [cut.date_of(row["time_ns"]).isoformat() for row in by_time]
    by_session = replace(cut, by_date=True, hours="regular")
    session_dates = [by_session.date_of(row["time_ns"]).isoformat() for row in by_time]
    shares, cash = [Fraction(1)] * len(by_time), [Fraction(1)] * len(by_time)
    paid: dict[str, Fraction] = defaultdict(Fraction)
    for action in actions:
        if action["kind"] != "split":
            paid[action["date"]] += Fraction(action["amount"])
            continue
        for place in (place for place, date in enumerate(dates) if date < action["date"]):
            shares[place] *= Fraction(action["ratio"])
    for ex_date, amount in paid.items() if mode == "all" else ():
        closes = [
            row["price"]
            for row, date in zip(by_time, session_dates, strict=True)
            if date < ex_date and by_session.keeps(row)
        ]
        for place in (place for place, date in enumerate(dates) if date < ex_date and closes):
            cash[place] *= 1 - amount / Fraction(closes[-1])
    return [
        row
        | {
            "price": float(Fraction(row["price"]) / share * money),
            "volume": float(Fraction(row["volume"]) * share),
        }
        for row, share, money in zip(by_time, shares, cash, strict=True)
    ]
