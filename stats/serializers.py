"""The declared form of queries and answers of the read side."""

from typing import Any

from rest_framework import serializers

from stats.fields import PageLimitField, QueryTimeField
from stats.intervals import Interval
from trades.fields import SymbolField

_ISO_OR_EPOCH = "ISO 8601 / RFC 3339, a date alone, or an epoch integer in s, ms, µs or ns."


class OhlcQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of bars."""

    symbol = SymbolField(help_text="The instrument.")
    start = QueryTimeField(
        required=False, help_text=f"First instant, floored to the interval. {_ISO_OR_EPOCH}"
    )
    end = QueryTimeField(required=False, help_text=f"Instant behind the last, ceiled. {_ISO_OR_EPOCH}")
    interval = serializers.ChoiceField(
        choices=Interval.names(), default=Interval.MINUTE.value, help_text="The bars' length."
    )
    as_of = QueryTimeField(required=False, help_text=f"Answer with what was stored by then. {_ISO_OR_EPOCH}")
    limit = PageLimitField(required=False, help_text="Bars in a page; without it, all of the range.")
    cursor = serializers.CharField(
        required=False, trim_whitespace=False, help_text="From `next_cursor` or `prev_cursor` of a page."
    )

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


class OhlcAnswerSerializer(serializers.Serializer[Any]):
    """Bars, ascending; only intervals with trades. The cursors only with `limit` or `cursor`."""

    symbol = serializers.CharField()
    interval = serializers.ChoiceField(choices=Interval.names())
    data = BarSerializer(many=True)  # type: ignore[assignment]  # the contract's name is DRF's too
    next_cursor = serializers.CharField(required=False, allow_null=True)
    prev_cursor = serializers.CharField(required=False, allow_null=True)
    total_estimate = serializers.IntegerField(required=False)


class CacheStatisticsSerializer(serializers.Serializer[Any]):
    """Counted over all processes since the service was started."""

    hits_local = serializers.IntegerField(help_text="Answers from a process's own memory.")
    hits_redis = serializers.IntegerField(help_text="Answers from Redis.")
    misses = serializers.IntegerField(help_text="Computations.")
    joined = serializers.IntegerField(help_text="Requests that waited for another's computation.")
    bytes_stored = serializers.IntegerField()
    bytes_served = serializers.IntegerField()


class InvalidateSerializer(serializers.Serializer[Any]):
    """The symbol whose answers are dropped."""

    symbol = SymbolField()


class InvalidatedSerializer(serializers.Serializer[Any]):
    """What was dropped."""

    symbol = serializers.CharField()
    entries = serializers.IntegerField(help_text="Answers that left Redis.")
    redis_reached = serializers.BooleanField(help_text="Whether Redis could be asked to drop its answers.")
