"""A minute lost next to a holiday, an early close, a day of mourning or a change of clocks is found, and nothing else."""

import numpy as np
import pytest

from calendars.schedule import Hours
from calendars.trading_calendar import exchange_calendar
from stats.market_data.gaps import gaps_of
from store.instruments import FUTURE
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, parse_timestamp
from tests.stats.market_data.absence.quiet_market import store_trades, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.system]
# As many trades in every minute make one lost minute a gap.
A_MINUTE = 15
# The exchange, and a regular minute: by the published hours, not by the calendar.
LOST = {
    "before 4 July, last minute": ("XNYS", "2024-07-03T16:59:00Z"),
    "before the day of mourning": ("XNYS", "2025-01-08T20:59:00Z"),
    "24 December in London, last minute": ("XLON", "2024-12-24T12:29:00Z"),
    "the first minute of a Sunday evening": ("XCME", "2024-03-03T23:00:00Z"),
    "clocks forward, after": ("XNYS", "2024-03-11T13:30:00Z"),
    "clocks forward on Sunday evening": ("XCME", "2024-03-10T22:00:00Z"),
}


@pytest.mark.parametrize(("exchange", "minute"), LOST.values(), ids=LOST)
def test_a_lost_minute_beside_it_is_the_only_gap(store_path: object, exchange: str, minute: str):
    lost_ns = parse_timestamp(minute)
    calendar = exchange_calendar(exchange)
    schedule = calendar.on_dates(lost_ns // DAY_NS - 36, lost_ns // DAY_NS + 5)
    segments = schedule.segments(Hours.REGULAR)
    spans = zip(segments.start_ns.tolist(), segments.end_ns.tolist(), strict=True)
    minutes = np.concatenate([np.arange(start, end, MINUTE_NS) for start, end in spans])
    assert lost_ns in minutes
    kept = minutes[minutes != lost_ns]
    times = (kept[:, None] + np.arange(A_MINUTE) * 4 * SECOND_NS).ravel()
    declared = {"instrument_class": FUTURE} if exchange == "XCME" else {}
    store_trades(times, exchange=exchange, **declared)
    window = Window(lost_ns - 6 * DAY_NS, int(schedule.end_ns[-1]))
    found = gaps_of("GEN", window, Resolution.MINUTE, now_ns=parse_timestamp("2026-01-01"))
    assert [(text_of(each.start_ns), each.expected_bars) for each in found] == [(minute, 1)]
