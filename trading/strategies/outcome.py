"""What a backtest says: its figures, its trades and signals, and all that it assumed. The same inputs give the same bytes."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from store.datasets import BARS
from store.instruments import Instrument
from store.reading import Reader
from store.timestamps import DAY_NS, format_timestamp
from trading.core.account import AccountState
from trading.core.account_store import RecordedEvent
from trading.core.configuration import Zone
from trading.core.events import (
    ACTION_ALERT,
    Alert,
    Executed,
    Marked,
    OrderAccepted,
    OrderEnded,
    OrderRejected,
    Reference,
    encoded,
)
from trading.documents.accounts import backtest_limits_document
from trading.documents.figures import (
    BacktestDocument,
    BacktestInputsDocument,
    BacktestRefusalDocument,
    BacktestSignalDocument,
    BacktestSignalsDocument,
    OpenPositionDocument,
)
from trading.documents.ledger import ClosedTradeDocument
from trading.report import AccountHistory, figures_of, return_days_of
from trading.strategies.backtest import Backtest, BacktestInputs
from trading.strategies.catalogue import parameters_of, strategy_named
from trading.strategies.past_bars import ended_sentence
from trading.strategies.strategy import Strategy
from web.documents import AnswerDocument, instant_or_null

# By the knowledge of the inputs.
_BARS = {
    "then": "Bars are shown at their end plus the instrument's `settle`, as they were known then.",
    "now": "Bars are shown at their end plus the instrument's `settle`, as they are known today: with what came later.",
}
_ASSUMPTIONS = (
    "Orders fill by the engine's rules, at prices that were printed after the latency, up to `participation` of the volume.",
    "Orders of the backtest move no price, and nobody reacts to them.",
    "Without a declared tick US equities have 0.01, below 1 USD 0.0001; others have none.",
    "Fees and slippage are those of the instrument's class unless the inputs give others. Shorts can always be borrowed.",
    "Instruments, calendars and fees are those declared today.",
    "A position that is open at the end is valued at its mark.",
)
# Of longer lists the first ones are shown, and how many there are.
MOST_ROWS = 10_000
# So many corporate actions are named in the notice.
_MOST_ACTIONS = 5


class BacktestOutcome:
    """What is learned of a backtest while it runs. Give its `take` every event.

    most_rows: of trades, and of signals, that its document has. had_bars: whether the strategy was shown any in the
    period. instruments: by symbol. prices_ended: by symbol, see `ended_prices.prices_ended`.
    """

    def __init__(self, inputs: BacktestInputs, most_rows: int = MOST_ROWS) -> None:
        self.inputs, self._most_rows = inputs, most_rows
        self._strategy_class = strategy_named(inputs.strategy)
        self.history = AccountHistory()
        self.had_bars = True
        self.instruments: Mapping[str, Instrument] = {}
        self.prices_ended: Mapping[str, int] = {}
        self._trades: list[ClosedTradeDocument] = []
        self._signals: list[BacktestSignalDocument] = []
        self.accepted, self.filled, self.ended = 0, 0, Counter[str]()
        # By the check that did not pass first, and the zone.
        self._refusals: dict[tuple[str, Zone], BacktestRefusalDocument] = {}
        # The orders of signals that nothing has filled so far.
        self._unfilled: set[str] = set()
        self._state: AccountState | None = None
        self._has_long_bars = False
        # The messages of alerts about corporate actions.
        self._actions: list[str] = []

    def take(self, recorded: RecordedEvent) -> None:
        """Take the next event."""
        event, self._state = recorded.event, recorded.state
        self.history.take(recorded.state, event, recorded.effects, recorded.at_ns)
        if len(self._trades) < self._most_rows:
            self._trades += map(ClosedTradeDocument.of, recorded.effects.closed)
        if isinstance(event, Marked):
            self._has_long_bars = self._has_long_bars or any(map(_is_of_long_bar, event.marks))
        elif isinstance(event, OrderAccepted | OrderRejected):
            self._take_order(event, recorded.state)
        elif isinstance(event, Executed) and event.order_id in self._unfilled:
            self.filled += 1
            self._unfilled.remove(event.order_id)
        elif isinstance(event, OrderEnded) and event.order_id in self._unfilled:
            self.ended[event.reason] += 1
            self._unfilled.remove(event.order_id)
        elif isinstance(event, Alert) and event.kind == ACTION_ALERT:
            self._actions.append(event.message)

    def _take_order(self, event: OrderAccepted | OrderRejected, state: AccountState) -> None:
        # What is bought and sold within one bar has no other mark.
        if event.reference is not None and _is_of_long_bar(event.reference):
            self._has_long_bars = True
        if event.order.reduce_only:
            return
        if isinstance(event, OrderAccepted):
            self.accepted += 1
            self._unfilled.add(event.order_id)
        else:
            found = BacktestRefusalDocument.of(event, state)
            self._refusals.setdefault((found.check, found.dd_zone), found).count += 1
        if len(self._signals) < self._most_rows:
            self._signals.append(BacktestSignalDocument.of(event))

    @property
    def refused(self) -> Counter[str]:
        """How many signals each check refused."""
        found = Counter[str]()
        for each in self._refusals.values():
            found[each.check] += each.count
        return found

    @property
    def unfilled(self) -> Counter[str]:
        """How many orders of signals ended without a fill, by the reason; `working` for those that have not ended."""
        return self.ended + Counter(working=len(self._unfilled))  # adding leaves out what is 0

    @property
    def notice(self) -> str | None:
        """Which signals were refused, or why nothing was traded; early ends of prices; corporate actions to know of.

        None if there is nothing to say.
        """
        shown, more = self._actions[:_MOST_ACTIONS], len(self._actions) - _MOST_ACTIONS
        ended = ended_sentence(self.prices_ended) if self.prices_ended else ""
        said = [self._notice_of_signals or "", ended, *(f"{each[0].upper()}{each[1:]}." for each in shown)]
        if more > 0:
            said.append(f"{more:,} more corporate actions raised alerts.")
        return " ".join(filter(None, said)) or None

    @property
    def _notice_of_signals(self) -> str | None:
        signals = self.accepted + self.refused.total()
        if not signals and not self.had_bars:
            return "There were no bars: nothing that is stored for the period makes bars of the strategy's interval."
        said = [each.sentence for each in self._refusals.values()]
        if not self.filled:
            said += [f"{count:,} unfilled ({reason})" for reason, count in sorted(self.unfilled.items())]
        if not said:
            return None
        nothing = "" if self.filled else "No order was filled. "
        return f"{nothing}Of {signals:,} signals: {', '.join(said)}."

    @property
    def document(self) -> BacktestDocument:
        """What the run says, once it has ended."""
        inputs, unfilled = self.inputs, self.unfilled
        return_days = return_days_of(
            self.instruments[each] for each in {fill.symbol for fill in self.history.fills}
        )._replace(has_long_bars=self._has_long_bars)
        return BacktestDocument(
            notice=self.notice,
            inputs=_inputs_document(inputs, self._strategy_class),
            strategy_sha256=self._strategy_class.sha256,
            assumptions=[_BARS[inputs.knowledge], *_ASSUMPTIONS],
            performance=figures_of(self.history, inputs.start_ns, inputs.end_ns, return_days=return_days),
            signals=BacktestSignalsDocument(
                accepted=self.accepted,
                refused=self.refused.total(),
                refusals=list(self._refusals.values()),
                refused_by=dict(self.refused),
                unfilled=unfilled.total(),
                unfilled_by=dict(unfilled),
                rows=self._signals,
            ),
            trades=self._trades,
            positions=[]
            if self._state is None
            else [
                OpenPositionDocument.of(each, is_stale=each.symbol in self.prices_ended)
                for each in self._state.positions.values()
            ],
        )


def outcome_of(
    inputs: BacktestInputs,
    reader: Reader,
    progress: Callable[[float], object] = lambda _: None,
    *,
    most_rows: int = MOST_ROWS,
    keep: Callable[[RecordedEvent], object] = lambda _: None,
) -> BacktestOutcome:
    """Run a backtest, and return what it says. Raises StrategyError.

    progress: see `Backtest.run`. keep: is given each event as it is recorded.
    """
    outcome = BacktestOutcome(inputs, most_rows)

    def take(recorded: RecordedEvent) -> None:
        outcome.take(recorded)
        keep(recorded)

    backtest = Backtest(inputs, reader, take)
    outcome.instruments, outcome.prices_ended = backtest.instruments, backtest.ended
    backtest.run(progress)
    outcome.had_bars = backtest.had_bars
    return outcome


def _is_of_long_bar(mark: Reference) -> bool:
    """Return whether a mark is the close of a stored bar that is longer than a day."""
    own = (each for each in mark.refs if each.dataset == BARS.name and each.symbol == mark.symbol)
    return any(mark.at_ns - each.timestamp_ns > DAY_NS for each in own)


def event_line(recorded: RecordedEvent) -> bytes:
    """Return an event as a line of JSON: its instant, its number, and itself as the journal encodes it."""
    event = msgspec.Raw(encoded(recorded.event).encode())
    line = {"at": format_timestamp(recorded.at_ns), "number": recorded.number, "event": event}
    return msgspec.json.encode(line) + b"\n"


def document_bytes(document: AnswerDocument | Mapping[str, Any]) -> bytes:
    """Return a document as JSON. The same document gives the same bytes."""
    return msgspec.json.encode(document, order="sorted")


def _inputs_document(inputs: BacktestInputs, strategy_class: type[Strategy]) -> BacktestInputsDocument:
    parameters = parameters_of(strategy_class, inputs.parameters)
    return BacktestInputsDocument.of_attributes(
        inputs,
        symbols=list(inputs.symbols),
        start=format_timestamp(inputs.start_ns),
        end=format_timestamp(inputs.end_ns),
        parameters=msgspec.to_builtins(parameters),
        as_of=instant_or_null(inputs.as_of_ns),
        risk="none" if inputs.config.unlimited else "account",
        config=backtest_limits_document(inputs.config),
    )
