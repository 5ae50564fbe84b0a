"""The job that fills the gaps of a symbol in a range: finds them, asks the sources, stores what they have."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from django.utils import timezone

from calendars.schedule import Hours
from jobs.backfills.models import EMPTY, EXHAUSTED, FILLED
from jobs.backfills.records import (
    backfill_record,
    exhausted_forget,
    exhausted_record,
    not_deferred,
)
from jobs.backfills.sources.order import FirstFetched, SourceStatement, fetch_first
from jobs.backfills.sources.protocol import Fetched, Source, SourceRequest
from jobs.backfills.sources.registry import sources_in_order
from jobs.kinds import Run
from sources.row_checks import far_price
from stats.market_data.gaps import gaps_of
from stats.market_data.ohlcv.found_gaps import Gap
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.log_views.log_view import first_row, last_row, view_of
from store.protocol import Fill, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, format_timestamp, parse_timestamp
from trades.services import fill_store
from trades.stores import market_store
from web.requests.json_fields import JsonObject

CALLER = "backfill"
COUNTS = ("gaps", FILLED, EMPTY, EXHAUSTED, "rows")
"""The members of a job's result, in the order in which they are shown. PostgreSQL's JSON has an order of its own."""
_LONGEST_PIECE_NS = 31 * DAY_NS
_WARNINGS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class BackfillTask:
    """What a job shall fill.

    hours: in which gaps are looked for; None for the instrument's usual ones. rule: None for the instrument's.
    with_exhausted: whether gaps that no source could fill are asked for before their time.
    """

    symbol: str
    window: Window
    hours: Hours | None
    rule: str | None
    with_exhausted: bool

    @classmethod
    def of(cls, parameters: JsonObject) -> "BackfillTask":
        """Return the task of a job's parameters."""
        instrument = market_store().instrument(parameters["symbol"])
        hours = parameters.get("hours")
        return cls(
            instrument.symbol,
            Window(parse_timestamp(parameters["start"]), parse_timestamp(parameters["end"])),
            None if hours is None else Hours(hours),
            parameters.get("rule"),
            not parameters.get("automatic", False),
        )


def open_gaps(task: BackfillTask, *, now: datetime) -> list[Window]:
    """Return the gaps of a task for which sources are to be asked, ascending."""
    now_ns = int(now.astimezone(UTC).timestamp()) * SECOND_NS
    gaps = gaps_of(task.symbol, task.window, Resolution.MINUTE, task.rule, hours=task.hours, now_ns=now_ns)
    windows = unfilled(task.symbol, gaps)
    exhausted_forget(task.symbol, task.window, gaps=windows)
    if not task.with_exhausted:
        windows = not_deferred(task.symbol, windows, now=now)
    return [part for window in windows for part in _pieces(window)]


def unfilled(symbol: str, gaps: Sequence[Gap]) -> list[Window]:
    """Return the windows of a symbol's gaps without those that a source has filled.

    Under the rule `calendar` a window stays a gap in which a source has answered that nobody traded.
    """
    if not gaps:
        return []
    whole = Window(gaps[0].start_ns, gaps[-1].end_ns)
    filled = [fill.window for _, fill in market_store().log(TRADES, symbol).at().fills(whole)]
    return [part for gap in gaps for part in Window(gap.start_ns, gap.end_ns).without(filled)]


def _pieces(window: Window) -> list[Window]:
    """Cut a window so that a source's answer, and a commit, stay small."""
    starts = range(window.start_ns, window.end_ns, _LONGEST_PIECE_NS)
    return [Window(start, min(start + _LONGEST_PIECE_NS, window.end_ns)) for start in starts]


def backfill(run: Run) -> JsonObject:
    """Fill the gaps of a symbol: the function of the kind `backfill`.

    Returns how many gaps there were, what became of them, the number of rows that were stored, and warnings of prices
    that differ far from those beside their gap.
    """
    task = BackfillTask.of(run.parameters)
    note = run.note or {"counts": {}, "warnings": []}
    counts, warnings = Counter[str](note["counts"]), note["warnings"]
    gaps = open_gaps(task, now=timezone.now())
    before = counts["gaps"]
    run.progress(before, before + len(gaps))
    for number, window in enumerate(gaps, before + 1):
        filler = GapFiller(run, task)
        counts.update(filler.fill(window))
        counts["gaps"] += 1
        warnings += filler.warnings[: _WARNINGS_SHOWN - len(warnings)]
        run.leave({"counts": dict(counts), "warnings": warnings})
        run.progress(number, before + len(gaps))
    return {**dict.fromkeys(COUNTS, 0), **counts, "warnings": warnings}


