"""The development settings over a disk that can be made to fail, for a server of its own."""

from marketdata_project.settings.development import *  # noqa: F403
from marketdata_project.settings.development import DATA_DIR
from tests.faults.failing_disk import RecordSyncFails

SWITCH = "syncs-fail"
MARKET_STORES = {
    "default": {
        "BACKEND": "store.csv.CsvStore",
        "OPTIONS": {"path": DATA_DIR, "disk": RecordSyncFails(DATA_DIR / SWITCH)},
    }
}
