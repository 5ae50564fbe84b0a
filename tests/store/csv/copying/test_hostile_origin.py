"""An origin that lies: nothing of a wrong commit is kept, nothing is written elsewhere, and the error says what is wrong."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pyarrow as pa
import pytest

from store import receiving
from store.commits import Facts, chained, encode_facts
from store.content_hash import ContentHash
from store.copies import CopyMalformed, OriginRestored
from store.csv import CsvStore
from store.datasets import BARS, DECLARED_INSTRUMENTS, INSTRUMENTS, STORED_DATASETS, TRADES
from store.exceptions import DataDamaged
from store.mirroring import Mirror
from store.protocol import NO_COMMIT, CommitId, Fill, Superseded, Window
from store.rows.stored_rows import corrections_of
from store.walk import PIECE_ROWS, CommitRecord, LogEnd, LogPosition
from store.walk_lines import LINE_BYTES, WalkLine, encode_line, first_line, sent_pieces
from tests.store.builders import DAY, NOON, SYMBOL, Clock, Row, amendment, batch, cancel, record_batch, trade
from tests.store.csv.copying.origins import Origin, all_files, logs_of
from tests.store.walking import walk


@dataclass
class Forged:
    """A commit with a valid hash, whatever it says, and with the hash of its rows unless the facts have another one."""

    facts: Facts
    rows: list[Row]
    corrections: list[Row] = field(default_factory=list)
    previous: str = NO_COMMIT.hash

    def lines(self, symbol: str = SYMBOL, dataset: str = "trades") -> list[bytes]:
        batches: list[tuple[str, pa.RecordBatch]] = [
            ("rows", record_batch(*self.rows)),
            ("corrections", pa.RecordBatch.from_pylist(self.corrections, corrections_of(TRADES).schema)),
        ]
        content = ContentHash(TRADES)
        content.add_rows(batches[0][1])
        if self.corrections:
            content.add_corrections(batches[1][1])
        facts = self.facts if self.facts.content else replaced(self.facts, content=content.hexdigest())
        text = encode_facts(facts)
        commit_hash = chained(self.previous, text)
        return [
            encode_line(first_line(STORED_DATASETS[dataset], symbol)),
            encode_line(WalkLine("record", text=text.decode(), hash=commit_hash)),
            *(encode_line(WalkLine(kind, data=message(each))) for kind, each in batches if each.num_rows),
            encode_line(WalkLine("end")),
        ]

    def with_facts(self, **changes: Any) -> "Forged":
        self.facts = replaced(self.facts, **changes)
        return self

    def with_rows(self, *rows: Row) -> "Forged":
        self.rows = list(rows)
        return self.with_facts(rows=len(rows))


def replaced(struct: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(struct, **changes)


def message(rows: pa.RecordBatch, compression: str | None = None) -> bytes:
    return rows.serialize().to_pybytes() if compression is None else sealed(rows, compression)


def sealed(rows: pa.RecordBatch, compression: str) -> bytes:
    """The message of a record batch whose buffers are compressed."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as out:
        out.write_batch(rows)
    _, found = pa.ipc.MessageReader.open_stream(sink.getvalue())
    data: bytes = found.serialize().to_pybytes()
    return data


ROWS = [trade(1), trade(2, trade_id="a"), trade(DAY)]


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    store = CsvStore(tmp_path / "origin", clock=Clock())
    store.append(batch(*ROWS))
    return Origin(store)


@pytest.fixture
def honest(origin: Origin) -> Forged:
    record, *_ = walk(origin.store)
    assert isinstance(record, CommitRecord)
    return Forged(replaced(record.facts, content=""), list(ROWS))


def mirrored(origin: Origin, folder: Path) -> None:
    mirror = Mirror(folder, "http://origin")
    with mirror.opened():
        mirror.update(origin, [SYMBOL])


def test_the_forger_can_tell_the_truth(origin: Origin, honest: Forged, tmp_path: Path):
    origin.changed = lambda _: honest.lines()
    mirrored(origin, tmp_path / "mirror")
    assert logs_of(tmp_path / "mirror") == logs_of(tmp_path / "origin")


