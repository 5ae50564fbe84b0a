"""The table of access: every endpoint of the API with the scope, cost and audit class of its calls.

An endpoint is a url name and a method; HEAD has GET's row. An endpoint without a row is denied to everybody.
Paths with the same name (`/v1/…` beside `/api/v1/…`, `ohlcv.csv` beside `ohlcv`) share their rows.
"""

from collections.abc import Iterator
from dataclasses import replace

from django.conf import settings

from marketdata_project.job_kinds import KINDS as JOB_KINDS
from ratelimit.access.table import ANY_CALLER, ANYBODY, CLOSING, TRADING, WRITE, Access, Table
from stats.live.channels import KINDS
from stats.market_data.explanation import EXPLAIN
from stats.market_data.gaps import GAPS
from stats.market_data.query import MARKET_CLASSES
from stats.market_data.reports import COVERAGE, reports_of
from stats.market_data.views import branches
from store.datasets import CORRECTED, DATASETS

_READ = Access("market:read")
_PAGE = Access("market:read", cost="page")
# Opens many logs, or walks the commits of one.
_HEAVY_PAGE = replace(_PAGE, is_heavy=True)
_STREAM = Access("market:read", cost="stream")
_INGEST = Access("market:write", kind=WRITE, cost="batch", body_bytes=settings.MAX_BODY_BYTES)

_MARKET_DATA: Table = {
    ("ohlc", "GET"): _PAGE,
    ("calendar", "GET"): _READ,
    ("clock", "GET"): _READ,
    ("conditions", "GET"): _READ,
    ("live-stream", "GET"): _READ,
    ("live-stats", "GET"): Access("market:read", sensitivity="internal"),
    ("universes", "GET"): _READ,
    ("logs", "GET"): Access("market:copy", sensitivity="internal"),
    ("log-copy", "GET"): Access("market:copy", sensitivity="internal", cost="stream"),
    # All symbols at once: a large key would keep a processor busy with it.
    (GAPS, "GET"): replace(_STREAM, bucket=GAPS, rate=20, is_heavy=True),
    ("instruments", "GET"): _PAGE,
    ("instrument", "GET"): _READ,
    ("instrument", "PUT"): Access("market:write", kind=WRITE, audit_class="config"),
    ("cache-stats", "GET"): Access("market:read", sensitivity="internal"),
    # Redis looks at all of its keys: once a second, whatever the client's rate.
    ("cache-invalidate", "POST"): Access(
        "market:write", sensitivity="internal", kind=WRITE, cost="stream", bucket="cache", rate=10
    ),
}

_INGESTS: Table = {
    (f"{dataset.name.replace('_', '-')}-{end}", "POST"): _INGEST
    for end, datasets in (("ingest", DATASETS.values()), ("corrections", CORRECTED))
    for dataset in datasets
}

# The market-data tree (`/market-data`): one row for each path of an instrument class.
_REVISIONS = Access("market:read", sensitivity="internal", cost="page", is_heavy=True)


def _tree() -> Iterator[tuple[str, Access]]:
    for market_class, dataset in branches():
        name = f"{market_class.path}-{dataset}"
        page = _REVISIONS if dataset == "revisions" else _PAGE
        yield name, page
        yield f"{name}-several", page
        if dataset in market_class.streamed:
            yield f"{name}-stream", _STREAM
        if dataset in KINDS:
            yield f"{name}-commits", _HEAVY_PAGE
    for path, market_class in MARKET_CLASSES.items():
        for report in reports_of(market_class):
            yield f"{path}-{report}", _READ
            yield f"{path}-{report}-several", _HEAVY_PAGE
        yield f"{path}-{COVERAGE}", _READ
        if "ohlcv" in market_class.datasets:
            # Reads all prints of the bar.
            yield f"{path}-{EXPLAIN}", _REVISIONS
            yield f"{path}-{GAPS}", replace(_READ, is_heavy=True)


_TREE: Table = {(name, "GET"): access for name, access in _tree()}

_KEYS_READ = Access("keys:manage", or_scope="keys:admin", sensitivity="confidential", group="access")
_KEYS_WRITE = replace(_KEYS_READ, kind=WRITE, audit_class="keys")

_KEYS: Table = {
    ("keys", "GET"): replace(_KEYS_READ, cost="page"),
    ("keys", "POST"): _KEYS_WRITE,
    ("key", "GET"): _KEYS_READ,
    ("key", "DELETE"): _KEYS_WRITE,
    ("key-rotate", "POST"): replace(_KEYS_WRITE, own_key="key"),
}

_JOBS: Table = {
    ("backfills", "GET"): Access("market:read", sensitivity="internal", cost="page"),
    ("jobs", "GET"): Access(ANY_CALLER),
    ("job", "GET"): Access(ANY_CALLER),
    ("job-cancel", "POST"): Access(ANY_CALLER, kind=WRITE),
}

_SUBMISSIONS: Table = {
    (kind.endpoint, "POST"): Access(
        kind.scope,
        sensitivity=kind.sensitivity,
        kind=WRITE,
        cost=kind.cost,
        audit_class=kind.audit_class,
    )
    for kind in JOB_KINDS
    if kind.endpoint
}

_ACCOUNT = Access("trading:read", sensitivity="confidential")
_ACCOUNT_PAGE = Access("trading:read", sensitivity="confidential", cost="page")

