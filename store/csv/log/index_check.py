"""Checks whether the index of a log is as the log's records make it."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from store.csv.files.commit_records import CommitLine
from store.csv.log.log_index import BUCKETS, Addition, IndexDamaged, IndexState, LogIndex


def check_index(index: LogIndex, lines: Iterator[CommitLine]) -> None:
    """Compare an index with the one that is made of the log's records, piece by piece.

    lines: the records up to the index's newest commit. Raises `IndexDamaged`, `IndexUnavailable`, and the errors of `lines`.
    """
    if not index.number:
        raise IndexDamaged("it has no commits")
    made, file_ends = LogIndex(index.source, IndexState()), dict[bytes, int]()
    for last in index.ends_of_pieces():
        addition = Addition(made, list(islice(lines, last - made.number)))
        for key, content in addition.pieces:
            if index.source.between(key, key) != [(key, content)]:
                raise IndexDamaged(f"it differs from the records in the commits up to {last}")
        _check_entries(index, addition.keys)
        file_ends |= addition.file_ends
        made.use(addition.state)
    _check_entries(index, file_ends)
    for bucket in range(BUCKETS):
        index.bucket(bucket)
    # The order of entries in buckets depends on when they were added.
    if msgspec.structs.replace(made.state, checks=b"") != msgspec.structs.replace(index.state, checks=b""):
        raise IndexDamaged("its summary differs from the records")


def _check_entries(index: LogIndex, numbers: dict[bytes, int]) -> None:
    # Others may have added later entries.
    if any(index.number_of(hash_) < number for hash_, number in numbers.items()):
        raise IndexDamaged("it lacks a key, or the end of a file, that the records have")
