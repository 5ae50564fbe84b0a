"""The service with one more page, which fails: what a client then sees must say nothing of why."""

from typing import NoReturn
from unittest.mock import patch

from django.conf import settings
from django.http import HttpRequest
from django.urls import path

from marketdata_project.urls import (  # noqa: F401 Django looks for them beside the patterns
    handler400,
    handler403,
    handler404,
    handler500,
)
from marketdata_project.urls import urlpatterns as served

PATH = "/fails-on-purpose"
SECRET = "swordfish of the hostile tests"
if __name__ == settings.ROOT_URLCONF:
    # No worker runs jobs of the service, so all that were ever asked for wait. Tests that import this keep the bound.
    patch("jobs.views.require_room").start()


def fail(_request: HttpRequest) -> NoReturn:
    raise RuntimeError(SECRET)


urlpatterns = [*served, path(PATH[1:], fail)]