Lie = Callable[[Forged], Forged]
OTHER_ROWS, NO_VALUE = "other rows than were committed", "no value, time or text"


def facts(**changes: Any) -> Lie:
    return lambda forged: forged.with_facts(**changes)


def rows(*others: Row) -> Lie:
    return lambda forged: forged.with_rows(*others)


LIES: dict[str, tuple[Lie, str]] = {
    "another content": (facts(content="0" * 64), OTHER_ROWS),
    "a content that is none": (facts(content="é"), OTHER_ROWS),
    "fewer rows": (facts(rows=4), "ends within commit 1"),
    "more rows": (facts(rows=2), OTHER_ROWS),
    "a correction too many": (facts(corrections=1), "ends within commit 1"),
    "negative rows": (facts(rows=-1), OTHER_ROWS),
    "no price": (rows(trade(1) | {"price": None}), NO_VALUE),
    "a long text": (rows(trade(1, trade_id="x" * 2**20)), NO_VALUE),
    "no number": (rows(trade(1) | {"price": float("nan")}), NO_VALUE),
    "an infinite number": (rows(trade(1) | {"price": float("inf")}), NO_VALUE),
    "an impossible time": (rows(trade(2**63 - 1)), NO_VALUE),
    "dates in disorder": (rows(trade(DAY), trade(1)), NO_VALUE),
    "a time before": (facts(committed_at=0), "not later"),
    "a time after all": (facts(committed_at=2**63 - 1), "not later"),
    "the wrong number": (facts(number=2), "not the next one"),
    "another commit before": (
        lambda forged: Forged(forged.facts, forged.rows, previous="1" * 64),
        "not the next one",
    ),
    "the future": (facts(complete_until_ns=2**63 - 1), "names an instant"),
    "a fill of the future": (facts(fill=Fill(Window(0, 2**63 - 1), "other")), "names an instant"),
    "superseded in the past": (facts(superseded=(Superseded(-(2**62), 0),)), "names an instant"),
}


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_of_a_record_is_kept(origin: Origin, honest: Forged, tmp_path: Path, lie: str):
    forge, problem = LIES[lie]
    forged, before = forge(honest), all_files(tmp_path)
    origin.changed = lambda _: forged.lines()
    with pytest.raises(CopyMalformed, match=problem):
        mirrored(origin, tmp_path / "mirror")
    assert all_files(tmp_path) - before == {"mirror/mirror.json", "mirror/mirror.lock"}
    origin.changed = lambda lines: lines
    mirrored(origin, tmp_path / "mirror")
    assert logs_of(tmp_path / "mirror") == logs_of(tmp_path / "origin")


@pytest.mark.parametrize("change", [{"arrival": 9}, {"arrival": -1}, {"action": "delete"}])
def test_a_correction_of_a_row_that_is_not_there(origin: Origin, tmp_path: Path, change: Row):
    mirrored(origin, tmp_path / "mirror")
    first = origin.store.log(TRADES, SYMBOL).head
    origin.store.correct(amendment(cancel(2, trade_id="a")))
    record = walk(origin.store)[3]
    assert isinstance(record, CommitRecord)
    line = ROWS[1] | {"arrival": 1, "action": "cancel"}
    honest = Forged(replaced(record.facts, content=""), [], [line], first.hash)
    forged = Forged(honest.facts, [], [line | change], first.hash)
    origin.changed = lambda _: forged.lines()
    with pytest.raises(CopyMalformed, match="is of no row"):
        mirrored(origin, tmp_path / "mirror")
    assert CsvStore(tmp_path / "mirror").log(TRADES, SYMBOL).head == first
    origin.changed = lambda _: honest.lines()
    mirrored(origin, tmp_path / "mirror")
    assert logs_of(tmp_path / "mirror") == logs_of(tmp_path / "origin")


def endless(lines: Iterable[bytes]) -> Iterable[bytes]:
    yield from list(lines)[:1]
    while True:
        yield b"x" * 2**20


def sent(data: bytes) -> Callable[[Forged], Iterable[bytes]]:
    """An answer with these bytes as the commit's rows."""
    return lambda honest: [*honest.lines()[:2], encode_line(WalkLine("rows", data=data)), honest.lines()[-1]]


