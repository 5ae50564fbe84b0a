"""Quotes in the tree: `/quotes`, as they came, or as bars of the bid and the ask."""

from dataclasses import dataclass

from stats.market_data.intervals.grids import bar_key, grid_of
from stats.market_data.intervals.ranges import bar_range, bar_window
from stats.market_data.pinning.logs import PinnedLog
from stats.market_data.pinning.plan import Asked, Plan, check_known, reason_for_none
from stats.market_data.queries.query import DatasetForm
from stats.market_data.quotes.quote_bars import QuoteBarReader, quote_bar_columns
from stats.market_data.sources.rows import WindowedSource
from stats.market_data.ticks.datasets import QUOTE_STATE, tick_plan
from stats.market_data.ticks.rows import out_columns
from store.datasets import QUOTES
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

    def plan(self, asked: Asked) -> Plan:
        """See `MarketDataset.plan`."""
        dataset = asked.query.market_class.quotes
        if asked.query.resolution.is_tick:
            return tick_plan(asked, dataset, (QUOTE_STATE,))
        return _bars(asked, asked.snapshot.log(dataset, asked.symbol, 0))


def _bars(asked: Asked, log: PinnedLog) -> Plan:
    if log.is_empty:
        check_known(asked.symbol)
    grid = grid_of(asked)
    asked_for = bar_range(asked, grid)
    window = bar_window(asked_for, grid, (log,))
    # The quote that a bar opens at may have come at any time before it.
    log = asked.snapshot.narrowed(log, Window(min(ALL_TIME.start_ns, window.start_ns), window.end_ns))
    reader = QuoteBarReader(
        log, window, grid, asked.is_whole, grid.steady(asked.now_ns).start_ns, log.row_bound(window)
    )
    return Plan(
        logs=(log,),
        source=WindowedSource(reader),
        key=bar_key(asked, grid, asked_for),
        reason=reason_for_none(asked),
        begun_ns=min(asked_for.end_ns, grid.steady(asked.now_ns).end_ns - 1),
        head={"resolution": grid.resolution.value},
    )
