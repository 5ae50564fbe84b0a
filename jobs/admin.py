"""Jobs in the admin: they can be read and filtered, not changed."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.kinds import JOB_KINDS
from jobs.models import Job
from web.read_only_admin import ReadOnlyAdmin


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """The read-only list and page of jobs, newest first."""

    # As many columns as fit beside the filters. A job's own page has the rest.
    list_display = ("kind", "state", "progress", "created_by", "created_at", "finished_at", "uuid")
    list_filter = ("state", "kind")
    search_fields = ("=uuid", "created_by", "owner", "correlation_id")
    date_hierarchy = "created_at"
    fields = (
        "uuid", "kind", "state", "progress", "parameters", "result", "error", "preview", "note", "attempts", "urgency",
        "cancel_requested", "owner", "created_by", "correlation_id", "once_key", "created_at", "not_before",
        "sent_at", "started_at", "leased_until", "asked_at", "confirmed_at", "finished_at",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="progress")
    def progress(self, job: Job) -> SafeString:
        """Return a bar and the counts; only the counts while the total is unknown."""
        kind = JOB_KINDS.get().get(job.kind)
        unit = "" if kind is None else kind.unit
        if not job.total:
            return format_html("{} {}", f"{job.done:,}", unit)
        counts = f"{job.done:,} of {job.total:,} {unit}"
        return format_html("<progress max='{}' value='{}'></progress> {}", job.total, job.done, counts)
