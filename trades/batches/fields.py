"""Serializer fields that take exactly what the typed decoder takes: no JSON type is coerced into another."""

import math
from typing import Any

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from store.declarations import WORD_SEPARATOR, Column, Form, Kind
from store.number_bounds import Above
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import DAY_NS, InvalidTimestamp, parse_timestamp
from trades.batches.row_batch import ID_LENGTH, LARGEST_NUMBER, WORDS_LIMIT, is_plain


@extend_schema_field(
    {"type": "string", "format": "date-time", "examples": ["2025-01-02T14:30:00.123456789Z"]}
)
class TimestampField(serializers.Field[int, str, str, Any]):
    """ISO 8601 / RFC 3339 text with 0-9 fractional digits; UTC without an offset; years 1900-2200."""

    default_error_messages = {"invalid_type": "must be a string"}

    def to_internal_value(self, data: object) -> int:
        if not isinstance(data, str):
            self.fail("invalid_type")
        try:
            return parse_timestamp(data)
        except InvalidTimestamp as error:
            raise serializers.ValidationError(str(error), code=error.code) from error


@extend_schema_field({"type": "string", "format": "date", "examples": ["2025-01-02"]})
class DateField(TimestampField):
    """A date, or a time that is its midnight in UTC."""

    default_error_messages = {"invalid_date": "must be a date, or its midnight in UTC"}

    def to_internal_value(self, data: object) -> int:
        instant = super().to_internal_value(data)
        if instant % DAY_NS:
            self.fail("invalid_date")
        return instant


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": 32, "examples": ["AAPL"]})
class SymbolField(serializers.Field[str, str, str, Any]):
    """A symbol in any case; `/` is taken as `-`."""

    default_error_messages = {"invalid_type": "must be a string"}

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid_type")
        try:
            return parse_symbol(data)
        except InvalidSymbol as error:
            raise serializers.ValidationError(str(error), code=error.code) from error


@extend_schema_field({"type": "number", "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER})
class NumberField(serializers.Field[float, float, float, Any]):
    """A finite JSON number up to 2^53, never a string or a boolean.

    `above` is its lower bound; one that is waivable does not hold if the context's `takes_any_price()` says
    so.
    """

    default_error_messages = {
        "invalid_type": "must be a number",
        "out_of_range": "must be a finite number of at most 2^53 (9007199254740992)",
    }

    def __init__(self, *, above: Above | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._above = above
        bound = {} if above is None else {"minimum" if above.zero_allowed else "exclusiveMinimum": 0}
        set_override(self, "field", {"type": "number", **bound, "maximum": LARGEST_NUMBER})

    def to_internal_value(self, data: object) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid_type")
        if not math.isfinite(data) or abs(data) > LARGEST_NUMBER:
            self.fail("out_of_range")
        number, above = float(data), self._above
        if above is None or number > 0 or (number == 0 and above.zero_allowed):
            return number
        if above.waivable and self.context.get("takes_any_price", bool)():
            return number
        raise serializers.ValidationError(above.message, code=above.code)


@extend_schema_field({"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER})
class CountField(serializers.Field[int, int, int, Any]):
    """A whole number written without a point or an exponent, 0 to 2^53."""

    default_error_messages = {
        "invalid_type": "must be an integer",
        "out_of_range": "must be between 0 and 2^53 (9007199254740992)",
    }

    def to_internal_value(self, data: object) -> int:
        if data == math.inf:
            self.fail("out_of_range")
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid_type")
        if not 0 <= data <= LARGEST_NUMBER:
            self.fail("out_of_range")
        return data


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": "^[!-~]+$"})
class WordField(serializers.Field[str, str, str, Any]):
    """Visible ASCII without spaces."""

    default_error_messages = {
        "invalid_type": "must be a string",
        "invalid_text": f"must be 1-{ID_LENGTH} visible ASCII characters without spaces",
    }

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid_type")
        if not 1 <= len(data) <= ID_LENGTH or not is_plain(data):
            self.fail("invalid_text")
        return data


class ChoiceWordField(serializers.Field[str, str, str, Any]):
    """One of a few words, in its first spelling."""

    default_error_messages = {
        "invalid_type": "must be a string",
        "invalid_choice": "must be one of {choices}",
    }

    def __init__(self, *, column: Column, **options: Any) -> None:
        super().__init__(**options)
        self._column = column
        aliases = [alias for alias, _ in column.aliases]
        words = {"type": "string", "enum": [*column.choices, *aliases]}
        # The schema's generator gives plain lists of words a name, and forgets that null is allowed besides.
        set_override(self, "field", {"anyOf": [words]} if options.get("allow_null") else words)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid_type")
        word = dict(self._column.aliases).get(data, data)
        if word not in self._column.choices:
            self.fail("invalid_choice", choices=", ".join(self._column.choices))
        return word


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": "^[!-~]+$"},
            {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER},
        ]
    }
)
class IdField(serializers.Field[str, str, str, Any]):
    """A word, or a whole number, which is kept as its text."""

    default_error_messages = {"invalid_type": "must be a string or an integer"}

    def to_internal_value(self, data: object) -> str:
        if isinstance(data, str):
            return WordField().to_internal_value(data)
        if isinstance(data, bool) or not (isinstance(data, int) or data == math.inf):
            self.fail("invalid_type")
        return str(CountField().to_internal_value(data))


@extend_schema_field(
    {
        "type": "array",
        "maxItems": WORDS_LIMIT,
        "items": {"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": "^[!-:<-~]+$"},
    }
)
class WordsField(serializers.Field[list[str], list[str], list[str], Any]):
    """Words; unknown ones are kept."""

    default_error_messages = {
        "invalid_type": "must be a list of strings",
        "too_many": f"has at most {WORDS_LIMIT} words",
        "invalid_text": f"is 1-{ID_LENGTH} visible ASCII characters without spaces or semicolons",
    }

    def to_internal_value(self, data: object) -> list[str]:
        if not isinstance(data, list):
            self.fail("invalid_type")
        if len(data) > WORDS_LIMIT:
            self.fail("too_many")
        for word in data:
            if not isinstance(word, str):
                self.fail("invalid_type")
            if not 1 <= len(word) <= ID_LENGTH or not is_plain(word) or WORD_SEPARATOR in word:
                self.fail("invalid_text")
        return data


@extend_schema_field({"type": "boolean"})
class FlagField(serializers.Field[bool, bool, bool, Any]):
    """True or false, and nothing that stands for them."""

    default_error_messages = {"invalid_type": "must be true or false"}

    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid_type")
        return data


_FIELDS: dict[tuple[Kind, Form], type[serializers.Field[Any, Any, Any, Any]]] = {
    (Kind.TIME, Form.PLAIN): TimestampField,
    (Kind.TIME, Form.DATE): DateField,
    (Kind.INTEGER, Form.PLAIN): CountField,
    (Kind.TEXT, Form.PLAIN): WordField,
    (Kind.TEXT, Form.ID): IdField,
    (Kind.TEXT, Form.WORDS): WordsField,
    (Kind.BOOLEAN, Form.PLAIN): FlagField,
}


def field_of(column: Column) -> serializers.Field[Any, Any, Any, Any]:
    """The field that takes a column's values."""
    options: dict[str, Any] = {"help_text": column.help}
    if not column.required:
        options |= {"required": False, "allow_null": True}
    if column.kind is Kind.NUMBER:
        return NumberField(above=column.above, **options)
    if column.choices:
        return ChoiceWordField(column=column, **options)
    return _FIELDS[column.kind, column.form](**options)
