"""Which rows are already stored: hashes of their identities, one index per event date, held in memory.

A row is known by 128 bits (`identity`, `check`): of its id columns where it has an id, of all columns
otherwise. `value` is a hash of what a row with an id says, so that an id taken by other values is noticed.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.arrays import Mask
from store.declarations import Dataset, Kind

Hashes = npt.NDArray[np.uint64]

_SMALL = 512
_RECENT_LIMIT = 8192
_GROWTH = 4
_MISSING = np.int64(-(2**63))
_MISSING_NUMBER = np.float64(np.nan)
_MISSING_WORDS = {
    kind: np.array([_MISSING_NUMBER if kind is Kind.NUMBER else _MISSING]).view(np.uint64) for kind in Kind
}
_MIX_1, _MIX_2, _STEP = (
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
    np.uint64(0x9E3779B97F4A7C15),
)


@dataclass(frozen=True, slots=True)
class RowHashes:
    """Equally long columns, one entry per row, in order of arrival."""

    identity: Hashes
    check: Hashes
    value: Hashes
    has_id: Mask

    def __len__(self) -> int:
        return len(self.identity)


def hash_rows(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> RowHashes:
    """The hashes of rows, over the columns of the dataset's first form.

    They hold in this process only: texts are hashed with Python's own, keyed, hash.
    """
    columns = dataset.first_form.columns
    bits = {column.name: _bits(rows.column(column.name), column.kind) for column in columns}
    count = rows.num_rows
    identity, check = (_combined(list(bits.values()), seed=seed, count=count) for seed in (1, 2))
    value = identity
    has_id = np.zeros(count, dtype=bool)
    if dataset.id_columns:
        has_id = rows.column(dataset.id_columns[-1]).is_valid().to_numpy(zero_copy_only=False)
    if has_id.any():
        keys = [bits[name] for name in dataset.id_columns]
        said = [words for name, words in bits.items() if name not in dataset.arrival_columns]
        value = np.where(has_id, _combined(said, seed=5, count=count), value)
        identity = np.where(has_id, _combined(keys, seed=3, count=count), identity)
        check = np.where(has_id, _combined(keys, seed=4, count=count), check)
    return RowHashes(identity, check, value, has_id)


def _bits(values: pa.Array | pa.ChunkedArray, kind: Kind) -> Hashes:
    """One word per row, or one for all where the column is empty: the same as for a missing value."""
    if values.null_count == len(values):
        return _MISSING_WORDS[kind]
    if kind is Kind.TEXT:
        return _text_bits(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
    if kind is Kind.BOOLEAN:
        values = values.cast(pa.int64())
    missing, dtype = (_MISSING_NUMBER, np.float64) if kind is Kind.NUMBER else (_MISSING, np.int64)
    filled: npt.NDArray[Any] = np.asarray(values.fill_null(missing), dtype=dtype)
    return filled.view(np.uint64)


def _text_bits(values: pa.Array) -> Hashes:
    encoded = values.dictionary_encode()
    hashes = [hash(text) for text in encoded.dictionary.to_pylist()]
    words = np.array([*hashes, _MISSING], dtype=np.int64).view(np.uint64)
    bits: Hashes = words[np.asarray(encoded.indices.fill_null(len(hashes)))]
    return bits


def _combined(columns: list[Hashes], *, seed: int, count: int) -> Hashes:
    salt = np.uint64(seed * int(_STEP) % 2**64)
    total = np.full(count, salt)
    for column in columns:
        total = total * _MIX_1 + _STEP
        total ^= _mixed(column + salt)
        total = _mixed(total)
    return total


def _mixed(words: Hashes) -> Hashes:
    """The finalizer of splitmix64: every input bit changes every output bit with probability one half."""
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return words ^ (words >> np.uint64(31))


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows sorted by identity."""

    identity: Hashes
    check: Hashes
    value: Hashes

    @classmethod
    def of(cls, identity: Hashes, check: Hashes, value: Hashes) -> "_Run":
        order = np.argsort(identity, kind="stable")
        return cls(identity[order], check[order], value[order])


