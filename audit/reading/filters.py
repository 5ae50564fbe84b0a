"""Filters, pages and query parameters of audit records, for the list, its export and the admin."""

from datetime import datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.db.models.lookups import Exact
from django_filters.rest_framework import FilterSet

from audit.models import AuditRecord
from audit.records import columns
from store.instant_text import parse_instant_or_epoch
from web.endpoints import AUDIT_CLASSES
from web.lists.filters import choice_filter
from web.lists.pages import KeysetPagination
from web.requests.exceptions import InvalidParameter

# Of the API's endpoints, and the end of a WebSocket.
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "CLOSE")
NOBODY = "-"
_STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")

Records = QuerySet[AuditRecord]


class InstantFormField(forms.CharField):
    """A form field for an instant; its value is an aware datetime."""

    def clean(self, value: Any) -> datetime | None:
        text = super().clean(value)
        try:
            return parse_instant_or_epoch(text) if text else None
        except ValueError as error:
            raise forms.ValidationError("must be an instant such as 2025-01-02T14:30:00Z") from error


class InstantFilter(django_filters.CharFilter):  # type: ignore[misc]  # not typed
    field_class = InstantFormField


def _text(limit: int, text: str, **options: Any) -> django_filters.CharFilter:
    return django_filters.CharFilter(max_length=limit, help_text=text, **options)


class AuditFilter(FilterSet):  # type: ignore[misc]
    """The filters of records. A record must match all given filters."""

    caller = _text(columns.CALLER_CHARS, "The caller, such as key:12; - for nobody.", method="of_caller")
    method = choice_filter(METHODS, "Of the call.")
    path = _text(columns.PATH_CHARS, "A prefix of the path.", method="of_prefix")
    status_class = choice_filter(_STATUS_CLASSES, "Of its answer.", method="of_status_class", label="Status")
    audit_class = choice_filter(
        AUDIT_CLASSES,
        "The class of calls and events that are recorded before they are answered.",
        label="Class",
    )
    event = _text(columns.EVENT_CHARS, "A prefix of the event's name, such as key.", method="of_prefix")
    since = InstantFilter(
        field_name="at", lookup_expr="gte", label="Since", help_text="Began at this time or later."
    )
    until = InstantFilter(
        field_name="at", lookup_expr="lt", label="Until", help_text="Began before this time."
    )
    correlation_id = _text(columns.CORRELATION_ID_CHARS, "Of the call.", label="Correlation id")

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Return the filters by parameter name. `class` is a keyword in Python, so the attribute is `audit_class`."""
        return {
            "class" if name == "audit_class" else name: each for name, each in super().get_filters().items()
        }

    def of_caller(self, records: Records, _: str, caller: str) -> Records:
        """Return the records of a caller; `-` selects records without a caller."""
        return records.filter(caller="" if caller == NOBODY else caller)

    def of_prefix(self, records: Records, name: str, prefix: str) -> Records:
        """Return the records whose value begins with the prefix.

        `startswith` ignores case on SQLite. A range would follow the collation on PostgreSQL.
        """
        return records.filter(Exact(Left(name, len(prefix)), prefix))

    def of_status_class(self, records: Records, _: str, status_class: str) -> Records:
        """Return the records whose status begins with the class's digit."""
        first = int(status_class[0]) * 100
        return records.filter(status__gte=first, status__lt=first + 100)

    def filter_queryset(self, queryset: Records) -> Records:
        """Return the matching records. Raises InvalidParameter if `since` is not before `until`."""
        since, until = (self.form.cleaned_data.get(name) for name in ("since", "until"))
        if since is not None and until is not None and since >= until:
            raise InvalidParameter("invalid_range", "since must be before until")
        selected: Records = super().filter_queryset(queryset)
        return selected


class RecordPagination(KeysetPagination):
    """Pages by sequence, the newest first; counts at most 10,000 records."""

    rows_name = "records"
    by = "sequence"
    sort_description = "By sequence, the newest first."
    default_limit = 100
    default_sort = "desc"
    # The maximum number of records that are counted, because the table may have many millions.
    counted = 10_000
