"""What every market store knows of instruments, and which symbols it holds."""

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Protocol

from store.declarations import Dataset
from store.instruments import Instrument


class Catalogue(Protocol):
    """Instruments as they were told to be, each telling kept with its instant.

    Safe for many threads and processes.
    """

    @abstractmethod
    def instrument(self, symbol: str, *, as_of_ns: int | None = None) -> Instrument:
        """What an instrument is, or was at an instant, by symbol or alias; untold: `default_instrument`."""
        ...

    @abstractmethod
    def canonical(self, symbol: str) -> str:
        """The symbol that an alias stands for; any other symbol is its own. Other methods take no aliases."""
        ...

    @abstractmethod
    def told_instruments(self, *, symbol: str | None = None, as_of_ns: int | None = None) -> list[Instrument]:
        """What was told, until now or an instant, of all instruments or of one symbol; by symbol."""
        ...

    @abstractmethod
    def told_until(self, as_of_ns: int) -> int:
        """When any instrument was last told about, until an instant, in nanoseconds UTC; 0 if never."""
        ...

    @abstractmethod
    def set_instrument(self, instrument: Instrument) -> None:
        """Make an instrument what it is from now on, durably and for every process. Raises `AliasTaken`."""
        ...

    @abstractmethod
    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """The same for many at once, no two of one symbol: all of them, or none if it raises `AliasTaken`."""
        ...

    @abstractmethod
    def check_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Raise the `AliasTaken` that setting these would raise.

        An alias may be no symbol with data, no other instrument's alias, and not its instrument's own symbol.
        """
        ...

    @abstractmethod
    def catalogue_stamp(self) -> Hashable:
        """What changes with a symbol's first commit, and with every telling of an instrument; cheap."""
        ...

    @abstractmethod
    def symbols(self, dataset: Dataset) -> list[str]:
        """The symbols with at least one commit, sorted."""
        ...
