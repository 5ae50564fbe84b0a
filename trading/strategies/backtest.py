"""A backtest: a strategy over the past, with the engine's own rules, as fast as it goes and without a server."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec

from store.datasets import BARS, CORPORATE_ACTIONS, DATASETS, QUOTES, TRADES
from store.instruments import Instrument
from store.protocol import NO_COMMIT
from store.reading import Reader
from store.rows.knowledge import Knowledge
from store.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS
from store.walk import LogPosition
from trading.core.account import AccountState
from trading.core.configuration import RiskConfig
from trading.core.due import can_be_valued, value_at_end
from trading.core.events import AccountOpened, BarPrint, RiskConfigured, RowRef, TradingStarted, Transferred
from trading.core.matching import Record
from trading.core.rows import CorporateAction, Quote
from trading.core.terms import AccountKind, Fee, Slippage, Terms
from trading.core.valuation import equity_of, exposure_of
from trading.engine.clock import DataClock
from trading.engine.floor import AccountAct, Floor, RecordedEvent
from trading.engine.memory_desk import MemoryDesk
from trading.exceptions import StrategyFailed
from trading.market.followed import FollowedMarket
from trading.market.market import Market
from trading.market.newest_rows import RowPrice
from trading.strategies.catalogue import parameters_of, strategy_named
from trading.strategies.ended_prices import prices_ended
from trading.strategies.host import StrategyHost
from trading.strategies.own_files import own_failure
from trading.strategies.past_bars import PastBars
from trading.strategies.quiet import bands_of
from trading.strategies.revisions import BarRevision, with_revisions
from trading.strategies.strategy import Bar, BarBlock, StrategyParameters
from trading.strategies.tape import EVERY_ELIGIBLE_ROW, EVERY_ROW, NO_PRICE, Band, Tape

ACCOUNT = "backtest"
_REPLAYED = (TRADES, QUOTES, BARS, CORPORATE_ACTIONS)
# A long weekend.
_PRICES_BEFORE_NS = 4 * DAY_NS
# The account is valued so often in the period, as bars are shown.
_VALUES = 500
# After so many rows or instants between two bars the progress is told.
_TURNS = 2_000


class BacktestInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides a backtest. The same inputs and the same stored rows give the same bytes.

    parameters: of the strategy. start_ns, end_ns: nanoseconds UTC. Orders are placed in [start, end), by the bars that
    begin and end in the period. cash: what the account begins with, in `currency`. config: how orders fill, and the
    account's limits; the default has none. fee_basis_points, slippage_basis_points: in the place of the fees and the
    slippage of the instruments' class; None for these. terms: that are declared for symbols, by the names of `Terms`. knowledge: `then`, or `now` for bars that know what came
    later. as_of_ns: the commits that are read.
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
    terms: dict[str, dict[str, Any]] = {}
    knowledge: str = "then"
    as_of_ns: int | None = None


@dataclass(frozen=True, slots=True)
class TapeMarket(FollowedMarket):
    """The market of a backtest: prices are those of the rows that were passed, taken or not, and no log grows.

    begin_ns: from when on the tape has rows; an older rate is read in the store. ended: see `prices_ended`.
    """

    tape: Tape = field(kw_only=True)
    begin_ns: int = field(kw_only=True)
    ended: Mapping[str, int] = field(kw_only=True)
    _rates_before: dict[str, tuple[Quote | None, RowPrice | None]] = field(default_factory=dict)
    _terms: dict[str, tuple[Terms, bool]] = field(default_factory=dict)
    _heads: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def newest(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        return self.tape.newest(symbol, now_ns)

    def rate_prices(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        found = self.tape.newest_rate(symbol, now_ns)
        if found != (None, None):
            return found
        if symbol not in self._rates_before:
            self._rates_before[symbol] = Market.rate_prices(self, symbol, self.begin_ns)
        return self._rates_before[symbol]

    def past_rate_prices(self, symbol: str, at_ns: int) -> tuple[Quote | None, RowPrice | None]:
        found = self.tape.past_rate(symbol, at_ns) if at_ns >= self.begin_ns else None
        return Market.rate_prices(self, symbol, at_ns) if found is None else found

    def _price_before(self, ref: RowRef) -> RowPrice | None:
        return self.tape.price_before_last(ref.symbol)

    def instrument(self, symbol: str) -> Instrument:
        # A pair of currencies of which nothing is stored is not in the tape.
        return self.tape.instruments.get(symbol) or Market.instrument(self, symbol)

    def price_step(self, symbol: str, now_ns: int) -> Decimal | None:
        return self.tape.price_step(symbol, now_ns)

    def own_terms(self, symbol: str) -> tuple[Terms, bool]:
        if symbol not in self._terms:
            self._terms[symbol] = Market.own_terms(self, symbol)
        return self._terms[symbol]

    def ended_ns(self, symbol: str) -> int | None:
        return self.ended.get(symbol)

    def bars_until_ns(self, symbol: str) -> int:
        return self.tape.bars_until_ns[symbol]

    def heads(self, symbol: str, account_currency: str) -> dict[str, str]:
        key = symbol, account_currency
        if key not in self._heads:
            self._heads[key] = Market.heads(self, symbol, account_currency)
        return self._heads[key]


class Backtest:
    """A backtest, which is run once.

    had_bars: whether the strategy was shown any in the period. instruments: that it may hold, by symbol. ended: see
    `prices_ended`.
    """

    def __init__(
        self,
        inputs: BacktestInputs,
        reader: Reader,
        keep: Callable[[RecordedEvent], object],
        keep_equity: Callable[[int, AccountState, Decimal, Decimal], object] | None = None,
    ) -> None:
        """Create it. keep: is given each event. keep_equity: is given equity and exposure at instants between events.

        Raises StrategyError, StrategyFailed, and the errors of the store.
        """
        self.inputs = inputs
        self._keep_event, self._keep_equity = keep, keep_equity or (lambda *_: None)
        # No equity is computed that nobody is given.
        self._equity_ns = inputs.start_ns if keep_equity else inputs.end_ns
        strategy_class = strategy_named(inputs.strategy)
        parameters = parameters_of(strategy_class, inputs.parameters)
        self._market = _market_of(inputs, reader)
        self.instruments = self._market.tape.instruments
        self.ended = self._market.ended
        self._clock, self._desk = DataClock(inputs.start_ns), MemoryDesk(self._keep)
        self._floor = Floor(self._desk, self._clock, self._market)
        for action in _early_actions(inputs, reader, self._market):
            self._floor.know(action)
        with _own_failures(inputs.strategy):
            self._host = StrategyHost(
                account=ACCOUNT,
                desk=self._desk,
                market=self._market,
                symbols=inputs.symbols,
                strategy_class=strategy_class,
                parameters=parameters,
            )
        bars = _bars_of(inputs, reader, self._market, parameters)
        is_revised = self._host.watches_revisions and inputs.knowledge == Knowledge.THEN
        self._bars: Iterable[tuple[int, Bar | BarRevision]] = with_revisions(bars) if is_revised else bars
        if self._host.takes_bars and not is_revised and len(bars.symbols) == 1:
            self._bars = self._bars_to_show(bars.blocks(*bars.symbols))
        # Until then nothing happens but bars: no row matters, and nothing is due.
        self._event_ns = inputs.start_ns
        self._bands: dict[str, Band] | None = None
        self._version = -1
        self.had_bars = False
        self._progress: Callable[[float], object] = lambda _: None

    def run(self, progress: Callable[[float], object] = lambda _: None) -> AccountState:
        """Run it, and return the account's state at the end.

        progress: is told the part that is done, now and then, also within a long bar. It may raise to end the run.
        Raises StrategyFailed if a strategy of the operator's own fails.
        """
        with _own_failures(self.inputs.strategy):
            return self._run(progress)

    def _run(self, progress: Callable[[float], object]) -> AccountState:
        inputs, host = self.inputs, self._host
        self._progress = progress
        self._open_account()
        host.is_history = True
        step_ns = (inputs.end_ns - inputs.start_ns) // 100
        tell_ns, last_bars = inputs.start_ns, list[Bar | BarRevision]()
        show: Callable[[int, Any], object] = host.show_either if host.watches_revisions else host.show
        for shown_ns, bar in self._bars:
            if shown_ns >= self._event_ns:
                if shown_ns >= inputs.end_ns:
                    last_bars.append(bar)
                    continue
                self.had_bars = True
                host.is_history = False
                self._advance(shown_ns)
                if shown_ns >= tell_ns:
                    tell_ns += step_ns
                    self._tell(shown_ns)
            if shown_ns >= self._equity_ns:
                self._give_equity(shown_ns)
            show(shown_ns, bar)
            if host.wanted:
                self._act(host.take_wanted(), shown_ns)
            elif (own_ns := host.next_ns()) is not None:
                self._event_ns = min(self._event_ns, own_ns)
        host.is_history = False
        self._advance(inputs.end_ns - 1)
        self._take_last_bars(last_bars)
        self._desk.act([(ACCOUNT, self._value_at_end)], at_ns=inputs.end_ns - 1)
        progress(1)
        return self._desk.states[ACCOUNT]

    def _bars_to_show(self, blocks: Iterable[BarBlock]) -> Iterator[tuple[int, Bar]]:
        """Yield the bars, but for those that the strategy takes at once because nothing happens meanwhile."""
        for block in blocks:
            index, length = 0, len(block)
            while index < length:
                end = int(block.shown_ns.searchsorted(min(self._event_ns, self._equity_ns)))
                if end > index:
                    index += self._host.take_bars(block, index, end)
                if index < length:
                    yield block.at(index)
                    index += 1

    def _tell(self, now_ns: int) -> None:
        begin_ns, end_ns = self.inputs.start_ns, self.inputs.end_ns
        self._progress((now_ns - begin_ns) / (end_ns - begin_ns))

    def _give_equity(self, now_ns: int) -> None:
        state = self._desk.states[ACCOUNT]
        marks = self._market.marks(state, now_ns=now_ns)
        if can_be_valued(state, marks):
            self._keep_equity(now_ns, state, equity_of(state, marks), exposure_of(state, marks))
        self._equity_ns = now_ns + (self.inputs.end_ns - self.inputs.start_ns) // _VALUES

    def _value_at_end(self, state: AccountState, record: Record) -> None:
        value_at_end(state, self._market.marks(state, now_ns=self.inputs.end_ns - 1), record)

    def _open_account(self) -> None:
        inputs = self.inputs
        config = RiskConfigured(version=1, config=inputs.config, by="backtest")
        paid_in = Transferred(transfer="cash", amount=inputs.cash, equity=Decimal(0))
        opened = AccountOpened(kind=inputs.kind, currency=inputs.currency)
        for event in (opened, config, paid_in, TradingStarted(by="backtest")):
            self._desk.record(ACCOUNT, event, at_ns=inputs.start_ns)
        self._desk.version += 1

    def _keep(self, recorded: RecordedEvent) -> None:
        self._keep_event(recorded)
        self._host.recorded(recorded)

    def _act(self, acts: Sequence[AccountAct], now_ns: int) -> None:
        """Do what the strategy wants, and look what is due then."""
        self._floor.pass_time(now_ns, has_rows=True)
        if acts:
            self._desk.act(acts, at_ns=now_ns)
            self._floor.pass_time(now_ns, has_rows=True)
        self._event_ns = now_ns

    def _advance(self, until_ns: int) -> None:
        """Take the rows that matter and are known up to an instant, and do what is due until then."""
        floor, tape, host = self._floor, self._market.tape, self._host
        for turn in count(1):
            if turn % _TURNS == 0:
                self._tell(self._clock.now_ns)
            own_ns = host.next_ns()
            wakes_ns = until_ns + 1 if own_ns is None else own_ns
            # What is still due at this instant waits for the bars that end now.
            waits = floor.due_ns == self._clock.now_ns
            due_ns = floor.due_ns + 1 if waits else floor.due_ns
            row = tape.next(self._quiet(), min(due_ns, wakes_ns + 1, until_ns + 1))
            if row is not None:
                floor.pass_time(row.known_ns)
                floor.take(row)
                if host.watches_rows and row.known_ns >= self.inputs.start_ns:
                    self._desk.act(host.taken(row), at_ns=row.known_ns)
                floor.pass_time(row.known_ns)
                # The marks have moved, also if nothing was recorded.
                self._bands = None
            elif floor.due_ns <= min(until_ns, wakes_ns):
                floor.pass_time(floor.due_ns, has_rows=waits)
                # A dividend may wait for the next bar.
                self._bands = None
            elif wakes_ns <= until_ns:
                self._act(host.due(wakes_ns), wakes_ns)
            else:
                break
        instants = (floor.due_ns, tape.next_ns(self._quiet()), self._host.next_ns(), self.inputs.end_ns)
        self._event_ns = min(each for each in instants if each is not None)

    def _take_last_bars(self, bars: Iterable[Bar | BarRevision]) -> None:
        """Take the stored bars that end with the period, and show those of `bars`, at the period's last instant.

        Nothing fills the orders that the strategy then places.
        """
        end_ns, host = self.inputs.end_ns, self._host
        while (row := self._market.tape.next(self._quiet(), end_ns + 1)) is not None:
            if isinstance(row, BarPrint):
                self._floor.take(row)
                self._bands = None
        for bar in bars:
            if isinstance(bar, Bar) and bar.end_ns <= end_ns:
                self.had_bars = True
                host.show(end_ns - 1, bar)
                if host.wanted:
                    self._act(host.take_wanted(), end_ns - 1)

    def _quiet(self) -> dict[str, Band]:
        """Return the prices between which a row changes nothing, in the states of now."""
        if self._bands is None or self._version != self._desk.version:
            self._version = self._desk.version
            state = self._desk.states[ACCOUNT]
            self._bands = bands_of(state, lambda: self._market.marks(state, now_ns=self._clock.now_ns))
            for symbol in self._floor.waiting & self._bands.keys():
                self._bands[symbol] = EVERY_ELIGIBLE_ROW
            # A correction of a print that filled an order is told also when nothing is held any more.
            for symbol in self._desk.executed:
                self._bands.setdefault(symbol, NO_PRICE)
            if self._host.watches_rows:
                self._bands |= dict.fromkeys(self.inputs.symbols, EVERY_ROW)
        return self._bands


@contextmanager
def _own_failures(name: str) -> Iterator[None]:
    """Raise StrategyFailed for whatever a file of the operator raises, also SystemExit."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        failure = own_failure(error)
        if failure is None:
            raise
        raise StrategyFailed(f"the strategy {name} failed: {failure}") from error