def lines(*indices: int) -> Callable[[Forged], Iterable[bytes]]:
    """An answer with these lines of the honest one: its start, the record, the rows, its end."""
    return lambda honest: [honest.lines()[index] for index in indices]


def record(text: str) -> Callable[[Forged], Iterable[bytes]]:
    return lambda honest: [honest.lines()[0], encode_line(WalkLine("record", text=text))]


OTHER_FORM = b'{"kind":"log","dataset":"trades","symbol":"AAPL","number":1,"hash":"00"}\n'
OTHER_COLUMNS = encode_line(WalkLine("walk", log=(*first_line(TRADES, SYMBOL).log, "colour string")))
PADDED = record_batch(*ROWS).append_column("padding", pa.array([b"x" * 10_000] * 3))
BROKEN = bytearray(message(record_batch(*ROWS)))
BROKEN[-40:] = b"\xff" * 40
OF_ANOTHER = "is not of trades of AAPL, or has another form"
ANSWERS: dict[str, tuple[Callable[[Forged], Iterable[bytes]], str]] = {
    "another symbol": (lambda honest: honest.lines("MSFT"), OF_ANOTHER),
    "another dataset": (lambda honest: honest.lines(SYMBOL, "quotes"), OF_ANOTHER),
    "nothing": (lambda _: [], "ends before"),
    "no lines of JSON": (lambda _: [b"<html>\n"], "not as expected"),
    "lines of another version": (lambda _: [OTHER_FORM], "must run the same version"),
    "other columns": (lambda _: [OTHER_COLUMNS], OF_ANOTHER),
    "other lines": (lambda honest: [honest.lines()[0], b'{"kind":"surprise"}\n'], "not as expected"),
    "no base64": (lambda honest: [*honest.lines()[:2], b'{"kind":"rows","data":"?"}\n'], "not as expected"),
    "rows first": (lines(0, 2), "before the record"),
    "a start within": (lines(0, 1, 0), "not as expected"),
    "a record within": (lines(0, 1, 1), "not the next one"),
    "an end within": (lines(0, 1, 3), "ends within commit 1"),
    "no end": (lines(0, 1), "ends before its last line"),
    "no commit": (lines(0, 3), "did not come"),
    "an endless line": (lambda honest: endless(honest.lines()), f"over {LINE_BYTES:,} bytes"),
    "a record of two lines": (record('{"v":2,\n"commit":1'), "not as expected"),
    "a record that is none": (record("x" * 1000), "a line of record cannot be read"),
    "no message": (sent(b"x" * 100), "cannot be read"),
    "half a message": (sent(message(record_batch(*ROWS))[:200]), "cannot be read"),
    "a broken message": (sent(bytes(BROKEN)), "cannot be read|other rows"),
    "a schema": (sent(TRADES.schema.serialize().to_pybytes()), "compressed, or no record batch"),
    "compressed rows": (sent(message(record_batch(*ROWS * 99), "zstd")), "compressed"),
    "no rows": (sent(message(record_batch())), "no rows, or over"),
    "more than rows": (sent(message(PADDED)), "has more than its rows"),
    "too many rows": (sent(message(record_batch(*[trade(1)] * (PIECE_ROWS + 1)))), "or over 65,536"),
    "rows of another dataset": (
        sent(message(pa.RecordBatch.from_pylist([{"timestamp": 1}], BARS.schema))),
        "cannot be read|other rows|is missing",
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_wrong_answer_is_kept(origin: Origin, honest: Forged, tmp_path: Path, answer: str):
    made, problem = ANSWERS[answer]
    origin.changed = lambda _: made(honest)
    with pytest.raises(CopyMalformed, match=problem):
        mirrored(origin, tmp_path / "mirror")
    assert all_files(tmp_path / "mirror") == {"mirror.json", "mirror.lock"}


def test_a_commit_that_swells_is_refused(honest: Forged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(receiving, "_COMMIT_BYTES", 1_000)
    copy = CsvStore(tmp_path / "copy")
    honest.with_rows(*ROWS * 10)
    with pytest.raises(CopyMalformed, match="over 1,000 bytes"):
        copy.log(TRADES, SYMBOL).apply(sent_pieces(TRADES, SYMBOL, honest.lines()))


def test_a_commit_of_many_small_batches_takes_no_more_memory_than_its_rows(honest: Forged):
    honest.with_rows(*[trade(number) for number in range(1_000)])
    start, record, *_ = honest.lines()
    one_by_one = [encode_line(WalkLine("rows", data=message(record_batch(row)))) for row in honest.rows]
    pieces = sent_pieces(TRADES, SYMBOL, [start, record, *one_by_one, encode_line(WalkLine("end"))])
    (commit,) = receiving.received_commits(TRADES, LogEnd(), pieces)
    assert commit.rows.to_pylist() == honest.rows
    assert len(commit.batches[0]) < 20


@pytest.mark.parametrize("text", ["junk", "[]", "", '{"x":' + "[" * 5_000])
def test_a_declaration_that_is_none_is_refused(tmp_path: Path, text: str):
    rows = pa.RecordBatch.from_pylist([{"timestamp": 0, "instrument": text}], INSTRUMENTS.schema)
    content = ContentHash(INSTRUMENTS)
    content.add_rows(rows)
    facts = Facts(1, NOON, "key:1", "0" * 64, 1, rows=1, content=content.hexdigest())
    record = CommitRecord.of(encode_facts(facts), chained(NO_COMMIT.hash, encode_facts(facts)))
    with pytest.raises(CopyMalformed, match="of no instrument"):
        CsvStore(tmp_path).log(*DECLARED_INSTRUMENTS).apply([record, rows])


def test_a_correction_with_another_time_than_its_row_is_damage(origin: Origin, tmp_path: Path):
    first = origin.store.log(TRADES, SYMBOL).head
    origin.store.correct(amendment(cancel(2, trade_id="a")))
    record = walk(origin.store)[3]
    assert isinstance(record, CommitRecord)
    line = trade(7, trade_id="a") | {"arrival": 1, "action": "cancel"}
    forged = Forged(replaced(record.facts, content=""), [], [line], first.hash)
    copy = CsvStore(tmp_path / "copy").log(TRADES, SYMBOL)
    copy.apply(walk(origin.store)[:3])
    copy.apply(sent_pieces(TRADES, SYMBOL, forged.lines()))
    with pytest.raises(DataDamaged, match="another time"):
        list(copy.commits(LogPosition(first)))


STATES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no object": (lambda _: [], "not as expected"),
    "another symbol": (
        lambda states: states["logs"][-1].update(symbol="MSFT"),
        "'trades/MSFT', which was not",
    ),
    "another dataset": (lambda states: states["logs"][-1].update(dataset="../x"), "which was not asked for"),
    "a log twice": (lambda states: states["logs"].append(states["logs"][-1]), "which was not asked for"),
    "no time": (lambda states: states["logs"][-1].update(committed_at="soon"), "no time"),
}


@pytest.mark.parametrize("lie", STATES)
def test_no_wrong_list_of_logs_is_taken(origin: Origin, tmp_path: Path, lie: str):
    change, message = STATES[lie]

    def changed(document: bytes) -> bytes:
        states = orjson.loads(document)
        told = change(states)
        return orjson.dumps(states if told is None else told)

    origin.changed_states = changed
    with pytest.raises(CopyMalformed, match=message):
        mirrored(origin, tmp_path / "mirror")
    assert all_files(tmp_path / "mirror") <= {"mirror.json", "mirror.lock"}


def test_an_origin_that_is_restored_again_and_again_is_told(origin: Origin, tmp_path: Path):
    def forgetful(dataset: str, symbol: str, after: CommitId) -> Any:
        if after.number:
            raise OriginRestored
        return usual(dataset, symbol, after)

    mirrored(origin, tmp_path / "mirror")
    origin.store.append(batch(trade(3)))
    usual, origin.copy = origin.copy, forgetful  # type: ignore[method-assign]
    origin.changed_states = lambda document: document.replace(b'"number":2', b'"number":9')
    mirror = Mirror(tmp_path / "mirror", "http://origin")
    with mirror.opened():
        (told,) = mirror.update(origin, [SYMBOL], anew=True)
    assert "was restored" in told.problem
