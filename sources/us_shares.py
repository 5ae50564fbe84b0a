"""What sources of US shares have in common: when a bar is final, days of New York, splits and dividends."""

import time
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa

from sources.asking import batch_of
from sources.protocol import SourceRefused, Wanted
from store.datasets import CORPORATE_ACTIONS
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, parse_timestamps

NEW_YORK = ZoneInfo("America/New_York")
_EPOCH = date(1970, 1, 1)
_LATE_NS, _WEST_NS = MINUTE_NS, 5 * 60 * MINUTE_NS
# No market is closed for longer.
_CLOSED_NS = 10 * DAY_NS


def is_dated(wanted: Wanted) -> bool:
    """Return whether bars are wanted that are stored at the midnight UTC of their date."""
    return wanted.resolution is not None and Resolution.of_bars(wanted.resolution).is_period


def final_window(wanted: Wanted, window: Window, delay_ns: int = 0) -> Window:
    """Return the part of a window whose rows are final by now. delay_ns: how much older they must be.

    Trades come and bars change some seconds late. The time of a bar is its start, or the midnight UTC of a date that ends
    up to five hours after the date of UTC.
    """
    length_ns = Resolution.of_bars(wanted.resolution).length_ns if wanted.resolution else 0
    late_ns = length_ns + _LATE_NS + delay_ns + (_WEST_NS if is_dated(wanted) else 0)
    return Window(window.start_ns, max(window.start_ns, min(window.end_ns, time.time_ns() - late_ns)))


def window_after(wanted: Wanted, start_ns: int, delay_ns: int) -> Window:
    """Return the window from an instant on in which a market that goes on has a final row."""
    return final_window(wanted, Window(start_ns, start_ns + _CLOSED_NS), delay_ns)


def local_bounds(wanted: Wanted, window: Window, zone: ZoneInfo) -> Window:
    """Return the window in which a source has the rows of a window: its bars of dates begin at local midnights."""
    if not is_dated(wanted):
        return window
    return Window(local_midnight(window.start_ns, zone), local_midnight(window.end_ns, zone))


def day_of(instant_ns: int) -> date:
    """Return the UTC date of an instant."""
    return _EPOCH + timedelta(instant_ns // DAY_NS)


def local_midnight(date_ns: int, zone: ZoneInfo) -> int:
    """Return the instant at which a date begins in a zone. date_ns: the date's midnight UTC; later ones are rounded up."""
    midnight = datetime.combine(day_of(date_ns + DAY_NS - 1), datetime.min.time(), zone)
    return int(midnight.timestamp()) * SECOND_NS


def date_of_midnight(instant_ns: int, zone: ZoneInfo, source: str) -> int:
    """Return the midnight UTC of the date that begins in a zone at an instant.

    Raises `SourceRefused` for another instant: the source's days are of another zone, so that they would be stored under the
    wrong dates.
    """
    local = datetime.fromtimestamp(instant_ns // SECOND_NS, zone)
    if local.time() != datetime.min.time() or instant_ns % SECOND_NS:
        text = f"the days of {source} do not begin at midnight of {zone.key}: fetch 1h, of which days are made here"
        raise SourceRefused(text)
    return (local.date() - _EPOCH).days * DAY_NS


class Action(NamedTuple):
    """A split or dividend. day: the ex-date. kind, ratio, amount, currency: see `CORPORATE_ACTIONS`. action_id: the source's."""

    day: str
    kind: str
    ratio: float | None
    amount: float | None
    currency: str | None
    action_id: str


def actions_batch(actions: Iterable[Action]) -> pa.RecordBatch:
    """Return corporate actions as rows, ascending. Actions without an effect are left out.

    Only the second action of a kind and date gets its id: the first one is recognised by date and kind, so that an
    imported one is not stored a second time.
    """
    found = sorted(
        {each for each in actions if each.amount or each.ratio not in (None, 1)},
        key=lambda each: (*each[:2], each[-1]),
    )
    ids = [
        each.action_id if each[:2] == before[:2] else None
        for before, each in zip([("", ""), *found], found, strict=False)
    ]
    return batch_of(
        CORPORATE_ACTIONS,
        {
            "timestamp": parse_timestamps([each.day for each in found]).tolist(),
            "kind": [each.kind for each in found],
            "ratio": [each.ratio for each in found],
            "amount": [each.amount for each in found],
            "currency": [each.currency for each in found],
            "action_id": ids,
        },
    )
