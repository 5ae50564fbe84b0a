"""A long walk by cursor over an hour of trades, most of which share their instant, while a writer adds and cancels late ones."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.market_store import MarketStore
from store.protocol import Action, Amendment, Append, Correction, Dedupe, Window
from store.timestamps import SECOND_NS, format_timestamp, parse_timestamp
from tests.api_client import Api, answer
from tests.chance import SOAK
from tests.stats.market_data import tapes
from trades.stores import market_store

ROWS = 2_000_000 if SOAK else 60_000
FOLDED_ROWS = ROWS * 19 // 20
PAGE_ROWS = 10_000
LATE_ROWS = 50
CANCEL_EVERY = 16
SYMBOL = "WALKED"
HOUR = Window(parse_timestamp("2025-03-03T12:00:00Z"), parse_timestamp("2025-03-03T13:00:00Z"))
# Of the instants that rows have, each has five or six.
UNIT_NS = 3_600 * SECOND_NS // (ROWS * 2 // 11)
QUERY = {"start": format_timestamp(HOUR.start_ns), "end": format_timestamp(HOUR.end_ns)}
PATH = f"/api/v1/market-data/equities/{SYMBOL}/trades.columnar"


class Writer:
    """Adds trades within the hour, and now and then cancels one that was there from the beginning."""

    def __init__(self, store: MarketStore, old: pa.RecordBatch) -> None:
        self._store, self._old = store, old
        self._chance = np.random.default_rng(2)
        self._commits = 0
        self._moved = threading.Condition()
        self._stopping = threading.Event()

    @contextmanager
    def writing(self) -> Iterator["Writer"]:
        thread = threading.Thread(target=self._write)
        thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            thread.join()

    def await_commit(self) -> None:
        """Wait until it has written once more."""
        with self._moved:
            before = self._commits
            assert self._moved.wait_for(lambda: self._commits > before, timeout=60)

    def _write(self) -> None:
        while not self._stopping.is_set():
            instants = tapes.times(self._chance, HOUR, LATE_ROWS, unit_ns=UNIT_NS)
            late = tapes.trades(self._chance, instants, first=10**9 + self._commits * LATE_ROWS)
            self._store.append(Append(TRADES, SYMBOL, late, "test", Dedupe.NONE))
            if self._commits % CANCEL_EVERY == 0:
                self._cancel(self._commits)
            with self._moved:
                self._commits += 1
                self._moved.notify_all()

    def _cancel(self, row: int) -> None:
        (gone,) = self._old.slice(row, 1).to_pylist()
        named = {name: gone[name] for name in ("trade_id", "exchange")}
        cancel = Correction(Action.CANCEL, gone["timestamp"], named)
        self._store.correct(Amendment(TRADES, SYMBOL, (cancel,), "test"))


@pytest.fixture
def tape() -> pa.RecordBatch:
    """An hour of trades as they came: shuffled."""
    chance = np.random.default_rng(1)
    rows = tapes.trades(chance, tapes.times(chance, HOUR, ROWS, unit_ns=UNIT_NS))
    return rows.take(chance.permutation(ROWS))


@pytest.fixture
def filled(store_path: Path, api: Api, tape: pa.RecordBatch) -> Api:
    """A caller before them in a store, most of them folded."""
    store = market_store()
    assert isinstance(store, CsvStore)
    tapes.store_rows(store, TRADES, SYMBOL, tape.slice(0, FOLDED_ROWS))
    store.derive(TRADES, SYMBOL)
    tapes.store_rows(store, TRADES, SYMBOL, tape.slice(FOLDED_ROWS))
    return api


def walked(api: Api, sort: str, writer: Writer) -> tuple[list[str], int]:
    """The ids of all rows from page to page, and the commit that the first page is of.

    The writer writes between any two.
    """
    query = {**QUERY, "sort": sort, "limit": str(PAGE_ROWS), "fields": "trade_id"}
    response, ids = api.get(PATH, query), []
    commit = re.fullmatch(r"trades=(\d+)-[0-9a-f]{6}", response.headers["X-Commit"])
    assert commit is not None
    while True:
        assert response.status_code == 200, response.content
        page = answer(response)
        ids.append(page["trade_id"])
        if page["next_cursor"] is None:
            assert all(len(each) == PAGE_ROWS for each in ids[:-1])
            return list(chain.from_iterable(ids)), int(commit[1])
        writer.await_commit()
        response = api.get(PATH, {**query, "cursor": page["next_cursor"]})


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_many_pages_have_the_first_page_s_snapshot(filled: Api, tape: pa.RecordBatch, sort: str):
    store = market_store()
    with Writer(store, tape).writing() as writer:
        writer.await_commit()
        ids, commit = walked(filled, sort, writer)
    snapshot = store.log(TRADES, SYMBOL).at(commit).rows(HOUR)
    expected = snapshot.column("trade_id").to_pylist()
    assert len(expected) > ROWS
    assert len(pc.unique(snapshot.column("timestamp"))) < ROWS / 4
    assert len(set(ids)) == len(ids)
    assert ids == (expected if sort == "asc" else expected[::-1])
    now = set(store.log(TRADES, SYMBOL).at().rows(HOUR).column("trade_id").to_pylist())
    assert now - set(expected)
    assert set(expected) - now
