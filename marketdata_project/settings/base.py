"""Settings of all environments.

`docs/settings.md` lists each variable with its meaning and default.
"""

import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

from marketdata_project import __version__
from marketdata_project.settings import environment
from marketdata_project.settings.access import *  # noqa: F403 settings by subject
from marketdata_project.settings.environment import env, integer, json_object, secret
from marketdata_project.settings.outbound import *  # noqa: F403 settings by subject
from marketdata_project.settings.transport import *  # noqa: F403 settings by subject
from ops.redis.connection import connection_class_for
from stats.options.rates import DEFAULT_RATES, Rates, parse_rates
from store.commit_clock import AHEAD_SECONDS
from trading.core.terms import Terms, terms_by_class

# The files of secrets that were read, by their variables.
SECRET_FILES = environment.SECRET_FILES

BASE_DIR = Path(__file__).resolve().parents[2]

# Arrow reads this at its first allocation. Its own allocator reserves a GiB at once, so that a limit of memory does not count
# what Arrow uses of it, and keeps 20 MiB for each thread that ever made rows.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

HOST = env.str("HOST", "127.0.0.1")
PORT = integer("PORT", 8000, least=0, most=65_535)
WORKERS = integer("WORKERS", os.cpu_count() or 1, least=1)
WORKER_CORES = env.str("WORKER_CORES", "auto")
WATCHDOG_SECONDS = integer("WATCHDOG_SECONDS", 10)
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / "data"))).resolve()
RUN_DIR = DATA_DIR / "run"
AUDIT_DIR = DATA_DIR / "audit"
ROTATED_KEYS_DIR = Path(env.str("ROTATED_KEYS_DIR", str(DATA_DIR / "rotated_keys"))).resolve()
UPLOADS_DIR = Path(env.str("UPLOADS_DIR", str(DATA_DIR / "uploads"))).resolve()
MAX_UPLOAD_BYTES = integer("MAX_UPLOAD_BYTES", 4 * 2**30)
# How long rows are kept, such as "trades 30 d, quotes 7 d"; "" for ever.
RETENTION = env.str("RETENTION", "")
# Hours after its beginning in which an upload must be complete.
UPLOAD_RETENTION_HOURS = integer("UPLOAD_RETENTION_HOURS", 24)
EXPORTS_DIR = Path(env.str("EXPORTS_DIR", str(DATA_DIR / "exports"))).resolve()
EXPORT_RETENTION_DAYS = integer("EXPORT_RETENTION_DAYS", 7)
# Of all exports of a caller together.
EXPORT_MAX_BYTES = integer("EXPORT_MAX_BYTES", 20 * 2**30)
# Its files are the operator's own strategies: whoever can write there runs code in the server.
STRATEGIES_DIR = Path(env.str("STRATEGIES_DIR", str(DATA_DIR / "strategies"))).resolve()
# Whether `serve` runs the trading engine.
TRADING_ENGINE = env.bool("TRADING_ENGINE", True)
# A strategy that does not answer a call for so long has failed.
STRATEGY_SECONDS = integer("STRATEGY_SECONDS", 10, least=1)
# How many jobs `serve` runs at once; 0 for none.
JOB_THREADS = integer("JOB_THREADS", 8)
JOB_RETENTION_DAYS = integer("JOB_RETENTION_DAYS", 30)
# Jobs that are submitted at set times, by name: {"kind": …, "crontab": "30 2 * * *", "parameters": {…}}; times in UTC.
JOB_SCHEDULES = json_object("JOB_SCHEDULES")
# A webhook whose receiver fails for so long is paused.
WEBHOOK_PAUSE_HOURS = integer("WEBHOOK_PAUSE_HOURS", 72)
WEBHOOK_RETENTION_DAYS = integer("WEBHOOK_RETENTION_DAYS", 30)
# How many hosts run web processes. Without Redis each web process gives its share of every limit.
WEB_HOSTS = integer("WEB_HOSTS", 1)
LOAD_SAMPLE = env.bool("LOAD_SAMPLE", True)
# Only development has a feed of the sample.
SAMPLE_FEED = False
# Only development prints a link that logs in and a first key: what production prints is kept in a log.
LOGIN_LINK = FIRST_KEY = False
# Whether SECRET_KEY is of this data folder alone. Only development makes one.
SECRET_KEY_IS_OWN = False
DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"])
# The prefix of the key that answers for calls of /udf without a credential; without it /udf is off.
UDF_KEY = env.str("UDF_KEY", "")
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
# Request headers that a page of another origin may send, and answer headers that it may read.
CORS_ALLOW_HEADERS = (
    *default_headers,
    "apca-api-key-id",
    "apca-api-secret-key",
    "content-digest",
    "idempotency-key",
    "if-none-match",
    "signature",
    "signature-input",
    "traceparent",
    "tracestate",
    "x-api-key",
    "x-correlation-id",
)
CORS_EXPOSE_HEADERS = [
    "Age",
    "Deprecation",
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Sunset",
    "X-As-Of",
    "X-Cache",
    "X-Commit",
    "X-Correlation-ID",
    "X-Cost",
    "X-Original-Size",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
]


