"""Pages of mapped files: what was read of long logs leaves memory soon, and nothing else is touched."""

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from store.csv.derived.segment_memory import SegmentMemory
from store.csv.files import disk as disk_module
from store.csv.files.disk import MappedBytes
from store.datasets import TRADES
from store.protocol import ALL_TIME, Append, Dedupe, Window
from tests.store.builders import DAY, SYMBOL
from tests.store.csv.derived.derived_log import DerivedLog

KIB, MIB = 2**10, 2**20
ROWS = 200_000


@pytest.fixture
def content() -> bytes:
    return np.random.default_rng(1).bytes(4 * MIB + 1_000)


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file.arrow"
    path.write_bytes(content)
    return path


def resident_under(folder: Path) -> int:
    """Bytes of the mapped files in a folder that this process has in memory."""
    mapped, found = Path("/proc/self/smaps").read_text(), 0
    for name, rest in re.findall(
        r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ +(\S*)\n(.*?)VmFlags", mapped, re.MULTILINE | re.DOTALL
    ):
        if name.startswith(os.fspath(folder)):
            found += int(re.search(r"^Rss: +(\d+) kB", rest, re.MULTILINE)[1]) * KIB  # type: ignore[index]
    return found


def mapped_content(path: Path) -> pa.Buffer:
    with pa.memory_map(os.fspath(path)) as source:
        return source.read_buffer()


def test_what_is_given_back_leaves_the_memory_and_is_read_again_as_it_was(file: Path, content: bytes):
    buffer = mapped_content(file)
    assert bytes(buffer) == content
    assert resident_under(file.parent) >= 4 * MIB
    MappedBytes(buffer).give_back()
    assert resident_under(file.parent) <= 4 * KIB
    assert bytes(buffer) == content


def test_of_a_deleted_file_too(file: Path, content: bytes):
    buffer = mapped_content(file)
    file.unlink()
    MappedBytes(buffer).give_back()
    assert bytes(buffer) == content


@pytest.mark.parametrize(
    ("stretch", "expected"),
    [
        ((0, None), (0, 4 * MIB)),
        ((0, 1 << 40), (0, 4 * MIB)),
        ((1, 3 * MIB), (4 * KIB, 3 * MIB)),
        ((5 * KIB, 13 * KIB - 1), (8 * KIB, 12 * KIB)),
        ((5, 4 * KIB), None),
        ((4 * MIB, None), None),
        ((1 << 40, None), None),
    ],
    ids=["all", "beyond the end", "from within a page", "up to within a page", "no whole page", "the last bytes", "behind the end"],
)  # fmt: skip
def test_only_whole_pages_of_the_file_are_given_back(
    file: Path, monkeypatch, stretch: tuple[int, int | None], expected: tuple[int, int] | None
):
    buffer, calls = mapped_content(file), []
    monkeypatch.setattr(disk_module, "_madvise", lambda *call: calls.append(call))
    MappedBytes(buffer).give_back(*stretch)
    given = [(address - buffer.address, address - buffer.address + size) for address, size, _ in calls]
    assert given == ([] if expected is None else [expected])


@pytest.fixture
def log(tmp_path: Path) -> DerivedLog:
    """Some megabytes of columns in two segments."""
    log, chance = DerivedLog(tmp_path, segment_rows=ROWS // 2), np.random.default_rng(2)
    given = {
        "timestamp": np.arange(ROWS) * (DAY // ROWS),
        "price": chance.random(ROWS),
        "volume": chance.random(ROWS),
        "trade_id": [f"t{number}" for number in range(ROWS)],
    }
    columns = [
        pa.array(given[field.name], field.type) if field.name in given else pa.nulls(ROWS, field.type)
        for field in TRADES.schema
    ]
    rows = pa.record_batch(columns, schema=TRADES.schema)
    log.store.append(Append(TRADES, SYMBOL, rows, "test", Dedupe.NONE))
    log.derive()
    assert sum(path.stat().st_size for path in log.files.glob("*.columns.arrow")) > 8 * MIB
    return log


def walked(log: DerivedLog, held: SegmentMemory) -> tuple[int, str, int]:
    """Read all rows in many windows; their number, their digest, and the most bytes of their files in memory."""
    store, length = log.opened(), DAY // 30
    store._segment_memory = held
    count, digest, most = 0, hashlib.sha256(), 0
    for start in range(0, DAY, length):
        rows = store.rows(TRADES, SYMBOL, Window(start, start + length))
        count += rows.num_rows
        for batch in rows.combine_chunks().to_batches():
            digest.update(batch.serialize())
        most = max(most, resident_under(log.files))
    return count, digest.hexdigest(), most


def test_a_walk_over_all_rows_has_few_of_them_in_memory(log: DerivedLog):
    *bounded, most = walked(log, SegmentMemory(pages_limit=MIB))
    *unbounded, all_of_them = walked(log, SegmentMemory(pages_limit=1 << 40))
    assert bounded[0] == ROWS
    assert bounded == unbounded
    assert 2 * most < all_of_them


def test_a_file_is_verified_without_having_it_in_memory(log: DerivedLog):
    store = log.opened()
    assert len(store.rows(TRADES, SYMBOL, Window(0, DAY // ROWS))) == 1
    assert resident_under(log.files) <= 2 * MIB


def test_rows_that_were_handed_out_stay_as_they_are(log: DerivedLog):
    store = log.opened()
    store._segment_memory = SegmentMemory(pages_limit=1)
    first = store.rows(TRADES, SYMBOL, Window(0, DAY // 2))
    expected = first.to_pydict()
    assert len(store.rows(TRADES, SYMBOL, ALL_TIME)) == ROWS
    assert first.to_pydict() == expected
