"""The dataset `/trades`: trades as stored; with `join=quotes` each has the quote before it, and its spreads."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from stats.exceptions import RangeTooLarge
from stats.market_data.best_quotes import EXCHANGE, MAX_AGE, check_best
from stats.market_data.plan import Plan, SymbolQuery
from stats.market_data.query import TRADED, MarketDataset
from stats.market_data.query_parameters import DURATIONS, QueryParameter, conflict
from stats.market_data.ticks import out_column, out_columns, tick_plan
from stats.parameters import DurationField, WordField
from stats.rendering.table import OutColumn
from store.arrays import Integers
from store.datasets import QUOTES, TRADES
from store.log_views.asof_join import AsOfJoin
from store.log_views.best_quotes import BEST, BEST_QUOTES, DEFAULT_MAX_AGE_NS, BestQuoteView
from store.log_views.last_rows import RowView
from store.log_views.spreads import BEST_QUOTED_TRADES, QUOTED_TRADES, QuotedTrades
from store.log_views.venue_hours import venue_hours_of
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import SECOND_NS

# The maximum number of quotes that a page of trades reads to find the best bid and offer.
QUOTES_LIMIT = 1 << 24


@dataclass(frozen=True, slots=True)
class QuoteColumns:
    """The columns of quotes and spreads beside trades.

    has_integer_volume: whether sizes are integers. quotes_limit: the maximum number of quotes that the best bid and
    offer may be found among; None for any.
    """

    trades: QuotedTrades
    has_integer_volume: bool
    quotes_limit: int | None

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        is_best = self.trades.join.right.dataset is BEST_QUOTES
        return quote_columns(is_best=is_best, has_integer_volume=self.has_integer_volume)

    def values(self, rows: pa.Table) -> Mapping[str, object]:
        """Return the columns' values by name. Raises `RangeTooLarge`."""
        self._check_quotes(rows.column("timestamp").to_numpy())
        return self.trades.columns(rows)

    def _check_quotes(self, time_ns: Integers) -> None:
        """Raise `RangeTooLarge` if there are too many quotes to read for trades at ascending times.

        For each trade, all quotes within `max_age` are read, for trades close to each other once.
        """
        view, limit = self.trades.join.right, self.quotes_limit
        if limit is None or not isinstance(view, BestQuoteView) or not len(time_ns):
            return
        first = np.flatnonzero(np.append(True, np.diff(time_ns) > view.max_age_ns))
        last = np.append(first[1:], len(time_ns)) - 1
        count = 0
        for start_ns, end_ns in zip(time_ns[first].tolist(), time_ns[last].tolist(), strict=True):
            count += view.row_bound(Window(start_ns - view.max_age_ns, end_ns + 1).within(ALL_TIME))
            if count > limit:
                raise RangeTooLarge(
                    f"the best quotes of these trades are found among more than {limit:,} quotes: ask for fewer trades,"
                    " for a shorter max_age, or for a stream"
                )


def quote_columns(*, is_best: bool, has_integer_volume: bool) -> tuple[OutColumn, ...]:
    """Return the columns that `join=quotes` adds. is_best: whether the quotes are the best of all venues."""
    dataset = BEST_QUOTED_TRADES if is_best else QUOTED_TRADES
    added = dataset.columns[len(TRADES.columns) :]
    return tuple(out_column(column, has_integer_volume=has_integer_volume) for column in added)


JOIN_PARAMETERS = (
    QueryParameter(
        "join",
        WordField,
        {
            "words": ("quotes",),
            "help_text": "`quotes`: add the last quote before each trade, and the spreads.",
        },
    ),
    QueryParameter(
        "lag",
        DurationField,
        {
            "help_text": f"With `join`: a quote counts only if it is at least this old. Default: 0. {DURATIONS}"
        },
    ),
    QueryParameter(
        "tolerance",
        DurationField,
        {"help_text": f"With `join`: a quote counts only if it is at most this old. {DURATIONS}"},
    ),
    QueryParameter(
        "horizon",
        DurationField,
        {
            "least_ns": 1,
            "help_text": "With `join`: from a trade to the midpoint of its realised spread. Default: 5min."
            f" {DURATIONS}",
        },
    ),
)
_DEFAULT_HORIZON_NS = 300 * SECOND_NS


@dataclass(frozen=True, slots=True)
class QuoteJoin:
    """How trades are joined with quotes. A quote is at least `lag_ns` and at most `tolerance_ns` (None: any) old.

    horizon_ns: the time from a trade to the midpoint of its realised spread. max_age_ns: how long a venue's quote
    takes part in the best bid and offer; None if every quote replaces the one before, whichever its venue.
    """

    lag_ns: int
    tolerance_ns: int | None
    horizon_ns: int
    max_age_ns: int | None


def _quote_join(values: dict[str, Any]) -> QuoteJoin | None:
    if "join" not in values:
        return None
    is_best = values.get("exchange", BEST) == BEST
    max_age_ns = values.get("max_age", DEFAULT_MAX_AGE_NS) if is_best else None
    horizon_ns = values.get("horizon", _DEFAULT_HORIZON_NS)
    return QuoteJoin(values.get("lag", 0), values.get("tolerance"), horizon_ns, max_age_ns)


def _check(values: dict[str, Any]) -> None:
    if "join" not in values:
        for name in ("lag", "tolerance", "horizon", "exchange", "max_age"):
            if name in values:
                raise conflict(f"{name} is of a join: send join=quotes with it")
    elif "tolerance" in values and values["tolerance"] < values.get("lag", 0):
        raise conflict("tolerance must not be shorter than lag")
    check_best(values)


def _trades_plan(symbol_query: SymbolQuery) -> Plan:
    plan, join = tick_plan(symbol_query), symbol_query.query.options
    if not isinstance(join, QuoteJoin):
        return plan
    instrument = symbol_query.instrument
    (quotes,) = symbol_query.as_known(symbol_query.logs[1])
    end_ns = min(plan.range.end_ns + join.horizon_ns, ALL_TIME.end_ns)
    known_until_ns = symbol_query.walk_final_until_ns
    if known_until_ns is None:
        known_until_ns = min(quotes.complete_until(symbol_query.settle), end_ns)
    # The quote before the first trade may be arbitrarily old.
    quotes = symbol_query.limited_to(quotes, Window(ALL_TIME.start_ns, end_ns))
    right: RowView = quotes
    if join.max_age_ns is not None:
        right = BestQuoteView(quotes, join.max_age_ns, venue_hours_of(instrument))
    trades = QuotedTrades(AsOfJoin(right, join.lag_ns, join.tolerance_ns), join.horizon_ns, known_until_ns)
    limit = None if symbol_query.query.streamed else QUOTES_LIMIT
    added = QuoteColumns(trades, instrument.has_integer_volume, limit)
    return replace(
        tick_plan(symbol_query, (added,)), logs=(*plan.logs, quotes), final_until_ns=known_until_ns
    )


TRADE_TICKS = MarketDataset(
    name="trades",
    rows_name="trades",
    classes=TRADED,
    has_stream=True,
    own=("hours", "knowledge", *JOIN_PARAMETERS, EXCHANGE, MAX_AGE),
    resolution=Resolution.TICK,
    columns=tuple(
        dict.fromkeys(
            (
                *out_columns(TRADES, has_integer_volume=True),
                *quote_columns(is_best=True, has_integer_volume=True),
                *quote_columns(is_best=False, has_integer_volume=True),
            )
        )
    ),
    plan=_trades_plan,
    check=_check,
    options=_quote_join,
    logs_of=lambda query: (TRADES,) if query.options is None else (TRADES, QUOTES),
)
