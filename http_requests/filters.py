"""Filters of lists, as strict as other query parameters."""

from collections.abc import Collection
from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.request import Request
from rest_framework.views import APIView

from http_requests.exceptions import InvalidParameter


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # not typed
    """Refuses a filter's wrong value with the code of other query parameters."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> Any:
        """The rows that are left. Raises what `refusal` makes."""
        filters = self.get_filterset(request, queryset, view)
        if filters.is_valid():
            return filters.qs
        raise self.refusal(*first_wrong(filters))

    def refusal(self, code: str, message: str) -> Exception:
        """What is raised for a wrong value, whose error in the form has the code."""
        return InvalidParameter("invalid_parameter", message)


def first_wrong(filters: FilterSet) -> tuple[str, str]:
    """The code in the form, and what is told, of the first filter whose value is wrong; one must be."""
    name, errors = next(iter(filters.errors.as_data().items()))
    return str(errors[0].code), f"{name}: {errors[0].messages[0]}"


def word_filter(words: Collection[str], text: str, **options: Any) -> django_filters.ChoiceFilter:
    """A filter by one of a few words; `text` says of what it is one."""
    return django_filters.ChoiceFilter(
        choices=[(word, word) for word in words],
        help_text=text,
        error_messages={"invalid_choice": f"must be one of {', '.join(words)}"},
        **options,
    )
