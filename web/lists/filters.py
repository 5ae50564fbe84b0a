"""Filters of lists. An invalid value is an error, as for other query parameters."""

from collections.abc import Collection
from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.request import Request
from rest_framework.views import APIView

from web.requests.exceptions import InvalidParameter


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # not typed
    """A filter backend that refuses an invalid value with `invalid_parameter`."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> Any:
        """Return the matching rows. Raises the exception that `refusal` returns for an invalid value."""
        filters = self.get_filterset(request, queryset, view)
        if filters.is_valid():
            return filters.qs
        raise self.refusal(*first_error(filters))

    def refusal(self, code: str, message: str) -> Exception:
        """Return the exception for an invalid value. `code` is the form's error code."""
        return InvalidParameter("invalid_parameter", message)


def first_error(filters: FilterSet) -> tuple[str, str]:
    """Return the form's error code and message for the first invalid filter. At least one must be invalid."""
    name, errors = next(iter(filters.errors.as_data().items()))
    return str(errors[0].code), f"{name}: {errors[0].messages[0]}"


def choice_filter(words: Collection[str], text: str, **options: Any) -> django_filters.ChoiceFilter:
    """Return a filter that accepts one of `words`; `text` is its description in the schema."""
    return django_filters.ChoiceFilter(
        choices=[(word, word) for word in words],
        help_text=text,
        error_messages={"invalid_choice": f"must be one of {', '.join(words)}"},
        **options,
    )
