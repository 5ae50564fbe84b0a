"""The job that fills the gaps of a symbol: a gap is a fetch of a window, from one source after the other."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

import numpy as np
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet, Sum
from django.utils import timezone

from calendars.schedule import Hours
from jobs.backfills.gaps import gap_resolution, missing_rows, missing_windows, not_deferred
from jobs.backfills.models import EMPTY, EXHAUSTED, FILLED, STATES, Backfill
from jobs.backfills.serializers import BackfillRequestSerializer
from jobs.backfills.services import KIND, backfill_record
from jobs.fetches.services import SUBMISSION
from jobs.kinds import JobKind, Run
from sources.fetching import Fetch
from sources.models import SourceSymbol
from sources.planning import FetchOrder, FetchPlan, unknown_windows
from sources.protocol import Estimate, Source, SourceError, SourceFailed, SourcePage, SourceRefused, Wanted
from sources.registry import DECLARED, VENDORS, declared_names, kind_of, source_named
from sources.row_checks import far_price
from stats.market_data.plan import log_at
from store.datasets import BARS, TRADES
from store.exceptions import Expired
from store.log_views.log_view import first_row, last_row
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import parse_timestamp
from trades.stores import market_store
from web.requests.json_fields import JsonObject

_WARNINGS_SHOWN = 100
Gaps = Callable[[Window], list[Window]]


def backfill(run: Run) -> JsonObject:
    """Fill the gaps of a symbol: the function of the kind `backfill`.

    Returns how many gaps were filled, are empty and are exhausted, the number of rows that sources gave, and warnings.
    """
    parameters = run.parameters
    symbol = market_store().instrument(parameters["symbol"]).symbol
    rule, hours = parameters.get("rule"), Hours(parameters["hours"]) if "hours" in parameters else None

    def gaps(window: Window) -> list[Window]:
        now = timezone.now()
        found = missing_windows(symbol, window, gap_resolution(symbol), now=now, rule=rule, hours=hours)
        return not_deferred(symbol, found, now=now) if parameters.get("automatic") else found

    found = gaps(Window(parse_timestamp(parameters["start"]), parse_timestamp(parameters["end"])))
    for number, gap in enumerate(found):
        run.progress(number, len(found))
        GapFiller(run, symbol, gap, gaps).fill()
    run.progress(len(found), len(found))
    return _result(Backfill.objects.filter(job=run.uuid).order_by("start_ns", "pk"))


def _result(rows: QuerySet[Backfill]) -> JsonObject:
    states = Counter(rows.values_list("state", flat=True))
    warnings = rows.exclude(message="").values_list("source", "message")[:_WARNINGS_SHOWN]
    return {
        **{state: states[state] for state in STATES},
        "rows": rows.aggregate(Sum("rows"))["rows__sum"] or 0,
        "warnings": [f"{source}: {message}" for source, message in warnings],
    }


class Asked(NamedTuple):
    """A source that is asked for missing rows.

    is_own: whether the rows are of the symbol's own venue. A secondary source has bars of another venue.
    """

    source: str
    wanted: Wanted
    is_own: bool


def sources_asked(missing: Wanted) -> Iterator[Asked]:
    """Yield the sources to ask for missing rows, in order: the symbol's own, then those of `SOURCES`.

    A symbol that was never fetched has the rows of the installation's own feed. A folder or another installation has
    the same feed's rows.
    """
    own = SourceSymbol.objects.filter(symbol=missing.instrument.symbol).first()
    if own is not None:
        yield Asked(own.source, replace(missing, name=own.name), is_own=True)
    bars = replace(missing, dataset=BARS, resolution=missing.resolution or Resolution.MINUTE.value)
    for name in declared_names():
        if own is None and kind_of(name) in DECLARED:
            yield Asked(name, missing, is_own=True)
        elif own is None or own.source != name:
            yield Asked(name, bars, is_own=False)


class GapFiller:
    """Fills one gap of a symbol. gaps: returns what is missing in a window."""

    def __init__(self, run: Run, symbol: str, gap: Window, gaps: Gaps) -> None:
        self._run, self._symbol, self._gap, self._gaps = run, symbol, gap, gaps
        self._beside = _prices_beside(symbol, gap)
        self._told: list[dict[str, str]] = []

    def fill(self) -> None:
        """Ask the sources in order until nothing is missing."""
        wanted, missing = missing_rows(self._symbol, self._gap.start_ns), [self._gap]
        for asked in sources_asked(wanted):
            said = self._ask(asked, missing)
            missing = self._gaps(self._gap)
            if not missing:
                return
            self._told.append({"source": asked.source, "said": said})
        for window in missing:
            self._record(wanted, window, EXHAUSTED)

    def _ask(self, asked: Asked, missing: Sequence[Window]) -> str:
        """Fetch missing windows from a source. Return what it says of rows that it does not give."""
        said = ""
        try:
            source = source_named(asked.source)
            if source.costs_money:
                raise SourceRefused("costs money: only manage.py fetch, which shows the price first, asks it")
            wanted = _named(asked, source)
            for window in missing:
                said = self._fetch(asked._replace(wanted=wanted), source, window) or said
        except (SourceError, ImproperlyConfigured, Expired) as error:  # bars fill a gap of expired trades
            said = str(error)
        return said or "has no rows here, and does not know that there are none"

    def _fetch(self, asked: Asked, source: Source, window: Window) -> str:
        """Fetch a window from a source, and record what came of it. Return what is wrong with its rows."""
        wanted, warnings = asked.wanted, list[str]()
        if wanted.resolution is not None and Resolution.of_bars(wanted.resolution).is_period:
            # A day's bar is at the midnight of its date.
            window = window.whole_dates()

        def pages(wanted: Wanted, window: Window) -> Iterator[SourcePage]:
            for page in source.pages(wanted, window):
                self._run.check()
                warnings.append(far_price(page.rows, wanted.dataset, self._beside))
                yield from [page] if asked.is_own else _with_bars(page, wanted, window)

        order = FetchOrder(asked.source, wanted.name, wanted.dataset, wanted.resolution or "", window)
        plan = FetchPlan(order, source, wanted, (window,), Estimate(), is_gap=True)
        fetch = Fetch(plan, pause=_do_not_wait, pages=pages)
        result = fetch.result
        try:
            fetch.run()
        finally:  # also if the source failed, or the job was stopped, between two pages
            answered = window.without(unknown_windows(wanted, asked.source, window))
            if answered:
                rows = result.new + result.known
                self._record(
                    wanted, Window(answered[0].start_ns, answered[-1].end_ns), FILLED if rows else EMPTY,
                    source=asked.source, rows=rows, message=next(filter(None, [*warnings, result.wrong]), ""),
                )  # fmt: skip
        return result.wrong

    def _record(self, wanted: Wanted, window: Window, state: str, **columns: Any) -> None:
        backfill_record(
            dataset=wanted.dataset.name, symbol=self._symbol, window=window, state=state, told=self._told,
            now=timezone.now(), job=self._run.uuid, **columns,
        )  # fmt: skip


def _named(asked: Asked, source: Source) -> Wanted:
    """Return what a source is asked for, by its name there. Raises `SourceError`s.

    Vendors know our symbols. The lists of exchanges are in memory: only these are searched.
    """
    symbol = asked.wanted.instrument.symbol
    if asked.is_own or kind_of(asked.source) in {*VENDORS, *DECLARED}:
        return asked.wanted
    name = next((each.name for each in source.markets() if each.symbol == symbol), None)
    if name is None:
        raise SourceRefused(f"does not list {symbol}")
    return replace(asked.wanted, name=name)


def _do_not_wait(seconds: float, reason: str) -> NoReturn:
    """Leave a source that asks to wait: there may be another one."""
    raise SourceFailed(reason, seconds)


def _with_bars(page: SourcePage, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
    """Yield the runs of bars without one missing between them. Where a secondary source has no bar, others may have one."""
    resolution = Resolution.of_bars(wanted.resolution or "")
    times = page.rows.column(0).to_numpy()
    ends = resolution.start_ns(resolution.number_of(times) + 1)
    times, ends = times[ends <= window.end_ns], ends[ends <= window.end_ns]
    firsts = np.flatnonzero(np.append(True, times[1:] != ends[:-1])[: len(times)]).tolist()
    for first, after in zip(firsts, [*firsts[1:], len(times)], strict=True):
        run = Window(int(times[first]), int(ends[after - 1]))
        yield page._replace(rows=page.rows.slice(first, after - first), answered=run)


def _prices_beside(symbol: str, window: Window) -> list[float]:
    """Return the last price before a window and the first one after it, where there are any."""
    log, name = log_at(TRADES, symbol), "price"
    if log.is_empty or window.start_ns < log.snapshot.expired.before_ns:
        log, name = log_at(BARS, symbol), "close"
    beside = last_row(log, window.start_ns), first_row(log, window.end_ns)
    return [row.column(name)[0].as_py() for row in beside if row is not None]


BACKFILL = JobKind(
    name=KIND,
    function=backfill,
    serializer=BackfillRequestSerializer,
    unit="gaps",
    access=SUBMISSION,
    # One turn for a symbol, so that two of its backfills never ask for the same gap.
    turn=lambda parameters: f"{KIND}:{parameters['symbol']}",
    at_once=5,
    is_schedulable=True,
)