@dataclass(frozen=True, slots=True)
class StoredHashes:
    """Equally long columns, one entry per stored row."""

    identity: Hashes
    check: Hashes
    value: Hashes

    @classmethod
    def joined(cls, parts: Sequence["StoredHashes"]) -> "StoredHashes":
        """All parts' rows."""
        none = np.zeros(0, dtype=np.uint64)
        return cls(
            np.concatenate([none, *(part.identity for part in parts)]),
            np.concatenate([none, *(part.check for part in parts)]),
            np.concatenate([none, *(part.value for part in parts)]),
        )


Known = tuple[int, int]  # (check, value) of a stored row


@dataclass(slots=True)
class IdentityIndex:
    """The rows of one event date. Sorted runs that merge as they grow, and a dictionary for small batches.

    The cost of a look-up grows with the logarithm of the rows; 24 bytes are kept per row.
    """

    _runs: list[_Run] = field(default_factory=list)
    _recent: dict[int, list[Known]] = field(default_factory=lambda: defaultdict(list))
    _recent_rows: int = 0

    def __len__(self) -> int:
        return self._recent_rows + sum(len(run.identity) for run in self._runs)

    def add(self, rows: RowHashes) -> None:
        """Take in rows that are now stored."""
        if len(rows) >= _SMALL:
            self._add_run(_Run.of(rows.identity, rows.check, rows.value))
            return
        for identity, check, value in zip(
            rows.identity.tolist(), rows.check.tolist(), rows.value.tolist(), strict=True
        ):
            self._recent[identity].append((check, value))
        self._recent_rows += len(rows)
        if self._recent_rows >= _RECENT_LIMIT:
            self._flush_recent()

    def find(self, rows: RowHashes, known: dict[int, list[Known]]) -> None:
        """Add to `known`, by identity, the (check, value) of every stored row that shares one with `rows`."""
        wanted = np.sort(rows.identity)
        for run in self._runs:
            for identity, stored in _run_matches(run, wanted):
                known[identity].append(stored)
        if self._recent:
            for identity in {x for x in rows.identity.tolist() if x in self._recent}:
                known[identity].extend(self._recent[identity])

    def stored(self, rows: RowHashes) -> StoredHashes:
        """Every stored row that shares an identity with one of `rows`."""
        wanted = np.unique(rows.identity)
        found = [_run_rows(run, wanted) for run in self._runs]
        shared = set(self._recent).intersection(wanted.tolist()) if self._recent else set()
        recent = [(identity, *known) for identity in shared for known in self._recent[identity]]
        if recent:
            identity, check, value = np.array(recent, dtype=np.uint64).T
            found.append(StoredHashes(identity, check, value))
        return StoredHashes.joined(found)

    def _flush_recent(self) -> None:
        flat = [(i, c, v) for i, knowns in self._recent.items() for c, v in knowns]
        identity, check, value = np.array(flat, dtype=np.uint64).T
        self._recent, self._recent_rows = defaultdict(list), 0
        self._add_run(_Run.of(identity, check, value))

    def _add_run(self, run: _Run) -> None:
        while self._runs and len(self._runs[-1].identity) < _GROWTH * len(run.identity):
            last = self._runs.pop()
            columns = zip(
                (last.identity, last.check, last.value), (run.identity, run.check, run.value), strict=True
            )
            run = _Run.of(*(np.concatenate(pair) for pair in columns))
        self._runs.append(run)


def _run_rows(run: _Run, wanted: Hashes) -> StoredHashes:
    """A run's rows with the identities in `wanted`, which are sorted and distinct."""
    starts = np.searchsorted(run.identity, wanted)
    lengths = np.searchsorted(run.identity, wanted, side="right") - starts
    firsts = np.cumsum(lengths) - lengths
    at = np.repeat(starts - firsts, lengths) + np.arange(lengths.sum())
    return StoredHashes(run.identity[at], run.check[at], run.value[at])


def _run_matches(run: _Run, wanted: Hashes) -> Iterator[tuple[int, Known]]:
    starts = np.searchsorted(run.identity, wanted)
    hits = run.identity[np.minimum(starts, len(run.identity) - 1)] == wanted
    if not hits.any():
        return
    wanted, firsts = np.unique(wanted[hits], return_index=True)
    starts = starts[hits][firsts]
    ends = np.searchsorted(run.identity, wanted, side="right")
    for identity, start, end in zip(wanted.tolist(), starts.tolist(), ends.tolist(), strict=True):
        for at in range(start, end):
            yield identity, (int(run.check[at]), int(run.value[at]))
