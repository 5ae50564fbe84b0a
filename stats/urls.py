from django.urls import re_path

from stats.views import CacheViewSet, OhlcViewSet

urlpatterns = [
    re_path(r"^stats/ohlc/?$", OhlcViewSet.as_view({"get": "list"}), name="ohlc"),
]

# Below /api/v1 only; /v1 serves the two paths that came first.
cache_urlpatterns = [
    re_path(r"^cache/stats/?$", CacheViewSet.as_view({"get": "stats"}), name="cache-stats"),
    re_path(r"^cache/invalidate/?$", CacheViewSet.as_view({"post": "invalidate"}), name="cache-invalidate"),
]
