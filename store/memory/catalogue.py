"""What a store in memory knows of instruments, and which symbols it holds."""

import secrets
import threading
from collections.abc import Callable, Hashable, Sequence

from store.declarations import Dataset
from store.instrument_history import InstrumentHistory
from store.instruments import Instrument


class MemoryCatalogue:
    """The part of a `MarketStore` in memory that is about instruments and symbols, not about rows."""

    def __init__(self, known: Callable[[], set[tuple[str, str]]], clock: Callable[[], int]) -> None:
        """`known` gives (dataset's name, symbol) of the logs with commits."""
        self._known_logs = known
        self._clock = clock
        self._history = InstrumentHistory()
        self._telling = threading.Lock()
        self._tellings = 0
        self._token = secrets.token_hex(8)

    def instrument(self, symbol: str, *, as_of_ns: int | None = None) -> Instrument:
        """See `MarketStore.instrument`."""
        return self._history.instrument(symbol, as_of_ns)

    def canonical(self, symbol: str) -> str:
        """See `MarketStore.canonical`."""
        return self._history.canonical(symbol)

    def told_instruments(self, *, symbol: str | None = None, as_of_ns: int | None = None) -> list[Instrument]:
        """See `MarketStore.told_instruments`."""
        return self._history.told(symbol, as_of_ns)

    def told_until(self, as_of_ns: int) -> int:
        """See `MarketStore.told_until`."""
        return self._history.told_until(as_of_ns)

    def set_instrument(self, instrument: Instrument) -> None:
        """See `MarketStore.set_instrument`."""
        self.set_instruments([instrument])

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """See `MarketStore.set_instruments`."""
        with self._telling:
            self.check_instruments(instruments)
            now = self._clock()
            for instrument in instruments:
                self._history.add(now, instrument)
            self._tellings += 1

    def check_instruments(self, instruments: Sequence[Instrument]) -> None:
        """See `MarketStore.check_instruments`."""
        with_data = {symbol for _, symbol in self._known_logs()}
        self._history.check(instruments, with_data.__contains__)

    def catalogue_stamp(self) -> Hashable:
        """See `MarketStore.catalogue_stamp`."""
        return self._token, self._tellings, len(self._known_logs())

    def symbols(self, dataset: Dataset) -> list[str]:
        """See `MarketStore.symbols`."""
        return sorted(symbol for name, symbol in self._known_logs() if name == dataset.name)
