"""The report `/ohlcv/explain`: the prints of one bar, what each set and why, and the bar's changes."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec
import numpy as np

from stats.caching.keys import Irrelevant
from stats.exceptions import ResolutionUnavailable
from stats.market_data.answers.page import PageSnapshot, page_snapshot
from stats.market_data.answers.report import MarketReport, Report
from stats.market_data.documents import Reason
from stats.market_data.ohlcv.absences import BarAbsences
from stats.market_data.ohlcv.bar_explanation import BarExplanation, BarExplanationDocument
from stats.market_data.ohlcv.bar_rows import BarRowReader
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.ohlcv.explained_prints import ExplainedPrints, explained_prints
from stats.market_data.ohlcv.revisions import REVISIONS
from stats.market_data.query import MARKET_CLASSES, MarketDataQuery, common_fields, range_fields
from stats.market_data.query_parameters import RowQuerySerializer, query_serializer
from stats.market_data.rows import WindowedSource
from stats.parameters import Bound, query_values
from stats.rendering.format import TimeForm
from stats.rendering.json_rows import row_objects
from stats.rendering.table import Table
from store.bar_policies import BarPolicy
from store.cached_property import cached_property
from store.log_views.log_view import LogView
from store.log_views.session_spans import OUTSIDE
from store.log_views.stored_bars import parts_of_bar
from store.log_views.trade_bars import credited_until_ns, labels_of_rows
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS
from trades.instruments.services import requested_symbol

EXPLAIN = "explain"
# How many prints are listed by default.
_LISTED = 100
_NO_TIMES = np.empty(0, np.int64)


def _serializer(_several: bool) -> RowQuerySerializer:
    """Return the serializer of a query for the explanation of a bar."""
    names = ("at", "resolution", "session", "hours", "anchor", "as_of", "symbol_as_of", "limit")
    return query_serializer(names, Resolution.MINUTE.value, needed="at")


@dataclass(frozen=True, slots=True)
class ExplainQuery:
    """The bar to explain. bars: the query for this bar alone.

    at: an instant in the bar; a date is that of a daily bar.
    """

    bars: Annotated[MarketDataQuery, Irrelevant("the page has it")]
    at: Bound
    listed: int


def parse_explain_query(market_class: str, symbol: str | None, query_string: str) -> ExplainQuery:
    """Parse a URL's query string. Raises `InvalidParameter`, `InvalidValue` and `ResolutionUnavailable`."""
    values = query_values(_serializer(False), query_string)
    listed, at = values.pop("limit", _LISTED), values["at"]
    is_day = at.is_date and values.get("resolution") == Resolution.DAY
    bars = MarketDataQuery.of(
        OHLCV,
        (requested_symbol(symbol or ""),),
        market_class=MARKET_CLASSES[market_class],
        **range_fields(at, Bound(at.instant_ns + (DAY_NS if is_day else 1), is_date=is_day)),
        with_coverage=True,
        **{"resolution": Resolution.MINUTE, **common_fields(values)},
    )
    if bars.resolution.is_tick or bars.resolution > Resolution.DAY:
        raise ResolutionUnavailable(f"bars from 1s to 1d are explained, not {bars.resolution.value}")
    return ExplainQuery(bars, at, listed)


