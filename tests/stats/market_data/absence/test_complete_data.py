"""Complete data around holidays, early closes and changes of clocks: nothing is missing but the minutes left out.

The hours are those that the exchanges published (sources: `calendars/corrections.csv` and
`tests/calendars/published.py`), as UTC. There is a trade in each of their minutes, except in the last minute of
the second session and the first of the third.
"""

from typing import Any

import exchange_calendars
import numpy as np
import pytest

from store.arrays import Integers
from store.instruments import FUTURE, Instrument
from store.timestamps import MINUTE_NS, format_timestamp
from tests.api_client import Api, body_of
from tests.calendars.published import ns
from tests.stats.market_data.absence.absent_week import Run
from tests.stats.market_data.absence.test_typed_absence import absences
from trades.stores import market_store

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.system,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
FUTURES = {"XCME", "XNYM", "XCEC", "XCBT", "XCBF"}
SESSIONS = {
    "New York, 3 July": (
        "XNYS", "2024-07-02T13:30 2024-07-02T20:00", "2024-07-03T13:30 2024-07-03T17:00", "2024-07-05T13:30 2024-07-05T20:00"),
    "Nasdaq, mourning": (
        "XNAS", "2025-01-07T14:30 2025-01-07T21:00", "2025-01-08T14:30 2025-01-08T21:00", "2025-01-10T14:30 2025-01-10T21:00"),
    "CME's equities, mourning": (
        "XCME", "2025-01-07T23:00 2025-01-08T22:00", "2025-01-08T23:00 2025-01-09T14:30", "2025-01-09T23:00 2025-01-10T22:00"),
    "NYMEX, mourning": (
        "XNYM", "2025-01-07T23:00 2025-01-08T22:00", "2025-01-08T23:00 2025-01-09T22:00", "2025-01-09T23:00 2025-01-10T22:00"),
    "grains, mourning": (
        "XCBT", "2025-01-09T01:00 2025-01-09T13:45", "2025-01-09T14:30 2025-01-09T18:15", "2025-01-10T01:00 2025-01-10T13:45"),
    "London, Christmas Eve": (
        "XLON", "2024-12-23T08:00 2024-12-23T16:30", "2024-12-24T08:00 2024-12-24T12:30", "2024-12-27T08:00 2024-12-27T16:30"),
    "CME, a Sunday evening": (
        "XCME", "2024-12-04T23:00 2024-12-05T22:00", "2024-12-05T23:00 2024-12-06T22:00", "2024-12-08T23:00 2024-12-09T22:00"),
    "CME's equities, Independence Day": (
        "XCME", "2024-07-02T22:00 2024-07-03T17:15", "2024-07-03T22:00 2024-07-04T17:00", "2024-07-04T22:00 2024-07-05T21:00"),
    "CME's equities, Good Friday": (
        "XCME", "2025-04-15T22:00 2025-04-16T21:00", "2025-04-16T22:00 2025-04-17T21:00", "2025-04-20T22:00 2025-04-21T21:00"),
    "NYMEX, Christmas": (
        "XNYM", "2025-12-22T23:00 2025-12-23T22:00", "2025-12-23T23:00 2025-12-24T18:45", "2025-12-25T23:00 2025-12-26T22:00"),
    "COMEX, Labor Day": (
        "XCEC", "2025-08-28T22:00 2025-08-29T21:00", "2025-08-31T22:00 2025-09-01T18:30", "2025-09-01T22:00 2025-09-02T21:00"),
}  # fmt: skip


def store(api: Api, exchange: str, minutes: Integers) -> str:
    """Store a trade in each minute. Returns the path of the bars."""
    is_future = exchange in FUTURES
    market_store().set_instrument(
        Instrument("GEN", instrument_class=FUTURE if is_future else "equity", exchange=exchange)
    )
    rows = [
        {"symbol": "GEN", "timestamp": f"{text}Z", "price": 1, "volume": 1}
        for text in np.datetime_as_string((minutes * MINUTE_NS).view("M8[ns]"), unit="s")
    ]
    response = api.ingest(body_of(*rows))
    assert response.status_code == 200, response.content
    return f"/api/v1/market-data/{'futures' if is_future else 'equities'}/GEN/ohlcv"


def missing(api: Api, path: str, start_ns: int, end_ns: int, **params: Any) -> list[Run]:
    edges = {"start": format_timestamp(start_ns), "end": format_timestamp(end_ns)}
    found = absences(api, path, hours="regular", limit=10_000, **edges, **params)
    return [each for each in found if each["reason"] != "closed"]


@pytest.mark.parametrize(("exchange", "sessions"), [(e, s) for e, *s in SESSIONS.values()], ids=SESSIONS)
def test_only_the_removed_minutes_are_missing(api: Api, exchange: str, sessions: list[str]):
    edges = [tuple(map(ns, each.split())) for each in sessions]
    minutes = np.concatenate([np.arange(start // MINUTE_NS, end // MINUTE_NS) for start, end in edges])
    removed = np.array([edges[1][1] // MINUTE_NS - 1, edges[2][0] // MINUTE_NS])
    path = store(api, exchange, np.setdiff1d(minutes, removed))
    found = missing(api, path, edges[0][0], edges[-1][1], resolution="1m")
    assert [ns(each["start"].removesuffix("Z")) // MINUTE_NS for each in found] == removed.tolist()
    assert [ns(each["end"].removesuffix("Z")) // MINUTE_NS for each in found] == (removed + 1).tolist()
    assert {each["reason"] for each in found} <= {"gap", "no_trades"}


@pytest.mark.parametrize("exchange", ["XNYS", "XLON", "XETR", "XTKS", "XHKG"])
def test_complete_data_of_another_library_has_no_gaps(api: Api, exchange: str):
    """The last week of 2024, of exchange_calendars' own minutes."""
    calendar = exchange_calendars.get_calendar(exchange, start="2024-12-01", end="2025-01-31")
    opened = calendar.minutes_in_range("2024-12-23T00:00", "2025-01-04T00:00")
    minutes = opened.tz_convert(None).to_numpy("M8[ns]").astype(np.int64) // MINUTE_NS
    path = store(api, exchange, minutes)
    start_ns, end_ns = int(minutes[0]) * MINUTE_NS, int(minutes[-1] + 1) * MINUTE_NS
    for resolution in ("1m", "1h", "1d"):
        assert missing(api, path, start_ns, end_ns, resolution=resolution) == [], resolution


def test_hours_beyond_a_list_of_holidays_are_unknown(api: Api, time_machine: Any):
    """Shanghai's list ends with 2026. Weekends are closed in any case."""
    time_machine.move_to("2027-02-01T00:00:00Z", tick=False)
    at = [ns(f"{date}T02:00") // MINUTE_NS for date in ("2026-12-29", "2027-01-07")]
    path = store(api, "XSHG", np.array(at))
    days = absences(api, path, start="2026-12-30", end="2027-01-08", hours="regular")
    assert [(each["start"][:10], each["reason"]) for each in days] == [
        ("2026-12-30", "gap"),
        ("2027-01-01", "unknown_hours"),
        ("2027-01-01", "closed"),
        ("2027-01-04", "unknown_hours"),
    ]
    hour = {"start": "2027-01-07T02:00Z", "end": "2027-01-07T03:00Z", "resolution": "30m"}
    assert [each["reason"] for each in absences(api, path, **hour)] == ["unknown_hours"]
