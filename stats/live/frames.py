"""The messages of channels, encoded once for all subscribers."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from stats.live.channels import Channel
from stats.live.tokens import seq_of
from stats.market_data.ticks import QUOTE_STATE, out_columns, tick_table
from stats.rendering.format import TimeForm
from stats.rendering.json_rows import row_objects
from stats.rendering.table import Table
from store.datasets import OPTION_QUOTES, QUOTES
from store.declarations import Dataset
from store.timestamps import LATEST_NS, format_timestamp
from store.walk import CommitPiece, CommitRecord, CommittedCorrection, CommittedCorrections, CommittedRows
from trades.stores import market_store
from web.requests.work import WorkKind, count_work

FRAME_ROWS = 500

# Makes the frames of a message for all connections of a kind; none if such connections do not have it.
Encode = Callable[["Message"], bytes]


class Message:
    """A message of a channel. seq: its token.

    is_replaceable: whether a newer message may replace it for a client that asks for the latest only. source: the event
    that it reports, as it is stored (see `EventRows`).
    """

    __slots__ = ("_frames", "channel", "is_replaceable", "payload", "seq", "source")

    def __init__(self, channel: str, seq: str, payload: bytes, *, is_replaceable: bool = True) -> None:
        """payload: the message as JSON."""
        self.channel, self.seq, self.payload = channel, seq, payload
        self.is_replaceable = is_replaceable
        self.source: Any = None
        self._frames: dict[Encode, bytes] = {}

    def replaces(self, older: "Message", *, is_latest: bool) -> bool:
        """Return whether an older message of the channel is superfluous now. is_latest: the client asks for the latest only."""
        return is_latest and older.is_replaceable

    def frame(self, encode: Encode) -> bytes:
        """Return what `encode` makes of the message. It is made once, for all clients."""
        made = self._frames.get(encode)
        if made is None:
            made = self._frames[encode] = encode(self)
        return made


class StateMessage(Message):
    """A message that replaces all before it in its channel, for every client."""

    __slots__ = ()

    def replaces(self, older: Message, *, is_latest: bool) -> bool:
        """See `Message.replaces`."""
        return True


def resync_message(channel: str, seq: str) -> Message:
    """Return the message that tells a client to forget what it has of a channel."""
    payload = msgspec.json.encode({"op": "resync", "ch": channel, "seq": seq})
    return Message(channel, seq, payload, is_replaceable=False)


def rows_payload(head: Mapping[str, Any], rows: bytes) -> bytes:
    """Return a frame's JSON: the fields of `head`, the time of sending, and `data`. rows: objects, joined by commas."""
    opened = msgspec.json.encode({**head, "sent_at": format_timestamp(time.time_ns())})
    return b"".join((opened[:-1], b',"data":[', rows, b"]}"))


class RowFeed:
    """Makes the messages of a channel of rows, from the pieces of a walk. seq: the token of the last message."""

    # Rows change with commits only.
    due_ns = None
    settled_ns = LATEST_NS
    state: Message | None = None

    def __init__(self, channel: Channel, record: CommitRecord | None, ordinal: int | None = None) -> None:
        """Begin after the row with this ordinal of a commit; None: after the whole commit."""
        self._channel = channel
        self._record = record
        self.seq = seq_of(record, ordinal)

    def taken(self, dataset: Dataset, pieces: Iterable[CommitPiece], *, now_ns: int) -> Iterator[Message]:
        """See `Feed`."""
        has_integer_volume = market_store().instrument(self._channel.symbol).has_integer_volume
        for piece in pieces:
            if isinstance(piece, CommitRecord):
                self._record = piece
                if not piece.length:
                    yield self._message(None, b"", {})
            elif isinstance(piece, CommittedRows):
                count_work(WorkKind.ROWS, piece.rows.num_rows)
                table = _table_of(dataset, pa.table(piece.rows), has_integer_volume)
                for start in range(0, len(table), FRAME_ROWS):
                    part = table.slice(start, start + FRAME_ROWS)
                    rows = row_objects(part, TimeForm.RFC3339, ",")[:-1]
                    yield self._message(piece.ordinal + start + len(part) - 1, rows, {})
            else:
                count_work(WorkKind.ROWS, len(piece.corrections))
                yield from self._corrections(dataset, piece, has_integer_volume)

    def settled(self, *, now_ns: int) -> Iterator[Message]:
        """See `Feed`."""
        return iter(())

    def _corrections(
        self, dataset: Dataset, piece: CommittedCorrections, has_integer_volume: bool
    ) -> Iterator[Message]:
        for start in range(0, len(piece.corrections), FRAME_ROWS):
            part = piece.corrections[start : start + FRAME_ROWS]
            rows = b",".join(_correction_objects(dataset, part, has_integer_volume))
            yield self._message(piece.ordinal + start + len(part) - 1, rows, {"kind": "corrections"})

    def _message(self, ordinal: int | None, rows: bytes, more: Mapping[str, Any]) -> Message:
        record = self._record
        assert record is not None  # noqa: S101 a feed begins with a record, or takes one first
        prev, self.seq = self.seq, seq_of(record, ordinal)
        head = {
            "ch": self._channel.name,
            "seq": self.seq,
            "prev": prev,
            "committed_at": format_timestamp(record.committed_at),
            **more,
        }
        is_last = ordinal is None or ordinal + 1 == record.length
        if is_last and record.facts.complete_until_ns is not None:
            head["complete_until"] = format_timestamp(record.facts.complete_until_ns)
        return Message(self._channel.name, self.seq, rows_payload(head, rows))


def _table_of(dataset: Dataset, rows: pa.Table, has_integer_volume: bool) -> Table:
    columns = out_columns(dataset, has_integer_volume=has_integer_volume)
    if dataset not in (QUOTES, OPTION_QUOTES):
        return tick_table(rows, columns)
    return tick_table(rows, (*columns, QUOTE_STATE.column), (QUOTE_STATE,))


def _correction_objects(
    dataset: Dataset, corrections: Sequence[CommittedCorrection], has_integer_volume: bool
) -> Iterator[bytes]:
    before = iter(_objects(dataset, [each.before for each in corrections], has_integer_volume))
    later = [each.after for each in corrections if each.after is not None]
    after = iter(_objects(dataset, later, has_integer_volume))
    for each in corrections:
        head = {"action": each.action.value, "commit": each.target_commit, "ordinal": each.target_ordinal}
        values = b"null" if each.after is None else next(after)
        yield b"".join(
            (msgspec.json.encode(head)[:-1], b',"before":', next(before), b',"after":', values, b"}")
        )


def _objects(dataset: Dataset, rows: Sequence[Mapping[str, object]], has_integer_volume: bool) -> list[bytes]:
    """Return each row as a JSON object."""
    if not rows:
        return []
    table = _table_of(
        dataset, pa.Table.from_pylist([dict(row) for row in rows], dataset.schema), has_integer_volume
    )
    return row_objects(table, TimeForm.RFC3339, "\n").splitlines()
