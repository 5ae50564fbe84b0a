"""The job that fills the gaps of a symbol: finds them, asks the sources in order, and stores each page that they give."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from calendars.schedule import Hours
from jobs.backfills.asking import Asked, MissingLog, missing_log, resolution_of, sources_asked
from jobs.backfills.models import EMPTY, EXHAUSTED, FILLED
from jobs.backfills.records import backfill_record, exhausted_record, not_deferred
from jobs.kinds import Run
from sources.asking import minute_pages, rows_within
from sources.planning import question
from sources.protocol import SourceError, SourceFailed, SourcePage, SourceRefused, Wanted
from sources.registry import source_named
from sources.row_checks import far_price, rows_checked
from stats.market_data.gaps import gaps_of
from stats.market_data.plan import log_at
from store.datasets import BARS, TRADES
from store.log_views.log_view import first_row, last_row
from store.protocol import Fill, Window
from store.resolutions import Resolution
from store.timestamps import SECOND_NS, parse_timestamp
from trades.services import fill_store
from trades.stores import market_store
from web.requests.json_fields import JsonObject

CALLER = "backfill"
COUNTS = ("gaps", FILLED, EMPTY, EXHAUSTED, "rows")
"""The members of a job's result, in the order in which they are shown. PostgreSQL's JSON has an order of its own."""
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
        hours = parameters.get("hours")
        return cls(
            market_store().instrument(parameters["symbol"]).symbol,
            Window(parse_timestamp(parameters["start"]), parse_timestamp(parameters["end"])),
            None if hours is None else Hours(hours),
            parameters.get("rule"),
            not parameters.get("automatic", False),
        )


def open_gaps(task: BackfillTask, *, now: datetime) -> list[Window]:
    """Return the gaps of a task for which sources are to be asked, ascending."""
    windows = missing_windows(
        task.symbol, task.window, resolution_of(task.symbol), now=now, rule=task.rule, hours=task.hours
    )
    return windows if task.with_exhausted else not_deferred(task.symbol, windows, now=now)


def missing_windows(
    symbol: str,
    window: Window,
    resolution: Resolution,
    *,
    now: datetime,
    rule: str | None = None,
    hours: Hours | None = None,
) -> list[Window]:
    """Return the gaps of a symbol without the parts that a source has answered.

    Under the rule `calendar` a window stays a gap in which a source has answered that nobody traded.
    """
    now_ns = int(now.astimezone(UTC).timestamp()) * SECOND_NS
    found = []
    for gap in gaps_of(symbol, window, resolution, rule, hours=hours, now_ns=now_ns):
        whole, log = Window(gap.start_ns, gap.end_ns), missing_log(symbol, gap.start_ns)
        fills, asked = log_at(log.dataset, symbol).snapshot.fills(whole), question(*log)
        found += whole.without(fill.window for _, fill in fills if fill.request == asked)
    return found


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
    for number, gap in enumerate(gaps, before + 1):
        filler = GapFiller(run, task, gap)
        counts.update({**filler.fill(), "gaps": 1})
        warnings += filler.warnings[: _WARNINGS_SHOWN - len(warnings)]
        run.leave({"counts": dict(counts), "warnings": warnings})
        run.progress(number, before + len(gaps))
    return {**dict.fromkeys(COUNTS, 0), **counts, "warnings": warnings}


class Stored(NamedTuple):
    """A window that a source has answered, and what was stored of it: the number of rows, the commit, a warning."""

    window: Window
    rows: int
    source_commit: str
    commit: str
    warning: str


class GapFiller:
    """Fills one gap of a task. warnings: of prices that were stored and differ far from those beside the gap."""

    def __init__(self, run: Run, task: BackfillTask, gap: Window) -> None:
        self._run = run
        self._task = replace(task, window=gap)
        self._instrument = market_store().instrument(task.symbol)
        self._beside = _prices_beside(task.symbol, gap)
        self._told: list[tuple[str, str]] = []
        self._waits: list[float] = []
        self.warnings: list[str] = []

    def fill(self) -> Counter[str]:
        """Ask the sources in order until nothing is missing. Return how many parts were filled, and how many rows."""
        gap, counts = self._task.window, Counter[str]()
        log, missing = missing_log(self._task.symbol, gap.start_ns), [gap]
        for asked in sources_asked(self._instrument, log):
            stored: list[Stored] = []
            try:
                self._ask(asked, missing, stored)
            finally:  # also if the job is stopped between two pages
                counts += self._recorded(asked, stored)
            if stored:
                missing = open_gaps(self._task, now=timezone.now())
            if not missing:
                break
            self._tell(asked.source, "has no rows here, and does not know that there are none")
        for part in missing:
            exhausted_record(
                dataset=log.dataset, symbol=self._task.symbol, window=part, told=self._told,
                retry_after=min(self._waits, default=None), now=timezone.now(), job=self._run.uuid,
            )  # fmt: skip
        return counts + Counter({EXHAUSTED: len(missing)})

    def _ask(self, asked: Asked, missing: Sequence[Window], stored: list[Stored]) -> None:
        """Store each page that a source has of the missing windows, until it fails. What was stored goes to `stored`."""
        try:
            source = source_named(asked.source)
            if getattr(source, "costs_money", False):
                raise SourceRefused(
                    "costs money, so it is asked only by manage.py fetch, which shows the price first"
                )
            wanted = asked.wanted(self._instrument)
            refusal = source.refusal(wanted)
            if refusal:
                raise SourceRefused(refusal)
            for part in map(asked.log.window, missing):
                for page in minute_pages(source.pages(wanted, part), wanted.dataset):
                    self._run.check()
                    stored += (
                        self._store(asked, *each, page) for each in self._parts(asked, wanted, page, part)
                    )
        except (SourceError, ImproperlyConfigured) as error:
            self._tell(asked.source, str(error))
            if isinstance(error, SourceFailed) and error.retry_after is not None:
                self._waits.append(error.retry_after)

    def _recorded(self, asked: Asked, stored: Sequence[Stored]) -> Counter[str]:
        """Record what a source gave; return how many windows it filled or knows as empty, and how many rows."""
        counts = Counter[str]()
        for each in _merged(stored):
            state = FILLED if each.rows else EMPTY
            backfill_record(
                dataset=asked.log.dataset, symbol=self._task.symbol, window=each.window, state=state,
                now=timezone.now(), job=self._run.uuid, source=asked.source, source_commit=each.source_commit,
                commit=each.commit, rows=each.rows, told=[list(said) for said in self._told], message=each.warning,
            )  # fmt: skip
            counts += Counter({state: 1, "rows": each.rows})
            self.warnings += [f"{asked.source}: {each.warning}"] if each.warning else []
        return counts

    def _tell(self, source: str, said: str) -> None:
        """Keep what a source said, the first time that it said something."""
        if all(name != source for name, _ in self._told):
            self._told.append((source, said))

    def _parts(
        self, asked: Asked, wanted: Wanted, page: SourcePage, part: Window
    ) -> Iterator[tuple[Window, pa.RecordBatch]]:
        """Yield what is stored of a page: windows in the missing part, each with its rows."""
        allows_nonpositive = self._instrument.allow_nonpositive_price
        rows, _, wrong = rows_checked(
            page.rows, wanted.dataset, page.answered, allows_nonpositive=allows_nonpositive
        )
        if wrong:
            raise SourceRefused(wrong)
        window = page.answered.within(part)
        if not asked.is_own:
            for run in _interval_runs(rows_within(rows, window), asked.log, window):
                yield run, rows_within(rows, run)
        elif window.start_ns < window.end_ns:
            yield window, rows_within(rows, window)

    def _store(self, asked: Asked, window: Window, rows: pa.RecordBatch, page: SourcePage) -> Stored:
        """Store a source's rows in a window, or that it has none."""
        receipt = fill_store(
            dataset=asked.log.dataset,
            symbol=self._task.symbol,
            rows=rows,
            fill=Fill(window, asked.source, question(*asked.log), page.commit),
            caller=CALLER,
            request_key=self._run.request_key(f"{asked.source}-{window.start_ns}-{window.end_ns}"),
        )
        return Stored(
            window,
            rows.num_rows,
            page.commit,
            receipt.commit.token,
            far_price(rows, asked.log.dataset, self._beside),
        )


