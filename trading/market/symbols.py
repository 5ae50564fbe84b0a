"""The market of this installation: its store, and the terms of its settings."""

from collections.abc import Callable

from django.conf import settings

from store.walk import LogPosition
from trades.stores import market_store
from trading.market.followed import FollowedMarket
from trading.market.market import Market


def market() -> Market:
    """Return the installation's market, with the terms of the setting TRADING_TERMS."""
    return Market(market_store(), settings.TRADING_TERMS)


def followed_market(place_of: Callable[[str, str], LogPosition | None]) -> FollowedMarket:
    """Return the installation's market by rows that are taken. place_of: see `Market`."""
    return FollowedMarket(market_store(), settings.TRADING_TERMS, place_of)
