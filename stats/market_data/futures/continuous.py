"""The dataset `/continuous`: bars of the contract in front, adjusted for the gaps of rolls."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
from rest_framework.serializers import ValidationError

from calendars.schedule import Hours, SessionMode
from calendars.trading_calendar import TradingCalendar
from stats.caching.keys import Irrelevant
from stats.market_data.futures.contracts import FutureContract, root_contracts
from stats.market_data.futures.rolls import (
    ROLL_RULES,
    ContractFigures,
    Figure,
    Figures,
    RollAdjustment,
    RollRule,
    fronts_of,
)
from stats.market_data.intervals.windows import (
    NOTHING,
    bar_range,
    bar_window,
    grid_of,
    next_change_ns_of,
    part_over_gaps,
)
from stats.market_data.ohlcv.bar_rows import BarInputs, BarRowReader, bar_columns
from stats.market_data.plan import LogGroup, Plan, SymbolQuery, reason_for_none, walk_now_ns
from stats.market_data.query import MarketDataset
from stats.market_data.query_parameters import QueryParameter, conflict
from stats.market_data.rows import Rows, WindowedSource
from stats.parameters import DurationField, WordField
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Floats, Integers
from store.cached_property import cached_property
from store.datasets import CORPORATE_ACTIONS
from store.instrument_calendars import calendar_if_known
from store.log_views.bar_grid import BarGrid, utc_grid
from store.log_views.log_view import LogView, empty_view
from store.log_views.stored_bars import stored_bars_window
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.rounding import rounded_sum
from store.timestamps import DAY_NS

_ADJUSTED = ("open", "high", "low", "close", "vwap")


class _Stretch(NamedTuple):
    """The time in which a contract is in front.

    contract: its index. roll_date: its first date; None for the first contract. adjustment: as in `FrontContract`.
    """

    contract: int
    window: Window
    roll_date: int | None
    adjustment: float


def continuous_columns(*, has_integer_volume: bool, with_date: bool) -> tuple[OutColumn, ...]:
    """Return the columns of continuous bars. has_integer_volume: whether volumes are integers."""
    return (
        *bar_columns(has_integer_volume=has_integer_volume, with_date=with_date, with_final=False),
        OutColumn("contract", ColumnRole.TEXT),
        OutColumn("roll_date", ColumnRole.DATE),
        OutColumn("adjustment", ColumnRole.NUMBER),
    )


@dataclass(frozen=True)
class ContinuousReader:
    """Reads the bars of the contracts in front. A bar is of the contract that is in front at its interval's start.

    window: the part of the range that may have bars. calendar: that of the contracts; None for UTC dates. today: the
    trading date of now, in days since 1970; the figures of earlier dates decide rolls.
    """

    contracts: LogGroup[FutureContract]
    window: Annotated[Window, Irrelevant("the plan's range, and where the logs have rows, say it")]
    grid: BarGrid
    calendar: TradingCalendar | None
    has_integer_volume: bool
    rule: RollRule
    adjustment: RollAdjustment
    today: int

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return continuous_columns(
            has_integer_volume=self.has_integer_volume,
            with_date=self.grid.resolution.is_period,
        )

    def floor(self, time_ns: int) -> int:
        return self.grid.interval(time_ns).start_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        logs = [log for each in self.contracts.members for log in (each.trades, each.stored_bars)]
        return part_over_gaps(logs, self.grid, window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        parts = [table for stretch in self._stretches if (table := self._table(stretch, window)) is not None]
        data = pa.concat_tables([part.plain().data for part in (Table.empty(self.columns), *parts)])
        return Rows.of(Table(self.columns, data), data.column("timestamp").to_numpy())

    def total_estimate(self) -> int:
        stored_window = stored_bars_window(self.window, self.grid)
        bounds = (
            each.trades.row_bound(self.window) + each.stored_bars.row_bound(stored_window)
            for each in self.contracts.members
        )
        length_ns = self.window.end_ns - self.window.start_ns
        return min(sum(bounds), -(-length_ns // self.grid.resolution.length_ns))

    def _table(self, stretch: _Stretch, window: Window) -> Table | None:
        """Return the rows of a contract in a window; None if it is not in front there."""
        part = Window(
            max(window.start_ns, self._first_start(stretch.window.start_ns)),
            min(window.end_ns, self._first_start(stretch.window.end_ns)),
        )
        if part.start_ns >= part.end_ns:
            return None
        contract = self.contracts.members[stretch.contract]
        bars = BarRowReader(_inputs(contract), part, self.grid, self.has_integer_volume, None).rows(part)
        data = bars.table.plain().data
        values = {name: data.column(name) for name in data.column_names}
        for name in _ADJUSTED:
            prices = data.column(name).to_numpy()
            is_ratio = self.adjustment is RollAdjustment.RATIO
            values[name] = _adjusted(prices, stretch.adjustment, is_ratio=is_ratio)
        count = len(bars)
        values["contract"] = pa.repeat(contract.instrument.symbol, count)
        values["roll_date"] = pa.array([stretch.roll_date] * count, pa.int64())
        values["adjustment"] = np.full(count, stretch.adjustment)
        return Table.of(self.columns, values)

    def _first_start(self, time_ns: int) -> int:
        """Return the start of the first interval that begins at or after an instant."""
        if not ALL_TIME.start_ns < time_ns < ALL_TIME.end_ns:
            return time_ns
        interval = self.grid.interval(time_ns)
        return time_ns if interval.start_ns == time_ns else interval.end_ns

    @cached_property
    def _stretches(self) -> list[_Stretch]:
        return list(self._make_stretches())

    def _make_stretches(self) -> Iterator[_Stretch]:
        contracts, days = self.contracts.members, day_grid_of(self.calendar)
        figures = [self._figures(each, days) for each in contracts]
        fronts = fronts_of(
            figures,
            self.rule,
            self.adjustment,
            first_date=min((date for each in figures for date in each.closes), default=self.today),
            today=self.today,
            trading_date=lambda day: _date_of(days, days.date_start(day * DAY_NS)),
        )
        starts = [
            ALL_TIME.start_ns if each.date is None else days.date_start(each.date * DAY_NS) for each in fronts
        ]
        for front, start_ns, end_ns in zip(fronts, starts, [*starts[1:], ALL_TIME.end_ns], strict=True):
            yield _Stretch(front.contract, Window(start_ns, end_ns), front.date, front.adjustment)

    def _figures(self, contract: FutureContract, days: BarGrid) -> ContractFigures:
        """Return the figures and closes of a contract by trading date."""
        dates, closes, volumes = _daily_bars(contract, days)
        figures: Figures = {}
        if self.rule.figure is Figure.VOLUME:
            figures = _by_date(dates, volumes)
        elif self.rule.figure is Figure.OPEN_INTEREST:
            figures = _by_date(*_open_interest(contract.open_interest, days))
        return ContractFigures(contract.expiry, figures, _by_date(dates, closes))


def _adjusted(prices: Floats, adjustment: float, *, is_ratio: bool) -> Floats:
    if is_ratio:
        return prices * adjustment
    return rounded_sum(prices, adjustment) if adjustment else prices


def day_grid_of(calendar: TradingCalendar | None) -> BarGrid:
    """Return the grid of whole trading dates; of UTC dates without a calendar."""
    if calendar is None:
        return utc_grid(Resolution.DAY)
    return BarGrid(Resolution.DAY, calendar, SessionMode.EXCHANGE, Hours.ALL)


# Most contracts have expired and change no more, so their days are read once.
@lru_cache(maxsize=512)
def _daily_bars(contract: FutureContract, days: BarGrid) -> tuple[Integers, Floats, Floats]:
    """Return the dates of a contract's daily bars, their closes and their volumes."""
    window = bar_window(ALL_TIME, days, (contract.trades, contract.stored_bars))
    if window == NOTHING:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    bars = _inputs(contract).unadjusted(days).bars(window)
    return days.ends_and_dates(bars.time_ns, window)[1], bars.close, bars.volume


