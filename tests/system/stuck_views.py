"""The service with one more page, which waits for a pipe in DATA_DIR that nobody may open."""

from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from marketdata_project.urls import (  # noqa: F401 Django looks for them beside the patterns
    handler400,
    handler403,
    handler404,
    handler500,
)
from marketdata_project.urls import urlpatterns as served

PATH = "/api/v1/never-answers"
PIPE = "never-opened"


def wait_for_pipe(_request: HttpRequest) -> HttpResponse:
    return HttpResponse((Path(settings.DATA_DIR) / PIPE).read_bytes())


urlpatterns = [*served, path(PATH[1:], wait_for_pipe)]
