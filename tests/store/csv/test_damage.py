"""What is said of damaged bytes, and what goes on beside them; `tests/faults` damages any byte."""

from pathlib import Path

import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import DataDamaged
from store.protocol import Dedupe, Window
from tests.store.bars.slow_spans import columns, span_bars
from tests.store.builders import DAY, NOON, SYMBOL, amendment, batch, correct, stored, trade

FILE = f"trades/{SYMBOL}/2025-01-02.csv"
COMMITS, ROWS = 12, 10
SPAN = 1000  # nanoseconds between the first rows of two commits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One day of AAPL in twelve commits that do not overlap, another day, and another symbol."""
    store = CsvStore(tmp_path)
    for number in range(COMMITS):
        store.append(
            batch(*(trade(number * SPAN + n, 1.0 + number, trade_id=f"{number}-{n}") for n in range(ROWS)))
        )
    store.append(batch(trade(DAY)))
    store.append(batch(trade(0), symbol="MSFT"))
    return tmp_path


def window_of(number: int) -> Window:
    return Window(NOON + number * SPAN, NOON + (number + 1) * SPAN)


def test_bars_of_spans_are_withheld_only_where_damaged_rows_lie_in_a_span(folder: Path):
    text = bytearray((folder / FILE).read_bytes())
    text[text.index(b"5-3")] ^= 1
    (folder / FILE).write_bytes(text)
    store = CsvStore(folder)
    of_commits = [(NOON + n * SPAN, NOON + (n + 1) * SPAN, NOON + n * SPAN) for n in range(COMMITS)]
    around = columns([*of_commits[:5], *of_commits[6:]])
    snapshot = store.log(TRADES, SYMBOL).at()
    assert span_bars(snapshot, around).trade_count.tolist() == [ROWS] * (COMMITS - 1)
    with pytest.raises(DataDamaged, match="commit 6"):
        span_bars(snapshot, columns(of_commits))


def test_other_dates_and_symbols_take_writes_despite_damage(folder: Path):
    text = bytearray((folder / FILE).read_bytes())
    text[-5] ^= 1
    (folder / FILE).write_bytes(text)
    store = CsvStore(folder)
    with pytest.raises(DataDamaged):
        store.append(batch(trade((COMMITS - 1) * SPAN, trade_id="0-1")))
    assert store.append(batch(trade(1, trade_id="0-1", price=1.0))).duplicates == 1
    assert store.append(batch(trade(DAY + 1))).stored == 1
    assert store.append(batch(trade(1), symbol="MSFT")).stored == 1
    assert store.append(batch(trade(20 * SPAN), dedupe=Dedupe.NONE)).stored == 1
    assert store.append(batch(trade(21 * SPAN))).stored == 1
    assert len(stored(store, window_of(20))) == 1
    with pytest.raises(DataDamaged):
        stored(store, window_of(COMMITS - 1))
    assert len(stored(store, commit=COMMITS - 1)) == (COMMITS - 1) * ROWS


def test_what_is_sent_again_is_known_despite_damage_on_a_date_between(tmp_path: Path):
    rows = [trade(n * DAY, 1.0, trade_id="a") for n in range(3)]
    changes = [correct(n * DAY, price=1.0, new={"price": 2.0}) for n in range(3)]
    store = CsvStore(tmp_path)
    store.append(batch(*rows))
    store.correct(amendment(*changes))
    for file in (tmp_path / TRADES.name / SYMBOL).glob("2025-01-03*.csv"):
        file.write_bytes(file.read_bytes().replace(b",2,", b",3,").replace(b",1,", b",3,"))
    store = CsvStore(tmp_path)
    assert store.append(batch(*rows[::2])).duplicates == 2
    assert store.correct(amendment(*changes[::2])).duplicates == 2
    with pytest.raises(DataDamaged):
        store.correct(amendment(changes[1]))


def test_a_data_file_that_is_too_short_takes_no_rows(folder: Path):
    text = (folder / FILE).read_bytes()[:-5]
    (folder / FILE).write_bytes(text)
    store = CsvStore(folder)
    with pytest.raises(DataDamaged, match="ends at byte"):
        store.append(batch(trade(50 * SPAN)))
    assert (folder / FILE).read_bytes() == text
    assert store.append(batch(trade(DAY + 5))).stored == 1


def test_a_data_file_that_is_missing_is_damage_and_other_dates_are_served(folder: Path):
    (folder / FILE).unlink()
    store = CsvStore(folder)
    with pytest.raises(DataDamaged, match="missing"):
        stored(store)
    assert stored(store, Window(NOON + DAY, NOON + 2 * DAY)) == [trade(DAY)]
    with pytest.raises(DataDamaged):
        store.append(batch(trade(50 * SPAN)))
    assert store.symbols(TRADES) == [SYMBOL, "MSFT"]
