"""Alpaca's endpoints of an account's past: its activities, and the history of its equity."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any

import numpy as np
from django.db.models import Case, CharField, FloatField, Q, Value, When
from django.db.models.functions import Cast
from drf_spectacular.utils import OpenApiParameter
from msgspec import UNSET, UnsetType
from rest_framework.request import Request
from rest_framework.response import Response

from calendars.trading_calendar import exchange_calendar
from dialects.alpaca.accounts import AlpacaAccountView, parameter
from dialects.alpaca.hours import EXCHANGE
from dialects.alpaca.orders import AlpacaDocument, ExampleId, id_of
from dialects.alpaca.pages import label_of
from store.arrays import Floats, Integers
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp
from trading.api.access import ACCOUNT_PAGE, ACCOUNT_READ
from trading.api.account_view import account_answer
from trading.core.amounts import ZERO, price_of
from trading.market.symbols import market
from trading.models import Account, ExecutionRow, TransactionRow
from trading.reading.performance import Period, account_history, period_between
from trading.reading.selectors import execution_documents
from trading.services.orders import order_in
from web.documents import AnswerDocument, Instant, Uuid, about, like
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice

_PAID_OUT = Q(amount__startswith="-")
# Alpaca's types by the kinds of our transactions; all others are JNLC: corrections, and settlements of futures. Fees of
# fills are FEE, too.
_TYPES = {
    "FILL": Q(kind="executed"),
    "CSD": Q(kind="transferred") & ~_PAID_OUT,
    "CSW": Q(kind="transferred") & _PAID_OUT,
    "DIV": Q(kind="dividend_paid"),
    "FEE": Q(kind="borrow_charged"),
    "JNLS": Q(kind="position_adjusted"),
}
_OTHER = "JNLC"
_PLACE_DIGITS = 17
_TYPE = Case(
    *(When(condition, then=Value(name)) for name, condition in _TYPES.items()),
    default=Value(_OTHER),
    output_field=CharField(),
)
_ACTIVITIES = (
    OpenApiParameter(
        "activity_type", str, OpenApiParameter.PATH, description="In place of `activity_types`."
    ),
    parameter("activity_types", f"With commas between them: {', '.join((*_TYPES, _OTHER))}."),
    parameter("date", "On this date, by UTC."),
    parameter("after", "After this time."),
    parameter("until", "Before this time."),
    parameter("direction", "By time.", enum=["asc", "desc"], default="desc"),
    parameter("page_size", "How many.", type="integer", minimum=1, maximum=100, default=100),
    parameter("page_token", "The id of the last activity of the page before."),
)
_DAY, _MOST_POINTS = "1D", 20_000
# Steps in minutes. The equity of days is that at the end of each session.
_STEPS = {"1Min": 1, "5Min": 5, "15Min": 15, "1H": 60, _DAY: 0}
_UNIT_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
_HOURS = ("market_hours", "continuous")
_HISTORY = (
    parameter("period", "A number and D, W, M (30 days) or A (365 days).", default="1M"),
    parameter("timeframe", "The step. Default: by the period's length.", enum=[*_STEPS]),
    parameter("start", "The period's begin, in place of `period`."),
    parameter("end", "The period's end. Default: now."),
    parameter("date_end", "The period's last date, in place of `end`."),
    parameter("intraday_reporting", "The hours of steps.", enum=[*_HOURS], default=_HOURS[0]),
)


class AlpacaActivity(AlpacaDocument, kw_only=True):
    """What changed the account. All `net_amount`s add up to the cash."""

    id: Annotated[str, like("00000000000000009::0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11")]
    account_id: ExampleId
    activity_type: Annotated[str, like("FILL")]
    symbol: Annotated[str | None, like("AAPL")]
    transaction_time: Instant | UnsetType = UNSET
    type: Annotated[str | UnsetType, about("fill or partial_fill.")] = UNSET
    price: str | UnsetType = UNSET
    qty: str | UnsetType = UNSET
    side: str | UnsetType = UNSET
    cum_qty: str | UnsetType = UNSET
    leaves_qty: str | UnsetType = UNSET
    order_id: Uuid | UnsetType = UNSET
    order_status: str | UnsetType = UNSET
    date: Annotated[str | UnsetType, about("By UTC.")] = UNSET
    net_amount: Annotated[str, about("What the cash changed; of a fill without its fee.", "-21735")]
    description: str | UnsetType = UNSET
    status: str | UnsetType = UNSET


class AlpacaPortfolioHistory(AnswerDocument, kw_only=True):
    """The equity at instants of a period. What was paid in and out is neither profit nor loss."""

    timestamp: Annotated[list[int], about("Epoch seconds.", [1735851600])]
    equity: Annotated[list[float], like([100_099.0])]
    profit_loss: Annotated[list[float], about("Since the period's begin.", [99.0])]
    profit_loss_pct: Annotated[list[float], about("A fraction.", [0.00099])]
    base_value: Annotated[float, about("The equity at the period's begin.", 100_000.0)]
    timeframe: Annotated[str, like(_DAY)]


class AlpacaPastViewSet(AlpacaAccountView):
    """The past of the key's account."""

    access = {"activities": ACCOUNT_PAGE, "history": replace(ACCOUNT_READ, cost="stream")}
    answers = {"activities": list[AlpacaActivity], "history": AlpacaPortfolioHistory}
    parameters = {"activities": _ACTIVITIES, "history": _HISTORY}

    def activities(self, request: Request, activity_type: str | None = None) -> Response:
        """List activities."""
        account = self.account()
        size = self.whole_number("page_size", most=100, default=100)
        is_ascending = choice(self.query, "direction", ("asc", "desc"), "desc") == "asc"
        types, conditions = self._types(activity_type), self._conditions()
        token = self.query.get("page_token")
        if token is not None:
            conditions["number__gte" if is_ascending else "number__lte"] = _number_of(token)
        # An event has up to two activities: one more is read, because the token may be the first one's.
        read = slice(size + 1)
        order = "number" if is_ascending else "-number"
        booked = (
            account.transactions.annotate(type=_TYPE).filter(type__in=types, **conditions).order_by(order)
        )
        found = list(_booked(account, list(booked[read])))
        if "FEE" in types:
            charged = account.executions.annotate(charged=Cast("fee", FloatField())).exclude(charged=0)
            found += _fees(account, charged.filter(**conditions).order_by(order)[read])
        found.sort(key=attrgetter("id"), reverse=not is_ascending)
        page = [
            each for each in found if token is None or (each.id > token if is_ascending else each.id < token)
        ]
        return account_answer(page[:size], account.number)

    def _types(self, activity_type: str | None) -> Sequence[str]:
        """Return the types that a call asks for. Raises InvalidParameter."""
        if activity_type and "activity_types" in self.query:
            raise InvalidParameter("conflicting_parameters", "the path has a type: leave out activity_types")
        types = activity_type or self.query.get("activity_types")
        names = (*_TYPES, _OTHER) if types is None else types.split(",")
        if not {*_TYPES, _OTHER}.issuperset(names):
            message = f"activity_types are of {', '.join((*_TYPES, _OTHER))}"
            raise InvalidParameter("invalid_parameter", message)
        return names

    def _conditions(self) -> dict[str, Any]:
        """Return the conditions of the instants that a call asks for. Raises InvalidParameter."""
        after, until, date = (self.instant(name) for name in ("after", "until", "date"))
        conditions = {} if date is None else {"at_ns__gte": date, "at_ns__lt": date + DAY_NS}
        if after is not None:
            conditions["at_ns__gt"] = after
        if until is not None:
            conditions["at_ns__lte"] = until - 1
        return conditions

    def history(self, request: Request) -> Response:
        """Get the history of the equity."""
        account = self.account()
        period = self._period(account)
        usual = "1Min" if period.days < 7 else "15Min" if period.days < 30 else _DAY
        timeframe = choice(self.query, "timeframe", _STEPS, usual)
        hours = choice(self.query, "intraday_reporting", _HOURS, _HOURS[0])
        instants = _instants(period, _STEPS[timeframe] * 60 * SECOND_NS, is_always=hours == "continuous")
        return account_answer(_history(account, period, instants, timeframe), account.number)

    def _period(self, account: Account) -> Period:
        start, end, date_end = (self.instant(name) for name in ("start", "end", "date_end"))
        end = end if date_end is None else date_end + DAY_NS
        if start is None:
            match = re.fullmatch(r"([1-9][0-9]{0,2})([DWMA])", self.query.get("period", "1M"))
            if match is None:
                raise InvalidParameter("invalid_duration", "period must be a number and D, W, M or A, as 1M")
            until_ns = period_between(account, None, end).until_ns
            start = until_ns - int(match[1]) * _UNIT_DAYS[match[2]] * DAY_NS
        if end is not None and start >= end:
            raise InvalidParameter("invalid_range", "start must be before end")
        return period_between(account, max(start, account.created_ns), end)


