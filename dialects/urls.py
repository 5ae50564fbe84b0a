"""The URLs of dialects, as their clients make them: Alpaca's below `/api`, TradingView's below `/udf`."""

from collections.abc import Iterator
from typing import Any, cast

from django.urls import URLPattern, re_path

from dialects.alpaca.accounts import AlpacaAccountsViewSet
from dialects.alpaca.actions import AlpacaActionsViewSet
from dialects.alpaca.activities import AlpacaActivitiesViewSet
from dialects.alpaca.assets import AlpacaAssetsViewSet
from dialects.alpaca.hours import AlpacaHoursViewSet
from dialects.alpaca.newest import AlpacaNewestViewSet
from dialects.alpaca.options import AlpacaChainViewSet
from dialects.alpaca.order_calls import AlpacaOrdersViewSet
from dialects.alpaca.pages import AlpacaPagesViewSet
from dialects.alpaca.portfolio_history import AlpacaPortfolioHistoryViewSet
from dialects.alpaca.positions import AlpacaPositionsViewSet
from dialects.alpaca.watchlists import AlpacaWatchlistsViewSet
from dialects.udf.history import UdfHistoryViewSet
from dialects.udf.views import UdfViewSet

_SYMBOL = r"(?P<symbol>[^/]+(?:/[^/]+)?)"
_ROWS = ("bars", "trades", "quotes")


def _stocks() -> Iterator[URLPattern]:
    for rows in _ROWS:
        yield _pages("equities", rows, rf"v2/stocks/{rows}")
        yield _pages("equities", rows, rf"v2/stocks/{_SYMBOL}/{rows}")
        yield _newest("equities", rows, rf"v2/stocks/{rows}/latest")
        yield _newest("equities", rows, rf"v2/stocks/{_SYMBOL}/{rows}/latest")
    yield _newest("equities", "snapshots", r"v2/stocks/snapshots")
    yield _newest("equities", "snapshots", rf"v2/stocks/{_SYMBOL}/snapshot")


def _crypto() -> Iterator[URLPattern]:
    for rows in _ROWS:
        yield _pages("crypto", rows, rf"v1beta3/crypto/us/{rows}")
        yield _newest("crypto", rows, rf"v1beta3/crypto/us/latest/{rows}")
    yield _newest("crypto", "snapshots", r"v1beta3/crypto/us/snapshots")


def _options() -> Iterator[URLPattern]:
    for rows in ("bars", "trades"):
        yield _pages("options", rows, rf"v1beta1/options/{rows}")
    for rows in ("trades", "quotes"):
        yield _newest("options", rows, rf"v1beta1/options/{rows}/latest")
    yield _newest("options", "snapshots", r"v1beta1/options/snapshots")
    chain = AlpacaChainViewSet.as_view({"get": "retrieve"})
    yield _path(r"v1beta1/options/snapshots/(?P<symbol>[^/]+)", chain, "options-chain")


def _trading() -> Iterator[URLPattern]:
    accounts, activities, orders = AlpacaAccountsViewSet, AlpacaActivitiesViewSet, AlpacaOrdersViewSet
    positions, assets, watchlists = AlpacaPositionsViewSet, AlpacaAssetsViewSet, AlpacaWatchlistsViewSet
    watchlist = {"get": "retrieve", "put": "update", "post": "add", "delete": "destroy"}
    order = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
    for route, name, view, actions in (
        ("account", "account", accounts, {"get": "retrieve"}),
        ("account/configurations", "configurations", accounts, {"get": "configuration"}),
        (
            "account/portfolio/history",
            "portfolio-history",
            AlpacaPortfolioHistoryViewSet,
            {"get": "retrieve"},
        ),
        ("account/activities", "activities", activities, {"get": "list"}),
        (r"account/activities/(?P<activity_type>[^/]+)", "activities-of-type", activities, {"get": "list"}),
        ("orders", "orders", orders, {"get": "list", "post": "create", "delete": "cancel_all"}),
        ("orders:by_client_order_id", "order-of-client", orders, {"get": "of_client"}),
        (r"orders/(?P<order>[^/]+)", "order", orders, order),
        ("positions", "positions", positions, {"get": "list", "delete": "close_all"}),
        (rf"positions/{_SYMBOL}", "position", positions, {"get": "retrieve", "delete": "close"}),
        ("assets", "assets", assets, {"get": "list"}),
        (rf"assets/{_SYMBOL}", "asset", assets, {"get": "retrieve"}),
        ("watchlists", "watchlists", watchlists, {"get": "list", "post": "create"}),
        (r"watchlists/(?P<watchlist>[^/]+)", "watchlist", watchlists, watchlist),
        (
            rf"watchlists/(?P<watchlist>[^/]+)/{_SYMBOL}",
            "watchlist-asset",
            watchlists,
            {"delete": "remove"},
        ),
    ):
        yield _path(f"v2/{route}", view.as_view(cast("Any", actions)), name)


def _pages(market_class: str, rows: str, route: str) -> URLPattern:
    is_single = _SYMBOL in route
    view = AlpacaPagesViewSet.as_view(
        {"get": "retrieve"}, subject=f"{market_class}-{rows}", is_single=is_single
    )
    return _path(route, view, f"{market_class}-{rows}{'-single' if is_single else ''}")


def _newest(market_class: str, subject: str, route: str) -> URLPattern:
    is_single = _SYMBOL in route
    view = AlpacaNewestViewSet.as_view(
        {"get": "retrieve"}, market_class=market_class, subject=subject, is_single=is_single
    )
    return _path(route, view, f"{market_class}-latest-{subject}{'-single' if is_single else ''}")


def _path(route: str, view: Any, name: str) -> URLPattern:
    pattern: URLPattern = re_path(rf"^{route}/?\Z", view, name=f"alpaca-{name}")
    return pattern


below_api = [
    *_stocks(),
    *_crypto(),
    *_options(),
    _path("v1/corporate-actions", AlpacaActionsViewSet.as_view({"get": "list"}), "corporate-actions"),
    *_trading(),
    _path("v2/clock", AlpacaHoursViewSet.as_view({"get": "clock"}), "clock"),
    *(
        _path(
            f"{prefix}/meta/exchanges", AlpacaHoursViewSet.as_view({"get": "exchanges"}), f"{name}-exchanges"
        )
        for prefix, name in (("v2/stocks", "equities"), ("v1beta1/options", "options"))
    ),
    _path("v2/calendar", AlpacaHoursViewSet.as_view({"get": "calendar"}), "calendar"),
]

_UDF = ("config", "time", "symbols", "search", "marks", "timescale_marks", "quotes")
below_udf = [
    re_path(r"^history/?\Z", UdfHistoryViewSet.as_view({"get": "retrieve"}), name="udf-history"),
    *(re_path(rf"^{name}/?\Z", UdfViewSet.as_view({"get": name}), name=f"udf-{name}") for name in _UDF),
]
