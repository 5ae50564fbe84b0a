"""Jobs in the admin: they can be read and filtered, not changed."""

from django.contrib import admin

from jobs.models import Job
from web.read_only_admin import ReadOnlyAdmin


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """The read-only list and page of jobs, newest first."""

    # As many columns as fit beside the filters. A job's own page has the rest.
    list_display = ("kind", "state", "done", "total", "created_by", "created_at", "finished_at", "uuid")
    list_filter = ("state", "kind")
    search_fields = ("=uuid", "created_by", "owner", "correlation_id")
    date_hierarchy = "created_at"
    fields = (
        "uuid", "kind", "state", "done", "total", "parameters", "result", "error", "preview", "note", "attempts", "urgency",
        "cancel_requested", "owner", "created_by", "correlation_id", "once_key", "created_at", "not_before",
        "claimed_at", "started_at", "leased_until", "asked_at", "confirmed_at", "finished_at",
    )  # fmt: skip
    readonly_fields = fields