_TRADING_READS: Table = {
    ("trading-status", "GET"): _ACCOUNT,
    ("portfolio", "GET"): _ACCOUNT,
    ("risk", "GET"): _ACCOUNT,
    ("performance", "GET"): replace(_ACCOUNT, cost="period"),
    ("trading-config", "GET"): _ACCOUNT,
    ("closed-trades", "GET"): _ACCOUNT_PAGE,
    ("signals", "GET"): _ACCOUNT_PAGE,
    ("executions", "GET"): _ACCOUNT_PAGE,
    ("transactions", "GET"): _ACCOUNT_PAGE,
    ("order-executions", "GET"): _ACCOUNT_PAGE,
    ("execution-explain", "GET"): replace(_ACCOUNT, cost="stream"),
    ("account-positions", "GET"): _ACCOUNT,
    ("account-transactions", "GET"): _ACCOUNT_PAGE,
    ("orders", "GET"): _ACCOUNT_PAGE,
    ("order", "GET"): _ACCOUNT,
    ("account-orders", "GET"): _ACCOUNT_PAGE,
    ("accounts", "GET"): _ACCOUNT_PAGE,
    ("account", "GET"): _ACCOUNT,
    ("models", "GET"): _ACCOUNT_PAGE,
    ("model", "GET"): _ACCOUNT,
    ("backtests", "GET"): _ACCOUNT_PAGE,
    ("backtest", "GET"): _ACCOUNT,
    ("strategies", "GET"): Access("trading:read"),
    ("account-reconcile", "POST"): replace(_ACCOUNT, kind=WRITE, cost="stream"),
}

_ORDERS = Access("trading:write", sensitivity="confidential", kind=TRADING, audit_class="trading")
_CLOSES = Access(
    "trading:write", sensitivity="confidential", kind=CLOSING, cost="unmetered", audit_class="trading"
)
_RISK = Access("risk:write", sensitivity="confidential", kind=WRITE, audit_class="risk")

_TRADING_WRITES: Table = {
    ("orders", "POST"): _ORDERS,
    ("orders", "DELETE"): _CLOSES,
    ("order", "PATCH"): _ORDERS,
    ("order", "DELETE"): _CLOSES,
    ("account-orders", "POST"): _ORDERS,
    ("position-close", "POST"): _CLOSES,
    ("trade-preview", "POST"): _ORDERS,
    ("trade-execute", "POST"): _ORDERS,
    ("trading-start", "POST"): _ORDERS,
    ("trading-stop", "POST"): replace(_CLOSES, or_scope="risk:write"),
    ("accounts", "POST"): _RISK,
    ("account", "PATCH"): replace(_ORDERS, kind=WRITE),
    ("model", "PUT"): replace(_ORDERS, kind=WRITE),
    ("model", "DELETE"): replace(_ORDERS, kind=WRITE),
    ("account-heartbeat", "POST"): replace(_ORDERS, kind=WRITE, audit_class=""),
    ("risk-override", "POST"): _RISK,
    ("config-risk", "PUT"): _RISK,
    ("execution-bust", "POST"): _RISK,
    ("account-adjustments", "POST"): _RISK,
}

_CREDENTIALS: Table = {
    (name, "POST"): Access(ANYBODY, group="access", kind=WRITE)
    for name in ("auth-token", "auth-refresh", "auth-logout", "oauth-token", "oauth-revoke")
}

ACCESS: Table = {
    **_MARKET_DATA,
    **_INGESTS,
    **_TREE,
    ("limits", "GET"): Access(ANY_CALLER, group="access", cost="unmetered"),
    **_KEYS,
    **_JOBS,
    **_SUBMISSIONS,
    **_TRADING_READS,
    **_TRADING_WRITES,
    **_CREDENTIALS,
    ("audit", "GET"): Access("audit:read", sensitivity="confidential", group="access", cost="export"),
}

# Views without a row, open to anybody: web pages, the documentation, health and metrics.
PUBLIC_VIEWS = frozenset(
    {
        "dashboard",
        "endpoints",
        "login-link",
        "admin-login",
        "healthz",
        "readyz",
        "metrics",
        "schema",
        "docs",
        "errors",
        "guides",
        "guide",
    }
)

# URL namespaces of pages with a session: the admin, which requires a staff session, and the login page.
DJANGO_SITES = frozenset({"admin", "login"})

# The query parameters of all endpoints, and the body fields of those with an audit class. The audit log records
# their values and masks all others. A test compares the list with the OpenAPI document.
RECORDED_NAMES = frozenset(
    """
    account accounts adjust adjustment after aliases allow_nonpositive_price amount anchor as_of at bar_policy base_currency
    before_expiry by calendar caller cash cash_buffer cash_tolerance caution certificate class client_order_id collar complete_until conditions
    correlation_id coverage currency cursor daily_loss daily_quota danger days dedupe direction dividend_yield drift_band end
    event exchange exercise expires_at expiry expiry_from expiry_to fields fill format from gap_rule halt heartbeat_seconds
    horizon hours hysteresis id interval join kind knowledge lag last latency_ms limit limit_price max_age max_gross_exposure
    max_risk_level max_symbol_exposure method minimum_trade model monthly_quota multiplier name networks offset on_conflict
    orders_per_minute overlap_seconds owner parameters partial participation path policy prefix preview preview_id preview_tolerance price price_tolerance quantity
    quiet rate reason reduce_only release_halt requires_signature resolution right risk_level roll roll_before rule scopes
    search seen sensitivity session settle settlement side signed_only since sort stale_after_seconds start state status
    status_class stop_loss stop_price storage_quota strategy strike successors symbol symbol_as_of symbol_quota symbols take_profit tick_size tier time
    time_in_force timeout_seconds to tolerance total_loss trading_rate trailer type underlying unknown unknown_conditions until
    volume_kind weight weights
    """.split()  # noqa: SIM905 names are read as words
)
