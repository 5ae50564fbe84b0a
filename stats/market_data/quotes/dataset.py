"""Quotes in the tree: `/quotes`, as they came, or as bars of the bid and the ask."""

from dataclasses import dataclass

from stats.market_data.intervals.grids import grid_of
from stats.market_data.intervals.ranges import bar_range, bar_window, open_until
from stats.market_data.pinning.plan import Asked, Plan, begun, check_known, reason_for_none
from stats.market_data.queries.query import DatasetForm, MarketDataQuery
from stats.market_data.quotes.quote_bars import QuoteBarReader, quote_bar_columns
from stats.market_data.sources.rows import WindowedSource
from stats.market_data.ticks.datasets import QUOTE_STATE, tick_plan
from stats.market_data.ticks.rows import out_columns
from store.datasets import QUOTES
from store.declarations import Dataset
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution

QUOTES_FORM = DatasetForm(
    name="quotes",
    rows_name="quotes",
    own=("resolution", "session", "hours", "partial"),
    resolution=Resolution.TICK,
    columns=tuple(
        dict.fromkeys(
            (
                *out_columns(QUOTES, whole=True),
                QUOTE_STATE.column,
                *quote_bar_columns(whole=True, with_date=True),
            )
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Quotes:
    """Quotes of the class's own dataset."""

    form: DatasetForm = QUOTES_FORM
    log_count: int = 1

    def declared_logs(self, query: MarketDataQuery) -> tuple[Dataset, ...]:
        """See `MarketDataset.declared_logs`."""
        return (query.market_class.quotes,)

    def plan(self, asked: Asked) -> Plan:
        """See `MarketDataset.plan`."""
        if asked.query.resolution.is_tick:
            return tick_plan(asked, (QUOTE_STATE,))
        return _bars(asked)


def _bars(asked: Asked) -> Plan:
    (log,) = asked.logs
    if log.is_empty:
        check_known(asked.symbol)
    grid = grid_of(asked)
    asked_for = bar_range(asked, grid)
    window = bar_window(asked_for, grid, (log,))
    # The quote that a bar opens at may have come at any time before it.
    log = asked.snapshot.narrowed(log, Window(min(ALL_TIME.start_ns, window.start_ns), window.end_ns))
    settled_ns = min(grid.steady(asked.now_ns).start_ns, asked_for.end_ns)
    changes_ns = open_until(asked, grid, asked_for)
    return Plan(
        source=WindowedSource(
            QuoteBarReader(log, window, grid, asked.instrument.has_whole_volume, settled_ns)
        ),
        range=asked_for,
        reason=reason_for_none(asked),
        logs=(log,),
        begun_ns=begun(changes_ns, asked_for.end_ns),
        valid_until_ns=asked.valid_until(changes_ns),
        head=(("resolution", grid.resolution.value),),
    )
