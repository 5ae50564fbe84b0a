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
from stats.caching.views import CacheViewSet
from stats.market_data.datasets import MARKET_REPORTS

PATH = "/fails-on-purpose"
SECRET = "swordfish of the hostile tests"
if __name__ == settings.ROOT_URLCONF:
    # No worker runs jobs of the service, so all that were ever asked for wait. Tests that import this keep the bound.
    patch("jobs.views.require_room", lambda *_, **__: None).start()
    # The tests make keys, and ask every endpoint, as fast as they can.
    patch("ratelimit.keys.services.MOST_KEYS_OF_OWNER", 10**6).start()
    for access in (*CacheViewSet.access.values(), MARKET_REPORTS["gaps"].access_of_symbols):
        object.__setattr__(access, "rate", None)


def fail(_request: HttpRequest) -> NoReturn:
    raise RuntimeError(SECRET)


urlpatterns = [*served, path(PATH[1:], fail)]
