"""A machine of one's own whose worker has one more duty, the first of all: it reads a pipe that nobody may write to."""

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.development import INSTALLED_APPS as BASE_APPS

INSTALLED_APPS = [*BASE_APPS, "tests.system.slow_duty.SlowDuty"]
