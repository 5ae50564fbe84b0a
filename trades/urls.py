from django.urls import URLPattern, re_path

from trades.datasets import DATASETS, TRADES, Dataset
from trades.views import ingest_view


def _ingest(dataset: Dataset) -> URLPattern:
    path = dataset.name.replace("_", "-")
    view = ingest_view(dataset).as_view({"post": "ingest"})
    return re_path(rf"^{path}/ingest/?$", view, name=f"{path}-ingest")


urlpatterns = [_ingest(TRADES)]
dataset_urlpatterns = [_ingest(dataset) for dataset in DATASETS.values() if dataset is not TRADES]
