"""Fills and batches of many series."""

import time

import pyarrow as pa

from store.datasets import UNIVERSE_CHANGES
from store.protocol import Superseded
from store.rows.fills import between, extents_of
from store.rows.stored_rows import ArrivalRun, stored_rows
from tests.patience import PATIENCE_SECONDS
from tests.store.builders import NOON

SERIES = 20_000


def test_a_batch_of_many_series_is_not_compared_series_by_series():
    changes = [
        {"timestamp": NOON + n % 2, "member": f"M{n // 2:06}", "action": "add"} for n in range(SERIES * 2)
    ]
    rows = pa.RecordBatch.from_pylist(changes, schema=UNIVERSE_CHANGES.schema)
    versions = stored_rows(pa.Table.from_batches([rows]), [ArrivalRun(0, 1, rows.num_rows)])
    began = time.process_time()
    extents = extents_of(UNIVERSE_CHANGES, rows)
    assert extents == tuple(Superseded(NOON, NOON + 1, f"M{n:06}") for n in range(SERIES))
    assert between(UNIVERSE_CHANGES, versions, extents).all()
    assert time.process_time() - began < PATIENCE_SECONDS
