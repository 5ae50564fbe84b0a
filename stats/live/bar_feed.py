"""The messages of a channel of bars: after each commit the bars of its windows, as `GET ohlcv` answers them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Self

import numpy as np
import pyarrow as pa

from stats.live.channels import Channel
from stats.live.frames import FRAME_ROWS, Message, resync_message, rows_payload
from stats.market_data.answers.bars_snapshot import BarPosition, bars_snapshot
from stats.market_data.ohlcv.bar_windows import BarsSnapshot, Touched, changed_windows
from stats.market_data.query import MarketDataQuery
from stats.market_data.rows import WindowedSource, read_page
from stats.rendering.format import TimeForm
from stats.rendering.json_rows import row_objects
from stats.rendering.table import Table
from store.arrays import Integers
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import NO_COMMIT, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, format_timestamp
from store.walk import CommitPiece, CommitRecord, CommittedCorrections, CommittedRows
from trades.stores import market_store

# A stored day, week or month counts for a date that begins up to a day before it. If the date is closed, it counts
# for the next trading date.
_DATE_BEFORE_NS, _DATE_AFTER_NS = DAY_NS, 14 * DAY_NS


def bar_token(position: BarPosition) -> str:
    """Return the token of bars at these commits; with names if bars are stored."""
    if position.bars == NO_COMMIT:
        return position.trades.token
    commits = {TRADES.name: position.trades, BARS.name: position.bars}
    return ", ".join(f"{name}={commit.token}" for name, commit in commits.items() if commit != NO_COMMIT)


class BarMessage(Message):
    """A message with the bars of a window, which replace all that the client has there.

    final_until_ns: bars that end by then were final before it. has_final: whether one of the bars is final.
    """

    __slots__ = ("final_until_ns", "has_final", "window")

    def __init__(self, channel: str, seq: str, payload: bytes, window: Window, *, has_final: bool) -> None:
        super().__init__(channel, seq, payload)
        self.window, self.has_final, self.final_until_ns = window, has_final, 0

    def replaces(self, older: Message, *, is_latest: bool) -> bool:
        """See `Message.replaces`: only updates of open bars are replaced."""
        if not isinstance(older, BarMessage) or older.has_final:
            return False
        return self.window.start_ns <= older.window.start_ns and older.window.end_ns <= self.window.end_ns


class BarFeed:
    """Makes the messages of a channel of bars. seq: the token of the last message. position: the commits of its bars.

    settled_ns: when it was last looked for bars that are final without a commit. due_ns: when to look again, or None.
    Not thread-safe. Reads the store.
    """

    state: Message | None = None

    def __init__(
        self,
        channel: Channel,
        position: BarPosition,
        bars: BarsSnapshot,
        instrument: Instrument,
        committed_at: int,
    ) -> None:
        """committed_at: of the newer commit of the position."""
        self._name, self._query = channel.name, _query_of(channel)
        self._bars, self._instrument, self._committed_at = bars, instrument, committed_at
        self.position, self.seq, self.settled_ns = position, bar_token(position), committed_at
        # Bars that end by then were final before the messages that are made now.
        self._final_until_ns = bars.final.until_ns

    @classmethod
    def at(cls, channel: Channel, position: BarPosition, *, now_ns: int) -> Self:
        """Return the feed that continues from what REST answers now. position: the newest commits.

        Raises the errors of `bars_snapshot`.
        """
        query = _query_of(channel)
        instrument = market_store().instrument(channel.symbol)
        bars = bars_snapshot(query, position, instrument=instrument, now_ns=now_ns)
        return cls(channel, position, bars, instrument, now_ns)

    @classmethod
    def resumed(cls, channel: Channel, position: BarPosition, *, committed_at: int) -> Self:
        """Return the feed that continues from a client's token. committed_at: of its newer commit; 0 without one.

        Whether a client already knows that other logs of the exchange made a bar final is not known: it is sent again.
        """
        query = _query_of(channel)
        instrument = market_store().instrument(channel.symbol)
        bars = bars_snapshot(query, position, instrument=instrument, now_ns=committed_at, by_own_log=True)
        return cls(channel, position, bars, instrument, committed_at)

    @property
    def due_ns(self) -> int | None:
        """See `Feed`."""
        return self._bars.due_ns

    def taken(self, dataset: Dataset, pieces: Sequence[CommitPiece], *, now_ns: int) -> Iterator[Message]:
        """See `Feed`. The messages are those of all commits together; they begin with a commit's record."""
        if self._is_declared_anew():
            yield self._resync(now_ns)
        records = [piece for piece in pieces if isinstance(piece, CommitRecord)]
        touched = Touched.joined(
            [_touched(dataset, piece) for piece in pieces if not isinstance(piece, CommitRecord)]
        )
        self._committed_at = max(self._committed_at, records[-1].committed_at)
        moved = {"bars": records[-1].id} if dataset is BARS else {"trades": records[-1].id}
        windows = self._move(replace(self.position, **moved), now_ns, touched)
        if not windows:
            # The token moves, and no bar is replaced.
            until_ns = self._bars.final.until_ns
            windows = [Window(until_ns, until_ns)]
        yield from self._messages(windows)

    def settled(self, *, now_ns: int) -> Iterator[Message]:
        """See `Feed`."""
        if self._is_declared_anew():
            yield self._resync(now_ns)
        else:
            yield from self._messages(self._move(self.position, now_ns, Touched.joined([])))
        self.settled_ns = now_ns

    def _is_declared_anew(self) -> bool:
        return market_store().instrument(self._query.symbols[0]) != self._instrument

    def _resync(self, now_ns: int) -> Message:
        """Take the instrument's new terms, and return the message that says so."""
        self._instrument = market_store().instrument(self._query.symbols[0])
        self._bars = bars_snapshot(self._query, self.position, instrument=self._instrument, now_ns=now_ns)
        return resync_message(self._name, self.seq)

    def _move(self, position: BarPosition, now_ns: int, touched: Touched) -> list[Window]:
        """Move to a position, and return the windows whose bars may differ from before."""
        before, self._final_until_ns = self._bars, self._bars.final.until_ns
        self._bars = bars_snapshot(self._query, position, instrument=self._instrument, now_ns=now_ns)
        self.position = position
        return changed_windows(before, self._bars, touched)

    def _messages(self, windows: list[Window]) -> Iterator[Message]:
        """Yield the bars of windows. All messages but the last have the token of the message before."""
        waiting: tuple[Window, Table] | None = None
        for each in chain.from_iterable(map(self._parts, windows)):
            if waiting is not None:
                yield self._message(*waiting)
            waiting = each
        self.seq = bar_token(self.position)
        if waiting is not None:
            yield self._message(*waiting)

    def _parts(self, window: Window) -> Iterator[tuple[Window, Table]]:
        """Yield a window's bars, at most `FRAME_ROWS` at a time, read as pages are, each with its own window."""
        reader = replace(self._bars.reader, window=window)
        source, position, start_ns = WindowedSource(reader), None, window.start_ns
        while True:
            page = read_page(source, position, FRAME_ROWS, backwards=False)
            position = page.later
            end_ns = window.end_ns if position is None else reader.floor(position.time_ns)
            yield Window(start_ns, end_ns), page.rows.table
            if position is None:
                return
            start_ns = end_ns

    def _message(self, window: Window, bars: Table) -> Message:
        head = {
            "ch": self._name,
            "seq": self.seq,
            "committed_at": format_timestamp(self._committed_at),
            "start": format_timestamp(window.start_ns),
            "end": format_timestamp(window.end_ns),
        }
        payload = rows_payload(head, row_objects(bars, TimeForm.RFC3339, ",")[:-1])
        has_final = bool(bars.data.column("final").to_numpy().any())
        message = BarMessage(self._name, self.seq, payload, window, has_final=has_final)
        message.final_until_ns = self._final_until_ns
        return message


