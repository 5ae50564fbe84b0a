"""A machine of one's own with a page that never answers."""

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base

ROOT_URLCONF = "tests.system.stuck_views"
