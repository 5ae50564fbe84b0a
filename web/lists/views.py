"""The base of viewsets with a list. The list's parameters are declared once: by its filters and its pages."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

from django.db.models import Model
from django_filters.rest_framework import FilterSet
from drf_spectacular.drainage import get_override, set_override
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.serializers import CharField, ChoiceField, Serializer
from rest_framework.viewsets import GenericViewSet

from web.lists.filters import StrictFilterBackend
from web.lists.pages import KeysetPagination
from web.requests.parameters import single_parameters

Row = TypeVar("Row", bound=Model)


class ShownField(CharField):
    """A parameter in a browser's form, with the schema of its values."""

    def __init__(self, schema: Mapping[str, Any], **options: Any) -> None:
        super().__init__(required=False, **options)
        set_override(self, "field", dict(schema))


class ListViewSet(GenericViewSet[Row]):
    """A list that is filtered and paged. Its action `list` gets no parameter that is unknown, repeated or empty.

    A subclass sets `pagination_class`, and `filterset_class` if it has filters. rows_name: the name of the list of rows,
    if the pagination class has none. further_parameters: the names of those that the action reads itself.
    """

    filter_backends = [StrictFilterBackend]
    filterset_class: ClassVar[type[FilterSet] | None] = None
    pagination_class: type[KeysetPagination]
    rows_name: ClassVar[str] = ""
    further_parameters: tuple[str, ...] = ()

    @property
    def paginator(self) -> KeysetPagination:
        """The paginator of the call."""
        paginator = cast("KeysetPagination", super().paginator)
        paginator.rows_name = self.rows_name or paginator.rows_name
        return paginator

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what the caller may not do, and wrong parameters."""
        super().initial(request, *args, **kwargs)
        if self.action == "list":
            self.list_parameters()

    def list_parameters(self) -> dict[str, str]:
        """Return the values of the query's parameters, by name. Raises InvalidParameter."""
        pages = self.pagination_class.parameter_names()
        known = (*self.further_parameters, *_filters(self.filterset_class), *pages, "format")
        return single_parameters(self.request.GET, known)

    def envelope(self, rows: list[Any]) -> dict[str, Any]:
        """Return the document of the page that `paginate_queryset` found, with its rows as they are answered."""
        return self.paginator.envelope(rows)

    def query_form(self) -> Serializer[Any]:
        """Return a serializer with a field for each parameter, for a browser's form only."""
        form: Serializer[Any] = Serializer()
        for name in self.further_parameters:
            form.fields[name] = CharField(required=False)
        for name, each in _filters(self.filterset_class).items():
            form.fields[name] = _filter_field(each)
        for each in self.pagination_class().get_schema_operation_parameters(self):
            form.fields[each["name"]] = ShownField(each["schema"], help_text=each["description"])
        return form


def parameters_form(view: Any) -> Serializer[Any]:
    """Return a serializer with a field for each query parameter of the view's operation, for a browser's form only."""
    form: Serializer[Any] = Serializer()
    operation = getattr(getattr(view, view.action or "", None), "kwargs", {}).get("schema")
    if operation is None:
        return form
    schema = operation()
    schema.view, schema.method = view, view.request.method
    for each in schema.get_override_parameters():
        if each.location == OpenApiParameter.QUERY:
            form.fields[each.name] = ShownField(each.type, help_text=each.description)
    return form


def _filters(filterset: type[FilterSet] | None) -> dict[str, Any]:
    return {} if filterset is None else dict(filterset.base_filters)


def _filter_field(each: Any) -> CharField | ChoiceField:
    text = str(each.extra.get("help_text", ""))
    if "choices" in each.extra:
        return ChoiceField(list(each.extra["choices"]), required=False, help_text=text)
    return ShownField(get_override(each, "field", {}), help_text=text)
