"""The query parameters of the list of records as a form shows them; the filters and the pages check them."""

from typing import Any

from django_filters import ChoiceFilter
from rest_framework import serializers

from audit.reading.filters import AuditFilter
from audit.reading.pages import RecordPagination
from listing.page_limit import PAGE_LIMIT
from listing.pages import SORTS


def _shown(found: Any) -> serializers.Field[Any, Any, Any, Any]:
    text = str(found.extra["help_text"])
    if isinstance(found, ChoiceFilter):
        return serializers.ChoiceField(list(found.extra["choices"]), required=False, help_text=text)
    return serializers.CharField(required=False, help_text=text)


# Not a class statement: `class` is the name of a parameter, and none in Python.
RecordsQuerySerializer: type[serializers.Serializer[Any]] = type(
    "RecordsQuerySerializer",
    (serializers.Serializer,),
    {
        "__doc__": "The query parameters.",
        "__module__": __name__,
        **{name: _shown(found) for name, found in AuditFilter.base_filters.items()},
        "limit": serializers.IntegerField(
            min_value=1, max_value=PAGE_LIMIT, default=RecordPagination.default_limit
        ),
        "cursor": serializers.CharField(required=False),
        "sort": serializers.ChoiceField(list(SORTS), required=False),
    },
)
