"""The table of contents of the API: the URL of every endpoint. A version is a prefix."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LogoutView as PageLogoutView
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

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
from stats.ohlc.views import OhlcViewSet
from stats.sessions.views import CalendarViewSet, ClockViewSet
from stats.universes import UniversesViewSet
from store.datasets import CORRECTED, DATASETS, TRADES
from store.declarations import Dataset
from trades.condition_views import ConditionsViewSet
from trades.corrections import CorrectionsViewSet
from trades.ingest import IngestViewSet
from trades.instruments.views import InstrumentsViewSet
from trading.api.account_state import AccountStateViewSet
from trading.api.accounts import AccountsViewSet
from trading.api.backtests import BacktestsViewSet
from trading.api.exports import AccountExportsViewSet
from trading.api.order_batches import OrderBatchesViewSet
from trading.api.orders import OrdersViewSet, PositionCloseViewSet, TradesViewSet
from trading.api.rebalances import RebalancesViewSet
from trading.api.risk_writes import RiskWritesViewSet, TradingControlViewSet
from trading.api.row_views import (
    AccountExecutionsViewSet,
    ClosedTradesViewSet,
    ExecutionsViewSet,
    SignalsViewSet,
    TransactionsViewSet,
)
from trading.api.strategies import StrategiesViewSet
from trading.api.target_models import ModelsViewSet
from trading.api.transfers import TransfersViewSet
from webhooks.views import AlertsViewSet, DeliveriesViewSet, WebhooksViewSet


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
    re_path(r"^stats/ohlc/?\Z", OhlcViewSet.as_view({"get": "retrieve"}), name="ohlc"),
]

instruments = [
    re_path(r"^instruments/?\Z", InstrumentsViewSet.as_view({"get": "list"}), name="instruments"),
    re_path(
        r"^instruments/(?P<symbol>[\s\S]+?)/?\Z",
        InstrumentsViewSet.as_view({"get": "retrieve", "put": "update"}),
        name="instrument",
    ),
    re_path(r"^conditions/?\Z", ConditionsViewSet.as_view({"get": "list"}), name="conditions"),
]

universes = [
    re_path(r"^universes/?\Z", UniversesViewSet.as_view({"get": "list"}), name="universes"),
    re_path(
        r"^universes/(?P<symbol>[\s\S]+?)/?\Z", UniversesViewSet.as_view({"get": "retrieve"}), name="universe"
    ),
]

# A symbol may contain a slash (BTC/USD). A suffix is a format (`ohlcv.csv`).
_SYMBOL = r"(?P<symbol>[^/]+(?:/[^/]+)?)"
_SUFFIX = r"\.(?P<format>[A-Za-z0-9]+)"


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
    re_path(r"^cache/stats/?\Z", CacheViewSet.as_view({"get": "stats"}), name="cache-stats"),
    re_path(r"^cache/invalidate/?\Z", CacheViewSet.as_view({"post": "invalidate"}), name="cache-invalidate"),
    re_path(r"^calendar/?\Z", CalendarViewSet.as_view({"get": "retrieve"}), name="calendar"),
    re_path(r"^clock/?\Z", ClockViewSet.as_view({"get": "retrieve"}), name="clock"),
]

access = [
    re_path(r"^limits/?\Z", LimitsViewSet.as_view({"get": "retrieve"}), name="limits"),
    re_path(r"^keys/?\Z", KeysViewSet.as_view({"get": "list", "post": "create"}), name="keys"),
    re_path(r"^keys/(?P<key>[^/]+)/rotate/?\Z", KeysViewSet.as_view({"post": "rotate"}), name="key-rotate"),
    re_path(
        r"^keys/(?P<key>[^/]+)/?\Z",
        KeysViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="key",
    ),
    re_path(r"^auth/token/?\Z", TokenView.as_view(), name="auth-token"),
    re_path(r"^auth/refresh/?\Z", RefreshView.as_view(), name="auth-refresh"),
    re_path(r"^auth/logout/?\Z", LogoutView.as_view(), name="auth-logout"),
    re_path(r"^oauth/token/?\Z", OAuthTokenView.as_view(), name="oauth-token"),
    re_path(r"^oauth/revoke/?\Z", OAuthRevokeView.as_view(), name="oauth-revoke"),
    re_path(r"^audit/?\Z", AuditViewSet.as_view({"get": "list"}), name="audit"),
    re_path(r"^audit/exports/?\Z", AuditExportsViewSet.as_view({"post": "create"}), name="audit-exports"),
]

jobs = [
    re_path(r"^backfills/?\Z", BackfillsViewSet.as_view({"get": "list", "post": "create"}), name="backfills"),
    re_path(r"^backtests/?\Z", BacktestsViewSet.as_view({"get": "list", "post": "create"}), name="backtests"),
    re_path(r"^backtests/(?P<job>[^/]+)/?\Z", BacktestsViewSet.as_view({"get": "retrieve"}), name="backtest"),
    re_path(r"^exports/?\Z", ExportsViewSet.as_view({"post": "create"}), name="exports"),
    re_path(
        r"^exports/(?P<job>[^/]+)/?\Z",
        ExportsViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="export",
    ),
    re_path(
        r"^exports/(?P<job>[^/]+)/links/?\Z", ExportsViewSet.as_view({"post": "link"}), name="export-link"
    ),
    re_path(
        r"^datasets/(?P<dataset_id>[^/]+)/?\Z", DataSetsViewSet.as_view({"get": "retrieve"}), name="dataset"
    ),
    re_path(r"^downloads/?\Z", DownloadsViewSet.as_view({"get": "retrieve"}), name="download"),
    re_path(
        r"^exports/(?P<job>[^/]+)/files/(?P<path>.+)\Z",
        ExportFilesViewSet.as_view({"get": "retrieve"}),
        name="export-file",
    ),
    re_path(r"^fetches/?\Z", FetchesViewSet.as_view({"post": "create"}), name="fetch"),
    re_path(r"^feeds/?\Z", FeedsViewSet.as_view({"get": "list", "post": "create"}), name="feeds"),
    re_path(r"^feeds/(?P<symbol>[^/]+)/?\Z", FeedsViewSet.as_view({"delete": "destroy"}), name="feed"),
    re_path(r"^sources/?\Z", SourcesViewSet.as_view({"get": "list"}), name="sources"),
    re_path(
        r"^sources/(?P<source>[^/]+)/markets/?\Z",
        SourcesViewSet.as_view({"get": "markets"}),
        name="source-markets",
    ),
    re_path(r"^ingest/batch/?\Z", UploadsViewSet.as_view({"post": "create"}), name="uploads"),
    re_path(
        r"^ingest/batch/(?P<upload>[^/]+)/?\Z",
        UploadsViewSet.as_view({"get": "retrieve", "patch": "append"}),
        name="upload",
    ),
    re_path(r"^strategies/?\Z", StrategiesViewSet.as_view({"get": "list"}), name="strategies"),
    re_path(r"^jobs/?\Z", JobsViewSet.as_view({"get": "list"}), name="jobs"),
    re_path(r"^jobs/(?P<job>[^/]+)/?\Z", JobsViewSet.as_view({"get": "retrieve"}), name="job"),
    re_path(r"^jobs/(?P<job>[^/]+)/cancel/?\Z", JobsViewSet.as_view({"post": "cancel"}), name="job-cancel"),
    re_path(
        r"^jobs/(?P<job>[^/]+)/confirm/?\Z", JobsViewSet.as_view({"post": "confirm"}), name="job-confirm"
    ),
]

webhooks = [
    re_path(r"^alerts/?\Z", AlertsViewSet.as_view({"get": "list", "post": "create"}), name="alerts"),
    re_path(
        r"^alerts/(?P<alert>[^/]+)/?\Z",
        AlertsViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="alert",
    ),
    re_path(
        r"^alerts/(?P<alert>[^/]+)/rearm/?\Z", AlertsViewSet.as_view({"post": "rearm"}), name="alert-rearm"
    ),
    re_path(r"^webhooks/?\Z", WebhooksViewSet.as_view({"get": "list", "post": "create"}), name="webhooks"),
    re_path(
        r"^webhooks/(?P<webhook>[^/]+)/?\Z",
        WebhooksViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="webhook",
    ),
    re_path(
        r"^webhooks/(?P<webhook>[^/]+)/rotate/?\Z",
        WebhooksViewSet.as_view({"post": "rotate"}),
        name="webhook-rotate",
    ),
    re_path(
        r"^webhooks/(?P<webhook>[^/]+)/test/?\Z",
        WebhooksViewSet.as_view({"post": "test"}),
        name="webhook-test",
    ),
    re_path(
        r"^webhooks/(?P<webhook>[^/]+)/deliveries/?\Z",
        DeliveriesViewSet.as_view({"get": "list"}),
        name="webhook-deliveries",
    ),
    re_path(
        r"^webhooks/(?P<webhook>[^/]+)/deliveries/(?P<delivery>[^/]+)/replay/?\Z",
        DeliveriesViewSet.as_view({"post": "replay"}),
        name="webhook-replay",
    ),
]

_ACCOUNT = r"accounts/(?P<account>[^/]+)"
_ORDER = r"orders/(?P<order>[^/]+)"

# Also served without a version, as deprecated paths.
also_unversioned = [
    re_path(r"^status/?\Z", AccountStateViewSet.as_view({"get": "status"}), name="trading-status"),
    re_path(r"^portfolio/?\Z", AccountStateViewSet.as_view({"get": "portfolio"}), name="portfolio"),
    re_path(r"^risk/?\Z", AccountStateViewSet.as_view({"get": "risk"}), name="risk"),
    re_path(r"^performance/?\Z", AccountStateViewSet.as_view({"get": "performance"}), name="performance"),
    re_path(r"^config/?\Z", AccountStateViewSet.as_view({"get": "config"}), name="trading-config"),
    re_path(r"^trades/?\Z", ClosedTradesViewSet.as_view({"get": "list"}), name="closed-trades"),
    re_path(r"^signals/?\Z", SignalsViewSet.as_view({"get": "list"}), name="signals"),
    re_path(r"^trade/preview/?\Z", TradesViewSet.as_view({"post": "preview"}), name="trade-preview"),
    re_path(r"^trade/execute/?\Z", TradesViewSet.as_view({"post": "execute"}), name="trade-execute"),
    re_path(r"^trading/start/?\Z", TradingControlViewSet.as_view({"post": "start"}), name="trading-start"),
    re_path(r"^trading/stop/?\Z", TradingControlViewSet.as_view({"post": "stop"}), name="trading-stop"),
    re_path(r"^risk/override/?\Z", RiskWritesViewSet.as_view({"post": "override"}), name="risk-override"),
    re_path(r"^config/risk/?\Z", RiskWritesViewSet.as_view({"put": "configure"}), name="config-risk"),
]

trading_reads = [
    re_path(r"^executions/?\Z", AccountExecutionsViewSet.as_view({"get": "list"}), name="executions"),
    re_path(r"^transactions/?\Z", TransactionsViewSet.as_view({"get": "list"}), name="transactions"),
    re_path(
        rf"^{_ORDER}/executions/?\Z", ExecutionsViewSet.as_view({"get": "list"}), name="order-executions"
    ),
    re_path(
        rf"^{_ACCOUNT}/positions/?\Z",
        AccountsViewSet.as_view({"get": "positions"}),
        name="account-positions",
    ),
    re_path(
        rf"^{_ACCOUNT}/transactions/?\Z",
        TransactionsViewSet.as_view({"get": "list"}),
        name="account-transactions",
    ),
]

# Resources that are read and changed at the same paths, and what is only done.
trading_writes = [
    re_path(
        r"^orders/?\Z",
        OrdersViewSet.as_view({"get": "list", "post": "create", "delete": "cancel_all"}),
        name="orders",
    ),
    re_path(r"^orders/batch/?\Z", OrderBatchesViewSet.as_view({"post": "create"}), name="order-batch"),
    re_path(
        r"^orders/batch/cancel/?\Z",
        OrderBatchesViewSet.as_view({"post": "cancel"}),
        name="order-batch-cancel",
    ),
    re_path(
        rf"^{_ORDER}/?\Z",
        OrdersViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="order",
    ),
    re_path(
        rf"^{_ACCOUNT}/orders/?\Z",
        OrdersViewSet.as_view({"get": "list", "post": "create"}),
        name="account-orders",
    ),
    re_path(r"^accounts/?\Z", AccountsViewSet.as_view({"get": "list", "post": "create"}), name="accounts"),
    re_path(
        rf"^{_ACCOUNT}/?\Z",
        AccountsViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="account",
    ),
    re_path(
        rf"^{_ACCOUNT}/transfers/?\Z", TransfersViewSet.as_view({"post": "create"}), name="account-transfers"
    ),
    re_path(
        rf"^{_ACCOUNT}/exports/?\Z", AccountExportsViewSet.as_view({"post": "create"}), name="account-exports"
    ),
    re_path(
        rf"^{_ACCOUNT}/rebalance/?\Z", RebalancesViewSet.as_view({"post": "create"}), name="account-rebalance"
    ),
    re_path(r"^models/?\Z", ModelsViewSet.as_view({"get": "list"}), name="models"),
    re_path(
        r"^models/(?P<model>[^/]+)/?\Z",
        ModelsViewSet.as_view({"get": "retrieve", "put": "update", "delete": "destroy"}),
        name="model",
    ),
    re_path(
        rf"^{_ACCOUNT}/heartbeat/?\Z",
        AccountsViewSet.as_view({"post": "heartbeat"}),
        name="account-heartbeat",
    ),
    re_path(
        rf"^{_ACCOUNT}/positions/{_SYMBOL}/close/?\Z",
        PositionCloseViewSet.as_view({"post": "close"}),
        name="position-close",
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
    re_path(r"^import/?\Z", ImportPageViewSet.as_view({"get": "show"}), name="import"),
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
    re_path(r"^ws/v1/stream/?\Z", LiveFeedViewSet.as_view({"get": "connect"}), name="live-stream"),
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
