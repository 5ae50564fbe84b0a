"""The endpoints of alerts: a level, a move or the silence of a symbol's trades."""

from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from django_filters.rest_framework import FilterSet
from rest_framework.request import Request
from rest_framework.response import Response

from ratelimit.callers import Caller
from trades.batches.serializers import SymbolField
from trades.instruments.services import requested_symbol, symbol_canonical
from web.documents import AnswerDocument, Instant, Uuid, about, like
from web.endpoints import WRITE, Access
from web.idempotency.answers import IDEMPOTENCY_KEY
from web.lists.filters import choice_filter
from web.lists.views import ListViewSet
from web.requests.field_errors import KnownFieldsSerializer, field_refusal
from web.requests.json_fields import Amount, Integer, JsonObject, Word
from webhooks.alert_rules import DIRECTIONS
from webhooks.alert_watch import alert_arm
from webhooks.models import ALERT_CONDITIONS, ALERT_STATES, LEVEL, MOVE, SILENCE, MarketAlert
from webhooks.views import NOT_STORED, NewestPagination, created_once, id_parameter, row_of

PATH = "/api/v1/alerts"
MOST_ALERTS = 1_000
_DAY_SECONDS = 24 * 3600
_LARGEST = Decimal(10) ** 12
# The fields that a kind needs, and those that it may have.
_FIELDS = {
    LEVEL: ({"direction", "price"}, set()),
    MOVE: ({"percent", "seconds"}, {"direction"}),
    SILENCE: ({"seconds"}, set()),
}
_NEW: dict[str, Any] = {"symbol": "AAPL", "kind": LEVEL, "direction": "above", "price": 200.0}
_EXAMPLE_ID = "3f6f0a4e-2b11-4d8e-9a5c-0d4f1f0e5a0b"
_READ, _CHANGE = Access("market:read"), Access("market:read", kind=WRITE)


class NewAlertSerializer(KnownFieldsSerializer):
    """A new alert. `level` needs direction and price, `move` percent and seconds, `silence` seconds."""

    examples: ClassVar = {
        "A level": _NEW,
        "A move": {"symbol": "AAPL", "kind": MOVE, "percent": 5, "seconds": 3600},
        "Silence": {"symbol": "AAPL", "kind": SILENCE, "seconds": 300},
    }

    symbol = SymbolField(help_text="The instrument, by its symbol or an alias.")
    kind = Word(ALERT_CONDITIONS)
    direction = Word(
        DIRECTIONS,
        required=False,
        help_text="Of a move: from the lowest (`above`) or highest price; default: both.",
    )
    price = Amount(
        low=-_LARGEST, high=_LARGEST, required=False, help_text="It fires at this price or beyond it."
    )
    percent = Amount(
        low=Decimal(0),
        high=Decimal(10_000),
        is_above=True,
        required=False,
        help_text="Of another price within the window.",
    )
    seconds = Integer(
        required=False,
        min_value=1,
        max_value=_DAY_SECONDS,
        help_text="The window of a move, or how long no trade is stored while the symbol is traded.",
    )

    def validate(self, attrs: Any) -> Any:
        """Refuse what a kind lacks, and what it cannot have."""
        needed, possible = _FIELDS[attrs["kind"]]
        given = attrs.keys() - {"symbol", "kind"}
        for name in sorted(needed - given):
            raise field_refusal(
                name, f"is missing; an alert of the kind {attrs['kind']} needs it", "required"
            )
        for name in sorted(given - needed - possible):
            raise field_refusal(
                name, f"is not of an alert of the kind {attrs['kind']}; leave it out", "unknown_field"
            )
        return attrs


