"""Returns a query's bars directly from segments, if they need no merging and no credited volume.

Volume without a price is credited to a bar before it; `BarReader` does that.
"""

from itertools import pairwise

from store.bar_policies import BarPolicy
from store.bars.bars import Bars, joined_bars
from store.bars.credit import credit_end_ns
from store.bars.spans import Spans
from store.csv.derived.rollups import LEVELS_NS
from store.csv.reading.log_reader import LogSnapshot
from store.csv.reading.window_list import BarQuery, WindowList
from store.protocol import Window


def finished_bars(query: BarQuery, snapshot: LogSnapshot) -> Bars | None:
    """Return the bars if segments have them ready and none of them extends over two segments; else None."""
    bars_of_segments = _segments_bars(query, snapshot)
    if not bars_of_segments:
        return None
    needed = _credited_window(bars_of_segments[-1], query)
    if needed is None or _has_tail_in(needed, snapshot):
        return None
    if needed != query.window and _has_later_commits(needed, snapshot):
        return None
    return _joined([_cut(bars, query.window) for bars in bars_of_segments])


def finished_span_bars(spans: Spans, policy: BarPolicy, snapshot: LogSnapshot) -> Bars | None:
    """Return the bars of spans as `finished_bars` does. None unless the spans are intervals of one rollup level."""
    windows = WindowList(spans.start_ns, spans.end_ns)
    length = spans.interval_ns
    if length is None or length not in LEVELS_NS:
        return None
    query = BarQuery(windows.hull, length, policy)
    bars_of_segments = _segments_bars(query, snapshot)
    if not bars_of_segments or _has_tail_in(query.window, snapshot):
        return None
    bars = _joined([_cut(each, query.window) for each in bars_of_segments])
    return None if bars is None else bars[windows.joined().indices(bars.time_ns)]


def _segments_bars(query: BarQuery, snapshot: LogSnapshot) -> list[Bars] | None:
    """Return each segment's bars in the window, and perhaps bars outside it.

    None if a segment does not have them ready, or has commits in the window that the snapshot does not.
    """
    window, interval = query.window, query.interval_ns
    if interval not in LEVELS_NS or _has_later_commits(window, snapshot):
        return None
    bars_of_segments: list[Bars] = []
    for mapped in snapshot.segments.within(window):
        bars = mapped.finished_bars(query.policy, interval, window)
        if bars is None:
            return None
        bars_of_segments.append(bars)
    return bars_of_segments


def _credited_window(last: Bars, query: BarQuery) -> Window | None:
    """Return the window, extended to the end of the next bar after it.

    Volume before that bar may be credited to the window's last bar. Not extended if no later volume can be; None
    if it can be and no next bar is known. last: the bars of the window's last segment.
    """
    window = query.window
    if query.dates_of is None:
        return window
    behind = int(last.time_ns.searchsorted(window.end_ns))
    if behind == len(last):
        end_ns = credit_end_ns(window.end_ns, query.interval_ns, query.dates_of)
        return window if end_ns == window.end_ns else None
    return Window(window.start_ns, int(last.time_ns[behind]) + query.interval_ns)


def _cut(bars: Bars, window: Window) -> Bars:
    start, end = bars.time_ns.searchsorted((window.start_ns, window.end_ns)).tolist()
    return bars[start:end]


def _joined(parts: list[Bars]) -> Bars | None:
    """Return the bars of all segments; None if a bar extends over two segments."""
    if len(parts) == 1:
        return parts[0]
    parts = [part for part in parts if len(part)]
    is_cut = any(before.time_ns[-1] == after.time_ns[0] for before, after in pairwise(parts))
    return None if is_cut else joined_bars(parts)


def _has_later_commits(window: Window, snapshot: LogSnapshot) -> bool:
    """Return whether segments may have commits in the window that are newer than the snapshot's commit."""
    is_earlier = snapshot.commit < snapshot.segments.head.number
    return is_earlier and snapshot.history.version(window).number > snapshot.commit


def _has_tail_in(window: Window, snapshot: LogSnapshot) -> bool:
    if not snapshot.has_tail:
        return False
    return snapshot.history.version(window, snapshot.commit).number > snapshot.segments.head.number
