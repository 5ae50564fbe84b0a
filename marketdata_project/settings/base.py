"""What every environment shares. Environment variables are read in this folder and nowhere else in the program.

`docs/settings.md` lists each variable with its meaning and default.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

import environ
from django.core.exceptions import ImproperlyConfigured

from marketdata_project.redis_connection import connection_class_for

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parents[2]


def _integer(name: str, default: int) -> int:
    try:
        return int(env.int(name, default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a whole number: {os.environ[name]!r}") from error


HOST = env.str("HOST", "127.0.0.1")
PORT = _integer("PORT", 8000)
WORKERS = _integer("WORKERS", os.cpu_count() or 1)
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / "data"))).resolve()
RUN_DIR = DATA_DIR / "run"
AUDIT_DIR = DATA_DIR / "audit"
LOAD_SAMPLE = env.bool("LOAD_SAMPLE", True)
DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"])


def _redis_socket(run_dir: Path) -> Path:
    """The embedded Redis's socket; the kernel takes at most 107 bytes, so a deep folder gets a short path."""
    wanted = run_dir / "redis.sock"
    if len(os.fsencode(wanted)) <= 107:
        return wanted
    digest = hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:16]
    name = f"marketdata-{os.getuid()}-{digest}/redis.sock"
    short = Path(tempfile.gettempdir()) / name
    return short if len(os.fsencode(short)) <= 107 else Path("/tmp") / name  # noqa: S108 the folder is made private


REDIS_SOCKET = _redis_socket(RUN_DIR)
REDIS_URL = env.str("REDIS_URL", "")
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL begins with redis://, rediss:// or unix://")
REDIS_EMBEDDED = not REDIS_URL
REDIS_LOCATION = REDIS_URL or f"unix://{quote(str(REDIS_SOCKET))}?db=0"
REDIS_TIMEOUT_SECONDS = 0.25

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "marketdata_project",
    "trades",
    "stats",
    "ratelimit",
    "audit",
]

MIDDLEWARE = [
    "marketdata_project.correlation.CorrelationMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "audit.middleware.AuditMiddleware",
    "ratelimit.headers.RateLimitHeadersMiddleware",
    "marketdata_project.problems.ProblemMiddleware",
    "marketdata_project.browser_sessions.SessionMiddleware",
    "marketdata_project.browser_sessions.CsrfViewMiddleware",
    "marketdata_project.browser_sessions.AuthenticationMiddleware",
    "marketdata_project.browser_sessions.MessageMiddleware",
]

ROOT_URLCONF = "marketdata_project.urls"
WSGI_APPLICATION = "marketdata_project.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "marketdata_project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": env.db_url("DATABASE_URL")
    if env.str("DATABASE_URL", "")
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA_DIR / "marketdata.sqlite3")},
}
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 10,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_LOCATION,
        "OPTIONS": {
            "SERIALIZER": "stats.caching.serializer.BytesSerializer",
            "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT_SECONDS,
            "SOCKET_TIMEOUT": REDIS_TIMEOUT_SECONDS,
            "CONNECTION_POOL_KWARGS": {"connection_class": connection_class_for(REDIS_LOCATION)},
        },
        "KEY_FUNCTION": "stats.caching.keys.verbatim",
    },
}

MARKET_STORES = {
    "default": {"BACKEND": "trades.storage.csv.CsvStore", "OPTIONS": {"path": DATA_DIR}},
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "ratelimit.authentication.ApiKeyAuthentication",
        "ratelimit.authentication.StaffSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["ratelimit.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["ratelimit.throttles.TokenBucketThrottle"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["trades.parsers.JSONDocumentParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "marketdata_project.negotiation.ContentNegotiation",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "marketdata_project.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Market data API",
    "DESCRIPTION": "Trades in, bars out: exact, durable, fast.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "PREPROCESSING_HOOKS": ["marketdata_project.openapi.canonical_paths"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "marketdata_project.openapi.add_problems",
    ],
}

# Counters of all processes add up through files here; the library looks for its folder in the environment.
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(RUN_DIR / "metrics"))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"correlation": {"()": "marketdata_project.correlation.CorrelationFilter"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s [%(correlation_id)s] %(message)s"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "filters": ["correlation"], "formatter": "line"},
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
    # Each 4xx is in the audit record; a line for each would let any client fill the log.
    "loggers": {"django.request": {"level": "ERROR"}, "django.security": {"level": "ERROR"}},
}

MAX_BODY_BYTES = 32 * 2**20
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