def _merged(stored: Sequence[Stored]) -> list[Stored]:
    """Return what was stored with neighbours as one, in which the newest commit and the first warning stand."""
    merged: list[Stored] = []
    for each in stored:
        last = merged[-1] if merged else None
        if last is not None and last.window.end_ns == each.window.start_ns:
            whole = Window(last.window.start_ns, each.window.end_ns)
            merged[-1] = each._replace(
                window=whole, rows=last.rows + each.rows, warning=last.warning or each.warning
            )
        else:
            merged.append(each)
    return merged


def _interval_runs(rows: pa.RecordBatch, log: MissingLog, window: Window) -> Iterator[Window]:
    """Yield the windows of bars without a bar missing between them, whose intervals lie in a window."""
    resolution = Resolution.of_bars(log.resolution or "")
    times = rows.column(0).to_numpy()
    ends = resolution.start_ns(resolution.number_of(times) + 1)
    inside = ends <= window.end_ns
    times, ends = times[inside], ends[inside]
    first = np.flatnonzero(np.append(True, times[1:] != ends[:-1])[: len(times)])
    for start_ns, end_ns in zip(
        times[first].tolist(), ends[np.append(first[1:], len(times)) - 1].tolist(), strict=True
    ):
        yield Window(start_ns, end_ns)


def _prices_beside(symbol: str, window: Window) -> list[float]:
    """Return the last price before a window and the first one after it, where there are any."""
    log, name = log_at(TRADES, symbol), "price"
    if log.is_empty:
        log, name = log_at(BARS, symbol), "close"
    beside = last_row(log, window.start_ns), first_row(log, window.end_ns)
    return [row.column(name)[0].as_py() for row in beside if row is not None]
