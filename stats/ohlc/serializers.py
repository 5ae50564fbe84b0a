"""Serializers for the queries and answers of `/stats/ohlc`."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from stats.parameters import CursorField, PageLimitField, QueryTimeField
from store.resolutions import Resolution
from trades.batches.serializers import SymbolField

# The lengths of bars, by their names in requests. Days are UTC days.
INTERVALS = {name: Resolution.spelled(name) for name in ("1min", "5min", "1h", "1d")}
_ISO_OR_EPOCH = "ISO 8601 / RFC 3339, a date alone, or an epoch integer in s, ms, µs or ns."


@extend_schema_field({"type": "string", "enum": list(INTERVALS)})
class IntervalField(serializers.Field[str, str, str, Any]):
    """The length of bars, by its name."""

    default_error_messages = {"unknown_interval": f"must be one of {', '.join(INTERVALS)}"}

    def to_internal_value(self, data: str) -> str:
        if data not in INTERVALS:
            self.fail("unknown_interval")
        return data

    def to_representation(self, value: str) -> str:
        return value


class OhlcQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of `/stats/ohlc`."""

    symbol = SymbolField(help_text="The instrument.")
    start = QueryTimeField(
        required=False, help_text=f"First instant, rounded down to the interval. {_ISO_OR_EPOCH}"
    )
    end = QueryTimeField(
        required=False, help_text=f"Exclusive end, rounded up to the interval. {_ISO_OR_EPOCH}"
    )
    interval = IntervalField(default="1min", help_text="The length of bars.")
    as_of = QueryTimeField(
        required=False, help_text=f"Ignore commits stored after this instant. {_ISO_OR_EPOCH}"
    )
    limit = PageLimitField(
        required=False, help_text="Maximum number of bars in a page. Default: all bars of the range."
    )
    cursor = CursorField(required=False, help_text="`next_cursor` or `prev_cursor` of a page.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "start" in attrs and "end" in attrs and attrs["start"] >= attrs["end"]:
            raise serializers.ValidationError("start must be before end", code="invalid_range")
        return attrs


class BarSerializer(serializers.Serializer[Any]):
    """One bar; its timestamp is the start of its interval."""

    timestamp = serializers.DateTimeField()
    open = serializers.FloatField()
    high = serializers.FloatField()
    low = serializers.FloatField()
    close = serializers.FloatField()
    volume = serializers.FloatField()


@extend_schema_serializer(many=False)
class OhlcAnswerSerializer(serializers.Serializer[Any]):
    """Bars, ascending. Intervals without a price have no bar. Cursors appear only with `limit` or `cursor`."""

    symbol = serializers.CharField()
    interval = serializers.ChoiceField(choices=list(INTERVALS))
    data = BarSerializer(many=True)  # type: ignore[assignment]  # the name in answers is DRF's too
    next_cursor = serializers.CharField(required=False, allow_null=True)
    prev_cursor = serializers.CharField(required=False, allow_null=True)
    total_estimate = serializers.IntegerField(required=False)
