"""Serializer fields of query parameters, which are always text."""

import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from trades.timestamps import InvalidTimestamp, parse_timestamp_or_epoch

PAGE_LIMIT = 10_000


@extend_schema_field({"type": "string", "examples": ["2025-01-02T14:30:00Z", "2025-01-02", "1735828200000"]})
class QueryTimeField(serializers.Field[int, str, str, Any]):
    """An instant: text, or an epoch integer of 10, 13, 16 or 19 digits (s, ms, µs, ns)."""

    def to_internal_value(self, data: str) -> int:
        try:
            return parse_timestamp_or_epoch(data)
        except InvalidTimestamp as error:
            raise serializers.ValidationError(f"{data[:64]!r}: {error}", code=error.code) from error


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT})
class PageLimitField(serializers.Field[int, str, str, Any]):
    """How many rows a page has at most, in plain digits."""

    default_error_messages = {"invalid_limit": f"must be a whole number between 1 and {PAGE_LIMIT:,}"}

    def to_internal_value(self, data: str) -> int:
        if not re.fullmatch("[0-9]{1,5}", data) or not 1 <= int(data) <= PAGE_LIMIT:
            self.fail("invalid_limit")
        return int(data)
