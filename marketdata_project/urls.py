"""The table of contents of the API: the URL of every endpoint. A version is a prefix."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LogoutView as PageLogoutView
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.viewsets import ViewSetMixin

import dialects.urls
from audit.reading.views import AuditViewSet
from jobs.backfills.views import BackfillsViewSet
from jobs.exports.tables import AuditExportsViewSet
from jobs.exports.views import DataSetsViewSet, DownloadsViewSet, ExportFilesViewSet, ExportsViewSet
from jobs.fetches.views import FetchesViewSet, SourcesViewSet
from jobs.uploads.views import UploadsViewSet
from jobs.views import JobsViewSet
from marketdata_project.guides import guide, guides
from marketdata_project.import_page import ImportPageViewSet
from marketdata_project.login_pages import login_link, login_page
from marketdata_project.monitoring import healthz, metrics, readyz
from marketdata_project.pages import dashboard, endpoint_list, errors
from marketdata_project.schema_view import SchemaView
from marketdata_project.versions import versions
from ratelimit.credentials.oauth2 import OAuthRevokeView, OAuthTokenView
from ratelimit.credentials.views import LogoutView, RefreshView, TokenView
from ratelimit.keys.views import KeysViewSet
from ratelimit.limits.views import LimitsViewSet
from sources.feed_views import FeedsViewSet
from stats.caching.views import CacheViewSet
from stats.live.channels import KINDS
from stats.live.views import CommitsViewSet, LiveFeedViewSet
from stats.market_data.datasets import MARKET_DATASETS, MARKET_REPORTS
from stats.market_data.gaps import GAPS
from stats.market_data.query import ANY_CLASS, MARKET_CLASSES, MarketClass, MarketDataset
from stats.market_data.views import PageViewSet, ReportViewSet, StreamViewSet
from stats.ohlc import OhlcViewSet
from stats.sessions.views import CalendarViewSet, ClockViewSet
from stats.universes import UniversesViewSet
from store.datasets import CORRECTED, DATASETS, TRADES
from store.declarations import Dataset
from trades.condition_views import ConditionsViewSet
from trades.corrections import CorrectionsViewSet
from trades.ingest import IngestViewSet
from trades.instruments.views import InstrumentsViewSet
from trading.api.account_state import AccountStateViewSet
from trading.api.accounts import AccountsViewSet, RiskWritesViewSet, TradingControlViewSet, TransfersViewSet
from trading.api.backtests import BacktestsViewSet, StrategiesViewSet
from trading.api.exports import AccountExportsViewSet
from trading.api.order_batches import OrderBatchesViewSet
from trading.api.orders import OrdersViewSet, PositionCloseViewSet, TradesViewSet
from trading.api.rebalances import ModelsViewSet, RebalancesViewSet
from trading.api.row_views import (
    AccountExecutionsViewSet,
    ClosedTradesViewSet,
    ExecutionsViewSet,
    SignalsViewSet,
    TransactionsViewSet,
)
from webhooks.views import AlertsViewSet, DeliveriesViewSet, WebhooksViewSet

# A symbol may contain a slash (BTC/USD). A suffix is a format (`ohlcv.csv`).
_SYMBOL = r"(?P<symbol>[^/]+(?:/[^/]+)?)"
_SUFFIX = r"\.(?P<format>[A-Za-z0-9]+)"


def _route(path: str, viewset: type[ViewSetMixin], name: str, **actions: str) -> URLPattern:
    """Return the pattern of a path such as `keys/<key>/rotate`. actions: a method's action in the viewset."""
    pattern = re.sub(
        r"<(\w+)>", lambda part: _SYMBOL if part[1] == "symbol" else rf"(?P<{part[1]}>[^/]+)", path
    )
    return re_path(rf"^{pattern}/?\Z", viewset.as_view({**actions}), name=name)


def _ingest(dataset: Dataset) -> URLPattern:
    name = dataset.name.replace("_", "-")
    view = IngestViewSet.as_view({"post": "ingest"}, dataset=dataset)
    return re_path(rf"^{name}/ingest/?\Z", view, name=f"{name}-ingest")


def _corrections(dataset: Dataset) -> URLPattern:
    name = dataset.name.replace("_", "-")
    view = CorrectionsViewSet.as_view({"post": "correct"}, dataset=dataset)
    return re_path(rf"^{name}/corrections/?\Z", view, name=f"{name}-corrections")


also_below_v1 = [
    _ingest(TRADES),
    _corrections(TRADES),
    _route("stats/ohlc", OhlcViewSet, "ohlc", get="retrieve"),
]