@lru_cache(maxsize=512)
def _open_interest(log: LogView, days: BarGrid) -> tuple[Integers, Floats]:
    """Return the trading date in which each report came, whatever date it is about, and its figure."""
    reports = log.rows(ALL_TIME)
    return days.trading_dates(reports.column("timestamp").to_numpy()), reports.column(
        "open_interest"
    ).to_numpy()


def _by_date(dates: Integers, values: Floats) -> Figures:
    """Return the last value of each date."""
    return dict(zip(dates.tolist(), values.tolist(), strict=True))


def _date_of(days: BarGrid, time_ns: int) -> int:
    return int(days.trading_dates(np.array([time_ns]))[0])


def _inputs(contract: FutureContract) -> BarInputs:
    """Return what a contract's unadjusted bars are made from."""
    actions = empty_view(contract.trades.log_of(CORPORATE_ACTIONS, contract.instrument.symbol))
    return BarInputs(contract.trades, contract.stored_bars, actions, contract.instrument.policy)


ROLL_PARAMETERS = (
    QueryParameter(
        "roll",
        WordField,
        {
            "words": tuple(ROLL_RULES),
            "schema_default": "volume",
            "help_text": "What decides a roll: the larger figure of a trading date, or the days before expiry.",
        },
    ),
    QueryParameter(
        "roll_before",
        DurationField,
        {
            "help_text": "With `roll=days`: how long before its expiry a contract is left, in days. Default: 8d."
        },
    ),
    QueryParameter(
        "adjust",
        WordField,
        {
            "words": ("none", "difference", "ratio"),
            "schema_default": "none",
            "help_text": "How prices before a roll are adjusted to those after it.",
        },
    ),
)


