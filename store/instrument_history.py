"""What instruments were told to be, one telling after another, and which aliases follow from it."""

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence

from store.exceptions import AliasTaken
from store.instruments import Instrument, default_instrument


class InstrumentHistory:
    """All tellings in their order. One thread adds at a time; others may read meanwhile."""

    def __init__(self) -> None:
        self._told: dict[str, list[tuple[int, Instrument]]] = {}
        self._owners: dict[str, str] = {}
        self._instants: list[int] = []

    def add(self, told_at: int, instrument: Instrument) -> None:
        """What an instrument is from an instant on, in nanoseconds UTC."""
        told = self._told.setdefault(instrument.symbol, [])
        before = told[-1][1].aliases if told else ()
        told.append((told_at, instrument))
        insort(self._instants, told_at)
        # Aliases that stay are never missing, not even for a moment.
        self._owners.update(dict.fromkeys(instrument.aliases, instrument.symbol))
        for alias in set(before).difference(instrument.aliases):
            if self._owners.get(alias) == instrument.symbol:
                del self._owners[alias]

    def canonical(self, symbol: str) -> str:
        """The symbol that an alias stands for now; any other symbol is its own."""
        return self._owners.get(symbol, symbol)

    def instrument(self, symbol: str, as_of_ns: int | None) -> Instrument:
        """See `MarketStore.instrument`."""
        symbol = self._owners.get(symbol, symbol)
        told = self._found(symbol, as_of_ns)
        return default_instrument(symbol) if told is None else told

    def told(self, symbol: str | None, as_of_ns: int | None) -> list[Instrument]:
        """See `MarketStore.told_instruments`."""
        symbols = sorted(set(self._told).difference(self._owners)) if symbol is None else [symbol]
        found = (self._found(each, as_of_ns) for each in symbols)
        return [instrument for instrument in found if instrument is not None]

    def told_until(self, as_of_ns: int) -> int:
        """See `MarketStore.told_until`."""
        newest = bisect_right(self._instants, as_of_ns)
        return self._instants[newest - 1] if newest else 0

    def check(self, instruments: Sequence[Instrument], has_data: Callable[[str], bool]) -> None:
        """Raise `AliasTaken` if these instruments, no two of one symbol, cannot stand beside the others."""
        told = {instrument.symbol: instrument for instrument in instruments}
        # A copy in one step: another thread may add an alias while we go through them.
        owners = {alias: owner for alias, owner in self._owners.copy().items() if owner not in told}
        for place, instrument in enumerate(instruments):
            for alias in instrument.aliases:
                owner = owners.setdefault(alias, instrument.symbol)
                if owner != instrument.symbol:
                    raise AliasTaken(place, alias, f"it is an alias of {owner}")
                if alias in told or self._has_aliases(alias):
                    raise AliasTaken(place, alias, "it is an instrument of its own")
                if has_data(alias):
                    raise AliasTaken(place, alias, "it is a symbol with data of its own")
        for place, symbol in enumerate(told):
            if symbol in owners:
                raise AliasTaken(place, symbol, f"it is an alias of {owners[symbol]}: tell about that one")

    def _has_aliases(self, symbol: str) -> bool:
        told = self._found(symbol, None)
        return told is not None and bool(told.aliases)

    def _found(self, symbol: str, as_of_ns: int | None) -> Instrument | None:
        for told_at, instrument in reversed(self._told.get(symbol, ())):
            if as_of_ns is None or told_at <= as_of_ns:
                return instrument
        return None