def _redis_socket(run_dir: Path) -> Path:
    """Return the path of the embedded Redis's socket. It has at most 107 bytes, the limit of unix sockets.

    If the path in `run_dir` is longer, the socket is in a temporary folder.
    """
    socket = run_dir / "redis.sock"
    if len(os.fsencode(socket)) <= 107:
        return socket
    digest = hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:16]
    name = f"marketdata-{os.getuid()}-{digest}/redis.sock"
    short = Path(tempfile.gettempdir()) / name
    return short if len(os.fsencode(short)) <= 107 else Path("/tmp") / name  # noqa: S108 the folder is made private


REDIS_SOCKET = _redis_socket(RUN_DIR)
REDIS_URL = secret("REDIS_URL")
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL begins with redis://, rediss:// or unix://")
REDIS_EMBEDDED = not REDIS_URL
REDIS_LOCATION = REDIS_URL or f"unix://{quote(str(REDIS_SOCKET))}?db=0"
REDIS_TIMEOUT_SECONDS = 0.25

INSTALLED_APPS = [
    "marketdata_project.admin_site.MarketDataAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    *(["corsheaders"] if CORS_ALLOWED_ORIGINS else []),
    "marketdata_project",
    "dashboard",
    "trades",
    "stats",
    "ratelimit",
    "audit",
    "web.idempotency",
    "webhooks",
    "sources",
    "jobs",
    "jobs.backfills",
    "trading",
]

MIDDLEWARE = [
    "web.correlation.CorrelationMiddleware",
    # Outside of all that refuse, so that it sees every refusal.
    "marketdata_project.versions.DeprecationMiddleware",
    "marketdata_project.error_shapes.ErrorShapeMiddleware",
    # After CorrelationMiddleware, so that redirects and refusals have a correlation id.
    "marketdata_project.plain_http.PlainHttpMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "marketdata_project.browsers.PagePolicyMiddleware",
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "audit.recording.middleware.AuditMiddleware",
    "ratelimit.limits.middleware.RateLimitMiddleware",
    "marketdata_project.anonymous_clients.AnonymousClientMiddleware",
    "marketdata_project.problems.ProblemMiddleware",
    "marketdata_project.browsers.SessionMiddleware",
    "marketdata_project.browsers.CsrfViewMiddleware",
    "marketdata_project.browsers.AuthenticationMiddleware",
    "marketdata_project.browsers.MessageMiddleware",
]

ROOT_URLCONF = "marketdata_project.urls"
WSGI_APPLICATION = "marketdata_project.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "dashboard" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "marketdata_project.browsers.login_name",
            ],
        },
    },
]