instruments = [
    _route("instruments", InstrumentsViewSet, "instruments", get="list"),
    re_path(
        r"^instruments/(?P<symbol>[\s\S]+?)/?\Z",
        InstrumentsViewSet.as_view({"get": "retrieve", "put": "update"}),
        name="instrument",
    ),
    _route("conditions", ConditionsViewSet, "conditions", get="list"),
]

universes = [
    _route("universes", UniversesViewSet, "universes", get="list"),
    re_path(
        r"^universes/(?P<symbol>[\s\S]+?)/?\Z", UniversesViewSet.as_view({"get": "retrieve"}), name="universe"
    ),
]


def _class_paths(market_class: MarketClass) -> Iterator[URLPattern]:
    """Yield the paths of a class's datasets and reports, such as `AAPL/ohlcv.csv` and `AAPL/coverage`."""
    for name in market_class.datasets:
        yield from _dataset_paths(market_class, MARKET_DATASETS[name])
    for report in MARKET_REPORTS.values():
        name = f"{market_class.path}-{report.name}"
        if market_class.path in report.classes_of_symbols:
            several = ReportViewSet.route(market_class, report.name, report.access_of_symbols, several=True)
            yield re_path(rf"^{report.name}/?\Z", several, name=f"{name}-several")
        if market_class.path in report.classes:
            one = ReportViewSet.route(market_class, report.name, report.access, several=False)
            yield re_path(rf"^{_SYMBOL}/{report.path or report.name}/?\Z", one, name=name)


def _dataset_paths(market_class: MarketClass, dataset: MarketDataset) -> Iterator[URLPattern]:
    end, name = dataset.name, f"{market_class.path}-{dataset.name}"
    route: dict[str, Any] = {"actions": {"get": "retrieve"}, "market_class": market_class, "subject": end}
    if dataset.has_stream:
        stream = StreamViewSet.as_view(**route)
        yield re_path(rf"^{_SYMBOL}/{end}/stream/?\Z", stream, name=f"{name}-stream")
        yield re_path(rf"^{_SYMBOL}/{end}/stream{_SUFFIX}/?\Z", stream, name=f"{name}-stream")
    if end in KINDS:
        commits = CommitsViewSet.as_view(**route)
        yield re_path(rf"^{_SYMBOL}/{end}/commits/?\Z", commits, name=f"{name}-commits")
    several = PageViewSet.route(market_class, end, dataset.access, several=True)
    yield re_path(rf"^{end}/?\Z", several, name=f"{name}-several")
    yield re_path(rf"^{end}{_SUFFIX}/?\Z", several, name=f"{name}-several")
    page = PageViewSet.route(market_class, end, dataset.access, several=False)
    yield re_path(rf"^{_SYMBOL}/{end}/?\Z", page, name=name)
    yield re_path(rf"^{_SYMBOL}/{end}{_SUFFIX}/?\Z", page, name=name)


_gaps = ReportViewSet.route(ANY_CLASS, GAPS, MARKET_REPORTS[GAPS].access_of_symbols, several=True)

# Nested, so that a path is compared with its own class's patterns only.
market_data = [
    path(f"{market_class.path}/", include(list(_class_paths(market_class))))
    for market_class in MARKET_CLASSES.values()
]

cache_and_sessions = [
    _route("cache/stats", CacheViewSet, "cache-stats", get="stats"),
    _route("cache/invalidate", CacheViewSet, "cache-invalidate", post="invalidate"),
    _route("calendar", CalendarViewSet, "calendar", get="retrieve"),
    _route("clock", ClockViewSet, "clock", get="retrieve"),
]

access = [
    _route("limits", LimitsViewSet, "limits", get="retrieve"),
    _route("keys", KeysViewSet, "keys", get="list", post="create"),
    _route("keys/<key>/rotate", KeysViewSet, "key-rotate", post="rotate"),
    _route("keys/<key>", KeysViewSet, "key", get="retrieve", delete="destroy"),
    re_path(r"^auth/token/?\Z", TokenView.as_view(), name="auth-token"),
    re_path(r"^auth/refresh/?\Z", RefreshView.as_view(), name="auth-refresh"),
    re_path(r"^auth/logout/?\Z", LogoutView.as_view(), name="auth-logout"),
    re_path(r"^oauth/token/?\Z", OAuthTokenView.as_view(), name="oauth-token"),
    re_path(r"^oauth/revoke/?\Z", OAuthRevokeView.as_view(), name="oauth-revoke"),
    _route("audit", AuditViewSet, "audit", get="list"),
    _route("audit/exports", AuditExportsViewSet, "audit-exports", post="create"),
]

