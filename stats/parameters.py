"""Serializer fields for query parameters, and a parser of query strings."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from django.http import QueryDict
from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from store.durations import UNITS_NS, parse_duration
from store.instant_text import extended
from store.resolutions import RESOLUTION_RULE, Resolution
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import InvalidTimestamp, parse_timestamp_or_epoch
from trades.batches.text_rules import resolution_schema
from trades.exceptions import InvalidValue
from web.lists.pages import PAGE_LIMIT, PAGE_LIMIT_RULE, page_limit
from web.requests.exceptions import InvalidParameter
from web.requests.field_errors import field_errors
from web.requests.parameters import single_parameters

DEFAULT_PAGE = 1_000
SYMBOLS_LIMIT = 50
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


# The examples of an operation's parameters are one call, so a parameter that a call rarely has gets none.
@extend_schema_field({"type": "string"})
class QueryTimeField(serializers.Field[int, str, str, Any]):
    """A time: ISO 8601 text, or an epoch integer of 10, 13, 16 or 19 digits (s, ms, µs, ns). Gives nanoseconds UTC."""

    def to_internal_value(self, data: str) -> int:
        return _instant(data)


class Bound(NamedTuple):
    """A start or end. instant_ns: nanoseconds UTC. is_date: whether the text was a date without a time."""

    instant_ns: int
    is_date: bool


class BoundField(serializers.Field[Bound, str, str, Any]):
    """A time, written as in `QueryTimeField`. Gives a `Bound`. examples: of the schema."""

    def __init__(self, *, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(**options)
        shown = {"examples": list(examples)} if examples else {}
        set_override(self, "field", {"type": "string", **shown})

    def to_internal_value(self, data: str) -> Bound:
        return Bound(_instant(data), _DATE.fullmatch(extended(data)) is not None)


@extend_schema_field({"type": "string", "minLength": 1})
class CursorField(serializers.Field[str, str, str, Any]):
    """A cursor's text. Checks only its characters; `PageCursor.decode` checks the rest."""

    default_error_messages = {"invalid_cursor": "must be a cursor from a page"}

    def to_internal_value(self, data: str) -> str:
        if not re.fullmatch("[A-Za-z0-9_-]{1,8192}", data):
            self.fail("invalid_cursor")
        return data


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT})
class PageLimitField(serializers.Field[int, str, str, Any]):
    """The maximum number of rows in a page, as decimal digits."""

    default_error_messages = {"invalid_limit": PAGE_LIMIT_RULE}

    def to_internal_value(self, data: str) -> int:
        limit = page_limit(data)
        if limit is None:
            self.fail("invalid_limit")
        return limit


