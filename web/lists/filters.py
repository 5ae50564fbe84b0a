"""Filters of lists. An invalid value is an error, as for other query parameters."""

from collections.abc import Collection
from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.request import Request
from rest_framework.views import APIView

from web.requests.exceptions import InvalidParameter

# Codes of our own form fields. Those of Django's fields are `invalid_parameter` to clients.
_DECLARED = {"invalid_number", "invalid_symbol", "invalid_timestamp", "timestamp_out_of_range"}


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # not typed
    """A filter backend that refuses an invalid value."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> Any:
        """Return the matching rows. Raises InvalidParameter."""
        filters = self.get_filterset(request, queryset, view)
        return queryset if filters is None else matching_rows(filters)


def matching_rows(filters: FilterSet) -> Any:
    """Return the rows that match all filters. Raises InvalidParameter for the first invalid one."""
    if filters.is_valid():
        return filters.qs
    name, errors = next(iter(filters.errors.as_data().items()))
    code = errors[0].code if errors[0].code in _DECLARED else "invalid_parameter"
    raise InvalidParameter(code, f"{name}: {errors[0].messages[0]}")


def choice_filter(words: Collection[str], text: str, **options: Any) -> django_filters.ChoiceFilter:
    """Return a filter that accepts one of `words`; `text` is its description in the schema."""
    return django_filters.ChoiceFilter(
        choices=[(word, word) for word in words],
        help_text=text,
        error_messages={"invalid_choice": f"must be one of {', '.join(words)}"},
        **options,
    )
