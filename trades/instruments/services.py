"""The services of instruments: read them, declare them, and record declarations in the audit log."""

from collections.abc import Sequence
from contextlib import suppress

from django.db import Error, transaction
from django.utils import timezone
from msgspec import structs

from audit.services import event_record, events_lock
from store.datasets import DATASETS, WITHOUT_INSTRUMENTS
from store.declarations import Dataset
from store.exceptions import NotKnownThen, OutcomeUnknown, UnknownSymbol
from store.instruments import Instrument, default_instrument
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import format_timestamp
from trades.exceptions import InvalidValue
from trades.instruments.serializers import instrument_document
from trades.stores import market_store
from web.requests.work import current_work

# Each process then computes the answers anew that it held.
DECLARATION_TOKENS = 10
AUDIT_CLASS, EVENT = "config", "instrument.told"
_UNCONFIRMED = (
    "the change is made, and its audit record is not confirmed: the outcome is unknown; read the audit log to learn"
    " whether it was recorded"
)


def requested_symbol(text: str) -> str:
    """Return the normalized symbol of a path or parameter. Raises `InvalidValue`."""
    try:
        return parse_symbol(text)
    except InvalidSymbol as error:
        raise InvalidValue(error.code, str(error)) from error


def symbol_canonical(symbol: str, on_ns: int | None = None) -> str:
    """Return the symbol that an alias stands for, now or at an instant; any other symbol unchanged.

    Raises `UnknownSymbol` for a name that is an alias now, but was none at `on_ns`; other `StorageError`s.
    """
    return market_store().canonical(symbol, on_ns)


def log_name(dataset: Dataset, symbol: str) -> str:
    """Return the name of a dataset's log: see `symbol_canonical`. A universe has no aliases."""
    return symbol if dataset in WITHOUT_INSTRUMENTS else symbol_canonical(symbol)


def allows_nonpositive_price(symbol: str) -> bool:
    """Return whether an instrument's prices may be zero or less. Raises `StorageError`s."""
    return market_store().instrument(symbol).allow_nonpositive_price


def instruments_declare(*, instruments: Sequence[Instrument], actor: str) -> list[Instrument]:
    """Record the changes in the audit log and store the instruments: all or none. Symbols must be distinct.

    Returns the instruments as stored. After `AliasTaken`, another `StorageError` or django.db.Error nothing was
    done. After `OutcomeUnknown` the change is made, but its audit record may be missing.
    """
    is_stored = False
    try:
        with transaction.atomic():
            _record_changes(instruments, actor)
            stored = instruments_set(instruments=instruments)
            is_stored = True
    except Error as error:
        if is_stored:
            raise OutcomeUnknown(_UNCONFIRMED) from error
        raise
    return stored


def instruments_set(*, instruments: Sequence[Instrument]) -> list[Instrument]:
    """Store instruments without an audit record: all or none, those that are declared so already left out.

    Symbols must be distinct. Every process sees the change with its next answer. Returns the instruments as stored;
    aliases of underlyings are replaced by symbols. Raises `AliasTaken` and other `StorageError`s.
    """
    resolved = [instrument_resolved(each) for each in instruments]
    changed = [each for each in resolved if not is_declared(each)]
    if changed:
        market_store().set_instruments(changed)
        current_work().count_tokens(DECLARATION_TOKENS * len(changed))
    return resolved


def is_declared(instrument: Instrument) -> bool:
    """Return whether the last declaration of the symbol is equal to this instrument. Raises `StorageError`s."""
    return market_store().declared_instruments(symbol=instrument.symbol) == [instrument]


def instrument_resolved(instrument: Instrument) -> Instrument:
    """Return the instrument as it will be stored: with the special sessions that its symbol has.

    If its underlying is an alias, it is replaced by its symbol. Raises `StorageError`s.
    """
    store = market_store()
    return structs.replace(
        instrument,
        special_sessions=store.instrument(instrument.symbol).special_sessions,
        underlying=instrument.underlying and store.canonical(instrument.underlying),
    )


def instruments_all() -> list[Instrument]:
    """Return every instrument that has data or a declaration, by symbol. Raises `StorageError`s.

    The names of currencies and universes are not instruments.
    """
    store = market_store()
    declared = {instrument.symbol: instrument for instrument in store.declared_instruments()}
    datasets = (dataset for dataset in DATASETS.values() if dataset not in WITHOUT_INSTRUMENTS)
    with_data = {symbol for dataset in datasets for symbol in store.symbols(dataset)}
    return [
        declared.get(symbol) or default_instrument(symbol) for symbol in sorted(with_data | set(declared))
    ]


def instrument_get(*, symbol: str, as_of_ns: int | None = None) -> Instrument:
    """Return the instrument of a symbol or alias, now or as of an instant.

    Raises `UnknownSymbol` if it has neither data nor a declaration, `NotKnownThen` if it had neither then; other
    `StorageError`s.
    """
    symbol = market_store().canonical(symbol)
    if not is_known(symbol):
        raise UnknownSymbol(symbol)
    require_known_then(symbol, as_of_ns)
    return market_store().instrument(symbol, as_of_ns=as_of_ns)


def is_known(symbol: str, as_of_ns: int | None = None) -> bool:
    """Return whether a symbol has, or had by then, data or a declaration. Raises `StorageError`s."""
    declared = market_store().declared_instruments(symbol=symbol, as_of_ns=as_of_ns)
    return bool(declared) or _has_data(symbol, as_of_ns)


def require_known_then(symbol: str, as_of_ns: int | None) -> None:
    """Raise `NotKnownThen` if a known symbol had neither data nor a declaration at an instant; None for now."""
    if as_of_ns is not None and not is_known(symbol, as_of_ns):
        then, first = format_timestamp(as_of_ns), format_timestamp(_first_known_ns(symbol))
        raise NotKnownThen(
            f"nothing was known of {symbol} at {then}: it was first declared or stored at {first}; send a later as_of"
        )


def _first_known_ns(symbol: str) -> int:
    """Return the time of a known symbol's first declaration or commit."""
    store = market_store()
    times = [declared_at for declared_at, _ in store.declarations(symbol)[:1]]
    for dataset in DATASETS.values():
        with suppress(UnknownSymbol):
            log = store.log(dataset, symbol)
            if log.head.number:
                times.append(log.committed_at(1))
    return min(times)


def _has_data(symbol: str, as_of_ns: int | None) -> bool:
    """Return whether any dataset had a commit of the symbol by then."""
    store = market_store()
    for dataset in DATASETS.values():
        with suppress(UnknownSymbol):
            head = store.log(dataset, symbol).head.number
            if head if as_of_ns is None else store.log(dataset, symbol).as_of(as_of_ns).commit.number:
                return True
    return False


def _record_changes(instruments: Sequence[Instrument], actor: str) -> None:
    """Record the instruments that differ from the stored ones, in one event."""
    events_lock()  # prevents other declarations until the transaction ends
    store = market_store()
    before = {each.symbol: instrument_document(store.instrument(each.symbol)) for each in instruments}
    after = {each.symbol: instrument_document(each) for each in instruments}
    changed = [symbol for symbol in after if before[symbol] != after[symbol]]
    if not changed:
        return
    subject = f"{len(changed)} instruments"
    change = {each: before[each] for each in changed}, {each: after[each] for each in changed}
    if len(changed) == 1:
        subject, change = changed[0], (before[changed[0]], after[changed[0]])
    event_record(
        at=timezone.now(),
        actor=actor,
        audit_class=AUDIT_CLASS,
        event=EVENT,
        subject=subject,
        detail={"change": change},
    )