@dataclass(frozen=True, eq=False)
class ExplainedBar(Report):
    """The explanation of one bar.

    page: the page with the bar alone. revisions: the page of its changes; None if it has none in this form. log: the
    trades at the newest commit that may be read.
    """

    query: ExplainQuery
    page: PageSnapshot
    revisions: PageSnapshot | None
    log: LogView

    @property
    def name(self) -> str:
        return f"{self.query.bars.market_class.path}-{EXPLAIN}"

    @cached_property
    def reader(self) -> BarRowReader:
        """The reader of the page's bars."""
        source = self.page.source
        assert isinstance(source, WindowedSource)  # noqa: S101 the source of bars
        assert isinstance(source.reader, BarRowReader)  # noqa: S101 as above
        return source.reader

    @cached_property
    def _interval(self) -> Window:
        """The bar's interval."""
        grid, at = self.reader.grid, self.query.at
        is_date = at.is_date and grid.period_calendar is not None
        return grid.interval(grid.date_start(at.instant_ns) if is_date else at.instant_ns)

    def document(self) -> BarExplanationDocument:
        """See `AnswerSnapshot.document`."""
        revisions, explained = self.revisions, self._fields()
        return BarExplanationDocument(
            **explained,
            symbol=self.symbols[0],
            resolution=self.query.bars.resolution.value,
            reason=self._reason() if explained["bar"] is None else None,
            revisions=None if revisions is None else _objects(revisions.page().rows.table),
        )

    def _reason(self) -> Reason:
        """Return why there is no bar."""
        absences = next(each for each in self.page.plans[0].notes if isinstance(each, BarAbsences))
        return next(each.reason for each in absences.of_page(_NO_TIMES, None, None))

    def _fields(self) -> dict[str, Any]:
        """Return the fields of the bar and its prints."""
        bar, inputs = self.page.page().rows.table, self.reader.inputs
        parts = parts_of_bar(inputs.unadjusted(self.reader.grid), self._interval)
        volume = float(bar.data.column("volume")[0].as_py()) if len(bar.data) else 0.0
        explanation = BarExplanation(self._explained(inputs.policy), inputs.policy, parts, volume)
        return explanation.fields(next(iter(_objects(bar)), None), self.query.listed)

    def _explained(self, policy: BarPolicy) -> ExplainedPrints:
        """Return the prints of the bar's interval and those whose volume may be credited to it."""
        grid = self.reader.grid
        interval = self._interval
        by_daily_table = grid.is_of_regular_sessions and policy.daily is not None
        if by_daily_table:
            # The prints of the session are found by their condition, on the event date.
            day_ns = int(grid.ends_and_dates(grid.periods(interval).labels, interval)[1][0]) * DAY_NS
            rows = self.log.rows(Window(day_ns, day_ns + DAY_NS))
            own = np.ones(rows.num_rows, np.bool_)
        else:
            until_ns = credited_until_ns(grid, policy, interval)
            rows = self.log.rows(Window(interval.start_ns, max(until_ns, interval.end_ns)))
            time_ns = rows.column("timestamp").to_numpy()
            own = (time_ns < interval.end_ns) & (labels_of_rows(grid, rows, interval) != OUTSIDE)
        reach = grid.aligned(
            interval.start_ns, max(credited_until_ns(grid, policy, interval), interval.end_ns)
        )
        return explained_prints(
            rows,
            policy,
            own,
            by_daily_table=by_daily_table,
            labels=labels_of_rows(grid, rows, reach),
        )


def explain_snapshot(query: ExplainQuery, *, now_ns: int) -> ExplainedBar:
    """Return the explanation of a bar at the newest commits. Raises the errors of a page of bars."""
    bars = query.bars
    page = page_snapshot(bars, now_ns=now_ns)
    bar = ExplainedBar(query, page, None, _newest(page))
    if not bar.reader.grid.is_plain or bars.market_class.path not in REVISIONS.classes:
        return bar
    revisions = MarketDataQuery.of(
        REVISIONS,
        bars.symbols,
        market_class=bars.market_class,
        resolution=bars.resolution,
        start_ns=bars.start_ns,
        end_ns=bars.end_ns,
        as_of_ns=bars.as_of_ns,
        symbol_as_of_ns=bars.symbol_as_of_ns,
    )
    return replace(bar, revisions=page_snapshot(revisions, now_ns=now_ns))


def _newest(page: PageSnapshot) -> LogView:
    """Return the log of trades at the newest commit that the page may read."""
    log = page.logs[0]
    assert isinstance(log, LogView)  # noqa: S101 bars have no grouped logs
    return log.at(log.head)


def _objects(table: Table) -> list[msgspec.Raw]:
    """Return all rows of a short table as JSON objects."""
    return [msgspec.Raw(line) for line in row_objects(table, TimeForm.RFC3339, "\n").splitlines()]


REPORTS = (
    MarketReport(
        name=EXPLAIN,
        path=f"{OHLCV.name}/{EXPLAIN}",
        document=BarExplanationDocument,
        serializer=_serializer,
        parse=parse_explain_query,
        snapshot=explain_snapshot,
        classes=OHLCV.classes,
        # Reads all prints of the bar.
        access=REVISIONS.access,
    ),
)
