"""The declared form of queries and answers of the read side."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from http_requests.known_fields import KnownFieldsSerializer
from stats.fields import CursorField, IntervalField, PageLimitField, QueryTimeField
from stats.intervals import Interval
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


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Mostly hits",
            value={
                "hits_local": 970,
                "hits_redis": 20,
                "misses": 8,
                "joined": 2,
                "bytes_stored": 480_000,
                "bytes_served": 59_520_000,
            },
        )
    ]
)
class CacheStatisticsSerializer(serializers.Serializer[Any]):
    """Counted over all processes since the service was started."""

    hits_local = serializers.IntegerField(help_text="Answers from a process's own memory.")
    hits_redis = serializers.IntegerField(help_text="Answers from Redis.")
    misses = serializers.IntegerField(help_text="Computations.")
    joined = serializers.IntegerField(help_text="Requests that waited for another's computation.")
    bytes_stored = serializers.IntegerField()
    bytes_served = serializers.IntegerField()


@extend_schema_serializer(examples=[OpenApiExample("Apple", value={"symbol": "AAPL"})])
class InvalidateSerializer(KnownFieldsSerializer):
    """The symbol whose answers are dropped."""

    symbol = SymbolField()


@extend_schema_serializer(
    examples=[
        OpenApiExample("Dropped", value={"symbol": "AAPL", "entries": 12, "redis_reached": True}),
    ]
)
class InvalidatedSerializer(serializers.Serializer[Any]):
    """What was dropped."""

    symbol = serializers.CharField()
    entries = serializers.IntegerField(help_text="Answers that left Redis.")
    redis_reached = serializers.BooleanField(help_text="Whether Redis could be asked to drop its answers.")
