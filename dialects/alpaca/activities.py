"""Alpaca's activities: what changed an account's cash and positions."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any

from django.db.models import Case, CharField, FloatField, Q, Value, When
from django.db.models.functions import Cast
from drf_spectacular.utils import OpenApiParameter
from msgspec import UNSET, UnsetType
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.alpaca.accounts import AlpacaAccountView, parameter
from dialects.alpaca.orders import AlpacaDocument, ExampleId, id_of
from dialects.alpaca.symbols import label_of
from store.timestamps import DAY_NS, format_timestamp
from trading.api.account_view import ACCOUNT_PAGE, account_answer
from trading.core.amounts import ZERO, price_of
from trading.market.symbols import market
from trading.models import Account, ExecutionRow, TransactionRow
from trading.selectors import execution_documents
from trading.services.orders import order_in
from web.documents import Instant, Uuid, about, like
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice

_PAID_OUT = Q(amount__startswith="-")
# Alpaca's types by the kinds of our transactions; settlements of futures are JNLC. Fees of fills are FEE, too.
_TYPES = {
    "FILL": Q(kind="executed"),
    "CSD": Q(kind="transferred") & ~_PAID_OUT,
    "CSW": Q(kind="transferred") & _PAID_OUT,
    "DIV": Q(kind="dividend_paid"),
    "FEE": Q(kind="borrow_charged"),
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


class AlpacaActivitiesViewSet(AlpacaAccountView):
    """The activities of the key's account."""

    access = {"list": ACCOUNT_PAGE}
    answers = {"list": list[AlpacaActivity]}
    parameters = {"list": _ACTIVITIES}

    def list(self, request: Request, activity_type: str | None = None) -> Response:
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
        found = [*_booked(account, [*booked[read]])]
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
    """Yield all fills of the orders that these events filled: the event's number, the fee, and the activity's members."""
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
