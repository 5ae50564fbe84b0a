"""The market of this installation: its store, and the terms that are declared in its database."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import connection

from store.walk import LogPosition
from trades.stores import market_store
from trading.market.followed import FollowedMarket
from trading.market.market import Market
from trading.models import InstrumentTerms


def market() -> Market:
    """Return the installation's market, with the terms that `InstrumentTerms` declares."""
    return Market(market_store(), declared_terms)


def followed_market(place_of: Callable[[str, str], LogPosition | None]) -> FollowedMarket:
    """Return the installation's market by rows that are taken. place_of: see `Market`."""
    return FollowedMarket(market_store(), declared_terms, place_of)


def declared_terms(symbol: str) -> Mapping[str, Any]:
    """Return the terms that are declared for a symbol here, by the names of `Terms`."""
    row = InstrumentTerms.objects.filter(symbol=symbol).first()
    if row is None:
        return {}
    names = ("tick", "lot", "borrow_rate", "initial_margin", "maintenance_margin", "contract_margin")
    declared: dict[str, Any] = {name: Decimal(text) for name in names if (text := getattr(row, name))}
    return declared if row.shortable is None else declared | {"shortable": row.shortable}


def has_declared_terms() -> bool:
    """Return whether the database has a table of declared terms. A file of a database that is not there is not made.

    Raises the errors of a database that cannot be asked.
    """
    is_open = connection.vendor != "sqlite" or connection.connection is not None
    if not is_open and not Path(connection.settings_dict["NAME"]).exists():
        return False
    table = InstrumentTerms._meta.db_table  # noqa: SLF001 Django's documented name
    return table in connection.introspection.table_names()
