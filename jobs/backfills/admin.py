"""Backfills in the admin: they can be read and filtered, not changed."""

from django.contrib import admin
from django.http import HttpRequest

from jobs.backfills.models import Backfill
from store.timestamps import format_timestamp


@admin.register(Backfill)
class BackfillAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """The read-only list and page of gaps for which sources were asked, newest first."""

    list_display = ("symbol", "start", "end", "state", "source", "rows", "attempts", "asked_at", "retry_at")
    list_filter = ("state", "source", "dataset")
    search_fields = ("=symbol", "=job")
    date_hierarchy = "asked_at"
    ordering = ("-id",)
    list_per_page = 100
    fields = (
        "dataset", "symbol", "start", "end", "state", "message", "source", "source_commit", "commit", "rows", "told",
        "job", "attempts", "retry_at", "asked_at",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="start")
    def start(self, backfill: Backfill) -> str:
        return format_timestamp(backfill.start_ns)

    @admin.display(description="end")
    def end(self, backfill: Backfill) -> str:
        return format_timestamp(backfill.end_ns)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Backfill | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Backfill | None = None) -> bool:
        return False
