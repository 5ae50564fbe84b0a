"""The table of contents. A version is a prefix; the first two paths are also served below /v1."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from marketdata_project.health import healthz, readyz
from marketdata_project.pages import errors, home, stylesheet
from stats.urls import cache_urlpatterns
from stats.urls import urlpatterns as stats_urlpatterns
from trades.urls import dataset_urlpatterns
from trades.urls import urlpatterns as trades_urlpatterns

documentation = [
    re_path(
        r"^schema/?$",
        SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[], throttle_classes=[]),
        name="schema",
    ),
    re_path(
        r"^docs/?$",
        SpectacularSwaggerView.as_view(
            url_name="schema", authentication_classes=[], permission_classes=[], throttle_classes=[]
        ),
        name="docs",
    ),
    re_path(r"^docs/errors/?$", errors, name="errors"),
]

market_data = [*trades_urlpatterns, *stats_urlpatterns]

urlpatterns = [
    path("", home, name="home"),
    path("style.css", stylesheet, name="stylesheet"),
    re_path(r"^healthz/?$", healthz, name="healthz"),
    re_path(r"^readyz/?$", readyz, name="readyz"),
    path("api/v1/", include([*market_data, *dataset_urlpatterns, *cache_urlpatterns, *documentation])),
    path("v1/", include((market_data, "v1"))),
    path("", include((documentation, "root"))),
    path("admin/", admin.site.urls),
    path("login/", include("rest_framework.urls")),
]

handler400 = "marketdata_project.problems.bad_request"
handler403 = "marketdata_project.problems.forbidden"
handler404 = "marketdata_project.problems.not_found"
handler500 = "marketdata_project.problems.server_error"
