"""A window of a long history: reading it must not take longer than reading the same rows stored alone."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.generated_trades import MINUTE_NS, SYMBOL, Stream, stored
from benchmarks.report import Goal, Ratio, Row, Sizes, UnexpectedAnswer
from store import open_store
from store.bars.bars import Bars
from store.protocol import Window
from store.reading import Reader

_DAYS = 30
_MINUTES = _DAYS * 24 * 60
_STREAM = Stream(a_minute=20)  # 864,000 trades in 30 days
_POSITIONS = (0.1, 0.23, 0.37, 0.5, 0.63, 0.77, 0.9)
_ROUNDS = 7
_READS = 20
_FIRST, _SECOND, _REPEATED = "first read", "second read", "repeated reads"
_SHIFT_NS = 60 * MINUTE_NS


def measure_windows(sizes: Sizes) -> Iterator[Row]:
    """Yield the ratios for a new reader's first read, and for its next ones."""
    stream, trades = _STREAM, sizes.trades
    count = min(_MINUTES * stream.a_minute, trades // 4)
    firsts = [
        int((trades - count) * position) // stream.a_minute * stream.a_minute for position in _POSITIONS
    ]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        long = Path(folder) / "long"
        stored(long, stream, trades)
        pairs: dict[str, list[tuple[float, float]]] = {_FIRST: [], _SECOND: [], _REPEATED: []}
        for number, first in enumerate(firsts):
            alone = Path(folder) / str(number)
            stored(alone, stream, count, first=first)
            window = stream.window(first, count)
            for what, seconds in _read_seconds([long, alone], window).items():
                pairs[what].append((seconds[0], seconds[1]))
    label = f"{count // stream.a_minute // 1440} days of minute bars"
    first, second = (1e3 * median(here for here, _ in pairs[what]) for what in (_FIRST, _SECOND))
    name = f"{label}, {_FIRST} of a new reader, against its second, of a window an hour later"
    yield Ratio(name, first, second, "ms", Goal(most=2))
    for what, goal in ((_FIRST, Goal(0.8, 1.2)), (_REPEATED, Goal(most=2))):
        taken = pairs[what]
        yield Ratio(
            f"{label}, {what}: out of {trades / 1e6:g} million trades against {count / 1e6:g} million",
            here=1e3 * median(here for here, _ in taken),
            beside=1e3 * median(peer for _, peer in taken),
            unit="ms",
            goal=goal,
        )


def _read_seconds(folders: Sequence[Path], window: Window) -> dict[str, list[float]]:
    """Return the seconds of a read of each store.

    Three kinds: a new reader's first read, its second read, whose window begins an hour later, and repeated reads of the
    first window.
    """
    shifted = Window(window.start_ns + _SHIFT_NS, window.end_ns + _SHIFT_NS)
    answers = [_read(open_store(folder), window) for folder in folders]
    if not all(np.array_equal(answers[0].close, answer.close) for answer in answers):
        raise UnexpectedAnswer("the stores have different bars")
    first: list[list[float]] = [[] for _ in folders]
    repeated: list[list[float]] = [[] for _ in folders]
    second: list[list[float]] = [[] for _ in folders]
    for _ in range(_ROUNDS):
        for folder, new, beside, again in zip(folders, first, second, repeated, strict=True):
            reader = open_store(folder)
            new.append(_timed(lambda reader=reader: _read(reader, window), 1))
            beside.append(_timed(lambda reader=reader: _read(reader, shifted), 1))
            again.append(_timed(lambda reader=reader: _read(reader, window), _READS))
    return {
        _FIRST: [median(seconds) for seconds in first],
        _SECOND: [median(seconds) for seconds in second],
        _REPEATED: [median(seconds) for seconds in repeated],
    }


def _read(reader: Reader, window: Window) -> Bars:
    bars: Bars = reader.bars(SYMBOL, window.start_ns, window.end_ns, MINUTE_NS)
    return bars


def _timed(work: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls
