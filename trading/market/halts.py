"""The stored halts of a symbol, in which nothing fills and triggers orders."""

from dataclasses import dataclass

import numpy as np

from calendars.schedule import Hours
from calendars.trading_calendar import date_of_row
from stats.market_data.ohlcv.halts import Halts
from store.datasets import TRADING_STATUS
from store.instrument_calendars import calendar_if_known
from store.instruments import Instrument
from store.log_views.log_view import last_row, view_of
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, CommitId, Window
from store.timestamps import DAY_NS


@dataclass(frozen=True, slots=True)
class SymbolHalts:
    """The halts of an instrument, from an instant on."""

    halts: Halts

    def begun_ns(self, at_ns: int) -> int | None:
        """Return when the halt began that an instant is in; None if trading goes on."""
        starts_ns, ends_ns = self.halts.spans
        index = int(starts_ns.searchsorted(at_ns, side="right")) - 1
        is_halted = index >= 0 and at_ns < ends_ns[index]
        return int(starts_ns[index]) if is_halted else None

    def stops_bar(self, start_ns: int, end_ns: int) -> bool:
        """Return whether a stored bar fills nothing.

        A bar does not if it begins in a halt; a bar of a day or longer if all its sessions are halted.
        """
        if end_ns - start_ns < DAY_NS:
            return self.begun_ns(start_ns) is not None
        calendar = self.halts.calendar
        if calendar is not None:
            first = int(date_of_row(np.array([start_ns]), calendar)[0])
            schedule = calendar.on_dates(first, first + (end_ns - start_ns) // DAY_NS - 1)
            if len(schedule):
                start_ns, end_ns = int(schedule.open_ns[0]), int(schedule.close_ns[-1])
        window = Window(start_ns, end_ns)
        return bool(
            self.halts.covers(np.array([start_ns]), np.array([end_ns]), window=window, hours=Hours.REGULAR)[0]
        )


def symbol_halts(
    store: MarketStore, instrument: Instrument, commit: CommitId, from_ns: int
) -> SymbolHalts | None:
    """Return the halts of an instrument at a commit of its `trading_status`; None if there are none.

    from_ns: from when on instants, and starts of bars, are asked for. Raises `StorageError`s.
    """
    if commit == NO_COMMIT:
        return None
    changes = view_of(store.log(TRADING_STATUS, instrument.symbol).at(commit.number))
    # The session of a day's bar may begin on the date before, as in Sydney. The change before may be a halt that goes on.
    begin_ns = from_ns - DAY_NS
    before = last_row(changes, begin_ns)
    begin_ns = begin_ns if before is None else before.column("timestamp")[0].as_py()
    halts = Halts(changes, calendar_if_known(instrument), begin_ns)
    return SymbolHalts(halts) if len(halts.spans[0]) else None
