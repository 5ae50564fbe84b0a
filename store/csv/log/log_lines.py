"""Reads commit records out of a log's file, a mebibyte at a time."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from store.csv.parts.commit import Commit, decode_commit
from store.exceptions import DataDamaged
from store.protocol import CommitId

_READ_BYTES = 2**20

# A write that was cut short leaves the beginning of a record, but no NULs, and no bytes behind a record.
_NOT_TORN = re.compile(rb'\0|"hash":"[0-9a-f]{64}"\}.', re.DOTALL)

Line = tuple[Commit, CommitId, int]


def read_lines(path: Path, start: int, end: int, previous: CommitId) -> Iterator[Line]:
    """The commits in bytes `[start, end)` that follow `previous`, each with the offset behind its line.

    A record's beginning at the end is passed over. Raises `DataDamaged` for whatever was not written like
    this; `OSError` from the system.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        rest = b""
        line_end = at = start
        while data := os.pread(descriptor, min(_READ_BYTES, end - at), at):
            at += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                commit, previous = decode_commit(line, previous)
                line_end += len(line) + 1
                yield commit, previous, line_end
    finally:
        os.close(descriptor)
    if _NOT_TORN.search(rest):
        raise DataDamaged(f"commit record {previous.number + 1} is not what was written")
