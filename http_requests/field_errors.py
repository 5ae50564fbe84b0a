"""DRF's nested validation errors as a flat list."""

from collections.abc import Iterator
from typing import Any

from rest_framework.exceptions import ErrorDetail

from refusals.field_error import FieldError


def field_errors(detail: Any, path: str = "") -> Iterator[FieldError]:
    """DRF's nested errors, one by one, with paths such as `trades[3].price`."""
    if isinstance(detail, ErrorDetail):
        yield FieldError(path, detail.code or "invalid", str(detail))
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