class AlertDocument(AnswerDocument, kw_only=True):
    """An alert."""

    id: Annotated[Uuid, like(_EXAMPLE_ID)]
    symbol: Annotated[str, like("AAPL")]
    kind: Literal["level", "move", "silence"]
    direction: Annotated[Literal["above", "below"] | None, like("above")]
    price: Annotated[float | None, like(200.0)]
    percent: float | None
    seconds: int | None
    state: Annotated[Literal["armed", "fired"], like("fired")]
    armed_at: Annotated[Instant, about("Trades with an earlier time do not count.", "2030-01-02T03:04:05Z")]
    fired_at: Annotated[Instant | None, like("2030-01-02T15:04:06Z")]
    fired: Annotated[
        dict[str, Any] | None,
        about(
            "The trade, and the price that it is compared with; of a silence its beginning.",
            {"timestamp": "2030-01-02T15:04:05Z", "price": 200.02, "reference": 200.0},
        ),
    ]
    created_by: Annotated[str, like("key:12")]
    created_at: Annotated[Instant, like("2030-01-02T03:04:05Z")]
    links: Annotated[dict[str, str], like({"self": f"{PATH}/{_EXAMPLE_ID}"})]

    @classmethod
    def of(cls, alert: MarketAlert) -> Self:
        """Return what its owner sees of an alert."""
        return cls.of_row(
            alert,
            id=str(alert.uuid),
            price=alert.value if alert.kind == LEVEL else None,
            percent=alert.value if alert.kind == MOVE else None,
            links={"self": f"{PATH}/{alert.uuid}"},
        )


class AlertFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filters of the list, combined with AND."""

    state = choice_filter(ALERT_STATES, "The alert's state.")
    symbol = django_filters.CharFilter(method="of_symbol", help_text="The alerts' symbol.")

    class Meta:
        model = MarketAlert
        fields: tuple[str, ...] = ()

    def of_symbol(self, rows: QuerySet[MarketAlert], _: str, symbol: str) -> QuerySet[MarketAlert]:
        return rows.filter(symbol=symbol_canonical(requested_symbol(symbol)))


class AlertsViewSet(ListViewSet[MarketAlert]):
    """The caller's alerts, made with its key or with an earlier key of the same rotations."""

    access = {"list": _READ, "create": _CHANGE, "retrieve": _READ, "destroy": _CHANGE, "rearm": _CHANGE}
    bodies = {"create": NewAlertSerializer}
    answers = {**dict.fromkeys(("list", "create", "retrieve", "rearm"), AlertDocument), "destroy": None}
    common_parameters = (id_parameter("alert", _EXAMPLE_ID),)
    parameters = {"create": [IDEMPOTENCY_KEY]}
    queryset = MarketAlert.objects.all()
    filterset_class = AlertFilter
    pagination_class = NewestPagination
    rows_name = "alerts"

    def list(self, request: Request) -> Response:
        """List alerts. One's own alerts, newest first."""
        rows = self.paginate_queryset(self.filter_queryset(_alerts_of(request)))
        return self.get_paginated_response([AlertDocument.of(each).as_json() for each in rows or ()])

    def create(self, request: Request) -> Response:
        """Create an alert. It fires once, by the event `alert.fired`, by trades that are stored from now on."""
        values, caller, now = self.body(), cast("Caller", request.user), timezone.now()

        def create() -> JsonObject:
            if _alerts_of(request).count() >= MOST_ALERTS:
                raise field_refusal(
                    "symbol", f"the caller has {MOST_ALERTS:,} alerts, the most; delete one", "too_many"
                )
            alert = MarketAlert(
                owner=caller.principal,
                created_by=caller.identity,
                symbol=symbol_canonical(values["symbol"]),
                kind=values["kind"],
                direction=values.get("direction", ""),
                value=_number(values.get("price", values.get("percent"))),
                seconds=values.get("seconds"),
                created_at=now,
            )
            alert_arm(alert, now=now)
            alert.save()
            return AlertDocument.of(alert).as_json()

        return created_once(request, create)

    def retrieve(self, request: Request, alert: str) -> Response:
        """Get an alert. With what it fired by."""
        return Response(AlertDocument.of(_alert(request, alert)).as_json(), headers=NOT_STORED)

    def destroy(self, request: Request, alert: str) -> Response:
        """Delete an alert. It fires no more."""
        _alert(request, alert).delete()
        return Response(status=HTTPStatus.NO_CONTENT)

    def rearm(self, request: Request, alert: str) -> Response:
        """Arm an alert again. It fires by trades that are stored from now on, also if it has not fired yet."""
        stored = _alert(request, alert)
        alert_arm(stored, now=timezone.now())
        stored.save()
        return Response(AlertDocument.of(stored).as_json(), headers=NOT_STORED)


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _alerts_of(request: Request) -> QuerySet[MarketAlert]:
    return MarketAlert.objects.filter(owner=cast("Caller", request.user).principal)


def _alert(request: Request, text: str) -> MarketAlert:
    return row_of(_alerts_of(request), text, "alert")
