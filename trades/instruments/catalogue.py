"""Keeps the search table of instruments equal to the store: compares both before each search, updates the table."""

import fcntl
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from itertools import islice
from typing import BinaryIO, TypeVar

import msgspec
from django.conf import settings
from django.db import transaction

from store.index_options import INDEX_OPTIONS
from store.instruments import ALIAS_SEPARATOR, Instrument
from trades.instruments.serializers import instrument_document
from trades.instruments.services import instruments_all
from trades.instruments.texts import alias_text
from trades.models import TEXT_LENGTHS, CatalogueState, InstrumentEntry
from trades.stores import market_store
from web.requests.nearest_name import nearest_of

# Rows written in one transaction; a larger batch would make the database's other writers wait longer.
_ROWS_AT_ONCE = 2_000
# Symbols that are compared with an unknown one: two thousand names of options take 30 ms.
_COMPARED = 200
_STATE = 1
_LOCK = "catalogue.lock"
_PATIENCE_SECONDS, _POLL_SECONDS = 3.0, 0.005
_NUMBERS = ("tick_size", "settle", "strike", "multiplier")
_COLUMNS = [*TEXT_LENGTHS, *_NUMBERS, "aliases", "expiry", "allow_nonpositive_price", "document"]
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Instrument)
_T = TypeVar("_T")


def catalogue_refresh() -> None:
    """Update the table if the store has changed since the last refresh. Raises `StorageError`s."""
    if _is_current(_stamp()):
        return
    with _one_at_a_time():
        stamp = _stamp()
        if not _is_current(stamp):
            _bring_up_to(stamp)


def _stamp() -> str:
    # A version with another table of index options has other undeclared instruments.
    stamps = market_store().catalogue_stamp(), INDEX_OPTIONS
    return hashlib.sha256(repr(stamps).encode()).hexdigest()


def _is_current(stamp: str) -> bool:
    state = CatalogueState.objects.filter(pk=_STATE, stamp=stamp).first()
    return state is not None and InstrumentEntry.objects.exists() is bool(state.rows)


def _bring_up_to(stamp: str) -> None:
    # `stamp` was read before the instruments: if they change meanwhile, the next refresh updates the table again.
    instruments = {instrument.symbol: instrument for instrument in instruments_all()}
    documents = dict(InstrumentEntry.objects.values_list("symbol", "document"))
    entries = (
        entry_of(instrument)
        for instrument in instruments.values()
        if documents.get(instrument.symbol) != _encode(instrument).decode()
    )
    for batch in _batches(entries):
        _put(batch)
    for symbols in _batches(iter(sorted(documents.keys() - instruments.keys()))):
        InstrumentEntry.objects.filter(symbol__in=symbols).delete()
    CatalogueState.objects.update_or_create(pk=_STATE, defaults={"stamp": stamp, "rows": len(instruments)})


def catalogue_first(instrument_class: str, count: int) -> list[Instrument]:
    """Return the first `count` instruments of a class by symbol. Raises `StorageError`s."""
    catalogue_refresh()
    of_class = InstrumentEntry.objects.filter(instrument_class=instrument_class).order_by("symbol")
    return [instrument_in(entry) for entry in of_class[:count]]


def catalogue_nearest(symbol: str, instrument_class: str) -> str | None:
    """Return the most similar symbol of a class that begins with the same letter, small or large; None if none is similar.

    Raises `StorageError`s.
    """
    catalogue_refresh()
    alike = InstrumentEntry.objects.filter(instrument_class=instrument_class, symbol__istartswith=symbol[:1])
    return nearest_of(symbol, alike.order_by("symbol").values_list("symbol", flat=True)[:_COMPARED])


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Lock out other threads and processes, which would only repeat the same work.

    A caller inside a transaction does not wait: it may hold a database lock for which the holder waits.
    """
    if transaction.get_connection().in_atomic_block:
        yield
        return
    with ExitStack() as stack:
        with suppress(OSError):
            settings.RUN_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
            _wait_for(stack.enter_context((settings.RUN_DIR / _LOCK).open("ab")))
        yield


def _wait_for(file: BinaryIO) -> None:
    """Lock a file. Return after three seconds anyway: its holder may have been stopped."""
    ends_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_POLL_SECONDS)


def instrument_in(entry: InstrumentEntry) -> Instrument:
    """Return the instrument of a row."""
    return _decoder.decode(entry.document)


def entry_of(instrument: Instrument) -> InstrumentEntry:
    """Return the unsaved row of an instrument. Texts that do not fit are cut: they serve search only."""
    texts = {name: (getattr(instrument, name) or "")[:length] for name, length in TEXT_LENGTHS.items()}
    return InstrumentEntry(
        symbol=instrument.symbol,
        aliases=ALIAS_SEPARATOR.join(map(alias_text, instrument_document(instrument)["aliases"])),
        expiry=_date(instrument.expiry),
        allow_nonpositive_price=instrument.allow_nonpositive_price,
        document=_encode(instrument).decode(),
        **texts,
        **{name: getattr(instrument, name) for name in _NUMBERS},
    )


def _put(entries: Sequence[InstrumentEntry]) -> None:
    with transaction.atomic():
        InstrumentEntry.objects.bulk_create(
            entries, update_conflicts=True, unique_fields=["symbol"], update_fields=_COLUMNS
        )


def _batches(items: Iterator[_T]) -> Iterator[list[_T]]:
    while batch := list(islice(items, _ROWS_AT_ONCE)):
        yield batch


def _date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        return None
