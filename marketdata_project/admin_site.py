"""The admin under our name, with its lists in the order of use."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest, HttpResponse

_NAME = "Market data"
# Lists that are missing here come last, by name.
_ORDER = (
    "audit.AuditRecord",
    "ratelimit.ApiKey",
    "ratelimit.AccessProfile",
    "jobs.Job",
    "trades.InstrumentEntry",
    "webhooks.Webhook",
    "webhooks.WebhookEvent",
    "webhooks.Delivery",
    "webhooks.MarketAlert",
    "trading.Account",
    "trading.OrderRow",
    "trading.ExecutionRow",
    "trading.TransactionRow",
    "auth.User",
    "auth.Group",
)


class MarketDataAdminConfig(AdminConfig):
    """Makes MarketDataAdminSite the site that models are registered with."""

    default_site = "marketdata_project.admin_site.MarketDataAdminSite"


class MarketDataAdminSite(AdminSite):
    """The admin's site. The links in its header stand in the template `admin/base_site.html`."""

    site_header = _NAME
    site_title = _NAME
    index_title = "Records, keys, jobs, instruments"
    site_url = None

    def password_change(  # type: ignore[override]  # the stubs forget that it redirects
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show Django's page of one's own password, and record a changed password."""
        from ratelimit.admin.people import password_recorded  # noqa: PLC0415 needs the apps

        page = super().password_change
        return password_recorded(request, str(request.user.pk), lambda: page(request, extra_context))

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the apps in the order of their first list, each with its lists in order."""
        apps: list[Any] = super().get_app_list(request, app_label)
        for app in apps:
            app["models"].sort(key=_place)
        return sorted(apps, key=lambda app: min(map(_place, app["models"])))


def _place(listed: dict[str, Any]) -> int:
    label = listed["model"]._meta.label  # noqa: SLF001 Django's documented name
    return _ORDER.index(label) if label in _ORDER else len(_ORDER)
