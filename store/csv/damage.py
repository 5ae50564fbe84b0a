"""Locates damage within a block of 4 KiB by the block's checksum and text."""

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from store.csv.files.codec import Header, decode_rows, encode_rows, unknown_names
from store.declarations import Dataset

_POLYNOMIAL = np.uint32(0xEDB88320)


@dataclass(frozen=True, slots=True)
class Damage:
    """A message, and the offset in the block of the first wrong byte, or the nearest known offset."""

    at: int
    message: str


def changed_byte(block: bytes, checksum: int) -> Damage | None:
    """Return the single byte whose change explains the wrong CRC-32; None if there is none.

    CRC-32 is linear: the checksums of written and found bytes differ by the checksum of their difference. All
    255 differences are tried at each offset, from the end on. One in 4,000 larger damages is mistaken for a
    single byte.
    """
    wanted = np.uint32(zlib.crc32(block) ^ checksum)
    table = _table()
    state = table[1:]
    for at in range(len(block) - 1, -1, -1):
        found = np.flatnonzero(state == wanted)
        if len(found):
            written = block[at] ^ (int(found[0]) + 1)
            return Damage(at, f"is 0x{block[at]:02x} and was written as 0x{written:02x}")
        state = table[state & np.uint32(0xFF)] ^ (state >> np.uint32(8))
    return None


def changed_line(
    dataset: Dataset, symbol: str, text: bytes, bounds: tuple[int, int], header: Header
) -> Damage | None:
    """Return the first line that cannot be read, or that the store would have written differently.

    bounds: the smallest and largest event time of the part. header: the file's header. None if no such line
    is found. A changed digit is not noticed; neither is a change in a column that this version does not know.
    """
    at = 0
    for line in text.splitlines(keepends=True):
        if not _is_plausible(dataset, symbol, line, bounds, header):
            return Damage(at, "begins the first line that differs from what the store writes")
        at += len(line)
    return None


def _is_plausible(
    dataset: Dataset, symbol: str, line: bytes, bounds: tuple[int, int], header: Header
) -> bool:
    try:
        rows = decode_rows(dataset, line, header)
        if rows.num_rows != 1 or not bounds[0] <= rows.column(0)[0].as_py() <= bounds[1]:
            return False
        written = encode_rows(dataset, symbol, rows.combine_chunks().to_batches()[0], header)
        unknown = unknown_names(dataset, header)
        cells = zip(header, _cells(line), _cells(written), strict=True)
        return all(name in unknown or _are_same(found, right) for name, found, right in cells)
    except (pa.ArrowException, ValueError, TypeError):
        return False


def _cells(line: bytes) -> Iterator[str]:
    yield from next(csv.reader([line.decode()]))


def _are_same(found: str, written: str) -> bool:
    """Return whether the cells are equal. Next to fractions an integer was written with `.0`."""
    return found in (written, f"{written}.0")


def _table() -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & np.uint32(1), (table >> np.uint32(1)) ^ _POLYNOMIAL, table >> np.uint32(1))
    return table.astype(np.uint32)
