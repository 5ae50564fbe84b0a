"""The protocol of a market store: instruments, and a log of rows for each dataset and symbol."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from calendars.schedule import SpecialSession
from store.cached_property import cached_property
from store.checks import ReadLogCheck, read_statistics
from store.datasets import DATASETS, DECLARED_INSTRUMENTS, WITHOUT_INSTRUMENTS
from store.declarations import Dataset
from store.exceptions import DataDamaged, StorageError, UnknownSymbol
from store.instrument_log import InstrumentLog
from store.instruments import Instrument
from store.log import Log
from store.maintained import LogCheck, LogStatistics
from store.protocol import Amendment, Append, Receipt
from store.special_sessions import prove_sessions, with_stored_sessions
from store.walk import CommitHook

logger = logging.getLogger(__name__)


class MarketStore(ABC):
    """The methods of a backend. It keeps instruments and, for each dataset and symbol, a log of rows.

    Safe for many threads and processes. committed: hooks that the writing process calls with dataset, symbol and commit
    after each of its commits, once the commit is durable and visible. They run in the writing thread, in any order if
    several threads write. A follower that must not miss a commit also polls `heads`.
    """

    committed: list[CommitHook]

    def identity(self) -> str:
        """Return a text that no copy of the store has, and that a restored or cut store has no more. It is cheap.

        Answers that are kept belong to one identity: after a restore the same commits may have rows that were lost before.
        """
        return ""

    @abstractmethod
    def log(self, dataset: Dataset, symbol: str) -> Log:
        """Return a log, which need not exist. It is cheap, and reads nothing."""

    def append(self, batch: Append) -> Receipt:
        """Store a batch, all of it or nothing, durably before returning. Raises `StorageError`s.

        Then it declares the special sessions that the rows prove. If only that fails, it is logged: the rows are
        stored, and the same batch, or later rows of these dates, prove them.
        """
        return self.prepare_append(batch)()

    def prepare_append(self, batch: Append) -> Callable[[], Receipt]:
        """Do the part of an append that needs no lock; return a function that does the rest.

        Another thread may call that function.
        """
        return partial(self._append_and_prove, batch, self.prepare_rows(batch))

    def _append_and_prove(self, batch: Append, store_rows: Callable[[], Receipt]) -> Receipt:
        receipt = store_rows()
        try:
            prove_sessions(self, batch)
        except StorageError as error:  # an error would say that the rows are not stored
            logger.warning("the sessions of %s were not looked at: %s", batch.symbol, error)
        return receipt

    @abstractmethod
    def prepare_rows(self, batch: Append) -> Callable[[], Receipt]:
        """Do `prepare_append` of a batch whose rows prove no special sessions."""

    @abstractmethod
    def correct(self, amendment: Amendment) -> Receipt:
        """Apply a batch of corrections, all of it or nothing, durably before returning.

        A correction sees the results of those before it. It counts as applied before if its row is already
        cancelled or already has the new values. Raises `CorrectionTargetMissing`, `CorrectionAmbiguous` and
        the other `StorageError`s.
        """

    @abstractmethod
    def heads(self, dataset: Dataset, symbols: Sequence[str] | None = None) -> dict[str, Hashable]:
        """Return a token for each log of the given symbols, by default of all symbols.

        For followers of commits: a changed token tells that there is more to read in that log. For answers that are
        kept, use `change_stamp`. A log without commits may be missing. While a log's token is the same, nothing was
        committed to it. A token costs one stat call. Only tokens of the same store at the same path can be compared.
        """

    @abstractmethod
    def change_stamp(self, logs: Iterable[tuple[Dataset, str]]) -> Callable[[], Hashable]:
        """Return a function whose result changes with each commit to these logs and each declaration of an instrument.

        For answers that are kept: while the result is the same, an answer made from these logs is the newest. It does
        not tell which log changed; `heads` does. Logs are pairs of dataset and symbol; they need not exist. A call
        costs a stat call for each log and one more. The function raises `OSError`.
        """

    def instrument(self, symbol: str, *, as_of_ns: int | None = None) -> Instrument:
        """Return an instrument by symbol or alias, as of now or an instant.

        If it was not declared by then, return its `default_instrument`.
        """
        return self._instruments.history().instrument(symbol, as_of_ns)

    def canonical(self, symbol: str, on_ns: int | None = None) -> str:
        """Return an alias's symbol at an instant (nanoseconds UTC), and any other symbol unchanged.

        on_ns: None for now; then an alias that has an end is not one. Names are those of the newest declarations.
        Raises `UnknownSymbol` for a name that is an alias now, but was none at `on_ns`.
        Methods other than this and `instrument` do not take aliases.
        """
        try:
            history = self._instruments.history()
        except DataDamaged:
            if on_ns is None and self._has_data(symbol):  # then it is no alias, and rows can be stored
                return symbol
            raise
        return history.canonical(symbol, on_ns)

    def declared_instruments(
        self, *, symbol: str | None = None, as_of_ns: int | None = None
    ) -> list[Instrument]:
        """Return the declared instruments (or only `symbol`'s), sorted by symbol, as of now or an instant."""
        return self._instruments.history().declared(symbol, as_of_ns)

    def declarations(self, symbol: str, *, as_of_ns: int | None = None) -> list[tuple[int, Instrument]]:
        """Return a symbol's declarations and their times (nanoseconds UTC), as of now or an instant; oldest first."""
        return self._instruments.history().declarations(symbol, as_of_ns)

    def last_declared_ns(self, as_of_ns: int) -> int:
        """Return the time (nanoseconds UTC) of the last declaration up to an instant; 0 if there is none."""
        return self._instruments.history().last_declared_ns(as_of_ns)

    def set_instrument(self, instrument: Instrument) -> None:
        """Declare an instrument from now on, durably and for every process. Raises `AliasTaken`."""
        self.set_instruments([instrument])

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Declare instruments with distinct symbols: all, or none if `AliasTaken` is raised.

        Special sessions stay; a new calendar adds those that stored rows prove.
        """
        self._instruments.declare([with_stored_sessions(self, each) for each in instruments], self._has_data)

    def add_special_sessions(self, symbol: str, sessions: Sequence[SpecialSession]) -> None:
        """Declare special sessions of an instrument besides those that it has. Raises the errors of `append`."""
        self._instruments.add_sessions(symbol, sessions)

    def check_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Raise the `AliasTaken` that `set_instruments` would raise.

        An alias may not be another instrument's alias at the same time. An alias without an end may not be a symbol
        with data, the symbol of one of these instruments, or the symbol of an instrument with aliases.
        """
        self._instruments.history().check(instruments, self._has_data)

    @cached_property
    def _instruments(self) -> InstrumentLog:
        return InstrumentLog(self.log(*DECLARED_INSTRUMENTS), self.append, self.change_stamp(()))

    def _has_data(self, symbol: str) -> bool:
        """Return whether an instrument has rows."""
        for dataset in DATASETS.values():
            with suppress(UnknownSymbol):
                if dataset not in WITHOUT_INSTRUMENTS and self.log(dataset, symbol).head.number:
                    return True
        return False

    def remove_expired(self, dataset: Dataset, symbol: str) -> int:
        """Delete the rows of dates whose removal is recorded, as far as it was not done; return about how many bytes they took.

        Raises `StoreUnavailable`.
        """
        return 0

    def bytes_before(self, dataset: Dataset, symbol: str, before_ns: int) -> int:
        """Return about how many bytes the rows of a log take whose dates are before an instant, a midnight UTC."""
        return 0

    def check(self, dataset: Dataset, symbol: str) -> LogCheck:
        """Return a check of all commits and rows of a log, not started. Raises `UnknownSymbol`."""
        log = self.log(dataset, symbol)
        log.at()
        return ReadLogCheck(log)

    def statistics(self, dataset: Dataset, symbol: str) -> LogStatistics:
        """Return the counts of a log. Raises the errors of reads."""
        return read_statistics(self.log(dataset, symbol))

    def problem(self) -> str:
        """Return why nothing can be read or written now; an empty text if all parts of the store answer."""
        return ""

    @abstractmethod
    def catalogue_stamp(self) -> Hashable:
        """Return a value that changes with each declaration and each symbol's first commit. It is cheap."""

    @abstractmethod
    def symbols(self, dataset: Dataset) -> list[str]:
        """Return the symbols with at least one commit, sorted."""
