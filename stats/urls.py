from django.urls import re_path

from stats.sessions.views import CalendarViewSet, ClockViewSet
from stats.views import CacheViewSet, OhlcViewSet

urlpatterns = [
    re_path(r"^stats/ohlc/?\Z", OhlcViewSet.as_view({"get": "list"}), name="ohlc"),
]

# Below /api/v1 only; /v1 serves the two paths that came first.
cache_urlpatterns = [
    re_path(r"^cache/stats/?\Z", CacheViewSet.as_view({"get": "stats"}), name="cache-stats"),
    re_path(r"^cache/invalidate/?\Z", CacheViewSet.as_view({"post": "invalidate"}), name="cache-invalidate"),
]

session_urlpatterns = [
    re_path(r"^calendar/?\Z", CalendarViewSet.as_view({"get": "retrieve"}), name="calendar"),
    re_path(r"^clock/?\Z", ClockViewSet.as_view({"get": "retrieve"}), name="clock"),
]