DATABASE_URL = secret("DATABASE_URL")
DATABASES = {
    "default": env.db_url_config(DATABASE_URL)
    if DATABASE_URL
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA_DIR / "marketdata.sqlite3")},
}
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        # Seconds to wait for a locked database. Half of the default WATCHDOG_SECONDS, so that a thread stops waiting
        # before its process is replaced.
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    DATABASES["default"]["ENGINE"] = "ops.postgresql"
    # After each call the connection is another thread's.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    # Client and server each notice within eight seconds that the other one's host is gone. Until then the server keeps locks.
    # While an answer is under way nothing is probed: then the user timeout counts.
    _options: Any = DATABASES["default"].get("OPTIONS", {})
    _keepalive = {"keepalives_idle": 5, "keepalives_interval": 1, "keepalives_count": 3}
    _of_server = {"user_timeout": 5_000, **_keepalive}
    DATABASES["default"]["OPTIONS"] = {
        "tcp_user_timeout": 5_000,
        **_keepalive,
        "options": " ".join(f"-c tcp_{name}={value}" for name, value in _of_server.items()),
        **_options,
    }

_REDIS = {
    "BACKEND": "django_redis.cache.RedisCache",
    "LOCATION": REDIS_LOCATION,
    "KEY_FUNCTION": "ops.redis.client.unchanged_key",
    "OPTIONS": {
        "CLIENT_CLASS": "ops.redis.client.BytesClient",
        "REDIS_CLIENT_CLASS": "ops.redis.client.ThreadRedis",
        "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT_SECONDS,
        "SOCKET_TIMEOUT": REDIS_TIMEOUT_SECONDS,
        "CONNECTION_POOL_KWARGS": {"connection_class": connection_class_for(REDIS_LOCATION)},
    },
}
# `answers` is the shared cache of finished answers. `default`, which Django requires, is the connection for all else.
CACHES = {"default": _REDIS, "answers": _REDIS}

# Without the variable, the store's caches have their own default sizes.
_STORE_MEMORY = {"memory_mib": integer("STORE_MEMORY_MIB", 0)} if "STORE_MEMORY_MIB" in env else {}
_COMMIT_CLOCK = {"clock_ahead_seconds": integer("CLOCK_AHEAD_SECONDS", AHEAD_SECONDS)}
# The URL of a store of several hosts. Without one the market data are files in DATA_DIR.
MARKET_STORE = secret("MARKET_STORE")
if MARKET_STORE and "postgres=" not in MARKET_STORE and DATABASE_URL.startswith("postgres"):
    MARKET_STORE += f"{'&' if '?' in MARKET_STORE else '?'}{urlencode({'postgres': DATABASE_URL})}"
MARKET_STORES = {
    "default": {"BACKEND": "store.backends.store_at", "OPTIONS": {"where": MARKET_STORE, **_COMMIT_CLOCK}}
    if MARKET_STORE
    else {"BACKEND": "store.csv.CsvStore", "OPTIONS": {"path": DATA_DIR, **_STORE_MEMORY, **_COMMIT_CLOCK}},
}
# The maximum size of the finished answers in a process's memory.
ANSWERS_MEMORY_MIB = integer("ANSWERS_MEMORY_MIB", 32)


def _option_rates() -> dict[str, Rates]:
    text = env.str("OPTION_RATES", "")
    try:
        return parse_rates(text) if text else dict(DEFAULT_RATES)
    except ValueError as error:
        raise ImproperlyConfigured(f"OPTION_RATES: {error}") from error


OPTION_RATES = _option_rates()


def _trading_terms() -> dict[str, Terms]:
    try:
        return terms_by_class(json_object("TRADING_TERMS"))
    except ValueError as error:
        raise ImproperlyConfigured(f"TRADING_TERMS: {error}") from error


