"""Sources in the admin: what was fetched from where can be read and deleted, not changed."""

from django.contrib import admin

from sources.models import FetchedLog
from web.read_only_admin import ReadOnlyAdmin


@admin.register(FetchedLog)
class FetchedLogAdmin(ReadOnlyAdmin):
    """The read-only list of what is fetched."""

    list_display = ("source_symbol", "dataset", "resolution", "is_fed")
    list_filter = ("dataset", "source_symbol__source")
    search_fields = ("=source_symbol__symbol",)
