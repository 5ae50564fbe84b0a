"""Corporate actions, which take effect at their own instants: splits and dividends."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from store.timestamps import DAY_NS, format_timestamp
from trading.core import positions
from trading.core.account import AccountState, action_key
from trading.core.amounts import ONE, ZERO, plain, scaled
from trading.core.due import SETTLE_NS
from trading.core.events import ACTION_ALERT, Alert, BarPrint, DividendPaid, RowRef, SplitApplied
from trading.core.matching import Rate, Record
from trading.core.rows import CorporateAction, RowCorrection
from trading.market.followed import FollowedMarket
from trading.market.hours import dates_end_ns, last_end_ns
from trading.market.market import SPLIT, Split

_SPIN_OFF = "spin_off"
# Those that `adjustment=all` takes off the prices before. A spin-off is paid as cash of its value.
_DIVIDENDS = ("dividend", "special_dividend", _SPIN_OFF)


@dataclass(slots=True)
class KnownActions:
    """The corporate actions of the symbols that the engine follows. splits: of each, in order."""

    splits: dict[str, Sequence[Split]]
    _by_symbol: dict[str, list[CorporateAction]] = field(default_factory=dict)
    # When dividends are paid that are due, by their symbols and rows.
    _paid_ns: dict[tuple[str, RowRef], int] = field(default_factory=dict)

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
        self.splits[ref.symbol] = [
            Split(each.effective_ns, each.date, each.ratio)
            for each in known
            if each.kind == SPLIT and each.ratio
        ]

    def forget(self, symbol: str) -> None:
        """Forget the actions of a symbol."""
        self._by_symbol.pop(symbol, None)
        self.splits.pop(symbol, None)
        self._paid_ns = {key: paid_ns for key, paid_ns in self._paid_ns.items() if key[0] != symbol}

    def next_ns(self, after_ns: int) -> int | None:
        """Return the first instant after another one at which an action takes effect; None for none."""
        if not self._by_symbol:
            return None
        instants = [each.effective_ns for known in self._by_symbol.values() for each in known]
        return min((each for each in (*instants, *self._paid_ns.values()) if each > after_ns), default=None)

    def take_effect(self, market: FollowedMarket, now_ns: int, state: AccountState, record: Record) -> None:
        """Apply the actions up to an instant that an account's positions and orders have not had."""
        for symbol in state.symbols() & self._by_symbol.keys():
            for action in self._by_symbol[symbol]:
                if action.effective_ns > now_ns:
                    break
                is_due = not _has_had(state, action) and _concerns(state, action)
                if is_due and self._paid_from_ns(action, market, now_ns) <= now_ns:
                    self._apply(state, action, market, now_ns, record)

    def take_effect_within(
        self, bar: BarPrint, market: FollowedMarket, now_ns: int, state: AccountState, record: Record
    ) -> None:
        """Pay the dividends from within a bar whose fills were booked: its close is a price from after them."""
        begin_ns, end_ns = bar.ref.timestamp_ns, dates_end_ns(bar.ref.timestamp_ns, bar.end_ns)
        for action in self._by_symbol.get(bar.ref.symbol, ()):
            is_within = begin_ns < _ex_ns(action, bar.end_ns - begin_ns) < end_ns
            is_due = is_within and action.kind in _DIVIDENDS and action.effective_ns <= now_ns
            if is_due and not _has_had(state, action) and _concerns(state, action):
                self._apply(state, action, market, now_ns, record)

    def waiting(self, now_ns: int) -> set[str]:
        """Return the symbols with a dividend that took effect, and waits for stored bars."""
        return {symbol for (symbol, _), paid_ns in self._paid_ns.items() if paid_ns > now_ns}

    def _paid_from_ns(self, action: CorporateAction, market: FollowedMarket, now_ns: int) -> int:
        """Return when a dividend is paid, or another action is applied.

        Stored bars are known at their ends: a dividend waits for those that began before it, because their fills decide
        who held the symbol.
        """
        if action.kind not in _DIVIDENDS:
            return action.effective_ns
        key = action.ref.symbol, action.ref
        if key not in self._paid_ns:
            bar, paid_ns = market.last_bar(action.ref.symbol, now_ns), action.effective_ns
            if bar is not None:
                length_ns = bar.at_ns - bar.ref.timestamp_ns
                bars_end_ns = last_end_ns(bar.ref.timestamp_ns, length_ns, _ex_ns(action, length_ns))
                paid_ns = max(paid_ns, bars_end_ns + SETTLE_NS)
            self._paid_ns[key] = paid_ns
        return self._paid_ns[key]

    def _apply(
        self,
        state: AccountState,
        action: CorporateAction,
        market: FollowedMarket,
        now_ns: int,
        record: Record,
    ) -> None:
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
            rate = _rate_then(action, market, currency, state.currency, now_ns)
            if currency != of_instrument:
                instrument_rate = _rate_then(action, market, of_instrument, state.currency, now_ns)
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


def _concerns(state: AccountState, action: CorporateAction) -> bool:
    """Return whether the account held or ordered the symbol before the action."""
    orders = state.orders_of(action.ref.symbol)
    return _is_held(state, action) or any(order.submitted_ns < action.effective_ns for order in orders)


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
