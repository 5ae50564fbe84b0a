"""The WSGI application, for any other WSGI server than `serve`, whose web processes have the front before Django."""

import atexit
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata_project.settings.production")

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

_django = get_wsgi_application()

from audit.services import anonymous_refusals  # noqa: E402 Django's apps are there now
from http_requests.received import call_in  # noqa: E402 with the rest
from marketdata_project.proxies import trusted_environ  # noqa: E402 and its settings
from ratelimit.keys.last_used import keep_last_uses  # noqa: E402 and its apps

keep_last_uses()
atexit.register(anonymous_refusals().close)


def application(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
    """Django behind the only place where proxies are believed and calls are received."""
    trusted_environ(environ)
    call_in(environ)
    return _django(environ, start_response)
