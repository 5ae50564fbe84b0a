"""The job that fills the gaps of a symbol in a range: finds them, asks the sources, stores what they have."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from django.utils import timezone

from backfills.checks import CheckedRows, Surroundings, Verdict
from backfills.models import EMPTY, EXHAUSTED, FILLED, QUARANTINED
from backfills.records import backfill_record, exhausted_record, gap_found, settled_windows
from backfills.sources.order import FirstFetched, fetch_first
from backfills.sources.protocol import Fetched, Source, SourceRequest
from backfills.sources.registry import sources_in_order
from backfills.surroundings import surroundings_of
from jobs.kinds import Document, Run
from stats.market_data.gaps import gaps_of
from stats.sessions.schedule import Hours
from store.datasets import TRADES
from store.protocol import Fill, Window
from store.resolutions import Resolution
from store.timestamps import SECOND_NS, format_timestamp, parse_timestamp
from trades.services import fill_store
from trades.stores import market_store

CALLER = "backfill"


@dataclass(frozen=True, slots=True)
class BackfillTask:
    """What a job shall fill.

    hours: in which gaps are looked for; None for the instrument's usual ones. rule: None for the instrument's. with_settled: whether gaps are asked for, too,
    for which a person or a later time is awaited. accepts_far: whether prices that are far from both sides are stored.
    """

    symbol: str
    window: Window
    hours: Hours | None
    rule: str | None
    with_settled: bool
    accepts_far: bool

    @classmethod
    def of(cls, parameters: Document) -> "BackfillTask":
        """Return the task of a job's parameters."""
        instrument = market_store().instrument(parameters["symbol"])
        hours = parameters.get("hours")
        return cls(
            instrument.symbol,
            Window(parse_timestamp(parameters["start"]), parse_timestamp(parameters["end"])),
            None if hours is None else Hours(hours),
            parameters.get("rule"),
            not parameters.get("automatic", False),
            parameters.get("accept_far", False),
        )


def open_gaps(task: BackfillTask, *, now: datetime) -> list[Window]:
    """Return the gaps of a task for which sources are to be asked, ascending."""
    now_ns = int(now.astimezone(UTC).timestamp()) * SECOND_NS
    gaps = gaps_of(task.symbol, task.window, Resolution.MINUTE, task.rule, hours=task.hours, now_ns=now_ns)
    settled = [] if task.with_settled else settled_windows(task.symbol, now=now)
    # Under the rule `calendar` windows stay gaps in which a source has answered that nobody traded.
    filled = [fill.window for _, fill in market_store().fills(TRADES, task.symbol, task.window)]
    return [
        window for gap in gaps for window in Window(gap.start_ns, gap.end_ns).without([*filled, *settled])
    ]


def backfill(run: Run) -> Document:
    """Fill the gaps of a symbol: the function of the kind `backfill`.

    Returns how many gaps there were, what became of them, and the number of rows that were stored.
    """
    task = BackfillTask.of(run.parameters)
    counts = Counter[str](run.note)
    gaps = open_gaps(task, now=timezone.now())
    before = counts["gaps"]
    run.progress(before, before + len(gaps))
    for number, window in enumerate(gaps, before + 1):
        counts.update(GapFiller(run, task).fill(window))
        counts["gaps"] += 1
        run.leave(dict(counts))
        run.progress(number, before + len(gaps))
    return dict.fromkeys(("gaps", FILLED, EMPTY, QUARANTINED, EXHAUSTED, "rows"), 0) | counts


class GapFiller:
    """Fills one gap of a task."""

    def __init__(self, run: Run, task: BackfillTask) -> None:
        self._run = run
        self._task = task
        self._instrument = market_store().instrument(task.symbol)

    def fill(self, window: Window) -> Counter[str]:
        """Ask the sources in order for the rows of a gap; return the number of windows by state, and of rows."""
        gap_found(dataset=TRADES, symbol=self._task.symbol, window=window, now=timezone.now())
        return self._fill_from(sources_in_order(self._instrument.exchange), window)

    def _fill_from(self, sources: Sequence[Source], window: Window) -> Counter[str]:
        self._run.check()
        first = fetch_first(
            sources, SourceRequest(TRADES, self._instrument, window), self._surroundings(window)
        )
        if first.fetched is None or first.checked is None:
            return self._exhausted(window, first)
        if first.checked.verdict is Verdict.QUARANTINED:
            return self._quarantined(window, first.fetched, first.checked)
        counts = Counter[str]()
        answered = _answered(first.fetched, first.checked, window)
        for part in answered:
            counts.update(self._store(part, first.fetched, first.checked, first))
        names = [source.name for source in sources]
        others = sources[names.index(first.fetched.source) + 1 :]
        for rest in window.without(answered):
            counts.update(self._fill_from(others, rest))
        return counts

    def _surroundings(self, window: Window) -> Surroundings:
        return Surroundings() if self._task.accepts_far else surroundings_of(self._instrument, window)

    def _store(
        self, window: Window, fetched: Fetched, checked: CheckedRows, first: FirstFetched
    ) -> Counter[str]:
        """Store a source's rows in a window, or that it has none."""
        rows = _rows_in(checked.rows, window)
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
            commit=receipt.commit.token, told=[list(each) for each in first.told], message="",
        )  # fmt: skip
        return Counter({state: 1, "rows": rows.num_rows})

    def _quarantined(self, window: Window, fetched: Fetched, checked: CheckedRows) -> Counter[str]:
        self._record(
            window,
            QUARANTINED,
            source=fetched.source,
            source_commit=fetched.commit,
            rows=0,
            message=checked.reason,
        )
        return Counter({QUARANTINED: 1})

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


def _answered(fetched: Fetched, checked: CheckedRows, window: Window) -> list[Window]:
    """Return the parts of a window that a source has answered: those it vouches for, else up to its last row."""
    known = [part for each in fetched.answered if (part := each.within(window)).start_ns < part.end_ns]
    if known or checked.rows is None or not checked.rows.num_rows:
        return known
    times = checked.rows.column(0)
    return [Window(times[0].as_py(), times[-1].as_py() + 1)]


def _rows_in(rows: pa.RecordBatch | None, window: Window) -> pa.RecordBatch:
    if rows is None:
        return pa.RecordBatch.from_pylist([], schema=TRADES.schema)
    times = rows.column(0)
    is_inside = pc.and_(pc.greater_equal(times, window.start_ns), pc.less(times, window.end_ns))
    return rows.filter(is_inside)
