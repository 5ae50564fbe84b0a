"""The equity of an account at instants of the past, by the positions and the stored prices of then."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from django.db.models import Q

from store.arrays import Floats, Integers
from store.datasets import BARS, TRADES
from store.log_views.bar_grid import plain_grid
from store.log_views.known_bars import bars_of_logs
from store.log_views.log_view import view_of
from store.protocol import Window
from trading.core.account import AccountState, apply, in_instruments
from trading.core.events import DividendPaid, SplitApplied, decoded
from trading.core.positions import Position
from trading.journal import replayed
from trading.market.symbols import market
from trading.models import Account

# Across more events a snapshot is sooner than the events.
_NEAR_EVENTS = 1_000


def equities_at(account: Account, instants: Integers, interval_ns: int) -> Floats:
    """Return the equity, `AccountState.start_equity`, and what was paid in less what was paid out: three columns.

    Each row is of one instant, and all its columns are of the same events. A position has the close of its symbol's
    last bar that had ended, at first the mark of then; another currency has the rate at the account's last event.
    Without a price the equity is that of the last mark. instants: ascending; one before the account's first event has
    that event's equity. interval_ns: the length of bars. Raises the errors of the store.
    """
    found = np.empty((len(instants), 3))
    if not len(instants):
        return found
    numbers = _events_at(account, instants)
    prices: dict[str, Floats] = {}
    booked = _booked_actions(account, int(numbers[0]))
    state = AccountState(id=account.name)
    for number, first in zip(*np.unique(numbers, return_index=True), strict=True):
        if state.number == 0 or number - state.number > _NEAR_EVENTS:
            state = replayed(account, int(number))
        events = account.events.filter(number__gt=state.number, number__lte=int(number)).order_by("number")
        for body, at_ns in events.values_list("body", "at_ns"):
            apply(state, decoded(body), at_ns=at_ns)
        same = numbers == number
        equity = np.full(np.count_nonzero(same), float(state.cash))
        for position in state.positions.values():
            symbol, now_ns = position.symbol, int(instants[first])
            if symbol not in prices:
                mark = market().mark(position, state.currency, now_ns=now_ns)
                mark_price = np.nan if mark is None else float(mark.price)
                later = _later_prices(
                    booked[symbol],
                    symbol,
                    mark_price,
                    instants[first:],
                    numbers[first:],
                    interval_ns=interval_ns,
                )
                prices[symbol] = np.append(np.full(first, np.nan), later)
            equity += _worth(position, state.currency, prices[symbol][same], now_ns)
        equity[np.isnan(equity)] = float(state.equity)
        found[same, 0], found[same, 1:] = equity, (float(state.start_equity), float(state.paid_in))
    return found


def _events_at(account: Account, instants: Integers) -> Integers:
    """Return the number of the account's last event up to each instant."""
    marks = account.equities.filter(at_ns__lte=int(instants[0])).order_by("-at_ns", "-id")
    first = marks.values_list("number", flat=True).first() or 1
    known = Q(number=first) | Q(number__gt=first, at_ns__lte=int(instants[-1]))
    events = account.events.filter(known).order_by("number")
    numbers, at_ns = np.array(events.values_list("number", "at_ns"), np.int64).T
    # An event that is earlier than the one before it counts at that one's instant.
    places = np.searchsorted(np.maximum.accumulate(at_ns), instants, side="right") - 1
    found: Integers = numbers[np.maximum(places, 0)]
    return found


def _booked_actions(account: Account, after: int) -> dict[str, list[tuple[int, SplitApplied | DividendPaid]]]:
    """Return the splits and dividends that were booked after an event, in order, by symbol. Each has its event's number."""
    booked = defaultdict(list)
    events = account.events.filter(name__in=["split_applied", "dividend_paid"], number__gt=after)
    for number, body in events.order_by("number").values_list("number", "body"):
        action = decoded(body)
        assert isinstance(action, SplitApplied | DividendPaid)  # noqa: S101 it has one of these names
        booked[action.symbol].append((number, action))
    return booked


def _later_prices(
    booked: Iterable[tuple[int, SplitApplied | DividendPaid]],
    symbol: str,
    first: float,
    instants: Integers,
    numbers: Integers,
    *,
    interval_ns: int,
) -> Floats:
    """Return the price of a symbol at each instant, per unit as the account counts units then.

    booked: see `_booked_actions`. first: the first price.
    """
    instrument = market().instrument(symbol)
    trades, stored = (
        view_of(market().store.log(each, symbol).at(market().head(each, symbol))) for each in (TRADES, BARS)
    )
    bars = bars_of_logs(trades, stored, plain_grid(interval_ns, instrument), instrument.policy).bars(
        Window(
            *(int(each) // interval_ns * interval_ns for each in (instants[0], instants[-1] + interval_ns))
        )
    )
    ends_ns = np.append(instants[0], bars.time_ns + interval_ns)
    places = np.searchsorted(ends_ns, instants, side="right") - 1
    prices: Floats = np.append(first, bars.close)[places]
    for number, action in booked:
        if number <= numbers[0]:
            continue
        is_old = (numbers >= number) & (ends_ns[places] <= action.effective_ns)
        if isinstance(action, SplitApplied):
            prices[is_old] /= float(action.ratio)
            continue
        prices[is_old] -= float(in_instruments(action.amount, action, market().currency(symbol)))
        if not instrument.allow_nonpositive_price:
            prices[is_old] = np.maximum(prices[is_old], 0)
    return prices


def _worth(position: Position, currency: str, prices: Floats, now_ns: int) -> Floats:
    """Return what a position adds to the equity at prices; NaN without a rate."""
    terms = position.terms
    rate = market().rate(terms.currency, currency, now_ns=now_ns)
    worth = float(position.quantity * terms.multiplier) * prices
    if terms.is_margined:
        worth = worth - float(position.cost)
    return worth * (np.nan if rate is None else float(rate[0]))
