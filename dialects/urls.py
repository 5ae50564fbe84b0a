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
from dialects.alpaca.pages import AlpacaPagesViewSet, AlpacaRowsViewSet
from dialects.alpaca.portfolio_history import AlpacaPortfolioHistoryViewSet
from dialects.alpaca.positions import AlpacaPositionsViewSet
from dialects.alpaca.watchlists import AlpacaWatchlistsViewSet
from dialects.udf.history import UdfHistoryViewSet
from dialects.udf.views import UDF_ACTIONS, UdfViewSet

_SYMBOL = r"(?P<symbol>[^/]+(?:/[^/]+)?)"
_ROWS = ("bars", "trades", "quotes")
# Of each class: the base of its paths, the paths of the newest rows, and what it has pages of, and newest rows.
_CLASSES = (
    ("equities", "v2/stocks", "{}/latest", _ROWS, _ROWS),
    ("crypto", "v1beta3/crypto/us", "latest/{}", _ROWS, _ROWS),
    ("options", "v1beta1/options", "{}/latest", ("bars", "trades"), ("trades", "quotes")),
)


def _market_data() -> Iterator[URLPattern]:
    for market_class, base, latest, pages, newest in _CLASSES:
        for rows in pages:
            yield _rows(AlpacaPagesViewSet, market_class, rows, f"{base}/{rows}")
        for rows in newest:
            yield _rows(AlpacaNewestViewSet, market_class, rows, f"{base}/{latest.format(rows)}")
        yield _rows(AlpacaNewestViewSet, market_class, "snapshots", f"{base}/snapshots")
    for rows in _ROWS:
        yield _rows(AlpacaPagesViewSet, "equities", rows, f"v2/stocks/{_SYMBOL}/{rows}")
        yield _rows(AlpacaNewestViewSet, "equities", rows, f"v2/stocks/{_SYMBOL}/{rows}/latest")
    yield _rows(AlpacaNewestViewSet, "equities", "snapshots", f"v2/stocks/{_SYMBOL}/snapshot")
    yield _rows(AlpacaChainViewSet, "options", "chain", r"v1beta1/options/snapshots/(?P<symbol>[^/]+)")


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


def _rows(view: type[AlpacaRowsViewSet], market_class: str, subject: str, route: str) -> URLPattern:
    is_single = "symbol" in route
    route_view = view.as_view(
        {"get": "retrieve"}, market_class=market_class, subject=subject, is_single=is_single
    )
    name = f"{market_class}-{'latest-' if view is AlpacaNewestViewSet else ''}{subject}"
    return _path(route, route_view, f"{name}-single" if is_single and subject != "chain" else name)


def _path(route: str, view: Any, name: str) -> URLPattern:
    pattern: URLPattern = re_path(rf"^{route}/?\Z", view, name=f"alpaca-{name}")
    return pattern


_hours, _actions = AlpacaHoursViewSet.as_view, AlpacaActionsViewSet.as_view
below_api = [
    *_market_data(),
    _path("v1/corporate-actions", _actions({"get": "retrieve"}), "corporate-actions"),
    # As old clients call it.
    _path("v1beta1/corporate-actions", _actions({"get": "retrieve"}), "corporate-actions-old"),
    *_trading(),
    _path("v2/clock", _hours({"get": "clock"}), "clock"),
    _path("v2/stocks/meta/exchanges", _hours({"get": "exchanges"}), "equities-exchanges"),
    _path("v1beta1/options/meta/exchanges", _hours({"get": "exchanges"}), "options-exchanges"),
    _path("v2/calendar", _hours({"get": "calendar"}), "calendar"),
]

below_udf = [
    re_path(r"^history/?\Z", UdfHistoryViewSet.as_view({"get": "retrieve"}), name="udf-history"),
    *(
        re_path(rf"^{name}/?\Z", UdfViewSet.as_view({"get": name}), name=f"udf-{name}")
        for name in UDF_ACTIONS
    ),
]
