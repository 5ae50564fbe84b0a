"""A base class for serializers that refuse unknown fields, and a flat list of DRF's nested validation errors."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, cast

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from web.requests.exceptions import ERRORS_LIMIT, FieldError
from web.requests.nearest_name import LONGEST_SHOWN, no_such_field

# Maps DRF's error codes to ours. Errors that a client corrects in the same way have one code.
CODES_OF_DRF = {
    "invalid": "invalid_type",
    "not_a_list": "invalid_type",
    "not_a_dict": "invalid_type",
    "blank": "invalid_text",
    "min_length": "invalid_text",
    "max_length": "invalid_text",
    "null_characters_not_allowed": "invalid_text",
    "surrogate_characters_not_allowed": "invalid_text",
    "min_value": "out_of_range",
    "max_value": "out_of_range",
    "max_string_length": "out_of_range",
}

# Those of lists, whose messages alone differ from the ones of texts.
_CODES_OF_LISTS = {"min_length": "empty", "max_length": "too_many"}
_OF_A_LIST = " elements."

MISSING = "is missing; give a value"
NOT_NULL = "must not be null; give a value"
# Our messages that replace DRF's, by DRF's error code.
_MESSAGES_OF_DRF = {"required": MISSING, "null": NOT_NULL, "not_a_list": "must be a list"}


def field_errors(detail: Any, path: str = "") -> Iterator[FieldError]:
    """Yield DRF's nested errors as a flat sequence; paths look like `trades[3].price`."""
    if isinstance(detail, ErrorDetail):
        code = detail.code or "invalid"
        message = _MESSAGES_OF_DRF.get(code, str(detail))
        codes = _CODES_OF_LISTS if message.endswith(_OF_A_LIST) else CODES_OF_DRF
        yield FieldError(path, codes.get(code, code), message.removesuffix("."))
    elif isinstance(detail, dict):
        for name, inner in detail.items():
            yield from field_errors(inner, _extended(path, name))
    else:
        for inner in detail:
            yield from field_errors(inner, path)


def field_refusal(field: str, message: str, code: str) -> serializers.ValidationError:
    """Return the error of one field, for the `validate` of a serializer that compares fields."""
    return serializers.ValidationError({field: [ErrorDetail(message, code)]})


def _extended(path: str, name: str | int) -> str:
    if name == "non_field_errors":
        return path
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name


class IndexedListSerializer(serializers.ListSerializer[Any]):
    """A list whose errors name the index. Stops after a hundred wrong elements."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            raise serializers.ValidationError("must be a list", code="invalid_type")
        values: list[Any] = []
        errors: dict[int, Any] = {}
        for index, each in enumerate(data):
            try:
                values.append(self.run_child_validation(each))
            except serializers.ValidationError as error:
                errors[index] = error.detail
            if len(errors) >= ERRORS_LIMIT:
                break
        if errors:
            raise serializers.ValidationError(cast("Any", errors))
        return values


class KnownFieldsSerializer(serializers.Serializer[Any]):
    """A serializer that refuses undeclared fields. The error names a similar one, or lists those declared."""

    default_error_messages = {"invalid": "must be an object"}

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated value. Undeclared fields are ignored if the context has `ignore_unknown`."""
        unknown = {} if self.context.get("ignore_unknown") else self._unknown(data)
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**cast("dict[str, Any]", error.detail), **unknown}) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def _unknown(self, data: Any) -> dict[str, list[serializers.ErrorDetail]]:
        """Return errors for at most ERRORS_LIMIT undeclared fields; no errors if `data` is not an object."""
        names = data if isinstance(data, Mapping) else ()
        undeclared = (str(name) for name in names if name not in self.fields)
        return {name[:LONGEST_SHOWN]: [self._refusal(name)] for name in islice(undeclared, ERRORS_LIMIT)}

    def _refusal(self, name: str) -> serializers.ErrorDetail:
        return serializers.ErrorDetail(no_such_field(name, list(self.fields)), "unknown_field")
