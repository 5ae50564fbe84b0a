"""A replay yields rows of many logs in the order in which they could be known, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from store.log_views.log_view import LogView
from store.protocol import ALL_TIME, Window
from store.reading.replay_log import ReplayChunk, ReplayRows, chunks_of, known_rows
from store.reading.replay_part import LogName, ReplayedLog, ReplayPart, merged_part
from store.rows.knowledge import STILL_KNOWN_NS

# Target rows of a part. Of several logs up to twice as many are in memory; of more than 256 logs at least 1,024 each.
ROWS_AT_ONCE = 1 << 18
# A read of fewer rows takes hardly less time.
_LEAST_ROWS = 1 << 10


class MarketReplay:
    """An iterable of `ReplayPart`s. Each iteration replays the same commits.

    logs: (dataset, symbol) of each log, sorted.
    """

    def __init__(
        self,
        logs: Sequence[tuple[LogView, Sequence[str]]],
        window: Window,
        known_before_ns: int | None = None,
    ) -> None:
        """Create it. logs: each with the columns to read. window: of event times. known_before_ns: by default its end."""
        ordered = sorted(logs, key=lambda each: (each[0].dataset.name, each[0].symbol))
        self.logs = tuple(LogName(view.dataset.name, view.symbol) for view, _ in ordered)
        self._replayed = [ReplayedLog(view, list(names)) for view, names in ordered]
        self._window = window
        # Without a bound, rows count that were received after all event times.
        end_ns = window.end_ns if known_before_ns is None else known_before_ns
        self._end_ns = STILL_KNOWN_NS if end_ns >= ALL_TIME.end_ns else end_ns

    def __iter__(self) -> Iterator[ReplayPart]:
        most_rows = max(ROWS_AT_ONCE // max(1, len(self.logs)), _LEAST_ROWS)
        # Chunks of several logs overlap: on average half of each is left after a part.
        at_once = most_rows if len(self.logs) == 1 else 2 * most_rows * len(self.logs)
        unread = deque(sorted(self._chunks(most_rows)))
        pending = _Pending()
        while unread or pending.rows:
            until_ns = unread[0].first_known_ns if unread else STILL_KNOWN_NS
            if unread and (pending.rows < at_once or pending.first_ns >= until_ns):
                chunk = unread.popleft()
                pending.add(chunk, self._read(chunk))
            else:
                yield merged_part(self.logs, self._replayed, pending.taken(until_ns))

    def _chunks(self, rows: int) -> Iterator[ReplayChunk]:
        for index, log in enumerate(self._replayed):
            yield from chunks_of(log.view, index, self._window, rows, self._end_ns)

    def _read(self, chunk: ReplayChunk) -> ReplayRows:
        log = self._replayed[chunk.log]
        return known_rows(log.view, chunk.window, log.columns, self._end_ns)


class _Pending:
    """What was read, and is known later than all that was yielded."""

    def __init__(self) -> None:
        self.rows = 0
        self._of_chunks: dict[tuple[int, int], ReplayRows] = {}

    @property
    def first_ns(self) -> int:
        """The first instant at which any of it is known."""
        return min((int(each.known_ns[0]) for each in self._of_chunks.values()), default=STILL_KNOWN_NS)

    def add(self, chunk: ReplayChunk, rows: ReplayRows) -> None:
        """Add the rows of a chunk."""
        if len(rows):
            self._of_chunks[chunk.log, chunk.number] = rows
            self.rows += len(rows)

    def taken(self, until_ns: int) -> list[tuple[int, ReplayRows]]:
        """Remove and return what is known before an instant, by (log, event time)."""
        taken = []
        for key, rows in sorted(self._of_chunks.items(), key=lambda item: item[0]):
            count = int(rows.known_ns.searchsorted(until_ns))
            if count == len(rows):
                taken.append((key[0], self._of_chunks.pop(key)))
            elif count:
                taken.append((key[0], rows.first(count)))
                self._of_chunks[key] = rows.without_first(count)
            self.rows -= count
        return taken