jobs = [
    _route("backfills", BackfillsViewSet, "backfills", get="list", post="create"),
    _route("backtests", BacktestsViewSet, "backtests", get="list", post="create"),
    _route("backtests/<job>", BacktestsViewSet, "backtest", get="retrieve"),
    _route("exports", ExportsViewSet, "exports", post="create"),
    _route("exports/<job>", ExportsViewSet, "export", get="retrieve", delete="destroy"),
    _route("exports/<job>/links", ExportsViewSet, "export-link", post="link"),
    _route("datasets/<dataset_id>", DataSetsViewSet, "dataset", get="retrieve"),
    _route("downloads", DownloadsViewSet, "download", get="retrieve"),
    re_path(
        r"^exports/(?P<job>[^/]+)/files/(?P<path>.+)\Z",
        ExportFilesViewSet.as_view({"get": "retrieve"}),
        name="export-file",
    ),
    _route("fetches", FetchesViewSet, "fetch", post="create"),
    _route("feeds", FeedsViewSet, "feeds", get="list", post="create"),
    _route("feeds/<symbol>", FeedsViewSet, "feed", delete="destroy"),
    _route("sources", SourcesViewSet, "sources", get="list"),
    _route("sources/<source>/markets", SourcesViewSet, "source-markets", get="markets"),
    _route("ingest/batch", UploadsViewSet, "uploads", post="create"),
    _route("ingest/batch/<upload>", UploadsViewSet, "upload", get="retrieve", patch="append"),
    _route("strategies", StrategiesViewSet, "strategies", get="list"),
    _route("jobs", JobsViewSet, "jobs", get="list"),
    _route("jobs/<job>", JobsViewSet, "job", get="retrieve"),
    _route("jobs/<job>/cancel", JobsViewSet, "job-cancel", post="cancel"),
    _route("jobs/<job>/confirm", JobsViewSet, "job-confirm", post="confirm"),
]

webhooks = [
    _route("alerts", AlertsViewSet, "alerts", get="list", post="create"),
    _route("alerts/<alert>", AlertsViewSet, "alert", get="retrieve", delete="destroy"),
    _route("alerts/<alert>/rearm", AlertsViewSet, "alert-rearm", post="rearm"),
    _route("webhooks", WebhooksViewSet, "webhooks", get="list", post="create"),
    _route(
        "webhooks/<webhook>",
        WebhooksViewSet,
        "webhook",
        get="retrieve",
        patch="partial_update",
        delete="destroy",
    ),
    _route("webhooks/<webhook>/rotate", WebhooksViewSet, "webhook-rotate", post="rotate"),
    _route("webhooks/<webhook>/test", WebhooksViewSet, "webhook-test", post="test"),
    _route("webhooks/<webhook>/deliveries", DeliveriesViewSet, "webhook-deliveries", get="list"),
    _route(
        "webhooks/<webhook>/deliveries/<delivery>/replay", DeliveriesViewSet, "webhook-replay", post="replay"
    ),
]

# Also served without a version, as deprecated paths.
also_unversioned = [
    _route("status", AccountStateViewSet, "trading-status", get="status"),
    _route("portfolio", AccountStateViewSet, "portfolio", get="portfolio"),
    _route("risk", AccountStateViewSet, "risk", get="risk"),
    _route("performance", AccountStateViewSet, "performance", get="performance"),
    _route("config", AccountStateViewSet, "trading-config", get="config"),
    _route("trades", ClosedTradesViewSet, "closed-trades", get="list"),
    _route("signals", SignalsViewSet, "signals", get="list"),
    _route("trade/preview", TradesViewSet, "trade-preview", post="preview"),
    _route("trade/execute", TradesViewSet, "trade-execute", post="execute"),
    _route("trading/start", TradingControlViewSet, "trading-start", post="start"),
    _route("trading/stop", TradingControlViewSet, "trading-stop", post="stop"),
    _route("risk/override", RiskWritesViewSet, "risk-override", post="override"),
    _route("config/risk", RiskWritesViewSet, "config-risk", put="configure"),
]

trading_reads = [
    _route("executions", AccountExecutionsViewSet, "executions", get="list"),
    _route("transactions", TransactionsViewSet, "transactions", get="list"),
    _route("orders/<order>/executions", ExecutionsViewSet, "order-executions", get="list"),
    _route("accounts/<account>/positions", AccountsViewSet, "account-positions", get="positions"),
    _route("accounts/<account>/transactions", TransactionsViewSet, "account-transactions", get="list"),
]

