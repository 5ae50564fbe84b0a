"""Serializer fields of query parameters, which are always text."""

import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from stats.intervals import Interval
from trades.timestamps import InvalidTimestamp, parse_timestamp_or_epoch

PAGE_LIMIT = 10_000


@extend_schema_field({"type": "string", "examples": ["2025-01-02T14:30:00Z", "2025-01-02", "1735828200000"]})
class QueryTimeField(serializers.Field[int, str, str, Any]):
    """An instant: text, or an epoch integer of 10, 13, 16 or 19 digits (s, ms, µs, ns)."""

    def to_internal_value(self, data: str) -> int:
        try:
            return parse_timestamp_or_epoch(data)
        except InvalidTimestamp as error:
            hint = " (in a URL a + is written %2B)" if " " in data else ""
            raise serializers.ValidationError(f"{data[:64]!r}: {error}{hint}", code=error.code) from error


@extend_schema_field({"type": "string", "enum": Interval.names()})
class IntervalField(serializers.Field[Interval, str, str, Any]):
    """The length of bars, by its name."""

    default_error_messages = {"unknown_interval": f"must be one of {', '.join(Interval.names())}"}

    def to_internal_value(self, data: str) -> Interval:
        if data not in Interval.names():
            self.fail("unknown_interval")
        return Interval(data)

    def to_representation(self, value: Interval) -> str:
        return value.value


@extend_schema_field({"type": "string", "minLength": 1})
class CursorField(serializers.Field[str, str, str, Any]):
    """The text of a cursor; whether it was made here, and for this query, `Cursor.decode` says."""

    default_error_messages = {"invalid_cursor": "must be a cursor that a page gave"}

    def to_internal_value(self, data: str) -> str:
        if not re.fullmatch("[A-Za-z0-9_-]+", data):
            self.fail("invalid_cursor")
        return data


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT})
class PageLimitField(serializers.Field[int, str, str, Any]):
    """How many rows a page has at most, in plain digits."""

    default_error_messages = {"invalid_limit": f"must be a whole number between 1 and {PAGE_LIMIT:,}"}

    def to_internal_value(self, data: str) -> int:
        if not re.fullmatch("[0-9]{1,5}", data) or not 1 <= int(data) <= PAGE_LIMIT:
            self.fail("invalid_limit")
        return int(data)
