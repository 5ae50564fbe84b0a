"""Requests and answers of the live feed's endpoints over plain HTTP."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from stats.live.channels import ALL_KINDS
from stats.live.tokens import Token, parse_tokens


@extend_schema_field({"type": "string", "minLength": 1, "examples": ["17-9f3a2c.3", "trades=17-9f3a2c", "0"]})
class ResumeTokenField(serializers.Field[dict[str, Token], str, str, Any]):
    """A `seq`, or a log's part of the header `X-Commit`. Raises `InvalidResumeToken`."""

    def to_internal_value(self, data: str) -> dict[str, Token]:
        return parse_tokens(data)


class CommitsSerializer(serializers.Serializer[Any]):
    """The parameters of a query for what was committed."""

    after = ResumeTokenField(
        required=False, help_text="Frames after this token; by default from the first commit."
    )


class ByKindSerializer(serializers.Serializer[Any]):
    """Numbers by kind of channel."""

    trades = serializers.IntegerField()
    quotes = serializers.IntegerField()
    status = serializers.IntegerField()
    bars = serializers.IntegerField()
    orders = serializers.IntegerField()
    alerts = serializers.IntegerField()
    portfolio = serializers.IntegerField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A busy day",
            value={
                "connections": 214,
                "subscriptions": dict(zip(ALL_KINDS, (1_020, 200, 3, 411, 12, 9, 14), strict=True)),
                "messages": dict(
                    zip(ALL_KINDS, (9_204_117, 40_211, 12, 88_014, 3_911, 40, 61_200), strict=True)
                ),
                "ends": {"left": 1_204, "restarting": 214, "slow_consumer": 2},
            },
        )
    ]
)
class LiveStatisticsSerializer(serializers.Serializer[Any]):
    """Numbers of the live feed, summed over all processes."""

    connections = serializers.IntegerField(help_text="Connections that are open.")
    subscriptions = ByKindSerializer(help_text="Channels that clients are subscribed to.")
    messages = ByKindSerializer(help_text="Messages sent since the service was started.")
    ends = serializers.DictField(
        child=serializers.IntegerField(), help_text="Connections that have ended since then, by reason."
    )
