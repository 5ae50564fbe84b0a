"""Corporate actions: splits take effect at their own instants, dividends are paid with the first price after theirs."""

from dataclasses import dataclass, field
from decimal import Decimal

from store.timestamps import DAY_NS, format_timestamp
from trading.core import positions
from trading.core.account import AccountState, action_key
from trading.core.amounts import ONE, ZERO, plain, scaled
from trading.core.events import ACTION_ALERT, Alert, BarPrint, DividendPaid, Print, SplitApplied
from trading.core.matching import Rate, Record
from trading.core.rows import CorporateAction, Quote, RowCorrection
from trading.market.followed import FollowedMarket
from trading.market.market import SPLIT
from trading.market.prices import Split

_SPIN_OFF = "spin_off"
# Those that `adjustment=all` takes off the prices before. A spin-off is paid as cash of its value.
_DIVIDENDS = ("dividend", "special_dividend", _SPIN_OFF)


@dataclass(slots=True)
class KnownActions:
    """The corporate actions of the symbols that the engine follows. Passes their splits to the market."""

    market: FollowedMarket
    _by_symbol: dict[str, list[CorporateAction]] = field(default_factory=dict)

    @property
    def are_known(self) -> bool:
        """Whether any corporate action is known."""
        return bool(self._by_symbol)

    def take(self, row: CorporateAction | RowCorrection) -> None:
        """Add an action, or change or remove one that was corrected or cancelled."""
        ref, action = (row.before.ref, row.after) if isinstance(row, RowCorrection) else (row.ref, row)
        known = [each for each in self._by_symbol.get(ref.symbol, []) if each.ref != ref]
        known += [action] if isinstance(action, CorporateAction) else []
        # A dividend is per old share: it is paid before a split of its date.
        known.sort(key=lambda each: (each.effective_ns, each.kind == SPLIT))
        self._by_symbol[ref.symbol] = known
        self.market.known_splits[ref.symbol] = [
            Split(each.effective_ns, each.date, each.ratio)
            for each in known
            if each.kind == SPLIT and each.ratio
        ]

    def forget(self, symbol: str) -> None:
        """Forget the actions of a symbol."""
        self._by_symbol.pop(symbol, None)
        self.market.known_splits.pop(symbol, None)

    def next_ns(self, after_ns: int) -> int | None:
        """Return the first instant after another one at which an action takes effect; None for none."""
        instants = [each.effective_ns for known in self._by_symbol.values() for each in known]
        return min((each for each in instants if each > after_ns), default=None)

    def take_effect(self, now_ns: int, state: AccountState, record: Record) -> None:
        """Apply what is due by time: splits, and dividends of symbols without a price since."""
        for symbol in sorted(state.symbols() & self._by_symbol.keys()):
            for action in self._open(state, symbol, now_ns):
                if self._latest_ns(action, now_ns) <= now_ns:
                    self._apply(state, action, now_ns, record)

    def pay(
        self, row: Print | BarPrint | Quote, until_ns: int, now_ns: int, state: AccountState, record: Record
    ) -> None:
        """Pay the dividends with an ex-instant up to `until_ns`, in the act that books the fall of the price.

        A quote beside bars of days waits for their midnight, too: the bar of the day before may still fill an order.
        """
        bar = self.market.last_bar(row.ref.symbol, now_ns) if isinstance(row, Quote) else None
        length_ns = row.end_ns - row.ref.timestamp_ns if isinstance(row, BarPrint) else 0
        for action in self._open(state, row.ref.symbol, now_ns):
            ex_ns = _ex_ns(action, length_ns)
            if bar is not None:
                ex_ns = max(ex_ns, _ex_ns(action, bar.at_ns - bar.ref.timestamp_ns))
            if action.kind in _DIVIDENDS and ex_ns <= until_ns:
                self._apply(state, action, now_ns, record)

    def pays_next(self, state: AccountState, symbol: str, now_ns: int) -> bool:
        """Return whether the next price of a symbol may pay a dividend."""
        return any(each.kind in _DIVIDENDS for each in self._open(state, symbol, now_ns))

    def _open(self, state: AccountState, symbol: str, now_ns: int) -> list[CorporateAction]:
        """Return the actions up to an instant that concern an account and that it has not had, in order."""
        held = (each for each in state.positions.values() if each.symbol == symbol)
        since_ns = [lot.opened_ns for each in held for lot in each.lots]
        since_ns += [order.submitted_ns for order in state.orders_of(symbol)]
        first_ns = min(since_ns, default=now_ns)
        return [
            each
            for each in self._by_symbol.get(symbol, ())
            if first_ns < each.effective_ns <= now_ns and not _has_had(state, each)
        ]

    def _latest_ns(self, action: CorporateAction, now_ns: int) -> int:
        """Return when an action is applied without a row: a dividend at the next midnight UTC, on stored bars after two bars.

        All accounts are looked at then.
        """
        if action.kind not in _DIVIDENDS:
            return action.effective_ns
        bar = self.market.last_bar(action.ref.symbol, now_ns)
        bars_ns = 0 if bar is None else 2 * (bar.at_ns - bar.ref.timestamp_ns)
        return ((action.effective_ns + bars_ns) // DAY_NS + 1) * DAY_NS

    def _apply(self, state: AccountState, action: CorporateAction, now_ns: int, record: Record) -> None:
        symbol, effective_ns = action.ref.symbol, action.effective_ns
        if action.kind == SPLIT and action.ratio is not None:
            record(
                SplitApplied(symbol=symbol, ratio=action.ratio, effective_ns=effective_ns, action=action.ref)
            )
            return
        amount = self._amount_now(state, action) if action.kind in _DIVIDENDS else None
        of_instrument = _currency_in(state, symbol)
        rate, currency, instrument_rate = None, action.currency or of_instrument, None
        if amount is not None:
            rate = _rate_then(action, self.market, currency, state.currency, now_ns)
            if currency != of_instrument:
                instrument_rate = _rate_then(action, self.market, of_instrument, state.currency, now_ns)
        is_paid = amount is not None and rate is not None
        record(
            DividendPaid(
                symbol=symbol,
                amount=amount if is_paid and amount is not None else Decimal(0),
                rate=rate[0] if rate is not None else Decimal(1),
                effective_ns=effective_ns,
                action=action.ref,
                currency=currency,
                instrument_rate=None if instrument_rate is None else instrument_rate[0],
                kind=action.kind,
                date=action.date,
            )
        )
        if not is_paid or (action.kind == _SPIN_OFF and _is_held(state, action)):
            message = _message_of(action, f"{plain(amount or ZERO)} {currency}" if is_paid else None)
            record(Alert(kind=ACTION_ALERT, message=message, symbol=symbol))

    def _amount_now(self, state: AccountState, action: CorporateAction) -> Decimal | None:
        """Return a dividend's amount per share as they are now: later splits may have been applied before it."""
        amount = action.amount
        for each in self._by_symbol[action.ref.symbol]:
            is_split = each.kind == SPLIT and each.date >= action.date
            if amount is not None and is_split and each.ratio and _has_had(state, each):
                amount = scaled(amount, ONE, each.ratio)
        return amount


def _ex_ns(action: CorporateAction, length_ns: int) -> int:
    """Return when a dividend leaves the prices of bars of a length: those of days have midnights UTC for their dates."""
    return action.date * DAY_NS if length_ns >= DAY_NS else action.effective_ns


def _has_had(state: AccountState, action: CorporateAction) -> bool:
    return action_key(action.ref) in state.applied.get(action.ref.symbol, ())


def question_applied(row: RowCorrection, state: AccountState, record: Record) -> None:
    """Alert if an account has had an action that is changed later: nothing is unmade, and a person is told."""
    ref = row.before.ref
    if action_key(ref) in state.applied.get(ref.symbol, ()):
        message = f"a corporate action that took effect was changed later ({row.action}): look whether to correct the position"
        record(Alert(kind=ACTION_ALERT, message=message, symbol=ref.symbol))


def _is_held(state: AccountState, action: CorporateAction) -> bool:
    held = (each for each in state.positions.values() if each.symbol == action.ref.symbol)
    return any(positions.held_before(each, action.effective_ns) for each in held)


def _rate_then(
    action: CorporateAction, market: FollowedMarket, currency: str, account_currency: str, now_ns: int
) -> Rate | None:
    """Return the rate when an action took effect, which may be long before stored bars let it be paid."""
    then = market.past_rate(currency, account_currency, at_ns=action.effective_ns)
    return then or market.rate(currency, account_currency, now_ns=now_ns)


def _message_of(action: CorporateAction, value: str | None) -> str:
    """Return the message of an alert. value: that was paid a unit; None if nothing was."""
    kind, date = action.kind.replace("_", "-"), format_timestamp(action.date * DAY_NS)[:10]
    what = f"a {kind} of {action.ref.symbol} took effect on {date}"
    if value is None:
        return f"{what}: the account's positions are as before"
    return f"{what}: its value of {value} a unit was paid as cash, in the place of the other company's shares"


def _currency_in(state: AccountState, symbol: str) -> str:
    instruments = [each.terms for each in state.positions.values() if each.symbol == symbol]
    instruments += [each.instrument for each in state.orders_of(symbol)]
    return instruments[0].currency
