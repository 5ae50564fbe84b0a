"""Logs are copied between any two stores with their numbers, hashes and times, and go on there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.bar_policies import BAR_POLICIES
from store.copying import copy_log, copy_store
from store.csv import CsvStore
from store.datasets import CORRECTED, DATASETS, STORED_DATASETS, TRADES
from store.exceptions import DataDamaged, StoreUnavailable
from store.instruments import Instrument
from store.market_store import MarketStore
from store.protocol import ALL_TIME, NO_COMMIT, Amendment, Append
from store.walk import CommitPiece, CommitRecord, CommittedRows
from store.whole_commits import whole_commits
from tests.memory_store import MemoryStore
from tests.store.builders import (
    DAY,
    MINUTE,
    SYMBOL,
    Clock,
    amendment,
    batch,
    cancel,
    correct,
    fill_of,
    trade,
)
from tests.store.test_agreement import columns
from tests.store.test_conformance_datasets import NEW
from tests.store.walking import logs_of, walk
from tests.trades.formats.bodies import read
from trades.batches.row_batch import BatchOptions
from trades.batches.sample_rows import SAMPLE_ROWS

DATA = Path(__file__).parent / "data"


def fill(store: CsvStore, clock: Clock) -> None:
    """Rows of every dataset, keys, corrections, fills, later columns, several dates, and declarations."""
    store.set_instrument(Instrument(SYMBOL, exchange="XNAS"))
    for name, dataset in DATASETS.items():
        clock.now += DAY
        sample = read("json", SAMPLE_ROWS[name], BatchOptions(dataset))
        store.append(Append(dataset, sample.symbol, sample.rows, "key:1", request_key="k"))
        store.append(Append(dataset, sample.symbol, sample.rows, "key:1", request_key="again"))
        if dataset in CORRECTED and dataset.has_complete_ids:
            first = sample.rows.to_pylist()[0]
            named = {each: first[each] for each in dataset.named_by}
            change = correct(first["timestamp"], new=NEW[name], **named)
            store.correct(Amendment(dataset, sample.symbol, (change,), "key:2", "fix"))
    store.append(batch(trade(DAY, buyer_is_maker=True), trade(1), trade(2, trade_id='"a,\n'), symbol="MSFT"))
    store.append(batch(trade(5), trade(2 * DAY, 3.0), symbol="MSFT", fill=fill_of(0, 3 * DAY)))
    store.append(batch(trade(4), trade(9), symbol="MSFT", complete_until=DAY))
    store.correct(
        amendment(cancel(1, price=100.0), correct(9, price=100.0, new={"price": 7.0}), symbol="MSFT")
    )
    store.set_instruments([Instrument(SYMBOL, exchange="XNYS"), Instrument("MSFT", aliases=("MS",))])


def made(folder: Path) -> CsvStore:
    fill(CsvStore(folder, clock=(clock := Clock())), clock)
    return CsvStore(folder, clock=clock)


def records(store: MarketStore) -> list[CommitRecord]:
    return [each for each in walk(store, symbol="MSFT") if isinstance(each, CommitRecord)]


@pytest.fixture
def origin(tmp_path: Path) -> CsvStore:
    return made(tmp_path / "origin")


def copied(origin: MarketStore, to: Any) -> Any:
    for dataset in STORED_DATASETS.values():
        for symbol in origin.symbols(dataset):
            copy_log(origin.log(dataset, symbol), to.log(dataset, symbol))
    return to


def answers(store: MarketStore) -> dict[str, Any]:
    """What a store says at each commit of each log."""
    found: dict[str, Any] = {}
    for dataset in STORED_DATASETS.values():
        for symbol in store.symbols(dataset):
            log = store.log(dataset, symbol)
            for number in range(1, log.head.number + 1):
                at = log.at(number)
                found[f"{dataset.name}/{symbol} {number}"] = [
                    at.commit,
                    log.committed_at(number),
                    log.as_of(log.committed_at(number)).commit,
                    at.rows(ALL_TIME).to_pylist(),
                    (at.completeness(), at.fills(ALL_TIME), at.version(ALL_TIME)),
                    [columns(at.bars(ALL_TIME, MINUTE, policy=each)) for each in BAR_POLICIES.values()]
                    if dataset is TRADES
                    else None,
                ]
    return found


def test_files_to_memory_to_files_are_the_same_logs(tmp_path: Path, origin: CsvStore):
    memory = copied(origin, MemoryStore())
    files = copied(memory, CsvStore(tmp_path / "files"))
    again = copied(files, CsvStore(tmp_path / "again"))
    for store in (memory, files, again, CsvStore(tmp_path / "files")):
        assert logs_of(store) == logs_of(origin)
        assert answers(store) == answers(origin)
        assert store.declared_instruments() == origin.declared_instruments()
        assert store.declarations(SYMBOL) == origin.declarations(SYMBOL)
    for dataset in STORED_DATASETS.values():
        for symbol in files.symbols(dataset):
            assert list(files.check(dataset, symbol).findings()) == []
            files.derive(dataset, symbol, rebuild=True)
    assert answers(CsvStore(tmp_path / "files")) == answers(origin)


def test_a_copy_goes_on_as_its_origin_does(tmp_path: Path):
    origin = made(tmp_path / "origin")
    copy = copied(origin, CsvStore(tmp_path / "copy", clock=origin._clock.now))
    sample = read("json", SAMPLE_ROWS["trades"], BatchOptions(TRADES))
    later = [
        Append(TRADES, SYMBOL, sample.rows, "key:1", request_key="k"),
        batch(trade(2, trade_id='"a,\n'), trade(33), symbol="MSFT"),
        batch(trade(30), trade(40), symbol="MSFT"),
    ]
    for each in later:
        receipts = [store.append(each) for store in (origin, copy)]
        assert receipts[0] == receipts[1]
    assert receipts[0].stored == 2
    assert logs_of(copy) == logs_of(origin)


def test_what_came_since_is_copied_after_the_newest_commit(origin: CsvStore, tmp_path: Path):
    log = origin.log(TRADES, "MSFT")
    for head in range(1, log.head.number):
        copy = CsvStore(tmp_path / f"{head}").log(TRADES, "MSFT")
        pieces = walk(origin, upto=head, symbol="MSFT")
        copy.add_commits(NO_COMMIT, list(whole_commits(TRADES, NO_COMMIT, pieces)))
        assert copy.head == log.at(head).commit
        for _ in range(2):
            copy_log(log, copy)
            assert copy.end() == log.end()
        assert logs_of(tmp_path / f"{head}")["trades/MSFT"] == logs_of(origin)["trades/MSFT"]


def test_a_log_with_other_commits_stays_and_is_reported(origin: CsvStore, tmp_path: Path):
    copy = CsvStore(tmp_path / "copy")
    copy.append(batch(trade(1), symbol="MSFT"))
    before = logs_of(copy)["trades/MSFT"]
    found = {f"{each.dataset}/{each.symbol}": each for each in copy_store(origin, copy)}
    refused = found.pop("trades/MSFT")
    assert "TO has other commits: a log was cut, restored or written to" in refused.problem
    assert refused.head == copy.log(TRADES, "MSFT").head
    assert logs_of(copy).pop("trades/MSFT") == before
    assert {each.problem for each in found.values()} == {""}
    assert found.keys() == logs_of(origin).keys() - {"trades/MSFT"}


def test_commits_that_do_not_follow_or_have_other_rows_are_refused(tmp_path: Path):
    store = MemoryStore()
    store.append(batch(trade(1), trade(2)))
    store.append(batch(trade(3)))
    first, rows, second, more = walk(store)
    assert isinstance(first, CommitRecord)
    assert isinstance(rows, CommittedRows)
    other = msgspec.structs.replace(first.facts, caller="key:9")
    wrong: dict[str, list[CommitPiece]] = {
        "the second record": [second],
        "rows of another commit": [first, more],
        "a record within": [first, second],
        "half of the rows": [first, replace(rows, rows=rows.rows.slice(1))],
        "rows in another order": [first, replace(rows, rows=rows.rows.take([1, 0]))],
        "facts that were changed": [replace(first, facts=other), rows],
    }
    for pieces in wrong.values():
        with pytest.raises(DataDamaged, match="commit 1 "):
            list(whole_commits(TRADES, NO_COMMIT, pieces))
    found = whole_commits(TRADES, NO_COMMIT, [first, rows, second, rows])
    assert next(found).record == first
    with pytest.raises(DataDamaged, match="commit 2 has other rows"):
        next(found)


def test_a_damaged_commit_ends_the_copy_of_its_log_only(origin: CsvStore, tmp_path: Path):
    file = tmp_path / "origin" / "trades" / "MSFT" / "2025-01-04.csv"
    file.write_bytes(file.read_bytes()[:-9] + b"9" + file.read_bytes()[-8:])
    log, copy = origin.log(TRADES, "MSFT"), CsvStore(tmp_path / "copy")
    problems = [each for each in copy_store(CsvStore(tmp_path / "origin"), copy) if each.problem]
    ((_, symbol, head, problem),) = problems
    assert (symbol, head) == ("MSFT", copy.log(TRADES, "MSFT").end().head)
    assert head.number < log.head.number
    assert "2025-01-04.csv" in problem


def test_of_a_log_with_a_damaged_record_nothing_is_copied(origin: CsvStore, tmp_path: Path):
    file = tmp_path / "origin" / "trades" / "MSFT" / "commits.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    assert len(lines) > 2
    file.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b'"caller":"key:', b'"caller":"kex:')]))
    copy = CsvStore(tmp_path / "copy")
    ((_, symbol, head, problem),) = [
        each for each in copy_store(CsvStore(tmp_path / "origin"), copy) if each.problem
    ]
    assert (symbol, head) == ("MSFT", NO_COMMIT)
    assert "commits.jsonl" in problem
    assert copy.symbols(TRADES) == [each for each in origin.symbols(TRADES) if each != "MSFT"]


@pytest.mark.parametrize("backend", ["csv", "memory"])
def test_a_log_that_another_writer_added_to_takes_nothing(origin: CsvStore, tmp_path: Path, backend: str):
    to = CsvStore(tmp_path / "copy") if backend == "csv" else MemoryStore()
    log = to.log(TRADES, "MSFT")
    commits = list(whole_commits(TRADES, NO_COMMIT, walk(origin, symbol="MSFT")))
    log.add_commits(NO_COMMIT, commits[:2])
    for base in (NO_COMMIT, commits[0].record.id):
        with pytest.raises(StoreUnavailable, match="is not at commit"):
            log.add_commits(base, commits[2:])
    log.add_commits(log.head, commits[2:])
    assert logs_of(to)["trades/MSFT"] == logs_of(origin)["trades/MSFT"]
