"""The audit log in the admin: to be read and filtered, never changed. Made for tables of many millions of rows."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Min, QuerySet
from django.http import HttpRequest

from audit.models import AuditRecord

LISTED_CALLERS = 100
COUNTED_RECORDS = 10_000
# Generic for the type checker only: at run time Django's classes take no parameter.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[AuditRecord]
    _Paginator = Paginator[AuditRecord]
else:
    _ModelAdmin = admin.ModelAdmin
    _Paginator = Paginator

_STATUS_CLASSES = ("1", "2", "3", "4", "5")
_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


class StatusClassFilter(admin.SimpleListFilter):
    title = "status class"
    parameter_name = "status_class"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[AuditRecord]
    ) -> list[tuple[str, str]]:
        return [(digit, f"{digit}xx") for digit in _STATUS_CLASSES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditRecord]) -> QuerySet[AuditRecord]:
        chosen = self.value()
        if chosen is None or chosen not in _STATUS_CLASSES:
            return queryset
        first = int(chosen) * 100
        return queryset.filter(status__gte=first, status__lt=first + 100)


class MethodFilter(admin.SimpleListFilter):
    title = "method"
    parameter_name = "method"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[AuditRecord]
    ) -> list[tuple[str, str]]:
        return [(method, method) for method in _METHODS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditRecord]) -> QuerySet[AuditRecord]:
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(method=chosen)


class CallerFilter(admin.SimpleListFilter):
    """The first callers in alphabetical order; others are found by search."""

    title = "caller"
    parameter_name = "caller"
    _nobody = "-"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[AuditRecord]
    ) -> list[tuple[str, str]]:
        return [(self._nobody, "nobody"), *((caller, caller) for caller in first_callers(LISTED_CALLERS))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditRecord]) -> QuerySet[AuditRecord]:
        chosen = self.value()
        if chosen is None:
            return queryset
        return queryset.filter(caller="" if chosen == self._nobody else chosen)


def first_callers(limit: int) -> list[str]:
    """At most `limit` callers that have records, in order.

    One look into the index for each: DISTINCT would read the index of the whole table.
    """
    callers: list[str] = []
    last = ""
    while len(callers) < limit:
        found: str | None = AuditRecord.objects.filter(caller__gt=last).aggregate(first=Min("caller"))[
            "first"
        ]
        if found is None:
            break
        callers.append(found)
        last = found
    return callers


class BoundedPaginator(_Paginator):
    """Counts to COUNTED_RECORDS and no further; older records are reached through a filter."""

    @cached_property
    def count(self) -> int:
        records = cast("QuerySet[AuditRecord]", self.object_list)
        return records[:COUNTED_RECORDS].count()


@admin.register(AuditRecord)
class AuditRecordAdmin(_ModelAdmin):
    list_display = (
        "at",
        "caller",
        "method",
        "path",
        "query",
        "status",
        "latency_us",
        "address",
        "correlation_id",
    )
    list_filter = (StatusClassFilter, MethodFilter, CallerFilter)
    date_hierarchy = "at"
    search_fields = ("path", "correlation_id", "caller")
    ordering = ("-id",)
    sortable_by = ()
    list_per_page = 100
    show_full_result_count = False
    paginator = BoundedPaginator
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False
