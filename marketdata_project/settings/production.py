"""A service that others rely on: secrets come from outside, and the start is refused without them."""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from marketdata_project.settings.base import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.base import MIDDLEWARE, env


def _required_secret(name: str) -> str:
    """The secret in the variable `name`, or in the file that `name`_FILE names."""
    file = env.str(f"{name}_FILE", "")
    secret = Path(file).read_text().strip() if file else env.str(name, "")
    if not secret:
        raise ImproperlyConfigured(
            f"{name} (or {name}_FILE) is not set, and production does not start without it"
        )
    return secret


SECRET_KEY = _required_secret("SECRET_KEY")
DEBUG = False
# Its redirects and refusals have a correlation id, too.
MIDDLEWARE = [
    MIDDLEWARE[0],
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    *MIDDLEWARE[1:],
]
# CSRF is checked, by a subclass of the middleware that the check looks for.
SILENCED_SYSTEM_CHECKS = ["security.W003"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", False) else None
SECURE_REDIRECT_EXEMPT = [r"^healthz/?$", r"^readyz/?$"]
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
