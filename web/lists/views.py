"""The base of viewsets with a list. The list's parameters are declared once: by its filters and its pages."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar, cast

from django.db.models import Model, QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.drainage import get_override
from rest_framework.response import Response
from rest_framework.serializers import CharField, ChoiceField, Serializer
from rest_framework.viewsets import GenericViewSet

from web.lists.filters import StrictFilterBackend
from web.lists.pages import KeysetPagination
from web.views import DeclaredView, ShownField

Row = TypeVar("Row", bound=Model)


class ListViewSet(DeclaredView, GenericViewSet[Row]):
    """A list that is filtered and paged.

    A subclass sets `pagination_class`, and `filterset_class` if it has filters. rows_name: the name of the list of rows,
    if the pagination class has none.
    """

    filter_backends = [StrictFilterBackend]
    filterset_class: ClassVar[type[FilterSet] | None] = None
    pagination_class: type[KeysetPagination]
    rows_name: ClassVar[str] = ""

    @property
    def paginator(self) -> KeysetPagination:
        """The paginator of the call."""
        paginator = cast("KeysetPagination", super().paginator)
        paginator.rows_name = self.rows_name or paginator.rows_name
        return paginator

    def query_names(self) -> Sequence[str]:
        """Return the names of the query's parameters, but for `format`."""
        names = super().query_names()
        pages = self.pagination_class.parameter_names()
        return (*names, *_filters(self.filterset_class), *pages) if self.action_name == "list" else names

    def answer_page(self, document: Callable[[Any], Any], rows: QuerySet[Any] | None = None) -> Response:
        """Return the answer with a page of the matching `rows` (default: the queryset's); `document` shows each of them."""
        found = self.paginate_queryset(self.filter_queryset(self.get_queryset() if rows is None else rows))
        return self.get_paginated_response([document(row) for row in found or ()])

    def envelope(self, rows: list[Any]) -> dict[str, Any]:
        """Return the document of the page that `paginate_queryset` found, with its rows as they are answered."""
        return self.paginator.envelope(rows)

    def query_form(self) -> Serializer[Any]:
        """Return a serializer with a field for each parameter of the query, for a browser's form only."""
        form = super().query_form()
        if self.action_name != "list":
            return form
        for name, each in _filters(self.filterset_class).items():
            form.fields[name] = _filter_field(each)
        for each in self.pagination_class().get_schema_operation_parameters(self):
            form.fields[each["name"]] = ShownField(each["schema"], help_text=each["description"])
        return form


def _filters(filterset: type[FilterSet] | None) -> dict[str, Any]:
    return {} if filterset is None else dict(filterset.base_filters)


def _filter_field(each: Any) -> CharField | ChoiceField:
    text = str(each.extra.get("help_text", ""))
    if "choices" in each.extra:
        return ChoiceField(list(each.extra["choices"]), required=False, help_text=text)
    return ShownField(get_override(each, "field", {}), help_text=text)