def _number_of(token: str) -> int:
    """Return the number of the event whose activity is a page's token. Raises InvalidParameter."""
    place, mark, _ = token.partition("::")
    if not (mark and place.isascii() and place.isdecimal() and len(place) == _PLACE_DIGITS):
        raise InvalidParameter("invalid_cursor", "page_token must be the id of an activity")
    return int(place) // 2


def _booked(account: Account, rows: Sequence[Any]) -> Iterator[AlpacaActivity]:
    """Yield the activities of transactions. The fee of a fill is an activity of its own."""
    fills = dict(_fills(account, [row.number for row in rows]))
    for row in rows:
        fee, given = fills.get(row.number) or (ZERO, _paid(row))
        yield _activity(
            account, 2 * row.number, activity_type=row.type, net_amount=Decimal(row.amount) + fee, **given
        )


def _fees(account: Account, rows: Iterable[ExecutionRow]) -> Iterator[AlpacaActivity]:
    for row in rows:
        yield _activity(
            account, 2 * row.number + 1, activity_type="FEE", net_amount=-Decimal(row.fee), **_paid(row)
        )


def _activity(account: Account, place: int, **given: Any) -> AlpacaActivity:
    """Return an activity. place: twice the number of its event, for the fee of a fill one more."""
    return AlpacaActivity.of_amounts(
        None,
        id=f"{place:0{_PLACE_DIGITS}d}::{id_of('event', f'{account.name} {place}')}",
        account_id=id_of("account", account.name),
        **given,
    )


