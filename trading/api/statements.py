"""The bodies of reconciliations: broker's statements in CSV or JSON, and of adjusting entries."""

from contextlib import nullcontext
from decimal import Decimal
from itertools import islice
from typing import Any, cast

from drf_spectacular.drainage import set_override
from rest_framework import serializers

from trades.batches.serializers import SymbolField
from trades.batches.validation import SYMBOL, column_rule
from trades.batches.value_rules import LARGEST_NUMBER
from trades.exceptions import BatchRefused
from trades.formats import CSV
from trades.formats.csv_body import cell_value, read_csv_texts
from trades.formats.csv_lines import lines_named
from trades.instruments.services import allows_nonpositive_price, symbol_canonical
from trading.api.account_inputs import MOST_MONEY, known_symbol, reason_field
from trading.api.order_inputs import MOST, QUANTITY_DECIMALS, strategy_field
from trading.core.statement import StatedPosition, Statement
from web.requests.exceptions import ERRORS_LIMIT, FieldError
from web.requests.field_errors import (
    IndexedListSerializer,
    KnownFieldsSerializer,
    field_errors,
    field_refusal,
)
from web.requests.json_document import read_json
from web.requests.json_fields import Amount, Integer
from web.requests.nearest_name import LONGEST_SHOWN, no_such_field

# No symbol begins with a dollar sign. CASH and USD are symbols of shares.
CASH_ROW = "$CASH"
_MONEY_DECIMALS = 6
_NEEDED, _NUMBERS = ("symbol", "quantity"), ("quantity", "price")
_HEADER = "line 1: the first line must name the columns symbol, quantity and, if prices are compared, price"


class StatedSymbolField(SymbolField):
    """A symbol, or the name of the row with the cash."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        set_override(self, "field", {"anyOf": [column_rule(SYMBOL).schema, {"const": CASH_ROW}]})

    def to_internal_value(self, data: object) -> Any:
        return data if data == CASH_ROW else super().to_internal_value(data)


class StatedPositionSerializer(KnownFieldsSerializer):
    """A position as a broker states it, or the cash."""

    symbol = StatedSymbolField(
        help_text=f"The instrument, by its symbol or an alias; `{CASH_ROW}` for the cash in the account's currency."
    )
    quantity = Amount(
        low=-MOST,
        high=MOST,
        decimals=QUANTITY_DECIMALS,
        help_text="In units or contracts, below zero for a short; of cash the amount.",
    )
    price = Amount(
        low=-MOST,
        high=MOST,
        required=False,
        allow_null=True,
        help_text="The average price that was paid. Prices that are left out are not compared.",
    )

    class Meta:
        list_serializer_class = IndexedListSerializer


class StatementInput(KnownFieldsSerializer):
    """A broker's statement. `validated_data["statement"]` is its `Statement`."""

    positions = StatedPositionSerializer(many=True, help_text="All that the broker holds, each symbol once.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a symbol that is stated twice, also by an alias."""
        stated: dict[str, StatedPosition] = {}
        errors: dict[int, Any] = {}
        for index, row in enumerate(attrs["positions"]):
            symbol = row["symbol"]
            symbol = symbol if symbol == CASH_ROW else symbol_canonical(symbol)
            if symbol in stated:
                message = f"{symbol} is stated twice; send one row with the sum"
                errors[index] = {"symbol": [serializers.ErrorDetail(message, "repeated")]}
            stated[symbol] = StatedPosition(row["quantity"], row.get("price"))
        if errors:
            raise serializers.ValidationError({"positions": cast("Any", errors)})
        cash = stated.pop(CASH_ROW, None)
        return {"statement": Statement(stated, None if cash is None else cash.quantity)}


def read_statement(body: bytes, media_type: str, *, ignore_unknown: bool) -> Statement:
    """Return the statement of a body. Raises MalformedDocument, BatchRefused; of CSV with the lines."""
    is_csv = media_type == CSV
    document = {"positions": _csv_rows(body, ignore_unknown=ignore_unknown)} if is_csv else read_json(body)
    with lines_named(body) if is_csv else nullcontext():
        serializer = StatementInput(data=document, context={"ignore_unknown": ignore_unknown})
        if not serializer.is_valid():
            errors = list(islice(field_errors(serializer.errors), ERRORS_LIMIT))
            message = f"{errors[0].path or 'the body'}: {errors[0].message}"
            raise BatchRefused("validation_failed", message, errors)
    statement: Statement = serializer.validated_data["statement"]
    return statement


def _csv_rows(body: bytes, *, ignore_unknown: bool) -> list[dict[str, Any]]:
    """Return the rows of CSV as JSON would have them. An empty price is none."""
    table = read_csv_texts(body)
    _check_header(table.column_names, ignore_unknown=ignore_unknown)
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        row |= {name: cell_value(row[name]) for name in _NUMBERS if row.get(name) is not None}
    return rows


def _check_header(names: list[str], *, ignore_unknown: bool) -> None:
    """Raise BatchRefused if columns are missing or unknown. A statement without rows is one of an empty account."""
    known = list(StatedPositionSerializer().fields)
    errors = [FieldError(name, "required", _HEADER) for name in _NEEDED if name not in names]
    errors += [
        FieldError(name[:LONGEST_SHOWN], "unknown_field", f"line 1: {no_such_field(name, known)}")
        for name in names
        if name not in known and not ignore_unknown
    ]
    if errors:
        raise BatchRefused("validation_failed", errors[0].message, errors[:ERRORS_LIMIT])


class AdjustmentInput(KnownFieldsSerializer):
    """An adjusting entry: of a position, or of the cash."""

    symbol = SymbolField(required=False, help_text="The instrument, by its symbol or an alias.")
    strategy = strategy_field()
    quantity = Amount(
        low=-MOST,
        high=MOST,
        decimals=QUANTITY_DECIMALS,
        required=False,
        help_text="What is added to the quantity, at `price`. 0: what is held gets `price` as its average price.",
    )
    price = Amount(low=-MOST, high=MOST, required=False, help_text="In the instrument's currency.")
    cash = Amount(
        low=-MOST_MONEY,
        high=MOST_MONEY,
        decimals=_MONEY_DECIMALS,
        required=False,
        help_text="What is added to the cash, in the account's currency.",
    )
    event = Integer(
        required=False,
        min_value=0,
        max_value=LARGEST_NUMBER,
        help_text="The `event` of the comparison. If positions or cash changed since, nothing is booked.",
    )
    reason = reason_field()

    def validate_symbol(self, symbol: str) -> str:
        return known_symbol(symbol)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse an entry that is of a position and of the cash, or of neither."""
        of_position = [name for name in ("symbol", "quantity", "price", "strategy") if name in attrs]
        if "cash" in attrs:
            if of_position:
                raise field_refusal(
                    of_position[0], "does not go together with cash; send two entries", "unfit"
                )
            if not attrs["cash"]:
                raise field_refusal("cash", "must not be 0", "out_of_range")
            return attrs
        for name in ("symbol", "quantity", "price"):
            if name not in attrs:
                raise field_refusal(name, "is missing; give symbol, quantity and price, or cash", "required")
        # Shares of a spin-off may have cost nothing.
        if attrs["price"] < Decimal(0) and not allows_nonpositive_price(attrs["symbol"]):
            raise field_refusal("price", "must be at least 0 for this instrument", "nonpositive_price")
        return attrs