def _market_of(inputs: BacktestInputs, reader: Reader) -> TapeMarket:
    """Return the market of the symbols, and of the pairs that convert their currencies."""
    costs: dict[str, Any] = {}
    if inputs.fee_basis_points is not None:
        costs["fee"] = Fee(basis_points=inputs.fee_basis_points)
    if inputs.slippage_basis_points is not None:
        costs["slippage"] = Slippage(basis_points=inputs.slippage_basis_points)

    def terms_of(symbol: str) -> dict[str, Any]:
        return inputs.terms.get(symbol, {}) | costs

    market = Market(reader.store, terms_of, as_of_ns=inputs.as_of_ns)
    logs = {
        (dataset.name, symbol)
        for each in inputs.symbols
        for dataset, symbol in market.logs_of_orders(each, inputs.currency)
    }
    symbols = sorted({symbol for _, symbol in logs})
    begin_ns = _begin_ns(inputs)
    bars_until_ns = {symbol: market.bars_until_ns(symbol) for symbol in symbols}
    logs |= {(BARS.name, symbol) for symbol in symbols if bars_until_ns[symbol] > begin_ns}
    datasets = [each.name for each in _REPLAYED if any(dataset == each.name for dataset, _ in logs)]
    replay = reader.replay(
        symbols, begin_ns, inputs.end_ns, datasets, as_of=inputs.as_of_ns, known_before=inputs.end_ns + 1
    )
    instruments = {symbol: market.instrument(symbol) for symbol in symbols}
    rates = {pair for each in inputs.symbols for pair in market.rate_symbols(each, inputs.currency)}
    tape = Tape(replay, instruments, logs, bars_until_ns, rates)

    def place_of(dataset: str, symbol: str) -> LogPosition:
        return LogPosition(market.head(DATASETS[dataset], symbol))

    return TapeMarket(
        reader.store,
        terms_of,
        place_of,
        as_of_ns=inputs.as_of_ns,
        tape=tape,
        begin_ns=begin_ns,
        ended=prices_ended(market, inputs.symbols, inputs.end_ns),
    )


