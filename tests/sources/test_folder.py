"""Rows of files: those of the window, from files of the folder only."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sources.asking import batch_of
from sources.folder import Folder
from sources.protocol import SourceFailed, SourcePage, SourceRefused
from store.datasets import BARS, TRADES
from store.protocol import Window
from store.timestamps import DAY_NS, SECOND_NS, parse_timestamp
from tests.sources.asked import answered_of, rows_of, wanted
from tests.sources.asked import window as window_of

pytestmark = pytest.mark.usefixtures("default_store")

DAY = Window(parse_timestamp("2025-01-02"), parse_timestamp("2025-01-03"))
WINDOW = window_of("2025-01-02T14:30:00Z", "2025-01-02T15:30:00Z")
START_NS = WINDOW.start_ns
HEAD = "timestamp,price,volume"
LINES = [
    HEAD,
    "2025-01-02T14:29:59Z,189,1",
    "2025-01-02T14:30:00Z,190,2",
    "2025-01-02T15:29:59.999999999Z,191,3",
    "2025-01-02T15:30:00Z,192,4",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    path.mkdir()
    return path


def written(path: Path, lines: list[str] = LINES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def folder(root: Path, pattern: str = "{symbol}/{date}.csv", **options) -> Folder:
    return Folder("archive", path=str(root), pattern=pattern, **options)


def fetched(source: Folder, window: Window = WINDOW) -> list[SourcePage]:
    return list(source.pages(wanted(), window))


def prices(source: Folder, window: Window = WINDOW) -> list[float]:
    found: list[float] = rows_of(fetched(source, window)).column("price").to_pylist()
    return found


def trades(times: list[int]) -> pa.Table:
    count = len(times)
    rows: dict[str, list[Any]] = {
        "timestamp": times,
        "price": [190.0 + n % 7 for n in range(count)],
        "volume": [100.0] * count,
    }
    return pa.Table.from_batches([batch_of(TRADES, rows)])


def each_second(count: int) -> pa.Table:
    return trades([START_NS + n * SECOND_NS for n in range(count)])


def test_the_rows_of_the_window_come_from_the_symbols_file(root: Path):
    written(root / "AAPL" / "2025-01-02.csv")
    assert prices(folder(root)) == [190, 191]


def test_a_file_that_the_options_do_not_describe_is_refused_with_the_command_that_shows_it(root: Path):
    written(root / "AAPL" / "2025-01-02.csv", [HEAD.replace("price", "last"), *LINES[1:]])
    with pytest.raises(
        SourceFailed, match=r"--columns .*price=last.*manage.py import .*AAPL/2025-01-02.csv .*--preview"
    ):
        prices(folder(root))
    assert prices(folder(root, columns={"price": "last"})) == [190, 191]


@pytest.mark.parametrize("count", [1, 3])
def test_parquet_with_trades_of_one_instant_is_read(root: Path, count: int):
    pq.write_table(trades([START_NS] * count), root / "AAPL-2025-01-02.parquet")
    assert len(prices(folder(root, "{symbol}-{date}.parquet"))) == count


def test_parquet_is_read_too(root: Path):
    pq.write_table(each_second(5_000), root / "AAPL-2025-01-02.parquet", row_group_size=1_000)
    assert (
        rows_of(fetched(folder(root, "{symbol}-{date}.parquet"))).combine_chunks().equals(each_second(3_600))
    )


def test_a_file_of_many_symbols_is_searched_for_one(root: Path):
    lines = [f"{HEAD},ticker", *(f"{line},{symbol}" for line in LINES[1:] for symbol in ("AAPL", "IBM"))]
    written(root / "2025-01-02.csv.gz", [])  # another name
    written(root / "2025-01-02.csv", lines)
    assert prices(folder(root, "{date}.csv", columns={"symbol": "ticker"})) == [190, 191]


def test_rows_of_another_symbol_in_a_symbols_own_file_are_refused(root: Path):
    written(root / "AAPL" / "2025-01-02.csv", [f"{HEAD},symbol", "2025-01-02T14:30:00Z,190,2,IBM"])
    with pytest.raises(SourceFailed, match=r"line 2.*IBM is not the symbol AAPL"):
        prices(folder(root))


def test_only_dates_with_a_file_are_answered(root: Path):
    for day in (2, 3, 6):
        written(root / "AAPL" / f"2025-01-{day:02}.csv", [HEAD, f"2025-01-{day:02}T10:00:00Z,190,1"])
    window = Window(DAY.start_ns - 5, DAY.start_ns + 4 * DAY_NS + 7)
    found = fetched(folder(root), window)
    assert rows_of(found).num_rows == 2
    assert answered_of(found) == [
        Window(DAY.start_ns, DAY.start_ns + 2 * DAY_NS),
        Window(DAY.start_ns + 4 * DAY_NS, window.end_ns),
    ]


def test_a_file_without_rows_in_the_window_answers_it(root: Path):
    written(root / "AAPL" / "2025-01-02.csv", [HEAD])
    (page,) = fetched(folder(root))
    assert (page.rows.num_rows, page.answered) == (0, WINDOW)


def test_without_any_file_nothing_is_answered(root: Path):
    assert fetched(folder(root)) == fetched(folder(root / "missing")) == []


def test_the_commit_changes_with_the_file(root: Path):
    path = written(root / "AAPL" / "2025-01-02.csv")
    first = fetched(folder(root))[0].commit
    assert first == fetched(folder(root))[0].commit
    written(path, LINES[:3])
    assert fetched(folder(root))[0].commit != first


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([*LINES[:3], "2025-01-02T14:30:01Z,x,2"], "line 4, price"),
        ([*LINES[:3], "2025-01-02T14:29:00Z,190,2"], "back in time"),
        ([*LINES, "2025-01-03T00:00:00Z,190,2"], "rows of other dates than 2025-01-02"),
        (["timestamp,price"], "columns volume are missing"),
        ([HEAD, '"2025-01-02T14:30:00Z,190'], "line 2: has 1 cells instead of 3"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_gives_no_rows(root: Path, lines: list[str], said: str):
    written(root / "AAPL" / "2025-01-02.csv", lines)
    with pytest.raises(SourceFailed, match=said) as raised:
        prices(folder(root))
    assert str(root) not in str(raised.value)


def test_a_parquet_file_that_was_cut_gives_no_rows(root: Path):
    path = root / "2025-01-02.parquet"
    pq.write_table(each_second(5_000).append_column("symbol", pa.array(["AAPL"] * 5_000)), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceFailed):
        prices(folder(root, "{date}.parquet"))


@pytest.mark.parametrize(
    "pattern",
    [
        "{symbol}.csv", "{date!r}.csv", "{date.year}.csv", "{date}/{other}.csv", "{}/{date}.csv", "{date}/{symbol.x}", "{date.csv", "",
    ],
)  # fmt: skip
def test_a_pattern_has_its_two_fields(root: Path, pattern: str):
    with pytest.raises(ValueError, match="pattern"):
        folder(root, pattern)


@pytest.mark.parametrize("pattern", ["{symbol}/{date}.csv", "../elsewhere/{date}.csv", "/etc/{date}.csv"])
def test_a_file_outside_of_the_folder_is_not_read(root: Path, tmp_path: Path, pattern: str):
    secret = written(tmp_path / "elsewhere" / "2025-01-02.csv")
    (root / "AAPL").mkdir()
    (root / "AAPL" / "2025-01-02.csv").symlink_to(secret)
    with pytest.raises(SourceFailed, match="lies outside of the folder"):
        prices(folder(root, pattern))


def test_times_without_an_offset_are_of_the_zone(root: Path):
    written(root / "AAPL" / "2025-01-02.csv", [HEAD, "2025-01-02 09:30:00,190,1"])
    assert prices(folder(root, zone="America/New_York")) == [190]


def test_any_symbol_is_asked_for_and_has_the_class_of_the_folder(root: Path):
    assert (folder(root).market("BRK.B").symbol, folder(root).market("BRK.B").cls) == ("BRK.B", "equity")
    assert folder(root, instrument_class="crypto").market("BTC-USD").cls == "crypto"


def test_bars_of_another_resolution_are_passed_over(root: Path):
    lines = [
        "timestamp,resolution,open,high,low,close",
        "2025-01-02T14:30:00Z,1m,1,1,1,1",
        "2025-01-02T15:00:00Z,1h,2,2,2,2",
    ]
    written(root / "AAPL" / "2025-01-02.csv", lines)
    found = rows_of(folder(root).pages(wanted(BARS), WINDOW)).to_pylist()
    assert [(each["resolution"], each["open"]) for each in found] == [("1m", 1)]


def test_a_folder_of_bars_of_one_resolution_refuses_others(root: Path):
    source = folder(root, resolution="1h")
    assert source.refusal(wanted(BARS, resolution="1h")) == ""
    with pytest.raises(SourceRefused, match="bars of 1h"):
        list(source.pages(wanted(BARS), WINDOW))


def test_large_files_are_read_block_by_block(root: Path, monkeypatch):
    monkeypatch.setattr("trades.imports.blocks.BLOCK_BYTES", 4_096)
    lines = [f"{DAY.start_ns + row * SECOND_NS},{190 + row % 5},1" for row in range(20_000)]
    written(root / "AAPL" / "2025-01-02.csv", [HEAD, *lines])
    found = fetched(folder(root), DAY)
    assert rows_of(found).num_rows == 20_000
    assert answered_of(found) == [DAY]
    assert max(page.rows.num_rows for page in found) <= 10_000
