"""The serializer fields of an instrument. No JSON type is coerced into another."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from store.aliases import Alias, DatedAlias
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


_SYMBOL_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 32}
_DATE_SCHEMA = {"type": ["string", "null"], "format": "date"}
_DATED_ALIAS_SCHEMA = {
    "type": "object",
    "required": ["symbol"],
    "properties": {"symbol": _SYMBOL_SCHEMA, "from": _DATE_SCHEMA, "to": _DATE_SCHEMA},
    "additionalProperties": False,
}


def alias_document(alias: Alias) -> str | dict[str, str | None]:
    """Return an alias as JSON: a symbol, or an object with `symbol`, `from` and `to`."""
    if isinstance(alias, str):
        return alias
    return {"symbol": alias.symbol, "from": alias.start, "to": alias.end}


@extend_schema_field(
    {
        "type": "array",
        "maxItems": ALIASES_LIMIT,
        "items": {"anyOf": [_SYMBOL_SCHEMA, _DATED_ALIAS_SCHEMA]},
    }
)
class AliasesField(serializers.Field[tuple[Alias, ...], list[Any], list[Any], Any]):
    """Symbols, each with or without dates, normalized and without repetition."""

    default_error_messages = {
        "invalid_type": "must be a list of symbols, or of objects with symbol, from and to",
        "too_many": f"has at most {ALIASES_LIMIT} symbols",
        "unknown_field": "an alias has symbol, from and to",
        "invalid_date": "from and to must be dates such as 2022-06-09",
        "invalid_range": "from must be before to",
    }

    def to_internal_value(self, data: object) -> tuple[Alias, ...]:
        if not isinstance(data, list | tuple):
            self.fail("invalid_type")
        if len(data) > ALIASES_LIMIT:
            self.fail("too_many")
        return tuple(dict.fromkeys(map(self._alias, data)))

    def _alias(self, data: object) -> Alias:
        if not isinstance(data, Mapping):
            return str(SymbolField().to_internal_value(data))
        if not data.keys() <= {"symbol", "from", "to"}:
            self.fail("unknown_field")
        symbol = str(SymbolField().to_internal_value(data.get("symbol")))
        start, end = self._date(data.get("from")), self._date(data.get("to"))
        if start is not None and end is not None and start >= end:
            self.fail("invalid_range")
        return symbol if start is end is None else DatedAlias(symbol, start, end)

    def _date(self, value: object) -> str | None:
        if value is not None and not (isinstance(value, str) and is_calendar_date(value)):
            self.fail("invalid_date")
        return value
