"""Which symbols have rows of exchanges and vendors. Reads ask at each computed answer, so the answer is kept for seconds."""

import logging
import time
from collections.abc import Mapping
from typing import NamedTuple

from django.conf import settings
from django.db import Error

from jobs.backfills.models import FILLED, Backfill
from sources.models import SourceSymbol
from sources.registry import DECLARED
from store.aliases import alias_name
from store.exceptions import StorageError
from trades.exceptions import InvalidValue
from trades.instruments.services import requested_symbol, symbol_canonical
from trades.stores import market_store

logger = logging.getLogger(__name__)

KEPT_SECONDS = 10.0


class _Symbols(NamedTuple):
    """fetched: symbols that have a source. filled: those with gaps that a vendor or an exchange filled."""

    fetched: frozenset[str]
    filled: frozenset[str]
    until: float


_kept: _Symbols | None = None


def fetched_symbols() -> frozenset[str]:
    """Return the symbols that have a source; a change shows within `KEPT_SECONDS`. Raises the database's errors."""
    return _symbols().fetched


def _symbols() -> _Symbols:
    """Return what was read last, anew after `KEPT_SECONDS`. While the database cannot be asked it stays."""
    global _kept  # noqa: PLW0603 replaced as a whole, so threads see the old one or the new one
    now = time.monotonic()
    if _kept is not None and now < _kept.until:
        return _kept
    try:
        fetched = SourceSymbol.objects.values_list("symbol", flat=True)
        # Folders and other installations have the rows of the own feed.
        own = [name for name, source in settings.SOURCES.items() if source.get("kind", name) in DECLARED]
        filled = (
            Backfill.objects.filter(state=FILLED).exclude(source__in=own).values_list("symbol", flat=True)
        )
        _kept = _Symbols(frozenset(fetched), frozenset(filled.distinct()), now + KEPT_SECONDS)
    except Error as error:
        if _kept is None:
            raise
        logger.warning("the fetched symbols cannot be read: %s", error)
        _kept = _kept._replace(until=now + KEPT_SECONDS)
    return _kept


def fetched_forget() -> None:
    """Forget what was read: the next call asks the database."""
    global _kept  # noqa: PLW0603 as above
    _kept = None


def fetched_in(arguments: Mapping[str, str]) -> bool:
    """Return whether an answer may have rows of exchanges or vendors. arguments: of the URL.

    Without a `symbol` it may, if any symbol has such rows. Otherwise it has rows of the symbol, of its underlying, and of
    the contracts whose underlying it is. A name that a fetched symbol ever had counts as the symbol.
    """
    if settings.PUBLIC_READS_FETCHED:
        return False
    try:
        known = _symbols()
    except Error as error:
        logger.warning("the fetched symbols cannot be read: %s", error)
        return True
    symbols = known.fetched | known.filled
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
