"""A machine of one's own whose webhooks wait for seconds only."""

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.development import INSTALLED_APPS as BASE_APPS

INSTALLED_APPS = [*BASE_APPS, "tests.system.short_webhooks.ShortWebhooks"]
