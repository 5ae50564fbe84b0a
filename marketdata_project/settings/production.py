"""Production settings. They require secrets from the environment or files."""

from django.core.exceptions import ImproperlyConfigured

from marketdata_project.settings.base import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.base import AUDIT_KEY, BEHIND_TLS_PROXY, SIGNING_SECRET, TRUSTED_PROXIES
from marketdata_project.settings.environment import checked_secret, env, required_secret, secrets_list

SECRET_KEY = required_secret("SECRET_KEY")
# Earlier secret keys. They still decrypt and verify while SECRET_KEY is being replaced.
SECRET_KEY_FALLBACKS = secrets_list("SECRET_KEY_FALLBACKS")
for _name, _value in (("AUDIT_KEY", AUDIT_KEY), ("SIGNING_SECRET", SIGNING_SECRET)):
    if _value:
        checked_secret(_name, _value)
DEBUG = False
# security.W003 does not recognise our subclass of the CSRF middleware.
SILENCED_SYSTEM_CHECKS = ["security.W003"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", True)
if BEHIND_TLS_PROXY and not TRUSTED_PROXIES:
    raise ImproperlyConfigured(
        "BEHIND_TLS_PROXY needs TRUSTED_PROXIES: the addresses of the proxies whose X-Forwarded-Proto counts"
    )
# Safe: `web.proxies` removes the header unless a trusted proxy wrote it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS_PROXY else None
# Load balancers, the supervisor and Prometheus use plain HTTP for these.
SECURE_REDIRECT_EXEMPT = [r"^healthz/?$", r"^readyz/?$", r"^metrics/?$"]
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# With this prefix browsers accept the cookies only from this host over TLS; no subdomain can set them.
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken"
# It has a path, so it cannot have the prefix __Host-.
REFRESH_COOKIE_NAME = "__Secure-refresh"
