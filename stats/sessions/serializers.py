"""Serializers for the queries and answers of `/calendar` and `/clock`."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from calendars.exchanges import EXCHANGES
from stats.parameters import QueryTimeField
from stats.sessions.services import Phase


@extend_schema_field({"type": "string", "enum": sorted(EXCHANGES)})
class ExchangeField(serializers.Field[str, str, str, Any]):
    """An exchange's MIC, in upper or lower case. Whether it is known is checked later."""

    def to_internal_value(self, data: str) -> str:
        return data.upper()


class CalendarQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of a calendar."""

    exchange = ExchangeField(help_text="The exchange, by its MIC (ISO 10383).")
    start = QueryTimeField(
        required=False,
        help_text="First date. Default: today, or 30 days before `end`. A time means its date in UTC.",
    )
    end = QueryTimeField(
        required=False,
        help_text="Date after the last one. Default: 30 days after the first. A time is rounded up to a date.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "start" in attrs and "end" in attrs and attrs["start"] >= attrs["end"]:
            raise serializers.ValidationError("start must be before end", code="invalid_range")
        return attrs


class ClockQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of a clock."""

    exchange = ExchangeField(
        required=False, help_text="The exchange, by its MIC. Without it trading never ends."
    )
    at = QueryTimeField(required=False, help_text="The instant. Default: now.")


class BreakSerializer(serializers.Serializer[Any]):
    """A pause of trading within a session."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class TradingDateSerializer(serializers.Serializer[Any]):
    """A trading date. Its session is from `open` to `close`, trading in extended hours from `pre` to `post`."""

    date = serializers.DateField()
    open = serializers.DateTimeField(help_text="For futures this may be on the evening before.")
    close = serializers.DateTimeField()
    pre = serializers.DateTimeField(
        allow_null=True,
        help_text="Start of pre-market; null if the calendar has none.",
    )
    post = serializers.DateTimeField(
        allow_null=True, help_text="End of post-market; null if the calendar has none."
    )
    early_close = serializers.BooleanField()
    breaks = BreakSerializer(many=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "The day after Thanksgiving",
            value={
                "exchange": "XNYS",
                "calendar": "NYSE",
                "timezone": "America/New_York",
                "dates": [
                    {
                        "date": "2024-11-29",
                        "open": "2024-11-29T14:30:00Z",
                        "close": "2024-11-29T18:00:00Z",
                        "pre": "2024-11-29T09:00:00Z",
                        "post": "2024-11-29T22:00:00Z",
                        "early_close": True,
                        "breaks": [],
                    }
                ],
            },
        )
    ]
)
class CalendarAnswerSerializer(serializers.Serializer[Any]):
    """Trading dates, ascending. On all other dates of the range the exchange is closed."""

    exchange = serializers.CharField()
    calendar = serializers.CharField(help_text="Its name in pandas-market-calendars.")
    timezone = serializers.CharField()
    dates = TradingDateSerializer(many=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Before the session",
            value={
                "timestamp": "2024-11-29T12:00:00Z",
                "exchange": "XNYS",
                "is_open": False,
                "phase": "pre",
                "date": "2024-11-29",
                "next_open": "2024-11-29T14:30:00Z",
                "next_close": "2024-11-29T18:00:00Z",
            },
        )
    ]
)
class ClockAnswerSerializer(serializers.Serializer[Any]):
    """An exchange's state at an instant."""

    timestamp = serializers.DateTimeField()
    exchange = serializers.CharField(allow_null=True)
    is_open = serializers.BooleanField(help_text="Whether regular trading is in progress.")
    phase = serializers.ChoiceField(choices=[phase.value for phase in Phase])
    date = serializers.DateField(help_text="The instant's trading date; on a closed day the next one.")
    next_open = serializers.DateTimeField(
        allow_null=True,
        help_text="When regular trading next starts, also after a break; null if trading never ends.",
    )
    next_close = serializers.DateTimeField(
        allow_null=True,
        help_text="When regular trading next stops, also for a break; null if trading never ends.",
    )
