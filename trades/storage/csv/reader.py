"""Rows of the parts that commits name, verified block by block."""

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from trades.datasets import Dataset
from trades.storage.commit import BLOCK_BYTES, first_damaged_block
from trades.storage.csv.codec import decode_rows
from trades.storage.csv.history import StoredPart
from trades.storage.exceptions import DataDamaged
from trades.timestamps import format_timestamp


def read_parts(dataset: Dataset, folder: Path, parts: Sequence[StoredPart]) -> pa.Table:
    """The rows of the parts, one part after the other, each in order of arrival.

    Raises `DataDamaged`, naming the file and the first wrong block, if any byte of them is not as written.
    """
    texts = []
    for file, of_file in groupby(parts, key=lambda stored: stored.part.file):
        texts.extend(_verified_texts(folder / file, list(of_file)))
    return decode_rows(dataset, b"".join(texts)) if texts else dataset.schema.empty_table()


def _verified_texts(path: Path, parts: Sequence[StoredPart]) -> list[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise DataDamaged(f"{path.parent.name}/{path.name} is missing") from error
    try:
        return [_verified_text(descriptor, path, stored) for stored in parts]
    finally:
        os.close(descriptor)


def _verified_text(descriptor: int, path: Path, stored: StoredPart) -> bytes:
    part = stored.part
    text = os.pread(descriptor, part.length, part.offset)
    damaged = first_damaged_block(text, part)
    if damaged is not None:
        raise DataDamaged(
            f"{path.parent.name}/{path.name}, commit {stored.commit}: the {BLOCK_BYTES} bytes from {damaged} are not"
            f" what was written; rows from {format_timestamp(part.first_ns)} to {format_timestamp(part.last_ns)}"
            " cannot be served"
        )
    return text
