"""The development settings with `UngroupedStore`."""

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.development import DATA_DIR

MARKET_STORES = {"default": {"BACKEND": "benchmarks.ungrouped.UngroupedStore", "OPTIONS": {"path": DATA_DIR}}}
