"""DRF's nested validation errors as a flat list."""

from collections.abc import Iterator
from typing import Any

from rest_framework.exceptions import ErrorDetail

from refusals.field_error import FieldError

# How the codes of DRF's own fields are called here, one word for what is the same to a client.
CODES_OF_DRF = {
    "invalid": "invalid_type",
    "not_a_list": "invalid_type",
    "blank": "invalid_text",
    "min_length": "invalid_text",
    "max_length": "invalid_text",
    "null_characters_not_allowed": "invalid_text",
    "surrogate_characters_not_allowed": "invalid_text",
    "min_value": "out_of_range",
    "max_value": "out_of_range",
    "max_string_length": "out_of_range",
}


def field_errors(detail: Any, path: str = "") -> Iterator[FieldError]:
    """DRF's nested errors, one by one, with paths such as `trades[3].price`."""
    if isinstance(detail, ErrorDetail):
        code = detail.code or "invalid"
        yield FieldError(path, CODES_OF_DRF.get(code, code), str(detail))
    elif isinstance(detail, dict):
        for name, inner in detail.items():
            yield from field_errors(inner, _extended(path, name))
    else:
        for inner in detail:
            yield from field_errors(inner, path)


def _extended(path: str, name: str | int) -> str:
    if name == "non_field_errors":
        return path
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else name
