"""The query parameters of instruments as a form shows them; filters and pages check what they may be."""

from collections.abc import Mapping
from typing import Any

from django_filters import ChoiceFilter
from drf_spectacular.drainage import get_override, set_override
from rest_framework import serializers
from rest_framework.views import APIView

from trades.instruments.filters import InstrumentFilter
from trades.instruments.pages import InstrumentPagination


class ShownField(serializers.CharField):
    """A parameter with the schema that it is declared by elsewhere."""

    def __init__(self, *, schema: Mapping[str, Any], **options: Any) -> None:
        super().__init__(required=False, **options)
        set_override(self, "field", dict(schema))


def _of_filter(found: Any) -> ShownField:
    choices = [value for value, _ in found.extra["choices"]] if isinstance(found, ChoiceFilter) else []
    schema = {"enum": choices} if choices else get_override(found, "field", {})
    return ShownField(schema=schema, help_text=str(found.extra["help_text"]))


def _query_serializer(name: str, fields: Mapping[str, ShownField]) -> type[serializers.Serializer[Any]]:
    doc = {"__doc__": "The query parameters.", "__module__": __name__}
    return type(name, (serializers.Serializer,), {**doc, **fields})


InstrumentsQuerySerializer = _query_serializer(
    "InstrumentsQuerySerializer",
    {name: _of_filter(found) for name, found in InstrumentFilter.base_filters.items()}
    | {
        each["name"]: ShownField(schema=each["schema"], help_text=each["description"])
        for each in InstrumentPagination().get_schema_operation_parameters(APIView())
    },
)
InstrumentQuerySerializer = _query_serializer(
    "InstrumentQuerySerializer",
    {
        "as_of": ShownField(
            schema={"examples": ["2025-01-02T14:30:00Z"]},
            help_text="Answer with what had been told by then: ISO 8601 / RFC 3339 or an epoch integer.",
        )
    },
)