def _begin_ns(inputs: BacktestInputs) -> int:
    """Return from when on rows are read: the first orders are checked at prices from before the period."""
    return max(inputs.start_ns - _PRICES_BEFORE_NS, EARLIEST_NS)


def _early_actions(inputs: BacktestInputs, reader: Reader, market: TapeMarket) -> Iterator[CorporateAction]:
    """Yield the actions that take effect before the time at which the replay knows them.

    An imported action is known at its event time, midnight UTC. East of it, as in Sydney, its trading date has begun by then.
    """
    tape, end_ns = market.tape, min(inputs.end_ns + DAY_NS, LATEST_NS)
    symbols = [each for each in tape.instruments if market.head(CORPORATE_ACTIONS, each) != NO_COMMIT]
    replay = reader.replay(symbols, _begin_ns(inputs), end_ns, CORPORATE_ACTIONS.name, as_of=inputs.as_of_ns)
    actions = Tape(replay, tape.instruments, tape.logs, tape.bars_until_ns)
    while (row := actions.next({}, end_ns)) is not None:
        is_imported = row.known_ns == row.ref.timestamp_ns
        if isinstance(row, CorporateAction) and is_imported and row.effective_ns < row.known_ns:
            yield row


def _bars_of(
    inputs: BacktestInputs, reader: Reader, market: Market, parameters: StrategyParameters
) -> PastBars:
    return PastBars(
        reader,
        {symbol: market.instrument(symbol).settle_ns for symbol in inputs.symbols},
        max(inputs.start_ns - parameters.looked_back_ns, EARLIEST_NS),
        inputs.end_ns,
        parameters.interval_ns,
        inputs.knowledge,
        inputs.as_of_ns,
    )
