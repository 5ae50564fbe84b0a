"""What sources share: errors of requests as `SourceError`s, and rows cut into pages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ops.outbound.exceptions import (
    BreakerOpen,
    DestinationRefused,
    DestinationUnavailable,
    OutboundError,
    UnexpectedStatus,
)
from sources.protocol import SourceFailed, SourcePage, SourceRefused
from store.datasets import TRADES
from store.declarations import Dataset
from store.protocol import Window
from store.timestamps import MINUTE_NS, InvalidTimestamp

PAGE_ROWS = 10_000
_FORM_ERRORS = (LookupError, TypeError, AttributeError, ArithmeticError, InvalidTimestamp, pa.ArrowException)


@contextmanager
def errors_told(source: str, refusals: Mapping[int, str] | None = None) -> Iterator[None]:
    """Raise `SourceRefused` or `SourceFailed` for the errors of a request, and for an answer of another form.

    source: its name, for messages. refusals: sentences for statuses of refusals.
    """
    try:
        yield
    except UnexpectedStatus as error:
        told = (refusals or {}).get(error.status, f"{source} answered {error.status} {error.code}".rstrip())
        raise (SourceRefused if 400 <= error.status < 500 else SourceFailed)(told) from error
    except DestinationRefused as error:
        raise SourceRefused(str(error)) from error
    except (BreakerOpen, DestinationUnavailable) as error:
        raise SourceFailed(str(error), error.retry_after) from error
    except OutboundError as error:
        raise SourceFailed(str(error)) from error
    except _FORM_ERRORS as error:
        raise SourceFailed(
            f"{source} answered in another form than expected ({type(error).__name__})"
        ) from error


def batch_of(dataset: Dataset, columns: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
    """Return rows in a dataset's schema. columns: those that are not all null; `timestamp` is one of them."""
    count = len(columns["timestamp"])
    arrays = [pa.array(columns.get(field.name, [None] * count), field.type) for field in dataset.schema]
    return pa.record_batch(arrays, schema=dataset.schema)


def rows_within(rows: pa.RecordBatch, window: Window) -> pa.RecordBatch:
    """Return the rows of a window."""
    times = rows.column(0).to_numpy()
    is_inside = (times >= window.start_ns) & (times < window.end_ns)
    return rows if is_inside.all() else rows.filter(pa.array(is_inside))


def minute_pages(pages: Iterable[SourcePage], dataset: Dataset) -> Iterator[SourcePage]:
    """Yield pages of trades that end with a whole minute, but the last one; pages of other rows as they are.

    A fetch that stops between two pages would leave a part of a minute, which hides the stored bar of the minute.
    """
    held: SourcePage | None = None
    for given in pages:
        page = given
        if held is not None and held.answered.end_ns == page.answered.start_ns:
            rows = pa.concat_batches([held.rows, page.rows])
            page = page._replace(rows=rows, answered=Window(held.answered.start_ns, page.answered.end_ns))
        elif held is not None:
            yield held
        cut_ns = page.answered.end_ns // MINUTE_NS * MINUTE_NS if dataset is TRADES else page.answered.end_ns
        whole, rest = Window(page.answered.start_ns, cut_ns), Window(cut_ns, page.answered.end_ns)
        if whole.start_ns < whole.end_ns:
            yield page._replace(rows=rows_within(page.rows, whole), answered=whole)
            page = page._replace(rows=rows_within(page.rows, rest), answered=rest)
        held = page if page.answered.start_ns < page.answered.end_ns else None
    if held is not None:
        yield held


class Shown(NamedTuple):
    """Rows, and the instant before which the source has shown all rows by then. commit: see `SourcePage`."""

    rows: pa.RecordBatch
    until_ns: int
    commit: str = ""


def pages_of(source: str, shown: Iterable[Shown], start_ns: int) -> Iterator[SourcePage]:
    """Yield pages of the rows that a source shows part by part, ascending, from `start_ns` on.

    Rows from a part's `until_ns` on are kept for the next page: the next part may have more of the same time. A page has
    more than `PAGE_ROWS` rows only if they are of one time. Raises `SourceFailed` for rows that go back in time.
    """
    held: pa.RecordBatch | None = None
    for rows, until_ns, commit in shown:
        held = rows if held is None else pa.concat_batches([held, rows])
        times = held.column(0).to_numpy()
        if (times[1:] < times[:-1]).any() or (len(times) and times[0] < start_ns):
            raise SourceFailed(f"{source} gave rows that go back in time")
        while start_ns < until_ns:
            end_ns = _page_end(times, until_ns)
            count = int(np.searchsorted(times, end_ns))
            yield SourcePage(held.slice(0, count), Window(start_ns, end_ns), commit)
            start_ns, held, times = end_ns, held.slice(count), times[count:]


def _page_end(times: Any, until_ns: int) -> int:
    """Return the end of a page that begins with the first of the times."""
    if len(times) <= PAGE_ROWS or times[PAGE_ROWS] >= until_ns:
        return until_ns
    if times[PAGE_ROWS] > times[0]:
        return int(times[PAGE_ROWS])
    return min(until_ns, int(times[0]) + 1)
