"""The values of a URL's query string, checked by a serializer."""

from functools import cache
from typing import Any

from django.http import QueryDict
from rest_framework import serializers

from http_requests.exceptions import InvalidParameter
from http_requests.field_errors import field_errors
from http_requests.parameters import single_parameters
from trades.exceptions import InvalidValue

# How DRF's own code is called here, and which codes speak of well-formed values that name nothing we have.
_CODES = {"required": "missing_parameter"}
_UNPROCESSABLE = {"invalid_symbol", "unknown_interval", "unknown_resolution"}


def query_values(serializer_class: type[serializers.Serializer[Any]], query_string: str) -> dict[str, Any]:
    """The parameters' values by name; `format` is negotiated elsewhere.

    Raises `InvalidParameter` and `InvalidValue`.
    """
    serializer = _serializer(serializer_class)
    texts = single_parameters(QueryDict(query_string), (*serializer.fields, "format"))
    try:
        values: dict[str, Any] = serializer.run_validation(texts)
    except serializers.ValidationError as error:
        raise _refusal(error.detail) from error
    return values


@cache
def _serializer(serializer_class: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """One for all: validating leaves no trace in it, and making one takes four times as long."""
    return serializer_class()


def _refusal(errors: object) -> InvalidParameter | InvalidValue:
    """The error for what the serializer found: the first that is malformed, else the first, speaks for all."""
    found = list(field_errors(errors))
    malformed = [error for error in found if error.code not in _UNPROCESSABLE]
    kind, first = (InvalidParameter, malformed[0]) if malformed else (InvalidValue, found[0])
    return kind(
        _CODES.get(first.code, first.code),
        f"{first.path}: {first.message}" if first.path else first.message,
        found,
    )
