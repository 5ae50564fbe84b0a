"""What sources of US shares have in common: what their pages answer, days of New York, splits and dividends."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa

from ops.outbound.exceptions import UnexpectedStatus
from sources.asking import Shown, batch_of, pages_of, rows_within
from sources.protocol import SourcePage, SourceRefused, Wanted
from store.datasets import CORPORATE_ACTIONS
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, parse_timestamps

NEW_YORK = ZoneInfo("America/New_York")
_EPOCH = date(1970, 1, 1)
_LATE_NS, _WEST_NS = MINUTE_NS, 5 * 60 * MINUTE_NS
# No market is closed for longer.
_CLOSED_NS = 10 * DAY_NS
# Plans without live data have none of the last 15 minutes, and refuse a range with them.
_DELAY_NS = 16 * MINUTE_NS
Answer = tuple[pa.RecordBatch, bool, str]
"""Rows, whether they are the last ones, and the commit."""


class ShareAction(NamedTuple):
    """A split or dividend. day: the ex-date. kind, ratio, amount, currency: see `CORPORATE_ACTIONS`. action_id: the source's."""

    day: str
    kind: str
    ratio: float | None
    amount: float | None
    currency: str | None
    action_id: str


def share_pages(
    source: str,
    wanted: Wanted,
    window: Window,
    *,
    rows: Callable[[Wanted, Window, bool], Iterator[Answer]],
    actions: Callable[[Wanted, Window], Iterator[ShareAction]],
    delay_ns: int = 0,
) -> Iterator[SourcePage]:
    """Yield the pages of a vendor. After the last row nothing is answered, unless there is a later row.

    rows: asks for the rows of a window that are neither bars in progress nor younger than `delay_ns`; with True only for the
    first one. actions: asks for the splits and dividends of a window, and perhaps for others. Raises `SourceError`s.
    """
    if wanted.dataset is CORPORATE_ACTIONS:
        found = rows_within(_actions_batch(actions(wanted, window)), window)
        yield from pages_of(source, [Shown(found, _last_ns(found, window.start_ns - 1) + 1)], window.start_ns)
        return
    final = _final_window(wanted, window, delay_ns)
    later = _final_window(wanted, Window(final.end_ns, final.end_ns + _CLOSED_NS), max(delay_ns, _DELAY_NS))

    def shown() -> Iterator[Shown]:
        last_ns = final.start_ns - 1
        for batch, is_last, commit in rows(wanted, final, False):
            last_ns = _last_ns(batch, last_ns)
            has_later = is_last and later.start_ns < later.end_ns and _has_rows(rows(wanted, later, True))
            yield Shown(batch, final.end_ns if has_later else last_ns + is_last, commit)

    if final.start_ns < final.end_ns:
        yield from pages_of(source, shown(), final.start_ns)


def _last_ns(rows: pa.RecordBatch, default: int) -> int:
    return int(rows.column(0)[-1].as_py()) if rows.num_rows else default


def _has_rows(answers: Iterator[Answer]) -> bool:
    """Return whether there are rows. A refusal, such as of a time that a plan lacks, proves nothing."""
    try:
        return any(rows.num_rows for rows, *_ in answers)
    except UnexpectedStatus as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return False
        raise


def _final_window(wanted: Wanted, window: Window, delay_ns: int) -> Window:
    """Return the part of a window whose rows are final by now: trades come and bars change some seconds late.

    The time of a bar is its start, or the midnight UTC of a date that ends up to five hours after the date of UTC.
    """
    length_ns = Resolution.of_bars(wanted.resolution).length_ns if wanted.resolution else 0
    late_ns = length_ns + _LATE_NS + delay_ns + (_WEST_NS if _is_dated(wanted) else 0)
    return Window(window.start_ns, max(window.start_ns, min(window.end_ns, time.time_ns() - late_ns)))


def _is_dated(wanted: Wanted) -> bool:
    """Return whether bars are wanted that are stored at the midnight UTC of their date."""
    return wanted.resolution is not None and Resolution.of_bars(wanted.resolution).is_period


def local_bounds(wanted: Wanted, window: Window, zone: ZoneInfo) -> Window:
    """Return the window in which a source has the rows of a window: its bars of dates begin at local midnights."""
    if not _is_dated(wanted):
        return window
    return Window(*(_local_midnight(each, zone) for each in (window.start_ns, window.end_ns)))


def _local_midnight(date_ns: int, zone: ZoneInfo) -> int:
    """Return the instant at which a date begins in a zone. date_ns: the date's midnight UTC; later ones are rounded up."""
    midnight = datetime.combine(day_of(date_ns + DAY_NS - 1), datetime.min.time(), zone)
    return int(midnight.timestamp()) * SECOND_NS


def stored_times(source: str, wanted: Wanted, times: list[int], zone: ZoneInfo) -> list[int]:
    """Return the times under which rows are stored: a bar of a date that begins in a zone is at its midnight UTC.

    Raises `SourceRefused` if the dates begin in another zone: the bars would be stored under wrong dates.
    """
    if not _is_dated(wanted):
        return times
    dates = []
    for each in times:
        local = datetime.fromtimestamp(each // SECOND_NS, zone)
        if local.time() != datetime.min.time():
            text = f"the days of {source} do not begin at midnight of {zone.key}: fetch 1h, of which days are made here"
            raise SourceRefused(text)
        dates.append((local.date() - _EPOCH).days * DAY_NS)
    return dates


def day_of(instant_ns: int) -> date:
    """Return the UTC date of an instant."""
    return _EPOCH + timedelta(instant_ns // DAY_NS)


def _actions_batch(actions: Iterable[ShareAction]) -> pa.RecordBatch:
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
