"""Backfills in the admin: they can be read and filtered, not changed."""

from django.contrib import admin

from jobs.backfills.models import Backfill
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
