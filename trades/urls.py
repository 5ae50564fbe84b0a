from django.urls import URLPattern, re_path

from store.datasets import DATASETS, TRADES
from store.declarations import Dataset
from trades.condition_views import ConditionsViewSet
from trades.corrections import CorrectionsViewSet
from trades.ingest import ingest_view
from trades.instruments.views import InstrumentsViewSet


def _ingest(dataset: Dataset) -> URLPattern:
    path = dataset.name.replace("_", "-")
    view = ingest_view(dataset).as_view({"post": "ingest"})
    return re_path(rf"^{path}/ingest/?\Z", view, name=f"{path}-ingest")


urlpatterns = [
    _ingest(TRADES),
    re_path(
        r"^trades/corrections/?\Z", CorrectionsViewSet.as_view({"post": "correct"}), name="trades-corrections"
    ),
]
instrument_urlpatterns = [
    re_path(r"^instruments/?\Z", InstrumentsViewSet.as_view({"get": "list"}), name="instruments"),
    re_path(
        r"^instruments/(?P<symbol>[\s\S]+?)/?\Z",
        InstrumentsViewSet.as_view({"get": "retrieve", "put": "update"}),
        name="instrument",
    ),
    re_path(r"^conditions/?\Z", ConditionsViewSet.as_view({"get": "list"}), name="conditions"),
]
dataset_urlpatterns = [_ingest(dataset) for dataset in DATASETS.values() if dataset is not TRADES]
