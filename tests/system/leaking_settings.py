"""A machine of one's own with pages whose failure says everything that was sent, into the log."""

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base

ROOT_URLCONF = "tests.system.leaking_views"
