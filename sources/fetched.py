"""Which symbols are fetched from a source. Reads ask at each computed answer, so the answer is kept for some seconds."""

import logging
import time
from collections.abc import Mapping

from django.conf import settings
from django.db import Error

from sources.models import SourceSymbol
from store.aliases import alias_name
from store.exceptions import StorageError
from trades.exceptions import InvalidValue
from trades.instruments.services import requested_symbol, symbol_canonical
from trades.stores import market_store

logger = logging.getLogger(__name__)

KEPT_SECONDS = 10.0
_kept: tuple[float, frozenset[str]] = (0.0, frozenset())


def fetched_symbols() -> frozenset[str]:
    """Return the symbols that have a source; a change shows within `KEPT_SECONDS`.

    While the database cannot be asked, those that were read last.
    """
    global _kept  # noqa: PLW0603 replaced as a whole, so threads see the old one or the new one
    now = time.monotonic()
    until, symbols = _kept
    if now >= until:
        try:
            symbols = frozenset(SourceSymbol.objects.values_list("symbol", flat=True))
        except Error as error:
            logger.warning("the fetched symbols cannot be read: %s", error)
        _kept = now + KEPT_SECONDS, symbols
    return symbols


def fetched_forget() -> None:
    """Forget what was read: the next call asks the database."""
    global _kept  # noqa: PLW0603 as above
    _kept = (0.0, frozenset())


def fetched_in(arguments: Mapping[str, str]) -> bool:
    """Return whether an answer may have fetched rows. arguments: of the URL.

    Without a `symbol` it may, if any symbol was fetched. Otherwise it has rows of the symbol, of its underlying, and of
    the contracts whose underlying it is. A name that a fetched symbol ever had counts as the symbol.
    """
    symbols = frozenset() if settings.PUBLIC_READS_FETCHED else fetched_symbols()
    if not symbols or "symbol" not in arguments:
        return bool(symbols)
    try:
        named = requested_symbol(arguments["symbol"])
        asked = {named, symbol_canonical(named), market_store().instrument(named).underlying}
        fetched = [market_store().instrument(each) for each in symbols]
    except (InvalidValue, StorageError):
        return True
    names = {alias_name(alias) for each in fetched for alias in each.aliases}
    return not asked.isdisjoint(symbols | names | {each.underlying for each in fetched} - {None})
