"""The audit log in the admin: to be read, filtered and exported, never changed.

Made for tables of many millions of rows.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Min, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from audit.models import AuditRecord
from audit.needs import PERSON_MAY
from audit.reading.export import ndjson_pieces
from audit.reading.filters import AuditFilter
from audit.reading.shown_detail import NOTHING, shown_body, shown_change, shown_detail

LISTED_CALLERS = 100
COUNTED_RECORDS = 10_000
# Generic for the type checker only: at run time Django's classes take no parameter.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[AuditRecord]
    _Paginator = Paginator[AuditRecord]
else:
    _ModelAdmin = admin.ModelAdmin
    _Paginator = Paginator


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


class FilteredList(ChangeList):
    """A list whose filters are those of `GET /audit`."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """What is left to Django's own filters: the date hierarchy."""
        others = super().get_filters_params(params)
        return {name: value for name, value in others.items() if name not in AuditFilter.base_filters}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """The records that hold all that is given.

        What is given wrongly is told in the form, and lists nothing.
        """
        self.filters = AuditFilter(request.GET, super().get_queryset(request, exclude_parameters))
        return cast(
            "QuerySet[Any]", self.filters.qs if self.filters.is_valid() else AuditRecord.objects.none()
        )

    @property
    def chosen_filters(self) -> bool:
        """Whether any of the filters is in use."""
        return any(name in AuditFilter.base_filters for name in self.params)

    @property
    def unrelated(self) -> list[tuple[str, str]]:
        """What a new choice of filters leaves as it is: the date, and what is searched for."""
        return [(name, value) for name, value in self.params.items() if name not in AuditFilter.base_filters]


@admin.register(AuditRecord)
class AuditRecordAdmin(_ModelAdmin):
    """Records to be read."""

    list_display = (
        "sequence",
        "when",
        "caller",
        "what",
        "status_shown",
        "took",
        "address",
        "audit_class",
        "correlation_id",
    )
    fields = (
        "sequence", "when", "caller", "address", "correlation_id", "method", "path", "query",
        "status_shown", "took", "audit_class", "event", "subject", "change", "body", "more", "hash",
    )  # fmt: skip
    readonly_fields = fields
    list_display_links = ("sequence", "when")
    change_list_template = "admin/audit/auditrecord/change_list.html"
    date_hierarchy = "at"
    search_fields = ("path", "correlation_id", "caller", "event", "subject")
    ordering = ("-sequence",)
    sortable_by = ()
    list_per_page = 100
    show_full_result_count = False
    paginator = BoundedPaginator
    actions = ("export_selected",)

    class Media:
        css = {"all": ("audit/admin.css",)}

    @admin.display(description="when")
    def when(self, record: AuditRecord) -> str:
        """To the microsecond, UTC."""
        return f"{record.at:%Y-%m-%d %H:%M:%S.%fZ}"

    @admin.display(description="what")
    def what(self, record: AuditRecord) -> str:
        """The call, or the event and what it happened to."""
        if record.event:
            return f"{record.event} {record.subject}"
        query = f"?{record.query}" if record.query else ""
        return f"{record.method} {record.path}{query}"

    @admin.display(description="status")
    def status_shown(self, record: AuditRecord) -> str:
        """Of the answer; events have none."""
        return str(record.status) if record.status else "-"

    @admin.display(description="took")
    def took(self, record: AuditRecord) -> str:
        """Until the answer was ready."""
        return f"{record.latency_us / 1000:,.1f} ms" if record.status else "-"

    @admin.display(description="what changed")
    def change(self, record: AuditRecord) -> SafeString:
        """Place by place, before and after."""
        return shown_change(record.detail)

    @admin.display(description="what was sent")
    def body(self, record: AuditRecord) -> SafeString:
        """With secrets masked."""
        return shown_body(record.detail)

    @admin.display(description="more")
    def more(self, record: AuditRecord) -> SafeString:
        """What else an event tells."""
        return shown_detail(record.detail)

    @admin.action(description="Export the selected records as NDJSON", permissions=["view"])
    def export_selected(self, request: HttpRequest, records: QuerySet[AuditRecord]) -> HttpResponseBase:
        """What was ticked."""
        return _exported(records)

    def get_fields(self, request: HttpRequest, obj: AuditRecord | None = None) -> tuple[str, ...]:
        """Those that have something to show: a call has no event, and an event no path."""
        return tuple(name for name in self.fields if self._value(name, obj) not in ("", NOTHING))

    def _value(self, name: str, record: AuditRecord | None) -> Any:
        return getattr(self, name)(record) if hasattr(self, name) else getattr(record, name, "")

    def get_urls(self) -> list[URLPattern]:
        """The pages, and the export."""
        export = path("export/", self.admin_site.admin_view(self.export), name="audit_auditrecord_export")
        return [export, *super().get_urls()]

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """All records that the list's filters leave. Raises PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        listed = self.get_changelist_instance(request)
        return _exported(listed.queryset)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list with its filters."""
        return FilteredList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list; callers that there are go with the form."""
        callers = {"first_callers": first_callers(LISTED_CALLERS), **(extra_context or {})}
        return super().changelist_view(request, callers)

    def has_view_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        """Django's permission, and what `GET /audit` asks for."""
        return super().has_view_permission(request, obj) and _may_read(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False


def _may_read(request: HttpRequest) -> bool:
    return PERSON_MAY.get()(request, "audit", "GET")


def _exported(records: QuerySet[AuditRecord]) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        ndjson_pieces(records),
        content_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="audit.ndjson"', "Cache-Control": "no-store"},
    )
