"""What vendors of US shares have in common: what their pages answer, days of New York, splits and dividends."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa

from ops.outbound.exceptions import UnexpectedStatus
from sources.asking import HttpSource, Shown, batch_of, pages_of, rows_within
from sources.protocol import SourcePage, Wanted
from store.datasets import CORPORATE_ACTIONS
from store.protocol import Window
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, parse_timestamps

BAR_COLUMNS = {
    "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "vwap": "vw", "trade_count": "n"
}  # fmt: skip
"""Our columns of bars, and those of both vendors."""
MINUTE_COUNTS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
_NEW_YORK = ZoneInfo("America/New_York")
_EPOCH = date(1970, 1, 1)
_LATE_NS, _WEST_NS = MINUTE_NS, 5 * 60 * MINUTE_NS
# Plans without live data have none of the last 15 minutes, and refuse a range with them.
_DELAY_NS = 16 * MINUTE_NS
# No market is closed for longer.
_CLOSED_NS = 10 * DAY_NS
Answer = tuple[dict[str, Any], bool, str]
"""Columns of rows by our names, whether the rows are the last ones, and the commit."""


class ShareAction(NamedTuple):
    """A split or dividend, as a row of `CORPORATE_ACTIONS`. timestamp: the ex-date. action_id: the vendor's."""

    timestamp: str
    kind: str
    ratio: float | None
    amount: float | None
    currency: str | None
    action_id: str | None


class ShareSource(HttpSource):
    """A vendor of US shares. After the last row of a window nothing is answered, unless there is a later row.

    is_delayed: whether it is not asked for the newest rows.
    """

    is_delayed = False

    def _rows(self, wanted: Wanted, window: Window, *, is_first_enough: bool) -> Iterator[Answer]:
        """Ask for the rows of a window, or only for its first ones; `timestamp` is the vendor's, nanoseconds UTC."""
        raise NotImplementedError

    def _actions(self, wanted: Wanted, window: Window) -> Iterator[ShareAction]:
        """Ask for the splits and dividends of a window; others may be among them."""
        raise NotImplementedError

    def _pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        if wanted.dataset is CORPORATE_ACTIONS:
            rows = rows_within(_actions_batch(self._actions(wanted, window)), window)
            return pages_of(self.name, [Shown(rows)], window.start_ns)
        return pages_of(self.name, self._shown(wanted, window), window.start_ns)

    def _shown(self, wanted: Wanted, window: Window) -> Iterator[Shown]:
        final = _final_window(wanted, window, _DELAY_NS if self.is_delayed else 0)
        for rows, is_last, commit in self._answers(wanted, final, is_first_enough=False):
            has_later = is_last and self._has_rows(wanted, Window(final.end_ns, final.end_ns + _CLOSED_NS))
            yield Shown(rows, final.end_ns if has_later else None, commit)

    def _has_rows(self, wanted: Wanted, window: Window) -> bool:
        """Return whether there are rows. A refusal, such as of a time that a plan lacks, proves nothing."""
        answers = self._answers(wanted, _final_window(wanted, window, _DELAY_NS), is_first_enough=True)
        try:
            return any(rows.num_rows for rows, *_ in answers)
        except UnexpectedStatus as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return False
            raise

    def _answers(
        self, wanted: Wanted, window: Window, *, is_first_enough: bool
    ) -> Iterator[tuple[pa.RecordBatch, bool, str]]:
        """Yield the rows of a window as they are stored, whether they are the last ones, and the commit."""
        if window.start_ns >= window.end_ns:
            return
        asked = _local_bounds(window) if wanted.is_dated else window
        for columns, is_last, commit in self._rows(wanted, asked, is_first_enough=is_first_enough):
            times = columns["timestamp"]
            columns["timestamp"] = _dates_of(times) if wanted.is_dated else times
            columns["resolution"] = [wanted.resolution] * len(times)
            yield rows_within(batch_of(wanted.dataset, columns), window), is_last, commit


def _final_window(wanted: Wanted, window: Window, delay_ns: int) -> Window:
    """Return the part of a window whose rows are final by now: trades come and bars change some seconds late.

    The time of a bar is its start, or the midnight UTC of a date that ends up to five hours after the date of UTC.
    """
    late_ns = wanted.bar_ns + _LATE_NS + delay_ns + (_WEST_NS if wanted.is_dated else 0)
    return Window(window.start_ns, max(window.start_ns, min(window.end_ns, time.time_ns() - late_ns)))


def _local_bounds(window: Window) -> Window:
    """Return where a vendor has the bars of dates of a window: they begin at midnights of New York."""
    # A date whose midnight UTC lies before the window is not in it.
    days = (day_of(each + DAY_NS - 1) for each in (window.start_ns, window.end_ns))
    midnights = (datetime.combine(day, datetime.min.time(), _NEW_YORK) for day in days)
    return Window(*(int(each.timestamp()) * SECOND_NS for each in midnights))


def _dates_of(times: list[int]) -> list[int]:
    """Return the midnight UTC of each instant's date in New York."""
    dates = (datetime.fromtimestamp(each // SECOND_NS, _NEW_YORK).date() for each in times)
    return [(each - _EPOCH).days * DAY_NS for each in dates]


def day_of(instant_ns: int) -> date:
    """Return the UTC date of an instant."""
    return _EPOCH + timedelta(instant_ns // DAY_NS)


def _actions_batch(actions: Iterable[ShareAction]) -> pa.RecordBatch:
    """Return corporate actions as rows, ascending.

    Only the second action of a kind and date gets its id: the first one is recognised by date and kind, so that an
    imported one is not stored a second time.
    """
    found: list[ShareAction] = []
    for each in sorted(set(actions), key=lambda each: (*each[:2], each.action_id)):
        is_second = bool(found) and found[-1][:2] == each[:2]
        found.append(each if is_second else each._replace(action_id=None))
    columns: dict[str, Sequence[object]] = {
        name: [getattr(each, name) for each in found] for name in ShareAction._fields
    }
    columns["timestamp"] = parse_timestamps([each.timestamp for each in found]).tolist()
    return batch_of(CORPORATE_ACTIONS, columns)
