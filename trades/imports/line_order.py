"""Whether the lines of a file are oldest first or newest first: of rows of one time, which came first."""

from collections import Counter

import numpy as np
import pyarrow as pa

from store.arrays import Integers
from trades.formats.arrow_values import one_array
from trades.imports.blocks import LINE, SYMBOL


class LineOrder:
    """Counts the steps of a file's times, from line to line: of each symbol, and of all rows.

    A symbol's lines are newest first if more of its steps fall than rise. If as many rise, or it has one time, the steps
    of all rows decide. Memory: two numbers for each symbol.
    """

    def __init__(self) -> None:
        self._rises: Counter[str] = Counter()  # more than falls, of each symbol
        self._last: dict[str, int] = {}
        self._rises_of_all = 0
        self._last_of_all: int | None = None

    def add(self, rows: pa.Table) -> None:
        """Count the steps of rows in the file's order, which follow those that were added."""
        if not rows.num_rows:
            return
        times = rows.column(0).to_numpy()
        before = times[:1] if self._last_of_all is None else np.array([self._last_of_all])
        self._rises_of_all += _rises(np.concatenate([before, times]))
        self._last_of_all = int(times[-1])
        encoded = one_array(rows[SYMBOL]).cast(pa.string()).dictionary_encode()
        codes = encoded.indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        of_symbols = np.split(times[order], np.flatnonzero(np.diff(codes[order])) + 1)
        for symbol, own in zip(encoded.dictionary.to_pylist(), of_symbols, strict=True):
            self._rises[symbol] += _rises(np.concatenate([[self._last.get(symbol, own[0])], own]))
            self._last[symbol] = int(own[-1])

    def oldest_first(self, rows: pa.Table) -> pa.Table:
        """Return rows in order of symbol, time and line with the lines of one time oldest first.

        rows: all of a symbol's that have the same time, or none.
        """
        encoded = one_array(rows[SYMBOL]).cast(pa.string()).dictionary_encode()
        is_newest_first = np.array([self._is_newest_first(each) for each in encoded.dictionary.to_pylist()])
        if not is_newest_first.any():
            return rows
        codes, times = encoded.indices.to_numpy(), rows.column(0).to_numpy()
        lines = rows[LINE].to_numpy()
        order = np.lexsort((np.where(is_newest_first[codes], -lines, lines), times, codes))
        return rows.take(pa.array(order))

    def _is_newest_first(self, symbol: str) -> bool:
        return (self._rises[symbol] or self._rises_of_all) < 0


def _rises(times: Integers) -> int:
    """Return how many more steps rise than fall."""
    return int(np.sign(np.diff(times)).sum())
