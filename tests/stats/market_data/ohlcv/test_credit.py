"""Credited volume against bars made print by print, by dates that are written down here: over HTTP and in process.

Trading dates follow the local clock: New York's date, or for futures Chicago's date seven hours later. Weekends
and the closed dates belong to the next date.
"""

import datetime as dt
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings

from store import open_store
from store.datasets import TRADES
from store.timestamps import parse_timestamp
from tests.api_client import OHLC, Api, answer
from tests.stats.market_data.builders import tell, timestamp, without_proofs
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store_path"), pytest.mark.system]

SECOND = 10**9
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
LENGTHS = {"5m": 5 * MINUTE, "1h": HOUR, "4h": 4 * HOUR}
# The day of mourning.
CLOSED = {dt.date(2025, 1, 9)}
COMMITS = 6
TREE = "/api/v1/market-data/equities/ACME"
OHLC_INTERVALS = {"5m": "5min", "1h": "1h"}
VALUES = ("open", "high", "low", "close", "volume", "trade_count")
# The start, then `VALUES`.
Bar = tuple[Any, ...]


@dataclass(frozen=True)
class Week:
    """Some days, and the dates by which an exchange trades on them."""

    exchange: str | None
    first: str
    zone: str
    shift_hours: int = 0

    @property
    def begin_ns(self) -> int:
        return parse_timestamp(f"{self.first}T00:00:00Z")

    def date_of(self, time_ns: int) -> int:
        local = dt.datetime.fromtimestamp(time_ns // SECOND, ZoneInfo(self.zone)).replace(tzinfo=None)
        date = (local + dt.timedelta(hours=self.shift_hours)).date()
        while self.exchange is not None and (date.weekday() > 4 or date in CLOSED):
            date += dt.timedelta(days=1)
        return date.toordinal()


WEEKS = {
    "New York, a closed Thursday": Week("XNYS", "2025-01-07", "America/New_York"),
    "New York, summer time begins": Week("XNYS", "2025-03-06", "America/New_York"),
    "New York, summer time ends": Week("XNYS", "2024-10-31", "America/New_York"),
    "futures, summer time begins": Week("XCME", "2025-03-06", "America/Chicago", 7),
    "no exchange": Week(None, "2025-03-06", "UTC"),
}


@dataclass
class Told:
    """An installation, and the trades that stood after each commit: (time, price, volume, whether it sets a price)."""

    api: Api
    week: Week
    stands: list[list[tuple[int, float, float, bool]]]

    def bars(self, commit: int, length: int, keeps: Callable[[int], bool] = lambda _: True) -> list[Bar]:
        """The bars after a commit, print by print."""
        found: dict[int, list[Any]] = {}
        last: int | None = None
        prints = sorted(one for one in self.stands[commit] if keeps(one[0]))
        priced = {time_ns // length for time_ns, _, _, sets in prints if sets}
        for time_ns, price, volume, sets in prints:
            start = time_ns // length * length
            if start // length in priced:
                last = start
            elif last is None or self.week.date_of(last) != self.week.date_of(start):
                continue
            bar = found.setdefault(last, [[], 0.0, 0])
            bar[0] += [price] if sets else []
            bar[1] += volume
            bar[2] += 1
        return [
            (start, prices[0], max(prices), min(prices), prices[-1], volume, count)
            for start, (prices, volume, count) in found.items()
        ]

    def revisions(self, length: int) -> list[tuple[int, int, float | None, float | None]]:
        """Start, commit and volumes before and after, of each change of a bar that could be seen or missed."""
        found: list[tuple[int, int, float | None, float | None]] = []
        visible, before, known_ns = set[int](), dict[int, Bar](), 0
        for commit in range(1, len(self.stands)):
            now = {bar[0]: bar for bar in self.bars(commit, length)}
            visible |= {start for start in now if start + length <= known_ns}
            for start in visible:
                if before.get(start) != now.get(start):
                    was, made = (bars[start][5] if start in bars else None for bars in (before, now))
                    found.append((start, commit, was, made))
            visible |= set(now)
            known_ns = max(known_ns, *(one[0] for one in self.stands[commit]))
            before = now
        return sorted(found)


def cut(bars: list[Bar], window: tuple[int, int]) -> list[Bar]:
    return [bar for bar in bars if window[0] <= bar[0] < window[1]]


@pytest.fixture(params=list(WEEKS.values()), ids=list(WEEKS))
def told(request: pytest.FixtureRequest, api: Api) -> Told:
    """Prices in some hours of some days, odd lots at all hours; then late rows, and cancels of prices."""
    week, chance = request.param, random.Random(16)
    facts = {"class": "equity", "bar_policy": "us_equities"}
    tell(api, "ACME", **(facts if week.exchange is None else {**facts, "exchange": week.exchange}))
    quarters = list(range(week.begin_ns, week.begin_ns + 6 * DAY, 15 * MINUTE))
    if week.exchange is not None:
        quarters = without_proofs(quarters, week.exchange)
    told, number = Told(api, week, [[]]), 0
    for commit in range(COMMITS):
        rows, stood = [], list(told.stands[-1])
        for _ in range(60 if commit == 0 else 12):
            number += 1
            sets = chance.random() < 0.2
            time_ns = chance.choice(quarters) + number * SECOND
            rows.append((time_ns, float(number), float(chance.randrange(1, 99)), sets))
        if commit % 2:
            prices = chance.sample([one for one in stood if one[3]], 3)
            stood = [one for one in stood if one not in prices]
            response = api.correct(*map(cancel_of, prices), symbol="ACME")
        else:
            stood += rows
            response = api.ingest(*map(as_sent, rows))
        assert response.status_code == 200, response.content
        told.stands.append(stood)
    return told


def as_sent(row: tuple[int, float, float, bool]) -> dict[str, Any]:
    time_ns, price, volume, sets = row
    sent = {"symbol": "ACME", "timestamp": timestamp(time_ns), "price": price, "volume": volume}
    return sent if sets else {**sent, "conditions": ["odd_lot"]}


def cancel_of(row: tuple[int, float, float, bool]) -> dict[str, Any]:
    return {"action": "cancel", "timestamp": timestamp(row[0]), "price": row[1], "volume": row[2]}


def windows(week: Week, length: int) -> Iterator[tuple[int, int]]:
    """Windows whose ends lie everywhere: on UTC midnights, in the evening of the exchange, at a weekend."""
    step, chance = max(length, HOUR), random.Random(length)
    for _ in range(3):
        first, last = sorted(chance.sample(range(6 * DAY // step + 1), 2))
        yield week.begin_ns // step * step + first * step, week.begin_ns // step * step + last * step
    yield week.begin_ns, week.begin_ns + 7 * DAY


def over_http(told: Told, path: str, window: tuple[int, int], **asked: Any) -> list[Bar]:
    query = {"start": timestamp(window[0]), "end": timestamp(window[1]), "limit": 10_000, **asked}
    response = told.api.get(path, query)
    if response.status_code == 404:
        return []
    page = answer(response)
    rows = page["bars"] if "bars" in page else page["data"]
    return [
        (parse_timestamp(bar["timestamp"]), *(bar[name] for name in VALUES if name in bar)) for bar in rows
    ]


def test_bars_over_http_and_in_process(told: Told) -> None:
    declared: Any = settings.MARKET_STORES["default"]
    reader = open_store(declared["OPTIONS"]["path"])
    for commit, (resolution, length) in product((COMMITS, COMMITS // 2), LENGTHS.items()):
        as_of = market_store().log(TRADES, "ACME").committed_at(commit)
        for window in windows(told.week, length):
            expected = cut(told.bars(commit, length), window)
            assert over_http(told, f"{TREE}/ohlcv", window, resolution=resolution, as_of=as_of) == expected
            if resolution in OHLC_INTERVALS:
                asked = {"symbol": "ACME", "interval": OHLC_INTERVALS[resolution], "as_of": as_of}
                assert over_http(told, OHLC, window, **asked) == [bar[:6] for bar in expected]
            bars = reader.bars("ACME", *window, length, as_of=as_of)
            columns = (getattr(bars, name).tolist() for name in ("time_ns", *VALUES))
            assert list(zip(*columns, strict=True)) == expected


def test_bars_of_regular_hours(told: Told) -> None:
    if told.week.exchange != "XNYS":
        pytest.skip("is about New York's hours")

    def is_regular(time_ns: int) -> bool:
        local = dt.datetime.fromtimestamp(time_ns // SECOND, ZoneInfo(told.week.zone))
        is_open = local.weekday() < 5 and local.date() not in CLOSED
        return is_open and dt.time(9, 30) <= local.time() < dt.time(16)

    for resolution in ("5m", "1h"):
        for window in windows(told.week, LENGTHS[resolution]):
            found = over_http(told, f"{TREE}/ohlcv", window, resolution=resolution, hours="regular")
            assert found == cut(told.bars(COMMITS, LENGTHS[resolution], is_regular), window)


def test_revisions_are_the_changes_between_the_bars_of_two_commits(told: Told) -> None:
    for resolution, length in LENGTHS.items():
        expected = told.revisions(length)
        assert expected
        for window in windows(told.week, length):
            query = {"start": timestamp(window[0]), "end": timestamp(window[1]), "resolution": resolution}
            page = answer(told.api.get(f"{TREE}/revisions", {**query, "limit": 10_000}))
            found = [
                (parse_timestamp(row["timestamp"]), row["commit"], row["before_volume"], row["after_volume"])
                for row in page["revisions"]
            ]
            assert found == [row for row in expected if window[0] <= row[0] < window[1]]


@pytest.mark.parametrize(("exchange", "volume"), [("XNYS", 8.0), (None, 1.0)])
def test_a_reader_credits_within_trading_dates_or_utc_dates(
    api: Api, exchange: str | None, volume: float
) -> None:
    tell(api, "ACME", **{"class": "equity", "bar_policy": "us_equities", "exchange": exchange})
    afternoon, evening = (parse_timestamp(f"2025-01-0{at}:30:00Z") for at in ("2T20", "3T00"))
    rows = [(afternoon, 9.0, 1.0, True), (evening, 9.0, 7.0, False)]
    assert api.ingest(*map(as_sent, rows)).status_code == 200
    declared: Any = settings.MARKET_STORES["default"]
    reader = open_store(declared["OPTIONS"]["path"])
    assert reader.bars("ACME").volume.tolist() == [volume]
    assert reader.panel(["ACME"], field="volume").values.tolist() == [[volume]]