def _query_of(channel: Channel) -> MarketDataQuery:
    assert channel.bars is not None  # noqa: S101 a channel of bars
    return channel.bars


def _touched(dataset: Dataset, piece: CommittedRows | CommittedCorrections) -> Touched:
    """Return the times of a piece's rows or corrections. A correction does not change a row's time."""
    names = ["timestamp"] if dataset is not BARS else ["timestamp", "resolution"]
    if isinstance(piece, CommittedRows):
        columns = [np.asarray(piece.rows.column(name)) for name in names]
    else:
        rows = pa.Table.from_pylist([dict(each.before) for each in piece.corrections], schema=dataset.schema)
        columns = [np.asarray(rows.column(name)) for name in names]
    start_ns = columns[0].astype(np.int64)
    end_ns = start_ns + 1
    if dataset is BARS:
        start_ns, end_ns = _of_stored_bars(start_ns, columns[1])
    order = np.argsort(start_ns, kind="stable")
    return Touched(start_ns[order], end_ns[order])


def _of_stored_bars(start_ns: Integers, names: np.ndarray) -> tuple[Integers, Integers]:
    """Return the starts and ends of the times in which bars may be made of stored bars of these resolutions."""
    resolutions = list(map(Resolution.parse, names.tolist()))
    is_period = np.array([each.is_period for each in resolutions], np.bool_)
    length_ns = np.array([each.length_ns for each in resolutions], np.int64)
    return (
        np.where(is_period, start_ns - _DATE_BEFORE_NS, start_ns),
        start_ns + np.where(is_period, _DATE_AFTER_NS + 1, length_ns),
    )
