"""The endpoint that lists the strategies."""

from typing import Annotated, Any

from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from trading.strategies.catalogue import strategy_documents
from web.documents import AnswerDocument, about, like
from web.endpoints import Access
from web.views import DeclaredView

_PARAMETERS = {
    "title": "CrossoverParameters",
    "description": "fast, slow: bars in the two means.",
    "type": "object",
    "properties": {"fast": {"type": "integer", "minimum": 1, "maximum": 5000, "default": 10}},
    "required": [],
    "additionalProperties": False,
}


class StrategyDocument(AnswerDocument):
    """A strategy."""

    name: Annotated[str, like("crossover")]
    description: Annotated[str, like("Buys when the fast mean of closes crosses above the slow one.")]
    parameters: Annotated[
        dict[str, Any],
        about("The JSON schema of its parameters, with their defaults and bounds.", _PARAMETERS),
        Meta(extra_json_schema={"additionalProperties": True}),
    ]
    sha256: Annotated[str | None, about("Of its file; null: it is shipped.")]


class StrategiesDocument(AnswerDocument):
    """The strategies."""

    strategies: list[StrategyDocument]


class StrategiesViewSet(DeclaredView, ViewSet):
    """The strategies that backtests run and that are assigned to accounts."""

    access = {"list": Access("trading:read")}
    answers = {"list": {200: StrategiesDocument}}

    def list(self, request: Request) -> Response:
        """List strategies. The strategies that can be backtested and assigned, with what they can be told."""
        return Response({"strategies": strategy_documents()})
