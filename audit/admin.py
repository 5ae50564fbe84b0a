"""The audit log in the admin: records can be read, filtered and exported, not changed.

Its queries stay fast in a table of many millions of rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property  # noqa: TID251 the audit log imports nothing of the store, and a form is short
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from audit.models import AuditRecord
from audit.needs import CALLER_NAMES, PERSON_MAY
from audit.reading.export import ndjson_pieces
from audit.reading.filters import AuditFilter
from audit.reading.views import AuditViewSet

_ESCAPED = re.compile("%(2C|2F|3A)", re.IGNORECASE)
"""Escapes that mean the same as their characters in a path and in a query: a comma, a slash and a colon."""
NOTHING = SafeString("-")
"""Shown for an empty value."""
_CHANGE_HEAD = SafeString(
    "<thead><tr><th scope='col'>Place</th><th scope='col'>Before</th><th scope='col'>After</th></tr></thead>"
)


def _parsed(detail: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(detail) if detail else {}
    return parsed


def _value(change: dict[str, Any], name: str) -> SafeString:
    return (
        format_html("<code>{}</code>", json.dumps(change[name], ensure_ascii=False))
        if name in change
        else NOTHING
    )


def _block(document: Any) -> SafeString:
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return format_html("<pre class='audit-document'>{}</pre>", text)


COUNTED_RECORDS = 10_000
# Generic for the type checker only: at run time these classes of Django cannot be subscripted.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[AuditRecord]
    _Paginator = Paginator[AuditRecord]
else:
    _ModelAdmin = admin.ModelAdmin
    _Paginator = Paginator


class BoundedPaginator(_Paginator):
    """Counts at most COUNTED_RECORDS records. To see older records, use the filters."""

    @cached_property
    def count(self) -> int:
        records = cast("QuerySet[AuditRecord]", self.object_list)
        return records[:COUNTED_RECORDS].count()


class FilteredList(ChangeList):
    """A list with the filters of `GET /audit`."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Return the parameters for Django's own filter, the date hierarchy."""
        parameters = super().get_filters_params(params)
        return {name: value for name, value in parameters.items() if name not in AuditFilter.base_filters}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the records that match all filters. If a filter's value is invalid, return none; the form says why."""
        self.filters = AuditFilter(request.GET, super().get_queryset(request, exclude_parameters))
        return cast(
            "QuerySet[Any]", self.filters.qs if self.filters.is_valid() else AuditRecord.objects.none()
        )

    def get_results(self, request: HttpRequest) -> None:
        """Read the page's records, and the names of its callers."""
        super().get_results(request)
        self.result_list = list(self.result_list)
        names = CALLER_NAMES.get()({record.caller for record in self.result_list})
        for record in self.result_list:
            record.caller_name = names.get(record.caller, "")

    @property
    def chosen_filters(self) -> bool:
        """Return whether any filter is in use."""
        return any(name in AuditFilter.base_filters for name in self.params)

    @property
    def unrelated(self) -> list[tuple[str, str]]:
        """Return the parameters that stay when filters change: the date and the search."""
        return [(name, value) for name, value in self.params.items() if name not in AuditFilter.base_filters]


@admin.register(AuditRecord)
class AuditRecordAdmin(_ModelAdmin):
    """The read-only list and page of records."""

    list_display = (
        "sequence",
        "when",
        "caller_shown",
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
        """Return when the call began, to the microsecond, UTC."""
        return f"{record.at:%Y-%m-%d %H:%M:%S.%fZ}"

    @admin.display(description="caller")
    def caller_shown(self, record: AuditRecord) -> str:
        """The caller's name, if it is known, and the caller."""
        name = getattr(record, "caller_name", "")
        return f"{name} ({record.caller})" if name else record.caller

    @admin.display(description="what")
    def what(self, record: AuditRecord) -> str:
        """Method, path and query of a call, or an event and its subject."""
        if record.event:
            return f"{record.event} {record.subject}"
        query = f"?{record.query}" if record.query else ""
        return f"{record.method} {_ESCAPED.sub(lambda found: chr(int(found[1], 16)), record.path + query)}"

    @admin.display(description="status")
    def status_shown(self, record: AuditRecord) -> str:
        """Return the answer's status; "-" for an event."""
        return str(record.status) if record.status else "-"

    @admin.display(description="took")
    def took(self, record: AuditRecord) -> str:
        """Return milliseconds until the answer was ready; "-" for an event."""
        return f"{record.latency_us / 1000:,.1f} ms" if record.status else "-"

    @admin.display(description="what changed")
    def change(self, record: AuditRecord) -> SafeString:
        """Return a table of the changed members, before and after."""
        changes = _parsed(record.detail).get("change")
        if not changes:
            return NOTHING
        rows = format_html_join(
            "",
            "<tr><th scope='row'>{}</th><td class='audit-before'>{}</td><td class='audit-after'>{}</td></tr>",
            ((each["path"], _value(each, "before"), _value(each, "after")) for each in changes),
        )
        return format_html("<table class='audit-change'>{}<tbody>{}</tbody></table>", _CHANGE_HEAD, rows)

    @admin.display(description="what was sent")
    def body(self, record: AuditRecord) -> SafeString:
        """Return the body, masked."""
        detail = _parsed(record.detail)
        return _block(detail["body"]) if "body" in detail else NOTHING

    @admin.display(description="more")
    def more(self, record: AuditRecord) -> SafeString:
        """Return the members of the detail except change and body."""
        others = {name: v for name, v in _parsed(record.detail).items() if name not in ("change", "body")}
        return _block(others) if others else NOTHING

    @admin.action(description="Export the selected records as NDJSON", permissions=["view"])
    def export_selected(self, request: HttpRequest, records: QuerySet[AuditRecord]) -> HttpResponseBase:
        """Download the ticked records."""
        return self._exported(request, records)

    def get_fields(self, request: HttpRequest, obj: AuditRecord | None = None) -> tuple[str, ...]:
        """Return the fields that are not empty. A call has no event; an event has no path."""
        return tuple(name for name in self.fields if self._value(name, obj) not in ("", NOTHING))

    def _value(self, name: str, record: AuditRecord | None) -> Any:
        return getattr(self, name)(record) if hasattr(self, name) else getattr(record, name, "")

    def _exported(self, request: HttpRequest, records: QuerySet[AuditRecord]) -> StreamingHttpResponse:
        def pieces() -> Iterator[bytes]:
            for piece in ndjson_pieces(records):
                if not self._may_go_on(request):
                    raise PermissionDenied
                yield piece

        return StreamingHttpResponse(
            pieces(),
            content_type="application/x-ndjson",
            headers={
                "Content-Disposition": 'attachment; filename="audit.ndjson"',
                "Cache-Control": "no-store",
            },
        )

    def _may_go_on(self, request: HttpRequest) -> bool:
        """Return whether the request's session is still that of a person who may see the records."""
        again, sessions = HttpRequest(), type(request.session)
        again.session = sessions(request.session.session_key)
        again.user = get_user(again)
        return self.has_view_permission(again)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list with its filters."""
        return FilteredList

    def has_view_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        """Return whether the user has Django's view permission and may call `GET /audit`."""
        return super().has_view_permission(request, obj) and PERSON_MAY.get()(
            request, AuditViewSet.access["list"]
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditRecord | None = None) -> bool:
        return False