# Resources that are read and changed at the same paths, and what is only done.
trading_writes = [
    _route("orders", OrdersViewSet, "orders", get="list", post="create", delete="cancel_all"),
    _route("orders/batch", OrderBatchesViewSet, "order-batch", post="create"),
    _route("orders/batch/cancel", OrderBatchesViewSet, "order-batch-cancel", post="cancel"),
    _route(
        "orders/<order>", OrdersViewSet, "order", get="retrieve", patch="partial_update", delete="destroy"
    ),
    _route("accounts/<account>/orders", OrdersViewSet, "account-orders", get="list", post="create"),
    _route("accounts", AccountsViewSet, "accounts", get="list", post="create"),
    _route("accounts/<account>", AccountsViewSet, "account", get="retrieve", patch="partial_update"),
    _route("accounts/<account>/transfers", TransfersViewSet, "account-transfers", post="create"),
    _route("accounts/<account>/exports", AccountExportsViewSet, "account-exports", post="create"),
    _route("accounts/<account>/rebalance", RebalancesViewSet, "account-rebalance", post="create"),
    _route("models", ModelsViewSet, "models", get="list"),
    _route("models/<model>", ModelsViewSet, "model", get="retrieve", put="update", delete="destroy"),
    _route("accounts/<account>/heartbeat", AccountsViewSet, "account-heartbeat", post="heartbeat"),
    _route(
        "accounts/<account>/positions/<symbol>/close", PositionCloseViewSet, "position-close", post="close"
    ),
]

# These paths are also served without a version.
documentation = [
    re_path(r"^schema/?\Z", SchemaView.as_view(), name="schema"),
    re_path(
        r"^docs/?\Z",
        SpectacularSwaggerSplitView.as_view(
            url="/api/v1/schema?format=json",  # also in the page's template
            authentication_classes=[],
            permission_classes=[],
            throttle_classes=[],
        ),
        name="docs",
    ),
    re_path(r"^docs/errors/?\Z", errors, name="errors"),
    re_path(r"^docs/guide/?\Z", guides, name="guides"),
    re_path(r"^docs/guide/(?P<guide>[a-z_]+)/?\Z", guide, name="guide"),
]

documentation_of_v2 = [
    re_path(r"^schema/?\Z", SchemaView.as_view(api_version="v2"), name="schema"),
]

below_api_v1: list[URLPattern | URLResolver] = [
    _route("import", ImportPageViewSet, "import", get="show"),
    path("market-data/", include(market_data)),
    re_path(r"^gaps/?\Z", _gaps, name="gaps"),
    *also_below_v1,
    *(_ingest(dataset) for dataset in DATASETS.values() if dataset is not TRADES),
    *(_corrections(dataset) for dataset in CORRECTED if dataset is not TRADES),
    *instruments,
    *universes,
    *cache_and_sessions,
    *access,
    *jobs,
    *webhooks,
    *also_unversioned,
    *trading_reads,
    *trading_writes,
    *documentation,
]

login = [
    re_path(r"^login/?\Z", login_page, name="login"),
    re_path(r"^logout/?\Z", PageLogoutView.as_view(next_page="login:login"), name="logout"),
]

urlpatterns = [
    path("", dashboard, name="dashboard"),
    path("endpoints", endpoint_list, name="endpoints"),
    path(
        "favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}dashboard/favicon.svg"), name="favicon"
    ),
    path("import", RedirectView.as_view(pattern_name="import"), name="import-page"),
    re_path(r"^healthz/?\Z", healthz, name="healthz"),
    re_path(r"^readyz/?\Z", readyz, name="readyz"),
    re_path(r"^metrics/?\Z", metrics, name="metrics"),
    path("api/v1/", include(below_api_v1)),
    _route("ws/v1/stream", LiveFeedViewSet, "live-stream", get="connect"),
    path("v1/", include((also_below_v1, "v1"))),
    re_path(r"^api/versions/?\Z", versions, name="versions"),
    path("api/v2/", include((documentation_of_v2, "v2"))),
    path("api/", include((also_unversioned, "unversioned"))),
    path("api/", include(dialects.urls.below_api)),
    path("udf/", include(dialects.urls.below_udf)),
    path("", include((documentation, "root"))),
    path(
        "admin/login/",
        RedirectView.as_view(pattern_name="login:login", query_string=True),
        name="admin-login",
    ),
    path("admin/", admin.site.urls),
    path("login/link", login_link, name="login-link"),
    path("", include((login, "login"))),
]

handler400 = "marketdata_project.problems.bad_request"
handler403 = "marketdata_project.problems.forbidden"
handler404 = "marketdata_project.problems.not_found"
handler500 = "marketdata_project.problems.server_error"
