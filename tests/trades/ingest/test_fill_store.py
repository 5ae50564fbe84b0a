"""A backfill's rows are stored by a service."""

import pyarrow as pa
import pytest

from store.datasets import OPTION_QUOTES, TRADES
from store.protocol import ALL_TIME, Window
from tests.store.builders import MINUTE, NOON, SYMBOL, fill_of, record_batch, trade
from trades.exceptions import BatchRefused
from trades.services import fill_store
from trades.stores import market_store
from web.idempotency.exceptions import IdempotencyKeyReused

pytestmark = pytest.mark.usefixtures("default_store")

FILL = fill_of(0, MINUTE)


def store(*rows, key="job:1:0", fill=FILL):
    batch = record_batch(*rows)
    return fill_store(dataset=TRADES, symbol=SYMBOL, rows=batch, fill=fill, caller="jobs", request_key=key)


@pytest.mark.parametrize("rows", [[trade(1), trade(2)], []], ids=["rows", "none"])
def test_a_fill_is_stored_once_under_its_key(rows):
    first, again = store(*rows), store(*rows)
    assert (first.stored, first.commit.number) == (len(rows), 1)
    assert (again.replayed, again.commit) == (True, first.commit)
    assert market_store().log(TRADES, SYMBOL).at().fills(ALL_TIME) == [(1, FILL)]


def test_a_row_whose_id_is_stored_is_left_out():
    store(trade(1, trade_id="a"))
    again = store(trade(1, 2.0, trade_id="a"), trade(3), key="job:2:0")
    assert (again.stored, again.duplicate_rows) == (1, (0,))
    assert market_store().log(TRADES, SYMBOL).at().rows(Window(NOON, NOON + MINUTE)).num_rows == 2


def test_a_key_of_another_fill_is_refused():
    store(trade(1))
    with pytest.raises(IdempotencyKeyReused):
        store(trade(1), fill=fill_of(0, MINUTE, "another"))


def test_a_dataset_that_is_not_for_the_symbol_is_refused():
    empty = pa.RecordBatch.from_pylist([], schema=OPTION_QUOTES.schema)
    with pytest.raises(BatchRefused):
        fill_store(
            dataset=OPTION_QUOTES, symbol=SYMBOL, rows=empty, fill=FILL, caller="jobs", request_key="k"
        )
