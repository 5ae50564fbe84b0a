"""The serializer fields of an instrument. No JSON type is coerced into another."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from store.timestamps import InvalidTimestamp, parse_timestamp
from trades.batches.serializers import SymbolField

ALIASES_LIMIT = 32
NAME_LENGTH = 200
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class TextField(serializers.Field[str, str, str, Any]):
    """A nullable text that `is_valid` accepts. `code` and `wording` are the error for any other text."""

    def __init__(
        self,
        code: str,
        wording: str,
        is_valid: Callable[[str], bool],
        schema: Mapping[str, Any],
        **options: Any,
    ) -> None:
        super().__init__(required=False, allow_null=True, **options)
        self._code = code
        self._is_valid = is_valid
        self.error_messages |= {"invalid_type": "must be a string", code: f"must be {wording}"}
        set_override(self, "field", {"type": "string", **schema})

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid_type")
        if not self._is_valid(data):
            self.fail(self._code)
        return data


def pattern_field(pattern: str, longest: int, wording: str, help_text: str) -> TextField:
    """Return the field of a text of at most `longest` characters that matches a pattern."""

    def is_valid(text: str) -> bool:
        return len(text) <= longest and re.fullmatch(pattern, text) is not None

    schema = {"pattern": f"^{pattern}$", "maxLength": longest}
    return TextField("invalid_format", wording, is_valid, schema, help_text=help_text)


def is_name(text: str) -> bool:
    """Return whether a text is a readable name: printable characters, no blanks at the ends."""
    return 1 <= len(text) <= NAME_LENGTH and text.isprintable() and text == text.strip()


def is_calendar_date(text: str) -> bool:
    """Return whether a text is a date of the years 1900-2200: yyyy-mm-dd."""
    if not _DATE.fullmatch(text):
        return False
    try:
        parse_timestamp(text)
    except InvalidTimestamp:
        return False
    return True


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