# The terms of each class that is traded.
TRADING_TERMS = _trading_terms()
# Maps an exchange to the condition map of trades that are sent without `conditions=`: XNYS=cta,XNAS=utp.
EXCHANGE_CONDITIONS = env.dict("EXCHANGE_CONDITIONS", default={})

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "ratelimit.credentials.authentication.CredentialAuthentication",
        "ratelimit.credentials.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["ratelimit.authorize.HasAccess"],
    "DEFAULT_THROTTLE_CLASSES": ["ratelimit.authorize.TokenBucketThrottle"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "stats.rendering.renderers.QueryFormRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["web.requests.parsers.JSONDocumentParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "marketdata_project.negotiation.ContentNegotiation",
    "DEFAULT_SCHEMA_CLASS": "web.schema.ApiSchema",
    "VIEW_NAME_FUNCTION": "web.schema.page_name",
    "VIEW_DESCRIPTION_FUNCTION": "web.schema.page_description",
    "EXCEPTION_HANDLER": "marketdata_project.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Market data API",
    "DESCRIPTION": "Trades in, bars out: exact, durable, fast.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    # What a call needs comes first.
    "SORT_OPERATION_PARAMETERS": lambda each: (not each.get("required"), each["name"]),
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    # JavaScript, because a plugin is no JSON; the page loads the plugin's file.
    "SWAGGER_UI_SETTINGS": """{
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: -1,
  plugins: [resolvePartly],
}""",
    "ENUM_NAME_OVERRIDES": {
        "ClassEnum": "store.instruments.INSTRUMENT_CLASSES",
        "DatasetEnum": "store.datasets.DATASETS",
        "ExportDataset": "stats.market_data.datasets.MARKET_DATASETS",
        "FileFormat": "jobs.exports.query.EXPORT_FORMATS",
        "MarketClass": "stats.market_data.query.MARKET_CLASSES",
        "AccountKind": "trading.documents.accounts.ACCOUNT_KINDS",
        "AccountStatusStatusEnum": "trading.documents.accounts.STATUSES",
        "KindEnum": "store.datasets.ACTION_KINDS",
        "CorrectionActionEnum": ["cancel", "correct"],
        "OpenInterestReportRowStatusEnum": ["preliminary", "final"],
        "StatusChangeRowStatusEnum": ["halted", "resumed"],
        "ConditionEffect": "trades.condition_views.EFFECTS",
        "GapRule": "store.instruments.GAP_RULES",
        "JobState": "jobs.models.STATES",
        "WebhookState": "webhooks.models.STATES",
        "DeliveryState": "webhooks.models.DELIVERY_STATES",
        "AlertState": "webhooks.models.ALERT_STATES",
        "AlertCondition": "webhooks.models.ALERT_CONDITIONS",
        "AlertDirection": "webhooks.models.DIRECTIONS",
        "DirectionEnum": ["LONG", "SHORT"],
        "KeyState": "ratelimit.models.STATES",
        "QuotaNameEnum": "ratelimit.limits.quotas.UNITS",
        "FillEnum": "trading.documents.accounts.FILL_RULES",
        "OrderState": "trading.documents.orders.ORDER_STATES",
        "Scope": "ratelimit.access.scopes.SCOPES",
    },
    "DEFAULT_GENERATOR_CLASS": "marketdata_project.openapi.VersionGenerator",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "marketdata_project.openapi.add_problems",
        "marketdata_project.openapi_tags.order_by_tag",
    ],
}

# In this folder each process writes its metrics.
METRICS_DIR = RUN_DIR / "metrics"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"correlation": {"()": "web.correlation.CorrelationFilter"}},
    "formatters": {
        "line": {
            "()": "ops.log_masking.MaskingFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s [%(correlation_id)s] %(message)s",
        },
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "filters": ["correlation"], "formatter": "line"},
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
    # A 4xx has an audit record; a log line for each would let any client fill the log. `django.security` would log
    # suspicious requests as errors, with a traceback.
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security": {"level": "CRITICAL"},
        # These log the URLs and headers of requests to other hosts.
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
    },
}

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
STATIC_URL = "/static/"


def _chart_files() -> list[tuple[str, Path]]:
    """Return the folder of lightweight-charts, below its prefix; [] if it is not installed. Importing it would need a desktop."""
    spec = importlib.util.find_spec("lightweight_charts")
    return [("lightweight-charts", Path(spec.origin).parent / "js")] if spec and spec.origin else []


STATICFILES_DIRS = _chart_files()
STATICFILES_FINDERS = [
    "dashboard.chart_files.ChartFileFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]
HAS_CHARTS = bool(STATICFILES_DIRS)
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