class ResolutionField(serializers.Field[Resolution, str, str, Any]):
    """A resolution by its name. schema_default: a default that is shown in the schema, but not applied."""

    default_error_messages = {"unknown_resolution": f"must be tick, or {RESOLUTION_RULE}"}

    def __init__(self, *, schema_default: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        _set_schema(self, resolution_schema(), schema_default)

    def to_internal_value(self, data: str) -> Resolution:
        try:
            return Resolution.parse(data)
        except ValueError:
            self.fail("unknown_resolution")

    def to_representation(self, value: Resolution) -> str:
        return value.value


class WordField(serializers.Field[str, str, str, Any]):
    """One of several words. schema_default: a default that is shown in the schema, but not applied."""

    code = "invalid_parameter"
    default_error_messages = {code: "must be one of {words}"}

    def __init__(self, *, words: Sequence[str], schema_default: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.words = tuple(str(word) for word in words)
        _set_schema(self, {"type": "string", "enum": list(self.words)}, schema_default)

    def to_internal_value(self, data: str) -> str:
        if data not in self.words:
            self.fail(self.code, words=", ".join(self.words))
        return data


@extend_schema_field({"type": "integer", "enum": [0, 1], "default": 0})
class SwitchField(serializers.Field[bool, str, str, Any]):
    """A boolean, written as `1` or `0`."""

    default_error_messages = {"invalid_parameter": "must be 0 or 1"}

    def to_internal_value(self, data: str) -> bool:
        if data not in {"0", "1"}:
            self.fail("invalid_parameter")
        return data == "1"


class QueryNumberField(serializers.Field[float, str, str, Any]):
    """A finite decimal number between `-bound` and `bound`."""

    default_error_messages = {"invalid_number": "must be a number between {low:g} and {high:g}"}

    def __init__(self, *, bound: float, **options: Any) -> None:
        super().__init__(**options)
        self._bound = bound
        set_override(self, "field", {"type": "number", "minimum": -bound, "maximum": bound})

    def to_internal_value(self, data: str) -> float:
        is_plain = re.fullmatch(r"[+-]?[0-9]{1,9}(\.[0-9]{0,32})?([eE][+-]?[0-9]{1,3})?", data)
        value = float(data) if is_plain else math.nan
        if not -self._bound <= value <= self._bound:
            self.fail("invalid_number", low=-self._bound, high=self._bound)
        return value


@extend_schema_field({"type": "string"})
class DurationField(serializers.Field[int, str, str, Any]):
    """A length of time: `0`, or a number with a unit such as `250ms`. Gives nanoseconds, at least `least_ns`."""

    default_error_messages = {
        "invalid_duration": "must be {zero}a whole number above zero with a unit ({units}), such as 250ms, at most a century",
    }

    def __init__(self, *, least_ns: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self._least_ns = least_ns

    def to_internal_value(self, data: str) -> int:
        length_ns = 0 if data == "0" else parse_duration(data)
        if length_ns is None or length_ns < self._least_ns:
            zero = "" if self._least_ns else "0 or "
            self.fail("invalid_duration", zero=zero, units=", ".join(UNITS_NS))
        return length_ns


@extend_schema_field({"type": "string", "pattern": "^[a-z_]+(,[a-z_]+)*$"})
class FieldNamesField(serializers.Field[tuple[str, ...], str, str, Any]):
    """Distinct column names, separated by commas."""

    default_error_messages = {
        "invalid_fields": "must be names of columns, separated by commas, each once",
    }

    def to_internal_value(self, data: str) -> tuple[str, ...]:
        names = tuple(data.split(","))
        if len(data) > 1024 or not re.fullmatch("[a-z_]+(,[a-z_]+)*", data) or len(set(names)) < len(names):
            self.fail("invalid_fields")
        return names


@extend_schema_field({"type": "string", "minLength": 1, "examples": ["AAPL"]})
class SymbolsField(serializers.Field[tuple[str, ...], str, str, Any]):
    """Distinct symbols, separated by commas."""

    default_error_messages = {
        "too_many_symbols": f"names at most {SYMBOLS_LIMIT} symbols",
        "repeated_symbol": "names a symbol twice",
    }

    def to_internal_value(self, data: str) -> tuple[str, ...]:
        symbols = tuple(map(_symbol, data.split(",")))
        if len(symbols) > SYMBOLS_LIMIT:
            self.fail("too_many_symbols")
        if len(set(symbols)) < len(symbols):
            self.fail("repeated_symbol")
        return symbols


def _symbol(text: str) -> str:
    try:
        return parse_symbol(text)
    except InvalidSymbol as error:
        raise serializers.ValidationError(f"{text[:64]!r}: {error}", code=error.code) from error


def _instant(text: str) -> int:
    try:
        return parse_timestamp_or_epoch(text)
    except InvalidTimestamp as error:
        hint = " (in a URL a + is written %2B)" if " " in text else ""
        raise serializers.ValidationError(f"{text[:64]!r}: {error}{hint}", code=error.code) from error


def _set_schema(
    field: serializers.Field[Any, str, str, Any], schema: dict[str, Any], default: str | None
) -> None:
    set_override(field, "field", schema if default is None else {**schema, "default": default})


# The codes and messages that replace DRF's, by DRF's error code.
_CODES = {"required": "missing_parameter"}
_MESSAGES = {"required": "is required"}
# Codes of values that are well-formed but unknown: 422 instead of 400.
_UNPROCESSABLE = {"invalid_symbol", "unknown_interval", "unknown_resolution"}


def query_values(serializer: serializers.Serializer[Any], query_string: str) -> dict[str, Any]:
    """Return the parameters' values by name, without `format`.

    serializer: may be shared, because validation leaves no state in it. Construction takes four times as long.
    Raises `InvalidParameter` and `InvalidValue`.
    """
    texts = single_parameters(QueryDict(query_string), (*serializer.fields, "format"))
    try:
        values: dict[str, Any] = serializer.run_validation(texts)
    except serializers.ValidationError as error:
        raise _error(error.detail) from error
    return values


def _error(errors: object) -> InvalidParameter | InvalidValue:
    """Return one error for all errors of a serializer.

    Its code is the code of the first malformed value or, if all values are well-formed, of the first error.
    """
    details = [
        replace(error, message=_MESSAGES.get(error.code, error.message)) for error in field_errors(errors)
    ]
    malformed = [error for error in details if error.code not in _UNPROCESSABLE]
    error_class, first = (InvalidParameter, malformed[0]) if malformed else (InvalidValue, details[0])
    return error_class(
        _CODES.get(first.code, first.code),
        f"{first.path}: {first.message}" if first.path else first.message,
        details,
    )
