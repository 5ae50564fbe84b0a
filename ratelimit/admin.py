from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from ratelimit.models import ApiKey
from ratelimit.services import key_revoke


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Keys to look at and to revoke; `manage.py apikey create` makes them, because a key is shown once."""

    list_display = ("id", "name", "prefix", "tier", "rate", "created_at", "expires_at", "revoked_at")
    list_filter = ("tier",)
    search_fields = ("name", "prefix")
    fields = ("name", "prefix", "tier", "rate", "scopes", "created_at", "expires_at", "revoked_at")
    readonly_fields = fields
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        now = timezone.now()
        for key in queryset:
            key_revoke(key=key, now=now)
        self.message_user(request, f"Revoked: {len(queryset)}. This is effective everywhere within a second.")
