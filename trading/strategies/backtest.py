"""A backtest: a strategy over the past, with the engine's own rules, as fast as it goes and without a server."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import merge
from itertools import count
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np

from store.arrays import Floats
from store.datasets import BARS, CORPORATE_ACTIONS, DATASETS, QUOTES, TRADES
from store.instruments import Instrument
from store.protocol import NO_COMMIT
from store.reading import Reader
from store.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS
from store.walk import LogPosition
from trading.core.account import AccountState
from trading.core.account_store import AccountDecision, AccountStore, RecordedEvent
from trading.core.configuration import RiskConfig
from trading.core.due import EQUITY_NS, value_at_end
from trading.core.events import AccountOpened, RiskConfigured, RowRef, TradingStarted, Transferred
from trading.core.matching import Record
from trading.core.rows import CorporateAction, MarketRow, Quote
from trading.core.terms import TRADABLE, AccountKind, Fee, Slippage, Terms
from trading.engine.floor import Floor
from trading.engine.logs import DataClock
from trading.market.followed import FollowedMarket
from trading.market.hours import session_end_ns
from trading.market.market import Market
from trading.market.prices import RowPrice
from trading.strategies.catalogue import own_failures, parameters_of, strategy_named
from trading.strategies.host import StrategyHost
from trading.strategies.past_bars import PastBars, interval_start_ns, prices_ended
from trading.strategies.replayed_rows import ReplayedRows
from trading.strategies.strategy import Bar

ACCOUNT = "backtest"
_REPLAYED = (TRADES, QUOTES, BARS, CORPORATE_ACTIONS)
# The first orders are checked at earlier prices: these may be from before a long weekend.
_PRICES_BEFORE_NS = 4 * DAY_NS
# The largest number of equity points in a backtest.
_VALUES = 5_000
# After so many rows or instants between two bars the progress is reported.
_TURNS = 2_000


class BacktestInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides a backtest. The same inputs and the same stored rows give the same bytes.

    parameters: of the strategy. start_ns, end_ns: nanoseconds UTC. Orders are placed in [start, end), by the bars that
    begin and end in the period. cash: what the account begins with, in `currency`. config: how orders fill, and the
    account's limits; the default has none. fee_basis_points, slippage_basis_points: replace the fee and the slippage of
    the instruments' class; None keeps them. classes: the terms by instrument class. knowledge: `then`, or `now`
    for bars with later corrections. as_of_ns: the commits that are read.
    """

    strategy: str
    symbols: tuple[str, ...]
    start_ns: int
    end_ns: int
    parameters: dict[str, Any] = {}
    cash: Decimal = Decimal(100_000)
    currency: str = "USD"
    kind: AccountKind = AccountKind.MARGIN
    config: RiskConfig = RiskConfig().without_limits()
    fee_basis_points: Decimal | None = None
    slippage_basis_points: Decimal | None = None
    classes: dict[str, Terms] = msgspec.field(default_factory=lambda: TRADABLE)
    knowledge: str = "then"
    as_of_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ReplayedMarket(FollowedMarket):
    """The market of a backtest: prices are those of the rows that were passed, and no log grows.

    begin_ns: the first instant of the replay; older rates are read from the store. ended: see `prices_ended`.
    """

    rows: ReplayedRows = field(kw_only=True)
    begin_ns: int = field(kw_only=True)
    ended: Mapping[str, int] = field(kw_only=True)
    _rates_before: dict[str, tuple[Quote | None, RowPrice | None]] = field(default_factory=dict)
    _terms: dict[str, Terms] = field(default_factory=dict)
    _heads: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def newest(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        return self.rows.newest(symbol)

    def rate_prices(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        found = self.rows.newest_rate(symbol, now_ns)
        if found != (None, None):
            return found
        if symbol not in self._rates_before:
            self._rates_before[symbol] = Market.rate_prices(self, symbol, self.begin_ns)
        return self._rates_before[symbol]

    def _price_before(self, ref: RowRef) -> RowPrice | None:
        return self.rows.price_before_last(ref.symbol)

    def instrument(self, symbol: str) -> Instrument:
        # A pair of currencies without stored rows is not in `rows.instruments`.
        return self.rows.instruments.get(symbol) or Market.instrument(self, symbol)

    def terms(self, symbol: str) -> Terms:
        if symbol not in self._terms:
            self._terms[symbol] = Market.terms(self, symbol)
        return self._terms[symbol]

    def ended_ns(self, symbol: str) -> int | None:
        return self.ended.get(symbol)

    def past_rate_prices(self, symbol: str, at_ns: int) -> tuple[Quote | None, RowPrice | None]:
        found = self.rows.past_rate(symbol, at_ns) if at_ns >= self.begin_ns else None
        return Market.rate_prices(self, symbol, at_ns) if found is None else found

    def bars_until_ns(self, symbol: str) -> int:
        return self.rows.bars_until_ns[symbol]

    def heads(self, symbol: str, account_currency: str) -> dict[str, str]:
        key = symbol, account_currency
        if key not in self._heads:
            self._heads[key] = Market.heads(self, symbol, account_currency)
        return self._heads[key]


class Backtest:
    """A backtest, which is run once.

    had_bars: whether a bar is in the period. instruments: that the account may hold, by symbol. ended: see
    `prices_ended`.
    """

    def __init__(
        self, inputs: BacktestInputs, reader: Reader, keep: Callable[[RecordedEvent], object]
    ) -> None:
        """Create it. keep: is given each event. Raises StrategyError, StrategyFailed, and the errors of the store."""
        self.inputs = inputs
        strategy_class = strategy_named(inputs.strategy)
        parameters = parameters_of(strategy_class, inputs.parameters)
        self._market = _market_of(inputs, reader)
        self._rows = self._market.rows
        self.instruments, self.ended = self._rows.instruments, self._market.ended
        self._clock, self._accounts = DataClock(inputs.start_ns), AccountStore(self._keep)
        equity_ns = max(EQUITY_NS, (inputs.end_ns - inputs.start_ns) // _VALUES)
        self._floor = Floor(self._accounts, self._clock, self._market, equity_ns)
        for action in _early_actions(inputs, reader, self._market):
            self._floor.know(action)
        with own_failures(inputs.strategy):
            self._host = StrategyHost(
                account=ACCOUNT,
                accounts=self._accounts,
                market=self._market,
                symbols=inputs.symbols,
                strategy_class=strategy_class,
                parameters=parameters,
            )
        self._keep_event = keep
        self._past = PastBars(
            reader,
            {symbol: self._market.instrument(symbol).settle_ns for symbol in inputs.symbols},
            max(
                inputs.start_ns - parameters.looked_back_ns,
                _first_left_ns(inputs, self._market, inputs.symbols),
            ),
            inputs.end_ns,
            parameters.interval_ns,
            inputs.knowledge,
            inputs.as_of_ns,
        )
        self._bars_before = parameters.bars_before
        interval_ns = parameters.interval_ns
        # With drawdown zones the account is valued at the end of each interval, else when its equity is recorded.
        intervals = 1 if inputs.config.zone_begins else -(-equity_ns // interval_ns)
        self._step_ns = intervals * interval_ns
        settle_ns = max(self._market.instrument(each).settle_ns for each in inputs.symbols)
        self._first_value_ns = interval_start_ns(inputs.start_ns, interval_ns) + settle_ns
        self._valued_ns, self._closes = inputs.start_ns, dict[str, int]()
        # The account is flat: rows before this instant are skipped.
        self._idle_until_ns = inputs.start_ns
        self._next_report_ns = inputs.start_ns
        self._progress: Callable[[float], object] = lambda _: None
        self.had_bars = False

    def run(self, progress: Callable[[float], object] = lambda _: None) -> AccountState:
        """Run it, and return the account's state at the end.

        progress: is told the part that is done, now and then, also within a long bar. It may raise to end the run.
        Raises StrategyFailed if a strategy of the operator's own fails.
        """
        self._progress = progress
        with own_failures(self.inputs.strategy):
            return self._run()

    def _run(self) -> AccountState:
        inputs, host, last_bars = self.inputs, self._host, list[Bar]()
        self._open_account()
        self._tell(inputs.start_ns)
        for shown_ns, bar in merge(*map(self._bars_to_show, self._past.symbols), key=itemgetter(0)):
            if shown_ns >= inputs.end_ns:
                last_bars.append(bar)
                continue
            host.is_history = bar.start_ns < inputs.start_ns
            if not host.is_history:
                if shown_ns >= self._idle_until_ns or host.timers:
                    self._advance(shown_ns)
                if shown_ns >= self._next_report_ns:
                    self._tell(shown_ns)
            host.show(shown_ns, bar)
            if host.wanted:
                self._advance(shown_ns)
                self._act(host.take_wanted(), shown_ns)
        host.is_history = False
        self._advance(inputs.end_ns - 1)
        self._take_last_bars(last_bars)
        last_ns = inputs.end_ns - 1
        marks = self._market.marks(self._state, now_ns=last_ns)
        self._accounts.act(ACCOUNT, lambda state, record: value_at_end(state, marks, record), at_ns=last_ns)
        self._progress(1)
        return self._state

    def _bars_to_show(self, symbol: str) -> Iterator[tuple[int, Bar]]:
        """Yield the bars of a symbol; only those that have a signal, if the strategy has any."""
        before: Floats = np.empty(0)
        for block in self._past.blocks(symbol):
            in_period = (block.bars.time_ns >= self.inputs.start_ns) & (block.ends_ns <= self.inputs.end_ns)
            self.had_bars |= bool(in_period.any())
            if not self._host.has_signals:
                yield from block
                continue
            closes = np.append(before, block.bars.close)
            signals = self._host.strategy.signals(closes)[len(before) :]
            yield from block.signalled(signals)
            before = closes[max(len(closes) - self._bars_before, 0) :]

    def _advance(self, until_ns: int) -> None:
        """Take the rows that orders wait for, and do what is due, up to an instant, in the order of time."""
        floor, host = self._floor, self._host
        for turn in count(1):
            if turn % _TURNS == 0:
                self._tell(self._clock.now_ns)
            own_ns, values_ns = host.next_ns(), self._next_value_ns()
            wakes_ns = until_ns + 1 if own_ns is None else own_ns
            # What is due now waits until the rows that are known now are taken.
            waits = floor.due_ns == self._clock.now_ns
            row = self._next_row(min(floor.due_ns + waits, wakes_ns + 1, values_ns + 1, until_ns + 1))
            if row is not None:
                self._take(row)
            elif floor.due_ns <= min(until_ns, wakes_ns, values_ns):
                floor.pass_time(floor.due_ns, has_rows=waits)
            elif values_ns <= min(until_ns, wakes_ns):
                self._value(values_ns)
            elif wakes_ns <= until_ns:
                self._act(host.due(wakes_ns), wakes_ns)
            else:
                break
        is_idle = not (self._state.positions or self._state.orders or host.watches_rows)
        self._idle_until_ns = floor.due_ns if is_idle else 0

    def _next_row(self, before_ns: int) -> MarketRow | None:
        """Return the next row that may fill an order, pay a dividend, or that the strategy watches; skip the rows before it.

        A quote fills no order.
        """
        if self._host.watches_rows:
            return self._rows.next(self.inputs.symbols, before_ns, has_ineligible=True)
        state = self._state
        ordered = {order.terms.symbol for order in state.orders.values()}
        paid = self._floor.paid_next(state)
        return self._rows.next(ordered | paid, before_ns, quoted=paid)

    def _take(self, row: MarketRow) -> None:
        self._floor.pass_time(row.known_ns)
        self._floor.take(row)
        if self._host.watches_rows and row.known_ns >= self.inputs.start_ns:
            self._accounts.act_each(self._host.taken(row), at_ns=row.known_ns)
        self._floor.pass_time(row.known_ns)

    def _act(self, acts: Sequence[AccountDecision], now_ns: int) -> None:
        """Do what the strategy wants, and look what is due then."""
        self._idle_until_ns = 0
        self._floor.pass_time(now_ns, has_rows=True)
        if acts:
            self._accounts.act_each(acts, at_ns=now_ns)
            self._floor.pass_time(now_ns, has_rows=True)

    def _next_value_ns(self) -> int:
        """Return when the account is valued next: if it holds something, at the end of an interval or of a session.

        Of a symbol that is printed until its session's close, no price is fresh when a daily bar ends.
        """
        after_ns = max(self._clock.now_ns - 1, self._valued_ns)
        instants = [self._close_ns(each.symbol, after_ns) for each in self._state.positions.values()]
        if not instants:
            return LATEST_NS
        first_ns, step_ns = self._first_value_ns, self._step_ns
        return min(first_ns + ((after_ns - first_ns) // step_ns + 1) * step_ns, *instants)

    def _close_ns(self, symbol: str, after_ns: int) -> int:
        """Return when the next session of a symbol ends after an instant. The instant must not decrease."""
        close_ns = self._closes.get(symbol, after_ns)
        if close_ns <= after_ns:
            close_ns = session_end_ns(self._market.instrument(symbol), after_ns) or LATEST_NS
            self._closes[symbol] = close_ns
        return close_ns

    def _value(self, now_ns: int) -> None:
        self._valued_ns = now_ns
        self._floor.pass_time(now_ns, has_rows=True)
        self._floor.value()
        self._floor.pass_time(now_ns, has_rows=True)

    def _take_last_bars(self, bars: Iterable[Bar]) -> None:
        """Take the stored bars that end with the period, and show those of `bars`, at the period's last instant.

        Nothing fills the orders that the strategy then places.
        """
        end_ns, host = self.inputs.end_ns, self._host
        while (row := self._next_row(end_ns + 1)) is not None:
            self._floor.take(row)
        for bar in bars:
            if bar.end_ns <= end_ns:
                host.show(end_ns - 1, bar)
                if host.wanted:
                    self._act(host.take_wanted(), end_ns - 1)

    def _open_account(self) -> None:
        inputs = self.inputs
        config = RiskConfigured(version=1, config=inputs.config, by="backtest")
        paid_in = Transferred(transfer="cash", amount=inputs.cash, equity=Decimal(0))
        opened = AccountOpened(kind=inputs.kind, currency=inputs.currency)

        def opening(state: AccountState, record: Record) -> None:
            for event in (opened, config, paid_in, TradingStarted(by="backtest")):
                record(event)

        self._accounts.act(ACCOUNT, opening, at_ns=inputs.start_ns)

    @property
    def _state(self) -> AccountState:
        return self._accounts.states[ACCOUNT]

    def _keep(self, recorded: RecordedEvent) -> None:
        self._keep_event(recorded)
        self._host.recorded(recorded)

    def _tell(self, now_ns: int) -> None:
        begin_ns, end_ns = self.inputs.start_ns, self.inputs.end_ns
        self._next_report_ns = now_ns + (end_ns - begin_ns) // 100
        self._progress((now_ns - begin_ns) / (end_ns - begin_ns))


def _market_of(inputs: BacktestInputs, reader: Reader) -> ReplayedMarket:
    """Return the market of the symbols, and of the pairs that convert their currencies."""
    costs: dict[str, Any] = {}
    if inputs.fee_basis_points is not None:
        costs["fee"] = Fee(basis_points=inputs.fee_basis_points)
    if inputs.slippage_basis_points is not None:
        costs["slippage"] = Slippage(basis_points=inputs.slippage_basis_points)
    classes = {name: msgspec.structs.replace(terms, **costs) for name, terms in inputs.classes.items()}
    market = Market(reader.store, classes, as_of_ns=inputs.as_of_ns)
    logs = {
        (dataset.name, symbol)
        for each in inputs.symbols
        for dataset, symbol in market.logs_of_orders(each, inputs.currency)
    }
    symbols = sorted({symbol for _, symbol in logs})
    begin_ns = max(_begin_ns(inputs), _first_left_ns(inputs, market, symbols))
    bars_until_ns = {symbol: market.bars_until_ns(symbol) for symbol in symbols}
    logs |= {(BARS.name, symbol) for symbol in symbols if bars_until_ns[symbol] > begin_ns}
    datasets = [each.name for each in _REPLAYED if any(dataset == each.name for dataset, _ in logs)]
    replay = reader.replay(
        symbols, begin_ns, inputs.end_ns, datasets, as_of=inputs.as_of_ns, known_before=inputs.end_ns + 1
    )
    instruments = {symbol: market.instrument(symbol) for symbol in symbols}
    rates = {pair for each in inputs.symbols for pair in market.rate_symbols(each, inputs.currency)}
    rows = ReplayedRows(replay, instruments, logs, bars_until_ns, inputs.end_ns, rates)

    def place_of(dataset: str, symbol: str) -> LogPosition:
        return LogPosition(market.head(DATASETS[dataset], symbol))

    return ReplayedMarket(
        reader.store,
        classes,
        place_of,
        as_of_ns=inputs.as_of_ns,
        rows=rows,
        begin_ns=begin_ns,
        ended=prices_ended(market, inputs.symbols, inputs.end_ns),
    )


def _begin_ns(inputs: BacktestInputs) -> int:
    """Return the first instant to read: the first orders are checked at prices from before the period."""
    return max(inputs.start_ns - _PRICES_BEFORE_NS, EARLIEST_NS)


def _first_left_ns(inputs: BacktestInputs, market: Market, symbols: Sequence[str]) -> int:
    """Return the latest instant up to the start before which rows have expired. A backtest does without them."""
    expired = (market.expired_before_ns(symbol) for symbol in symbols)
    return max((each for each in expired if each <= inputs.start_ns), default=EARLIEST_NS)


def _early_actions(
    inputs: BacktestInputs, reader: Reader, market: ReplayedMarket
) -> Iterator[CorporateAction]:
    """Yield the actions that take effect before the time at which the replay knows them.

    An imported action is known at its event time, midnight UTC. East of it, as in Sydney, its trading date has begun by then.
    """
    rows, end_ns = market.rows, min(inputs.end_ns + DAY_NS, LATEST_NS)
    symbols = [each for each in rows.instruments if market.head(CORPORATE_ACTIONS, each) != NO_COMMIT]
    replay = reader.replay(symbols, _begin_ns(inputs), end_ns, CORPORATE_ACTIONS.name, as_of=inputs.as_of_ns)
    actions = ReplayedRows(replay, rows.instruments, rows.logs, rows.bars_until_ns)
    while (row := actions.next((), end_ns)) is not None:
        is_imported = row.known_ns == row.ref.timestamp_ns
        if isinstance(row, CorporateAction) and is_imported and row.effective_ns < row.known_ns:
            yield row
