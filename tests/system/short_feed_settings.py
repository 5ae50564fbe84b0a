"""A machine of one's own whose feeds wait for seconds only, and whose disk and clock have faults."""

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.development import INSTALLED_APPS as BASE_APPS

INSTALLED_APPS = [*BASE_APPS, "tests.system.short_feed.ShortFeed"]
