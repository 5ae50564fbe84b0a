"""Backfills in the admin: they can be read and filtered, not changed."""

from django.contrib import admin

from jobs.backfills.models import Backfill
from store.timestamps import format_timestamp
from web.read_only_admin import ReadOnlyAdmin


@admin.register(Backfill)
class BackfillAdmin(ReadOnlyAdmin):
    """The read-only list and page of gaps for which sources were asked, newest first."""

    list_display = ("symbol", "start", "end", "state", "source", "rows", "attempts", "asked_at", "retry_at")
    list_filter = ("state", "source", "dataset")
    search_fields = ("=symbol", "=job")
    date_hierarchy = "asked_at"
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
