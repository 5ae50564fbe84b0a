"""A machine of one's own with further kinds of jobs. STORE_DIR: a folder of market data that several hosts share."""

import os

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.development import INSTALLED_APPS as BASE_APPS
from marketdata_project.settings.development import MARKET_STORES as BASE_STORES

INSTALLED_APPS = [*BASE_APPS, "tests.system.more_jobs.MoreJobs"]
if "STORE_DIR" in os.environ:
    MARKET_STORES = {
        **BASE_STORES,
        "default": {**BASE_STORES["default"], "OPTIONS": {"path": os.environ["STORE_DIR"]}},
    }
