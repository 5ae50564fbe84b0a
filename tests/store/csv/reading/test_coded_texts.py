"""Rows with dictionary-encoded texts are the same rows; where texts repeat, they are not decoded."""

import random
from pathlib import Path

import pyarrow as pa

from store.datasets import TRADES
from store.protocol import Window
from tests.store.builders import NOON, SECOND, SYMBOL, Row, amendment, cancel, trade
from tests.store.csv.derived.derived_log import DerivedLog

FIRST = Window(NOON, NOON + 50 * SECOND)


def rows(first: int, count: int) -> list[Row]:
    return [
        trade(
            NOON + number * SECOND,
            trade_id=f"t{number}",
            exchange="XNYS" if number % 3 else None,
            conditions=("odd_lot", "auction")[number % 2],
        )
        for number in range(first, first + count)
    ]


def coded(log: DerivedLog, window: Window, commit: int | None = None) -> pa.Table:
    """Return the rows with coded texts, which must be the store's rows."""
    found = log.store.log(TRADES, SYMBOL).at(commit).rows(window, coded_texts=True)
    plain = [
        column.combine_chunks().dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in found.columns
    ]
    assert pa.table(plain, schema=TRADES.schema).equals(log.store.log(TRADES, SYMBOL).at(commit).rows(window))
    return found


def coded_names(found: pa.Table) -> list[str]:
    return [field.name for field in found.schema if pa.types.is_dictionary(field.type)]


def test_texts_of_a_segment_that_repeat_stay_coded(tmp_path: Path):
    log = DerivedLog(tmp_path)
    log.add_and_derive(*rows(0, 50))
    assert coded_names(coded(log, FIRST)) == ["exchange", "conditions"]
    # Too few rows for a dictionary of two texts.
    assert coded_names(coded(log, Window(NOON, NOON + 4 * SECOND))) == ["exchange"]


def test_corrections_hold_also_for_coded_texts(tmp_path: Path):
    log = DerivedLog(tmp_path)
    log.add_and_derive(*rows(0, 50))
    log.store.correct(amendment(cancel(NOON + 7 * SECOND, trade_id="t7")))
    assert coded(log, FIRST).num_rows == 49
    log.derive()
    assert coded(log, FIRST, commit=1).num_rows == 50
    found = coded(log, FIRST)
    assert (found.num_rows, coded_names(found)) == (49, ["exchange", "conditions"])


def test_any_window_has_the_same_rows(tmp_path: Path):
    log, chance = DerivedLog(tmp_path), random.Random(3)
    log.add_and_derive(*rows(0, 170))
    log.append(*rows(200, 20))
    for _ in range(60):
        start, end = sorted(chance.randint(0, 230) for _ in range(2))
        coded(log, Window(NOON + start * SECOND, NOON + end * SECOND))
