"""Serializer fields that take exactly what the typed decoder takes: no coercion of one JSON type into another."""

import math
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from trades.symbols import InvalidSymbol, parse_symbol
from trades.timestamps import InvalidTimestamp, parse_timestamp
from trades.trade_batch import ID_LENGTH, LARGEST_NUMBER, WORDS_LIMIT, is_plain


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
    """A finite JSON number up to 2^53, never a string or a boolean."""

    default_error_messages = {
        "invalid_type": "must be a number",
        "out_of_range": "must be a finite number of at most 2^53 (9007199254740992)",
    }

    def to_internal_value(self, data: object) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid_type")
        if not math.isfinite(data) or abs(data) > LARGEST_NUMBER:
            self.fail("out_of_range")
        return float(data)


@extend_schema_field({"type": "number", "exclusiveMinimum": 0, "maximum": LARGEST_NUMBER})
class PriceField(NumberField):
    """A price above zero."""

    default_error_messages = {
        "nonpositive_price": "must be greater than 0: no instrument here has the setting allow_nonpositive_price",
    }

    def to_internal_value(self, data: object) -> float:
        price = super().to_internal_value(data)
        if price <= 0:
            self.fail("nonpositive_price")
        return price


@extend_schema_field({"type": "number", "minimum": 0, "maximum": LARGEST_NUMBER})
class VolumeField(NumberField):
    """A size of zero or more."""

    default_error_messages = {"negative_volume": "must be 0 or more"}

    def to_internal_value(self, data: object) -> float:
        volume = super().to_internal_value(data)
        if volume < 0:
            self.fail("negative_volume")
        return volume


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


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1, "maxLength": ID_LENGTH, "pattern": "^[!-~]+$"},
            {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER},
        ]
    }
)
class TradeIdField(serializers.Field[str, str, str, Any]):
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
class ConditionsField(serializers.Field[list[str], list[str], list[str], Any]):
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
            if not 1 <= len(word) <= ID_LENGTH or not is_plain(word) or ";" in word:
                self.fail("invalid_text")
        return data
