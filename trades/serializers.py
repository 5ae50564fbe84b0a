"""The declared form of what is sent and answered: the schema's and the browsable form's source.

A batch normally goes through the typed decoder; these serializers accept and refuse exactly the same, and say why.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, cast

import msgspec
import numpy as np
from rest_framework import serializers

from trades.exceptions import ERRORS_LIMIT, BatchRefused
from trades.fields import (
    ConditionsField,
    CountField,
    PriceField,
    SymbolField,
    TimestampField,
    TradeIdField,
    VolumeField,
    WordField,
)
from trades.timestamps import invalid_timestamps
from trades.trade_batch import ROWS_LIMIT, TypedTrade, check_dates, check_size, check_symbols, is_plain

NAME_SHOWN = 64

SEED_TRADES = [
    {"timestamp": "2025-01-02T14:30:00.000Z", "symbol": "AAPL", "price": 189.98, "volume": 100},
    {"timestamp": "2025-01-02T14:30:12.500Z", "symbol": "AAPL", "price": 190.02, "volume": 250},
    {"timestamp": "2025-01-02T14:31:05.250Z", "symbol": "AAPL", "price": 190.1, "volume": 75},
]


class KnownFieldsSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not declare, naming the nearest that it does, unless told to pass over them."""

    default_error_messages = {"unknown_field": "is not a field of this object"}

    def to_internal_value(self, data: Any) -> Any:
        unknown = {}
        if isinstance(data, Mapping) and not self.context.get("ignore_unknown"):
            names = islice((name for name in data if name not in self.fields), ERRORS_LIMIT)
            unknown = {name[:NAME_SHOWN]: [self._unknown(name[:NAME_SHOWN])] for name in names}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**cast("dict[str, Any]", error.detail), **unknown}) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def _unknown(self, name: str) -> serializers.ErrorDetail:
        nearest = get_close_matches(name, list(self.fields), n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        return serializers.ErrorDetail(self.error_messages["unknown_field"] + hint, code="unknown_field")


class TradeListSerializer(serializers.ListSerializer[Any]):
    """Rows; names the fields of as many wrong rows as hold a hundred errors, and looks no further."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            raise serializers.ValidationError("must be a list of trades", code="invalid_type")
        wrong_times = set(_wrong_times(data))
        errors: dict[int, Any] = {}
        count = 0
        for place, row in enumerate(data):
            if place not in wrong_times and _is_typed(
                row, ignore_unknown=self.context.get("ignore_unknown", False)
            ):
                continue
            try:
                self.run_child_validation(row)
            except serializers.ValidationError as error:
                errors[place] = error.detail
                count += len(error.detail)
            if count >= ERRORS_LIMIT:
                break
        if errors:
            raise serializers.ValidationError(cast("Any", errors))
        return data


class TradeSerializer(KnownFieldsSerializer):
    """One trade."""

    timestamp = TimestampField(
        help_text="When it happened: ISO 8601 / RFC 3339, to the nanosecond; UTC without offset."
    )
    symbol = SymbolField(help_text="The instrument; one symbol in a batch.")
    price = PriceField(help_text="Price per unit, above zero.")
    volume = VolumeField(help_text="Units traded, zero or more.")
    trade_id = TradeIdField(
        required=False, allow_null=True, help_text="The feed's id, unique per event date and exchange."
    )
    sequence = CountField(required=False, allow_null=True, help_text="The feed's order within one instant.")
    exchange = WordField(required=False, allow_null=True, help_text="Where it was traded.")
    conditions = ConditionsField(required=False, allow_null=True, help_text="Sale conditions, as words.")
    received_at = TimestampField(required=False, allow_null=True, help_text="When the feed's reader had it.")

    class Meta:
        list_serializer_class = TradeListSerializer


class TradeBatchSerializer(KnownFieldsSerializer):
    """A batch of trades of one symbol, stored whole or not at all."""

    trades = TradeSerializer(many=True, help_text=f"1 to {ROWS_LIMIT:,} trades of one symbol.")

    def get_initial(self) -> Any:
        """What the browsable form begins with."""
        return {"trades": SEED_TRADES}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        rows = attrs["trades"]
        try:
            check_size(len(rows))
            check_symbols(row["symbol"] for row in rows)
            check_dates(np.array([TimestampField().to_internal_value(row["timestamp"]) for row in rows]))
        except BatchRefused as error:
            raise serializers.ValidationError(str(error), code=error.code) from error
        return attrs


class IngestAnswerSerializer(serializers.Serializer[Any]):
    """What became of a batch."""

    symbol = serializers.CharField()
    received = serializers.IntegerField(source="receipt.received", help_text="Rows in the batch.")
    stored = serializers.IntegerField(source="receipt.stored", help_text="Rows that were not stored before.")
    duplicates = serializers.IntegerField(source="receipt.duplicates", help_text="Rows that were.")
    duplicate_rows = serializers.ListField(
        source="receipt.duplicate_rows",
        child=serializers.IntegerField(),
        help_text="Their places in the batch, at most 100.",
    )
    commit = serializers.IntegerField(
        source="receipt.commit.number",
        help_text="The number of the log's newest commit, with these rows in it.",
    )


def _wrong_times(rows: list[Any]) -> list[int]:
    """The places of rows whose timestamp is a text that is not a time."""
    places = [
        place
        for place, row in enumerate(rows)
        if isinstance(row, dict) and isinstance(row.get("timestamp"), str)
    ]
    return [
        places[at] for at in invalid_timestamps([rows[p]["timestamp"] for p in places], limit=ERRORS_LIMIT)
    ]


def _is_typed(row: Any, *, ignore_unknown: bool) -> bool:
    """Whether a row is surely right, its timestamp apart. A quick look; the fields have the last word."""
    if ignore_unknown and isinstance(row, dict):
        row = {name: value for name, value in row.items() if name in TypedTrade.__struct_fields__}
    try:
        trade = msgspec.convert(row, TypedTrade)
    except msgspec.ValidationError:
        return False
    plain = (trade.symbol, trade.trade_id, trade.exchange)
    return (
        trade.received_at is None
        and not trade.conditions
        and all(is_plain(x) for x in plain if isinstance(x, str))
    )
