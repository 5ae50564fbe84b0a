"""The endpoint that lists the strategies."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from trading.strategies.catalogue import strategy_documents
from web.endpoints import Access
from web.requests.parameters import single_parameters

_EXAMPLE = {
    "strategies": [
        {
            "name": "crossover",
            "description": "Buys when the fast mean of closes crosses above the slow one, and closes when it crosses below.",
            "parameters": {
                "title": "CrossoverParameters",
                "description": "fast, slow: bars in the two means.",
                "type": "object",
                "properties": {
                    "fast": {"type": "integer", "minimum": 1, "maximum": 5000, "default": 10},
                    "slow": {"type": "integer", "minimum": 2, "maximum": 10_000, "default": 30},
                    "part": {"type": "string", "format": "decimal", "default": "0.2"},
                    "interval": {"type": "string", "default": "1min"},
                },
                "required": [],
                "additionalProperties": False,
            },
        }
    ]
}


@extend_schema_field({"type": "object", "additionalProperties": True})
class _JsonSchema(serializers.JSONField):
    """A JSON schema."""


class StrategySerializer(serializers.Serializer[Any]):
    """A strategy."""

    name = serializers.CharField()
    description = serializers.CharField()
    parameters = _JsonSchema(help_text="The JSON schema of its parameters, with their defaults and bounds.")


class StrategiesSerializer(serializers.Serializer[Any]):
    """The strategies."""

    strategies = StrategySerializer(many=True)


class StrategiesViewSet(ViewSet):
    """The strategies that backtests run and that are assigned to accounts."""

    access = {"list": Access("trading:read")}

    @extend_schema(
        operation_id="strategies",
        summary="List strategies",
        responses={200: StrategiesSerializer},
        examples=[OpenApiExample("A strategy (shortened)", value=_EXAMPLE, response_only=True)],
    )
    def list(self, request: Request) -> Response:
        """The strategies that can be backtested and assigned, with what they can be told."""
        single_parameters(request.GET, ("format",))
        return Response({"strategies": strategy_documents()})
