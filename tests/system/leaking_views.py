"""The service with one more page, which fails with all that it was sent in its error."""

from typing import NoReturn

from django.http import HttpRequest
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from marketdata_project.urls import (  # noqa: F401 Django looks for them beside the patterns
    handler400,
    handler403,
    handler404,
    handler500,
)
from marketdata_project.urls import urlpatterns as served

PATH = "/api/v1/says-it-all"


@csrf_exempt
def say_it_all(request: HttpRequest) -> NoReturn:
    raise RuntimeError(f"{request.get_full_path()} {dict(request.headers)} {request.body!r}")


urlpatterns = [*served, path(PATH[1:], say_it_all)]