@dataclass(frozen=True, slots=True)
class RollOptions:
    """How a continuous future rolls. rule: a name of `ROLL_RULES`. days: None for the rule's. adjustment: by what."""

    rule: str = "volume"
    days: int | None = None
    adjustment: str = "none"


def _roll_options(values: dict[str, Any]) -> RollOptions:
    days_ns = values.get("roll_before")
    days = None if days_ns is None else days_ns // DAY_NS
    return RollOptions(values.get("roll", "volume"), days, values.get("adjust", "none"))


def _check(values: dict[str, Any]) -> None:
    if values.get("resolution", Resolution.DAY) > Resolution.DAY:
        raise conflict(
            "continuous futures have no bars longer than a day, in which a roll may lie: ask for 1d"
        )
    days_ns = values.get("roll_before", 0)
    if days_ns % DAY_NS or days_ns > 366 * DAY_NS:
        raise ValidationError(
            "roll_before must be whole days, such as 8d, at most 366d", code="invalid_duration"
        )
    if "roll_before" in values and values.get("roll") != "days":
        raise conflict("roll_before is of roll=days: send both or neither")


def _rule_of(roll: RollOptions) -> RollRule:
    rule = ROLL_RULES[roll.rule]
    return rule if roll.days is None else replace(rule, days=roll.days)


def _continuous_plan(symbol_query: SymbolQuery) -> Plan:
    """Make the plan of continuous bars. Raises `UnknownSymbol`."""
    query, group = symbol_query.query, root_contracts(symbol_query)
    if not group.members:
        symbol_query.check_known()
    # All contracts of a root trade in the same hours.
    instruments = [symbol_query.instrument, *(each.instrument for each in group.members)]
    newest = replace(symbol_query, instrument=instruments[-1])
    grid, calendar = grid_of(newest), calendar_if_known(newest.instrument)
    query_range = bar_range(newest, grid)
    window = bar_window(query_range, grid, [log for each in group.members for log in each.logs[:2]])
    days = day_grid_of(calendar)
    next_ns = next_change_ns_of(newest, grid, query_range)
    change_ns = days.interval(symbol_query.now_ns).end_ns
    change_ns = change_ns if next_ns is None else min(change_ns, next_ns)
    roll = query.options_of(RollOptions)
    return Plan(
        source=WindowedSource(
            ContinuousReader(
                group, window, grid, calendar, newest.instrument.has_integer_volume, _rule_of(roll),
                RollAdjustment(roll.adjustment), _date_of(days, symbol_query.now_ns),
            )
        ),
        range=query_range,
        reason=reason_for_none(symbol_query) if group.members else "no_contracts",
        logs=(group,),
        walk_now_ns=walk_now_ns(change_ns, query_range.end_ns),
        expires_ns=symbol_query.expires_ns(change_ns),
        head=(("resolution", grid.resolution.value), ("roll", roll.rule), ("adjust", roll.adjustment)),
    )  # fmt: skip


CONTINUOUS = MarketDataset(
    name="continuous",
    rows_name="bars",
    classes=("futures",),
    own=("resolution", "session", "hours", "anchor", "partial", *ROLL_PARAMETERS),
    resolution=Resolution.DAY,
    columns=continuous_columns(has_integer_volume=True, with_date=True),
    of_roots=True,
    plan=_continuous_plan,
    check=_check,
    options=_roll_options,
    log_count=1,
)