def _paid(row: TransactionRow | ExecutionRow) -> dict[str, Any]:
    return {
        "symbol": label_of(row.symbol, market().instrument(row.symbol).instrument_class)
        if row.symbol
        else None,
        "date": format_timestamp(row.at_ns)[:10],
        "description": getattr(row, "kind", "fee of a fill"),
        "status": "executed",
    }


def _fills(account: Account, numbers: Sequence[int]) -> Iterator[tuple[int, tuple[Decimal, dict[str, Any]]]]:
    """Yield the numbers of events that filled the orders of some of them, each with its fee and what Alpaca says of it."""
    orders = account.executions.filter(number__in=numbers).values("order")
    rows = ExecutionRow.objects.filter(order__in=orders).select_related("order").order_by("number")
    filled: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for row, fill in zip(rows, execution_documents(rows, account=account), strict=True):
        order, quantity = order_in(row.order), price_of(fill.quantity)
        filled[order.id] += quantity
        left = max(order.terms.quantity - filled[order.id], ZERO)
        given = {
            "symbol": label_of(fill.symbol, order.instrument.instrument_class),
            "transaction_time": fill.at,
            "type": "partial_fill" if left else "fill",
            "price": price_of(fill.price),
            "qty": quantity,
            "side": fill.side,
            "cum_qty": filled[order.id],
            "leaves_qty": left,
            "order_id": order.id,
            "order_status": "partially_filled" if left else "filled",
        }
        yield row.number, (Decimal(row.fee), given)


def _instants(period: Period, step_ns: int, *, is_always: bool) -> Integers:
    """Return the instants of a period at which the equity is told: ends of sessions (no step), or of steps.

    The last instant of a period that lasts until now is now.
    """
    last_ns = period.until_ns - 1
    begins, ends = np.array([period.since_ns // DAY_NS * DAY_NS]), np.array([period.until_ns])
    if not (is_always and step_ns):
        schedule = exchange_calendar(EXCHANGE).on_dates(period.since_ns // DAY_NS, last_ns // DAY_NS)
        begins, ends = schedule.open_ns, schedule.close_ns
    if step_ns:
        if int((ends - begins).sum()) // step_ns > _MOST_POINTS:
            raise InvalidParameter("range_too_large", f"a history has at most {_MOST_POINTS:,} points")
        steps = [np.arange(begin, end + 1, step_ns) for begin, end in zip(begins, ends, strict=True)]
        ends = np.concatenate([np.empty(0, np.int64), *steps])
    found = ends[(ends >= period.since_ns) & (ends < last_ns)]
    return np.append(found, last_ns) if period.is_until_now else found


def _history(account: Account, period: Period, instants: Integers, timeframe: str) -> AlpacaPortfolioHistory:
    """Return the equity at instants, as far as the account has one then."""
    history = account_history(account, period)
    at_ns, steps = np.array(history.at_ns, np.int64), np.array(history.steps).reshape(-1, 4)
    # Fills have no equity.
    is_point = ~np.isnan(steps[:, 0])
    at_ns, steps = np.maximum.accumulate(at_ns[is_point]), steps[is_point]
    places = np.searchsorted(at_ns, instants, side="right") - 1
    instants, points = instants[places >= 0], np.concatenate([steps[:1], steps[places[places >= 0]]])
    equity, start_equity = points[:, 0], points[:, 2]
    growth = np.divide(equity, start_equity, out=np.ones(len(equity)), where=start_equity > 0)
    profit = equity - equity[:1] - _paid_in(account, np.append(at_ns[:1], instants))
    return AlpacaPortfolioHistory(
        timestamp=(instants // SECOND_NS).tolist(),
        equity=equity[1:].tolist(),
        profit_loss=profit[1:].round(6).tolist(),
        profit_loss_pct=(growth / growth[:1] - 1)[1:].round(9).tolist(),
        base_value=float(equity[0]) if len(equity) else 0.0,
        timeframe=timeframe,
    )


def _paid_in(account: Account, instants: Integers) -> Floats:
    """Return what was paid in and not out since the first of the instants, up to each."""
    rows = account.transactions.filter(kind="transferred").order_by("at_ns").values_list("at_ns", "amount")
    sums = np.cumsum([0.0, *(float(Decimal(amount)) for _, amount in rows)])
    paid_in: Floats = sums[np.searchsorted([at_ns for at_ns, _ in rows], instants, side="right")]
    return paid_in - paid_in[:1]
