"""Which symbols have rows of exchanges and vendors. Reads ask at each computed answer, so the answer is kept for seconds."""

import logging
from collections.abc import Callable, Iterable, Mapping

from django.conf import settings
from django.db import Error

from jobs.backfills.models import FILLED, Backfill
from ratelimit.fresh_cache import FreshCache
from sources.models import SourceSymbol
from sources.registry import DECLARED
from store.aliases import alias_name
from store.exceptions import StorageError
from trades.exceptions import InvalidValue
from trades.instruments.services import requested_symbol, symbol_canonical
from trades.stores import market_store

logger = logging.getLogger(__name__)

SYMBOLS = FreshCache[Callable[[], Iterable[str]], frozenset[str]](max_age=10.0)


def fetched_symbols() -> frozenset[str]:
    """Return the symbols that have a source; a change shows within ten seconds. Raises the database's errors."""
    return _kept(_fetched)


def _kept(read: Callable[[], Iterable[str]]) -> frozenset[str]:
    """Return symbols that were read within ten seconds. While the database cannot be asked, those that were read last."""
    last = SYMBOLS.peek(read)
    try:
        return SYMBOLS.get(read, lambda _: frozenset(read())) or frozenset()
    except Error as error:
        if last is None:
            raise
        logger.warning("the fetched symbols cannot be read: %s", error)
        return SYMBOLS.get(read, lambda _: last) or frozenset()


def _fetched() -> Iterable[str]:
    return SourceSymbol.objects.values_list("symbol", flat=True)


def _filled() -> Iterable[str]:
    """Return the symbols with gaps that a vendor or an exchange filled. Copies have the rows of the own feed."""
    copies = [name for name, source in settings.SOURCES.items() if source.get("kind", name) in DECLARED]
    filled = Backfill.objects.filter(state=FILLED).exclude(source__in=copies)
    return filled.values_list("symbol", flat=True).distinct()


def fetched_in(arguments: Mapping[str, str]) -> bool:
    """Return whether an answer may have rows of exchanges or vendors. arguments: of the URL.

    Without a `symbol` it may, if any symbol has such rows. Otherwise it has rows of the symbol, of its underlying, and of
    the contracts whose underlying it is. A name that a fetched symbol ever had counts as the symbol.
    """
    if settings.PUBLIC_READS_FETCHED:
        return False
    try:
        symbols = _kept(_fetched) | _kept(_filled)
    except Error as error:
        logger.warning("the fetched symbols cannot be read: %s", error)
        return True
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
