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
from store.protocol import Window
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, format_timestamp
from trading.api.access import ACCOUNT_PAGE, ACCOUNT_READ
from trading.api.account_view import account_answer
from trading.core.amounts import ZERO, price_of
from trading.lease import engine_status
from trading.market.symbols import market
from trading.models import Account, ExecutionRow, TransactionRow
from trading.reading.past_equity import equities_at
from trading.reading.selectors import account_valued, execution_documents
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
_DAY, _MOST_POINTS = "1D", 10_000
# In minutes. Sessions begin and end at multiples of it.
_LONGEST_BAR = 15
# Steps in minutes. The equity of days is that at the end of each session.
_STEPS = {"1Min": 1, "5Min": 5, "15Min": 15, "1H": 60, _DAY: 0}
_UNIT_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
_HOURS = ("market_hours", "continuous")
_HISTORY = (
    parameter("period", "A number and D, W, M (30 days) or A (365 days), or `all`.", default="1M"),
    parameter("timeframe", "The step. Default: by the period's length.", enum=[*_STEPS]),
    parameter("start", "The period's begin."),
    parameter("end", "The period's end. Default: now, or `period` after `start`."),
    parameter("date_end", "The period's last date, in place of `end`."),
    parameter("intraday_reporting", "The hours of steps.", enum=[*_HOURS], default=_HOURS[0]),
    parameter("pnl_reset", "per_day only with 1D.", enum=["no_reset", "per_day"], default="no_reset"),
    parameter("extended_hours", "true only with 1D.", type="boolean", default=False),
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
        account, now_ns = self.account(), engine_status().now_ns
        marks = account.equities.order_by("at_ns", "id").values_list("at_ns", flat=True)
        first_ns = next(iter(marks[:1]), now_ns)
        start, end = self._period(first_ns, now_ns)
        days = (end - start) / DAY_NS
        usual = "1Min" if days < 7 else "15Min" if days < 30 else _DAY
        timeframe = choice(self.query, "timeframe", _STEPS, usual)
        is_always = choice(self.query, "intraday_reporting", _HOURS, _HOURS[0]) == _HOURS[1]
        self._refuse_other_reports(is_of_days=timeframe == _DAY)
        period = Window(max(start, first_ns), min(end, now_ns))
        instants = _instants(period, _STEPS[timeframe] * MINUTE_NS, is_always=is_always)
        is_until_now = period.start_ns <= now_ns <= end
        return account_answer(
            _history(account, instants, timeframe, is_until_now=is_until_now), account.number
        )

    def _period(self, first_ns: int, now_ns: int) -> tuple[int, int]:
        """Return the begin and the end that a call asks for. first_ns: the account's begin. Raises InvalidParameter."""
        given = {"start", "end", "date_end", "period"}.intersection(self.query)
        if len(given) > 2 or given >= {"end", "date_end"}:
            message = "send at most two of start, end and period; date_end is in place of end"
            raise InvalidParameter("conflicting_parameters", message)
        start, end, date_end = (self.instant(name) for name in ("start", "end", "date_end"))
        end = end if date_end is None else date_end + DAY_NS
        text = self.query.get("period", "1M")
        match = re.fullmatch(r"([1-9][0-9]{0,2})([DWMA])", text)
        if match is None and text != "all":
            message = "period must be all, or a number up to 999 and D, W, M or A, such as 1M"
            raise InvalidParameter("invalid_duration", message)
        length = None if match is None else int(match[1]) * _UNIT_DAYS[match[2]] * DAY_NS
        if start is None:
            end = now_ns if end is None else end
            return (first_ns if length is None else end - length), end
        if end is None:
            return start, start + length if length and "period" in given else max(start, now_ns)
        if start >= end:
            raise InvalidParameter("invalid_range", "start must be before end")
        return start, end

    def _refuse_other_reports(self, *, is_of_days: bool) -> None:
        """Refuse what would change steps within days. Raises InvalidParameter."""
        resets = choice(self.query, "pnl_reset", ("no_reset", "per_day"), "no_reset")
        if not is_of_days and (resets != "no_reset" or self.flag("extended_hours")):
            message = f"pnl_reset=per_day and extended_hours=true go with timeframe={_DAY} only"
            raise InvalidParameter("invalid_parameter", message)


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


def _instants(period: Window, step_ns: int, *, is_always: bool) -> Integers:
    """Return a period's begin, and its instants of which the equity is told: ends of sessions (no step), or of steps."""
    if period.start_ns > period.end_ns:
        return np.empty(0, np.int64)
    begins, ends = np.array([period.start_ns // DAY_NS * DAY_NS]), np.array([period.end_ns])
    if not (is_always and step_ns):
        schedule = exchange_calendar(EXCHANGE).on_dates(period.start_ns // DAY_NS, period.end_ns // DAY_NS)
        begins, ends = schedule.open_ns, schedule.close_ns
    if step_ns:
        if int((ends - begins).sum()) // step_ns > _MOST_POINTS:
            raise InvalidParameter("range_too_large", f"a history has at most {_MOST_POINTS:,} points")
        steps = [np.arange(begin, end + 1, step_ns) for begin, end in zip(begins, ends, strict=True)]
        ends = np.concatenate([np.empty(0, np.int64), *steps])
    return np.append(period.start_ns, ends[(ends >= period.start_ns) & (ends < period.end_ns)])


def _history(
    account: Account, instants: Integers, timeframe: str, *, is_until_now: bool
) -> AlpacaPortfolioHistory:
    """Return the equity at instants, of which the first one is the period's begin."""
    bar_ns = min(_STEPS[timeframe] or _LONGEST_BAR, _LONGEST_BAR) * MINUTE_NS
    points = equities_at(account, instants, bar_ns)
    if is_until_now:
        valued = account_valued(account)
        equity = valued.state.equity if valued.equity is None else valued.equity
        instants = np.append(instants, valued.now_ns)
        points = np.append(points, [(float(equity), float(valued.state.start_equity))], axis=0)
    equities, start_equities = points.T
    growth = np.divide(equities, start_equities, out=np.ones(len(points)), where=start_equities > 0)
    profit = equities - equities[:1] - _paid_in(account, instants)
    return AlpacaPortfolioHistory(
        timestamp=(instants[1:] // SECOND_NS).tolist(),
        equity=equities[1:].round(6).tolist(),
        profit_loss=profit[1:].round(6).tolist(),
        profit_loss_pct=(growth / growth[:1] - 1)[1:].round(9).tolist(),
        base_value=float(equities[0]) if len(equities) else 0.0,
        timeframe=timeframe,
    )


def _paid_in(account: Account, instants: Integers) -> Floats:
    """Return what was paid in and not out since the first of the instants, up to each."""
    rows = account.transactions.filter(kind="transferred").order_by("at_ns").values_list("at_ns", "amount")
    sums = np.cumsum([0.0, *(float(Decimal(amount)) for _, amount in rows)])
    paid_in: Floats = sums[np.searchsorted([at_ns for at_ns, _ in rows], instants, side="right")]
    return paid_in - paid_in[:1]
