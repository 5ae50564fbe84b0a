"""The declared form of queries for bars and of their answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from stats.parameters.fields import CursorField, IntervalField, PageLimitField, QueryTimeField
from stats.parameters.intervals import Interval
from trades.batches.fields import SymbolField

_ISO_OR_EPOCH = "ISO 8601 / RFC 3339, a date alone, or an epoch integer in s, ms, µs or ns."


class OhlcQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of bars."""

    symbol = SymbolField(help_text="The instrument.")
    start = QueryTimeField(
        required=False, help_text=f"First instant, floored to the interval. {_ISO_OR_EPOCH}"
    )
    end = QueryTimeField(required=False, help_text=f"Instant behind the last, ceiled. {_ISO_OR_EPOCH}")
    interval = IntervalField(default=Interval.MINUTE, help_text="The bars' length.")
    as_of = QueryTimeField(required=False, help_text=f"Answer with what was stored by then. {_ISO_OR_EPOCH}")
    limit = PageLimitField(required=False, help_text="Bars in a page; without it, all of the range.")
    cursor = CursorField(required=False, help_text="From `next_cursor` or `prev_cursor` of a page.")

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
    """Bars, ascending; only intervals with a price. The cursors only with `limit` or `cursor`."""

    symbol = serializers.CharField()
    interval = serializers.ChoiceField(choices=Interval.names())
    data = BarSerializer(many=True)  # type: ignore[assignment]  # the name in answers is DRF's too
    next_cursor = serializers.CharField(required=False, allow_null=True)
    prev_cursor = serializers.CharField(required=False, allow_null=True)
    total_estimate = serializers.IntegerField(required=False)
