"""Requests and answers of the live feed's endpoints over plain HTTP."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from stats.live.tokens import Token, parse_tokens


@extend_schema_field({"type": "string", "minLength": 1, "examples": ["0"]})
class ResumeTokenField(serializers.Field[dict[str, Token], str, str, Any]):
    """A `seq`, or a log's part of the header `X-Commit`. Raises `InvalidResumeToken`."""

    def to_internal_value(self, data: str) -> dict[str, Token]:
        return parse_tokens(data)


class CommitsSerializer(serializers.Serializer[Any]):
    """The parameters of a query for what was committed."""

    after = ResumeTokenField(required=False, help_text="Commits after this token; by default from the first.")
