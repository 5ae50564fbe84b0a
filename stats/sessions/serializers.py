"""Serializers for the queries of `/calendar` and `/clock`."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from calendars.exchanges import EXCHANGES
from stats.parameters import QueryTimeField
from trades.batches.serializers import SymbolField


@extend_schema_field({"type": "string", "enum": sorted(EXCHANGES)})
class ExchangeField(serializers.Field[str, str, str, Any]):
    """An exchange's MIC, in upper or lower case. Whether it is known is checked later."""

    def to_internal_value(self, data: str) -> str:
        return data.upper()


class CalendarQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of a calendar."""

    exchange = ExchangeField(
        required=False, help_text="The exchange, by its MIC (ISO 10383). Either it or `symbol` is required."
    )
    symbol = SymbolField(
        required=False, help_text="The instrument, whose special sessions are trading dates, too."
    )
    start = QueryTimeField(
        required=False,
        help_text="First date. Default: today, or 30 days before `end`. A time means its date in UTC.",
    )
    end = QueryTimeField(
        required=False,
        help_text="Date after the last one. Default: 30 days after the first. A time is rounded up to a date.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "exchange" not in attrs and "symbol" not in attrs:
            raise serializers.ValidationError("exchange or symbol is required", code="missing_parameter")
        if "exchange" in attrs and "symbol" in attrs:
            message = "exchange and symbol: send one of them"
            raise serializers.ValidationError(message, code="conflicting_parameters")
        if "start" in attrs and "end" in attrs and attrs["start"] >= attrs["end"]:
            raise serializers.ValidationError("start must be before end", code="invalid_range")
        return attrs


class ClockQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of a clock."""

    exchange = ExchangeField(
        required=False, help_text="The exchange, by its MIC. Without it trading never ends."
    )
    at = QueryTimeField(required=False, help_text="The instant. Default: now.")
