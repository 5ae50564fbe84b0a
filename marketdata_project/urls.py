"""The URLs of all endpoints. A version is a prefix; the first two paths are also served below /v1."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularSwaggerSplitView

from audit.urls import urlpatterns as audit_urlpatterns
from marketdata_project.guides import guide, guides
from marketdata_project.monitoring import healthz, metrics, readyz
from marketdata_project.pages import errors, home, stylesheet
from marketdata_project.schema_view import SchemaView
from ratelimit.urls import urlpatterns as access_urlpatterns
from stats.caching.urls import urlpatterns as cache_urlpatterns
from stats.market_data.urls import market_data_urlpatterns
from stats.ohlc.urls import urlpatterns as ohlc_urlpatterns
from stats.sessions.urls import urlpatterns as session_urlpatterns
from trades.urls import dataset_urlpatterns, instrument_urlpatterns
from trades.urls import urlpatterns as trades_urlpatterns

documentation = [
    re_path(r"^schema/?\Z", SchemaView.as_view(), name="schema"),
    re_path(
        r"^docs/?\Z",
        SpectacularSwaggerSplitView.as_view(
            url_name="schema", authentication_classes=[], permission_classes=[], throttle_classes=[]
        ),
        name="docs",
    ),
    re_path(r"^docs/errors/?\Z", errors, name="errors"),
    re_path(r"^docs/guide/?\Z", guides, name="guides"),
    re_path(r"^docs/guide/(?P<guide>[a-z_]+)/?\Z", guide, name="guide"),
]

market_data = [*trades_urlpatterns, *ohlc_urlpatterns]
only_v1 = [
    *market_data,
    *dataset_urlpatterns,
    *instrument_urlpatterns,
    *market_data_urlpatterns,
    *cache_urlpatterns,
    *session_urlpatterns,
    *access_urlpatterns,
    *audit_urlpatterns,
    *documentation,
]

urlpatterns = [
    path("", home, name="home"),
    path("style.css", stylesheet, name="stylesheet"),
    re_path(r"^healthz/?\Z", healthz, name="healthz"),
    re_path(r"^readyz/?\Z", readyz, name="readyz"),
    re_path(r"^metrics/?\Z", metrics, name="metrics"),
    path("api/v1/", include(only_v1)),
    path("v1/", include((market_data, "v1"))),
    path("", include((documentation, "root"))),
    path("admin/", admin.site.urls),
    path("login/", include("rest_framework.urls")),
]

handler400 = "marketdata_project.problems.bad_request"
handler403 = "marketdata_project.problems.forbidden"
handler404 = "marketdata_project.problems.not_found"
handler500 = "marketdata_project.problems.server_error"
