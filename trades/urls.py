from django.urls import re_path

from trades.views import TradesViewSet

urlpatterns = [
    re_path(r"^trades/ingest/?$", TradesViewSet.as_view({"post": "ingest"}), name="trades-ingest"),
]
