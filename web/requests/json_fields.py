"""Serializer fields of JSON bodies. Each takes one JSON type; no other type is converted."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

JsonObject = dict[str, Any]


class _OneType(serializers.Field[Any, Any, Any, Any]):
    json_type: type
    type_name: str

    def to_internal_value(self, data: Any) -> Any:
        if type(data) is not self.json_type:
            raise serializers.ValidationError(f"must be {self.type_name}", code="invalid_type")
        return super().to_internal_value(data)


class Text(_OneType, serializers.CharField):
    json_type, type_name = str, "a text"


class Integer(_OneType, serializers.IntegerField):
    """An integer, never without bounds: no database column and no JSON encoder takes every one."""

    json_type, type_name = int, "a whole number"

    def __init__(self, *, min_value: int, max_value: int, **options: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **options)


class Word(_OneType, serializers.ChoiceField):
    json_type, type_name = str, "a text"

    def __init__(self, choices: Sequence[str], **options: Any) -> None:
        super().__init__(choices, **options)
        self.error_messages["invalid_choice"] = f"must be one of {', '.join(choices)}"


class Flag(_OneType, serializers.BooleanField):
    json_type, type_name = bool, "true or false"


class Pattern(Text):
    """A text that matches a regular expression. wording: what it is, for the error."""

    def __init__(self, pattern: str, wording: str, *, max_length: int, **options: Any) -> None:
        super().__init__(trim_whitespace=False, max_length=max_length, **options)
        self.error_messages["invalid_format"] = f"must be {wording}"
        self._pattern = re.compile(pattern, re.ASCII)
        schema = {"type": "string", "minLength": 1, "maxLength": max_length, "pattern": f"^{pattern}$"}
        set_override(self, "field", schema)

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if self._pattern.fullmatch(text) is None:
            self.fail("invalid_format")
        return text


class Instant(Text):
    """An instant: ISO 8601, UTC without an offset.

    convert: makes the value of its text; raises ValueError. schema: in place of a text's.
    """

    def __init__(
        self, *, convert: Callable[[str], Any], schema: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(**{"max_length": 40, **options})
        self._convert = convert
        if schema is not None:
            set_override(self, "field", schema)

    def run_validation(self, data: Any = empty) -> Any:
        """Refuse a text that is no instant, if it is not too long."""
        text = super().run_validation(data)
        try:
            return None if text is None else self._convert(text)
        except ValueError as error:
            code = getattr(error, "code", "invalid_timestamp")
            raise serializers.ValidationError(str(error), code=code) from error


@extend_schema_field({"type": "object", "additionalProperties": True})
class Object(serializers.JSONField):
    """A JSON object."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("must be an object", code="invalid_type")
        return data


class Amount(serializers.Field[Decimal, Any, Any, Any]):
    """A number as a Decimal with the digits of its shortest text.

    low, high: its bounds, which it may have. is_above: whether it must be above `low`. decimals: at most so many.
    """

    default_error_messages = {"invalid_type": "must be a number"}

    def __init__(
        self,
        *,
        low: Decimal,
        high: Decimal,
        is_above: bool = False,
        decimals: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._low, self._high, self._is_above, self._decimals = low, high, is_above, decimals
        lowest = f"above {low:,f}" if is_above else f"at least {low:,f}"
        self.error_messages["out_of_range"] = f"must be {lowest} and at most {high:,f}"
        self.error_messages["too_precise"] = f"must have at most {decimals} decimals"
        bound = "exclusiveMinimum" if is_above else "minimum"
        set_override(self, "field", {"type": "number", bound: float(low), "maximum": float(high)})

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid_type")
        value = Decimal(repr(data).removesuffix(".0"))
        is_within = value.is_finite() and self._low <= value <= self._high
        if not is_within or (self._is_above and value == self._low):
            self.fail("out_of_range")
        if self._decimals is not None and -int(value.as_tuple().exponent) > self._decimals:
            self.fail("too_precise")
        return value


def json_values(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return validated values as the JSON values that a job's parameters are: Decimals as numbers, words as texts."""
    return {name: _json_value(value) for name, value in attrs.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, StrEnum) else value
