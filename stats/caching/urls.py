from django.urls import re_path

from stats.caching.views import CacheViewSet

urlpatterns = [
    re_path(r"^cache/stats/?\Z", CacheViewSet.as_view({"get": "stats"}), name="cache-stats"),
    re_path(r"^cache/invalidate/?\Z", CacheViewSet.as_view({"post": "invalidate"}), name="cache-invalidate"),
]
