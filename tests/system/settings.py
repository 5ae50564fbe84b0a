"""The development settings of a server that a test starts, with the switches that the test sets in its environment.

TEST_APP: one more application. TEST_URLS: other urls. TEST_STORE_DIR: a folder of market data that several hosts share.
TEST_FAILING_DISK: the store's disk fails while the file `syncs-fail` is in DATA_DIR. TEST_OWN_CLOCKS: each process has
a clock of its own; libfaketime reads its offset from a file named by the process's number. TEST_CHEAP_CALLS: passwords
and calls cost next to nothing.
"""

import os

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.development import DATA_DIR, INSTALLED_APPS, MARKET_STORES

if app := os.environ.get("TEST_APP"):
    INSTALLED_APPS = [*INSTALLED_APPS, app]
if urls := os.environ.get("TEST_URLS"):
    ROOT_URLCONF = urls
if folder := os.environ.get("TEST_STORE_DIR"):
    MARKET_STORES = {"default": {**MARKET_STORES["default"], "OPTIONS": {"path": folder}}}
if "TEST_FAILING_DISK" in os.environ:
    from tests.faults.failing_disk import RecordSyncFails

    disk = RecordSyncFails(DATA_DIR / "syncs-fail")
    MARKET_STORES = {
        "default": {"BACKEND": "store.csv.CsvStore", "OPTIONS": {"path": DATA_DIR, "disk": disk}}
    }
if "TEST_OWN_CLOCKS" in os.environ:

    def _take_own_clock() -> None:
        os.environ["FAKETIME_TIMESTAMP_FILE"] = str(DATA_DIR.parent / f"clock-{os.getpid()}")

    _take_own_clock()
    os.register_at_fork(after_in_child=_take_own_clock)
if "TEST_CHEAP_CALLS" in os.environ:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    PROCESSOR_MS_PER_TOKEN = 0
