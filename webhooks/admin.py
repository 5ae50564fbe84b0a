"""Webhooks, events, deliveries and alerts in the admin: they can be read and filtered, not changed."""

from typing import ClassVar

from django.contrib import admin

from web.read_only_admin import ReadOnlyAdmin
from webhooks.models import Delivery, MarketAlert, Webhook, WebhookEvent


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ("url", "owner", "state", "paused_because", "failing_since", "retry_at", "created_at")
    list_filter = ("state", "is_callback")
    search_fields = ("=uuid", "owner", "url")
    exclude: ClassVar = ("secret", "old_secret")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("subject", "webhook", "state", "attempts", "status", "error", "next_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("webhook",)
    search_fields = ("=uuid", "=event__uuid", "subject")


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = ("kind", "subject", "owner", "account", "symbol", "created_at", "fanned_out_at")
    list_filter = ("kind",)
    search_fields = ("=uuid", "subject", "owner")


@admin.register(MarketAlert)
class MarketAlertAdmin(ReadOnlyAdmin):
    list_display = ("symbol", "kind", "direction", "value", "seconds", "state", "owner", "fired_at")
    list_filter = ("state", "kind")
    search_fields = ("=uuid", "owner", "symbol")
