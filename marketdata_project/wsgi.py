"""The WSGI application for other servers. `manage.py serve` does not use it, because it has an ASGI front."""

import atexit
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata_project.settings.production")

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

_django = get_wsgi_application()

from audit.services import anonymous_refusals  # noqa: E402 needs Django's apps
from ratelimit.keys.selectors import start_last_used_writer  # noqa: E402 as above
from ratelimit.limits.limiter import start_quota_writer  # noqa: E402 as above
from web.proxies import trusted_environ  # noqa: E402 as above
from web.requests.received import call_in  # noqa: E402 as above

start_last_used_writer()
start_quota_writer()
atexit.register(anonymous_refusals().close)


def application(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
    """Apply trusted proxies' headers and pass the request to Django."""
    trusted_environ(environ)
    call_in(environ)
    return _django(environ, start_response)