class GapFiller:
    """Fills one gap of a task. warnings: of prices that were stored and differ far from those beside the gap."""

    def __init__(self, run: Run, task: BackfillTask) -> None:
        self._run = run
        self._task = task
        self._instrument = market_store().instrument(task.symbol)
        self.warnings: list[str] = []

    def fill(self, window: Window) -> Counter[str]:
        """Ask the sources in order for the rows of a gap; return the number of its parts by state, and of rows."""
        return self._fill_from(sources_in_order(self._instrument.exchange), window, ())

    def _fill_from(
        self, sources: Sequence[Source], window: Window, told: tuple[SourceStatement, ...]
    ) -> Counter[str]:
        """Ask these sources; then ask those after the one that answered for the parts that it does not know.

        told: what the sources before said. Returns what `fill` does.
        """
        self._run.check()
        request = SourceRequest(TRADES, self._instrument, window)
        first = fetch_first(sources, request)
        first = replace(first, told=(*told, *first.told))
        if first.fetched is None or first.rows is None:
            return self._exhausted(window, first)
        counts = Counter[str]()
        beside = _prices_beside(self._task.symbol, window)
        answered = _answered(first.fetched, first.rows, window)
        for part in answered:
            counts.update(self._store(part, first.fetched, first.rows, first, beside))
        names = [source.name for source in sources]
        others = sources[names.index(first.fetched.source) + 1 :]
        said = SourceStatement(
            first.fetched.source, "has no rows here, and does not know that there are none"
        )
        for rest in window.without(answered):
            for part in open_gaps(replace(self._task, window=rest), now=timezone.now()):
                counts.update(self._fill_from(others, part, (*first.told, said)))
        return counts

    def _store(
        self,
        window: Window,
        fetched: Fetched,
        fetched_rows: pa.RecordBatch,
        first: FirstFetched,
        beside: Sequence[float],
    ) -> Counter[str]:
        """Store a source's rows in a window, or that it has none."""
        rows = _rows_in(fetched_rows, window)
        warning = far_price(rows, TRADES, beside)
        self.warnings += [f"{fetched.source}: {warning}"] if warning else []
        start, end = format_timestamp(window.start_ns), format_timestamp(window.end_ns)
        receipt = fill_store(
            dataset=TRADES,
            symbol=self._task.symbol,
            rows=rows,
            fill=Fill(window, fetched.source, f"{TRADES.name} {start}/{end}", fetched.commit),
            caller=CALLER,
            request_key=self._run.request_key(f"{window.start_ns}-{window.end_ns}"),
        )
        state = FILLED if rows.num_rows else EMPTY
        self._record(
            window, state, source=fetched.source, source_commit=fetched.commit, rows=rows.num_rows,
            commit=receipt.commit.token, told=[list(each) for each in first.told], message=warning,
        )  # fmt: skip
        return Counter({state: 1, "rows": rows.num_rows})

    def _exhausted(self, window: Window, first: FirstFetched) -> Counter[str]:
        exhausted_record(
            dataset=TRADES, symbol=self._task.symbol, window=window, told=first.told,
            retry_after=first.retry_after, now=timezone.now(), job=self._job,
        )  # fmt: skip
        return Counter({EXHAUSTED: 1})

    def _record(self, window: Window, state: str, **columns: Any) -> None:
        backfill_record(
            dataset=TRADES, symbol=self._task.symbol, window=window, state=state, now=timezone.now(),
            job=self._job, **columns,
        )  # fmt: skip

    @property
    def _job(self) -> UUID:
        return self._run.uuid


def _answered(fetched: Fetched, rows: pa.RecordBatch, window: Window) -> list[Window]:
    """Return the parts of a window that a source has answered: those it knows all rows of, and minutes with rows."""
    minutes = np.unique(rows.column(0).to_numpy() // MINUTE_NS).tolist()
    with_rows = (Window(minute * MINUTE_NS, (minute + 1) * MINUTE_NS) for minute in minutes)
    parts = [each.within(window) for each in (*fetched.answered, *with_rows)]
    return window.without(window.without(part for part in parts if part.start_ns < part.end_ns))


def _prices_beside(symbol: str, window: Window) -> list[float]:
    """Return the last price before a window and the first one after it, where there are any."""
    try:
        trades = view_of(market_store().log(TRADES, symbol).at())
    except UnknownSymbol:  # only bars are stored
        return []
    beside = last_row(trades, window.start_ns), first_row(trades, window.end_ns)
    return [row.column("price")[0].as_py() for row in beside if row is not None]


def _rows_in(rows: pa.RecordBatch, window: Window) -> pa.RecordBatch:
    times = rows.column(0)
    is_inside = pc.and_(pc.greater_equal(times, window.start_ns), pc.less(times, window.end_ns))
    return rows.filter(is_inside)
