"""The declarations of instruments: a log like any other, and its history in memory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from calendars.schedule import SpecialSession
from store import lazy_pyarrow as pa
from store.datasets import DECLARED_INSTRUMENTS, INSTRUMENTS
from store.exceptions import CommitConflict, StoreUnavailable, UnknownSymbol
from store.instrument_calendars import have_same_calendar
from store.instruments import SPECIAL_SESSIONS_LIMIT, Instrument, InstrumentHistory
from store.log import Log
from store.protocol import ALL_TIME, NO_COMMIT, Append, CommitId, Dedupe
from store.walk import Resync

Declaration = tuple[int, Instrument]
"""When a declaration takes effect, in nanoseconds UTC, and the instrument."""

_decoder = msgspec.json.Decoder(Instrument)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """The declarations up to a commit, of which there are `count`. stamp: the log's when they were read."""

    stamp: Hashable = None
    commit: CommitId = NO_COMMIT
    count: int = 0
    history: InstrumentHistory = field(default_factory=InstrumentHistory)


class InstrumentLog:
    """The declared instruments of a store. Thread-safe. Methods raise the `StorageError`s of reads."""

    def __init__(self, log: Log, append: Callable[[Append], object], stamp: Callable[[], Hashable]) -> None:
        """Create it. log: of `INSTRUMENTS`. append: `MarketStore.append`. stamp: of `MarketStore.change_stamp`."""
        self._log = log
        self._store_batch = append
        self._stamp = stamp
        self._mutex = threading.Lock()
        self._known = _Known()

    def history(self) -> InstrumentHistory:
        """Return all declarations. Later calls add new ones to it. If there are none it costs a stat call."""
        return self._current().history

    def declare(self, instruments: Sequence[Instrument], has_data: Callable[[str], bool]) -> None:
        """Store declarations durably, all or none. They take effect at their commit's time.

        Special sessions are added to those that were declared before for the same calendar. Raises `AliasTaken`, and the errors of `MarketStore.append`.
        """
        while instruments:
            known = self._current()
            known.history.check(instruments, has_data)
            with suppress(CommitConflict):  # what others have declared meanwhile is checked, too
                merged = [each.with_sessions(self._kept_sessions(each)) for each in instruments]
                self._append(merged, "instruments", known.commit)
                return

    def add_sessions(self, symbol: str, sessions: Sequence[SpecialSession]) -> None:
        """Declare special sessions of an instrument durably, besides those that it has; nothing if it has them.

        Raises the errors of `MarketStore.append`.
        """
        while True:
            known = self._current()
            instrument = known.history.instrument(symbol, None)
            changed = instrument.with_sessions(sessions)
            if changed == instrument:
                return
            with suppress(CommitConflict):
                self._append([changed], "special sessions", known.commit)
                if len(instrument.special_sessions) < SPECIAL_SESSIONS_LIMIT == len(changed.special_sessions):
                    _logger.warning(
                        "%s has rows on %d dates on which its calendar is closed: no more become sessions. Declare"
                        " another exchange or calendar",
                        instrument.symbol,
                        SPECIAL_SESSIONS_LIMIT,
                    )
                return

    def _kept_sessions(self, instrument: Instrument) -> tuple[SpecialSession, ...]:
        before = self._current().history.instrument(instrument.symbol, None)
        return before.special_sessions if have_same_calendar(before, instrument) else ()

    def _append(self, instruments: Sequence[Instrument], caller: str, after: CommitId) -> None:
        rows = [{"timestamp": 0, "instrument": msgspec.json.encode(each).decode()} for each in instruments]
        batch = pa.RecordBatch.from_pylist(rows, schema=INSTRUMENTS.schema)
        self._store_batch(Append(*DECLARED_INSTRUMENTS, batch, caller, dedupe=Dedupe.NONE, after=after))

    def _current(self) -> _Known:
        try:
            stamp = self._stamp()
        except OSError as error:
            raise StoreUnavailable("the declarations of instruments cannot be read") from error
        if stamp != self._known.stamp:
            with self._mutex:
                self._known = self._read(stamp)
        return self._known

    def _read(self, stamp: Hashable) -> _Known:
        known = self._known
        try:
            snapshot = self._log.at()
            self._log.at(known.commit)
        except UnknownSymbol:
            return _Known(stamp)
        except Resync:  # the log was restored
            known = _Known()
        rows = snapshot.versions(ALL_TIME)
        for declaration in self._declarations(rows.slice(known.count)):
            known.history.add(*declaration)
        return _Known(stamp, snapshot.commit, rows.num_rows, known.history)

    def _declarations(self, rows: pa.Table) -> list[Declaration]:
        committed_at = self._log.committed_times(rows.column("commit").to_numpy()).tolist()
        try:
            return list(
                zip(committed_at, map(_decoder.decode, rows.column("instrument").to_pylist()), strict=True)
            )
        except msgspec.MsgspecError as error:
            raise StoreUnavailable(
                "this version cannot read a declaration of an instrument: run the version that wrote it"
            ) from error
