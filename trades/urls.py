from django.urls import re_path

from trades.correction_views import CorrectionsViewSet
from trades.views import TradesViewSet

urlpatterns = [
    re_path(r"^trades/ingest/?$", TradesViewSet.as_view({"post": "ingest"}), name="trades-ingest"),
    re_path(
        r"^trades/corrections/?$", CorrectionsViewSet.as_view({"post": "correct"}), name="trades-corrections"
    ),
]
