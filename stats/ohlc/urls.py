"""The URL of `/stats/ohlc`, served below /api/v1 and /v1."""

from django.urls import re_path

from stats.ohlc.views import OhlcViewSet

urlpatterns = [
    re_path(r"^stats/ohlc/?\Z", OhlcViewSet.as_view({"get": "list"}), name="ohlc"),
]
