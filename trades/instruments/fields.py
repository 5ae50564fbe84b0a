"""The serializer fields of an instrument. No JSON type is coerced into another."""

import re
from typing import Any

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from store.timestamps import InvalidTimestamp, parse_timestamp
from trades.batches.serializers import SymbolField

ALIASES_LIMIT = 32
NAME_LENGTH = 200
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class PatternField(serializers.Field[str, str, str, Any]):
    """A text of at most `longest` characters that matches a pattern; `wording` describes it in errors."""

    default_error_messages = {"invalid_type": "must be a string", "invalid_format": "must be {wording}"}

    def __init__(self, pattern: str, *, longest: int, wording: str, **options: Any) -> None:
        super().__init__(**options)
        self._pattern = re.compile(pattern)
        self._longest = longest
        self._wording = wording
        schema = {"type": "string", "pattern": f"^{pattern}$", "maxLength": longest}
        set_override(self, "field", schema)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid_type")
        if len(data) > self._longest or not self._pattern.fullmatch(data):
            self.fail("invalid_format", wording=self._wording)
        return data


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": NAME_LENGTH})
class NameField(serializers.Field[str, str, str, Any]):
    """A readable name: printable characters, no blanks at the ends."""

    default_error_messages = {
        "invalid_type": "must be a string",
        "invalid_text": f"must be 1-{NAME_LENGTH} printable characters without blanks at the ends",
    }

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid_type")
        if not 1 <= len(data) <= NAME_LENGTH or not data.isprintable() or data != data.strip():
            self.fail("invalid_text")
        return data


@extend_schema_field({"type": "string", "format": "date", "examples": ["2026-03-20"]})
class CalendarDateField(serializers.Field[str, str, str, Any]):
    """A date of the years 1900-2200, kept as text: yyyy-mm-dd."""

    default_error_messages = {
        "invalid_type": "must be a string",
        "invalid_date": "must be a date such as 2026-03-20",
    }

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid_type")
        if not _is_date(data):
            self.fail("invalid_date")
        return data


@extend_schema_field(
    {"type": "array", "maxItems": ALIASES_LIMIT, "items": {"type": "string", "minLength": 1, "maxLength": 32}}
)
class AliasesField(serializers.Field[tuple[str, ...], list[str], list[str], Any]):
    """Symbols, normalized and without repetition."""

    default_error_messages = {
        "invalid_type": "must be a list of symbols",
        "too_many": f"has at most {ALIASES_LIMIT} symbols",
    }

    def to_internal_value(self, data: object) -> tuple[str, ...]:
        if not isinstance(data, list | tuple):
            self.fail("invalid_type")
        if len(data) > ALIASES_LIMIT:
            self.fail("too_many")
        return tuple(dict.fromkeys(map(SymbolField().to_internal_value, data)))


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        parse_timestamp(text)
    except InvalidTimestamp:
        return False
    return True
