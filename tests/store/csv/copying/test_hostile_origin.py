"""An origin that lies: nothing of a wrong commit is kept, nothing is written elsewhere, and the error says what is wrong."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from store.copies import (
    LINE_BYTES,
    CopiedBytes,
    CopiedRecord,
    CopyEnd,
    CopyMalformed,
    LogStart,
    OriginRestored,
    PartHashes,
    encode_line,
)
from store.csv import CsvStore
from store.csv.files.commit_records import Commit, block_checksums, decode_commit, encode_commit
from store.datasets import TRADES
from store.mirroring import Mirror
from store.protocol import NO_COMMIT, CommitId
from tests.store.builders import DAY, SYMBOL, Clock, amendment, batch, cancel, trade
from tests.store.csv.copying.origins import Origin, all_files, files_of


@dataclass
class Forged:
    """A commit with a valid hash, whatever it says; and the bytes of its parts, each with the header."""

    commit: Commit
    data: list[bytes]
    previous: str = NO_COMMIT.hash
    hashes: list[str] | None = None
    extra: list[bytes] = field(default_factory=list)

    def lines(self, symbol: str = SYMBOL, dataset: str = "trades") -> list[bytes]:
        line, commit_hash = encode_commit(self.commit, self.previous)
        hashes = [hashlib.sha256(each).hexdigest() for each in self.data]
        return [
            encode_line(LogStart(dataset, symbol, self.commit.number, commit_hash)),
            encode_line(CopiedRecord(line[:-1].decode())),
            *(encode_line(CopiedBytes(each)) for each in self.data),
            *self.extra,
            encode_line(PartHashes(tuple(self.hashes or hashes))),
            encode_line(CopyEnd(self.commit.number, commit_hash)),
        ]

    def with_part(self, index: int = 0, **changes: Any) -> "Forged":
        parts = list(self.commit.parts)
        parts[index] = msgspec.structs.replace(parts[index], **changes)
        self.commit = msgspec.structs.replace(self.commit, parts=tuple(parts))
        return self

    def with_text(self, change: Callable[[bytes], bytes]) -> "Forged":
        """Change the rows of the first part, and its record so that it fits."""
        part = self.commit.parts[0]
        header, text = self.data[0][: part.offset], change(self.data[0][part.offset :])
        self.data[0] = header + text
        return self.with_part(length=len(text), checksums=block_checksums(text))

    def with_facts(self, **changes: Any) -> "Forged":
        facts = msgspec.structs.replace(self.commit.facts, **changes)
        self.commit = msgspec.structs.replace(self.commit, facts=facts)
        return self


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    store = CsvStore(tmp_path / "origin", clock=Clock())
    store.append(batch(trade(1), trade(2, trade_id="a"), trade(DAY)))
    return Origin(store)


@pytest.fixture
def honest(origin: Origin, tmp_path: Path) -> Forged:
    folder = tmp_path / "origin" / "trades" / SYMBOL
    commit, _ = decode_commit((folder / "commits.jsonl").read_bytes()[:-1], NO_COMMIT)
    return Forged(commit, [(folder / part.file).read_bytes() for part in commit.parts])


def mirrored(origin: Origin, folder: Path) -> None:
    mirror = Mirror(folder, "http://origin")
    with mirror.opened():
        mirror.update(origin, [SYMBOL])


def test_the_forger_can_tell_the_truth(origin: Origin, honest: Forged, tmp_path: Path):
    origin.changed = lambda _: honest.lines()
    mirrored(origin, tmp_path / "mirror")
    assert files_of(tmp_path / "mirror") == files_of(tmp_path / "origin")


def renamed(name: str) -> Callable[[Forged], Forged]:
    return lambda forged: forged.with_part(file=name)


def honest_ns(forged: Forged) -> int:
    return forged.commit.parts[0].first_ns


def replaced_header(forged: Forged) -> Forged:
    forged.data[0] = forged.data[0].replace(b"price", b"prize", 1)
    return forged


FILES = [
    "../../../evil.csv",
    "/tmp/evil.csv",
    "",
    "commits.jsonl",
    "../MSFT/2025-01-02.csv",
    "2025-01-03.csv",
    "2025-01-02.corrections.csv",
    "2025-01-02.0.csv",
    "2025-01-02.csv\0",
    "2025-01-02.csv\n",
    "2025-01-02.\u0661.csv",
    "2025-01-02.1234567.csv",
    "2025.csv",
]
LIES: dict[str, tuple[Callable[[Forged], Forged], str]] = {
    **{f"file {name!r}": (renamed(name), "none of its date") for name in FILES},
    "a part far behind": (lambda forged: forged.with_part(offset=10**9), "not where"),
    "a part without a header": (lambda forged: forged.with_part(offset=0), "not where that ends"),
    "a negative offset": (lambda forged: forged.with_part(offset=-5), "not where"),
    "a negative length": (lambda forged: forged.with_part(length=-5), "are none"),
    "a huge length": (lambda forged: forged.with_part(length=2**70), "has over 1,073,741,824 bytes"),
    "a length beyond": (lambda forged: forged.with_part(length=2**29), "bytes of a part are missing"),
    "no row": (lambda forged: forged.with_part(rows=0), "are none"),
    "other times": (lambda forged: forged.with_part(first_ns=honest_ns(forged) - 1), "other rows"),
    "an impossible time": (lambda forged: forged.with_part(first_ns=2**80), "names an instant"),
    "more rows": (lambda forged: forged.with_part(rows=3).with_facts(rows=4), "other rows"),
    "another number of rows": (lambda forged: forged.with_facts(rows=4), "another number of rows"),
    "another content": (lambda forged: forged.with_facts(content="0" * 64), "other rows than were committed"),
    "another price": (
        lambda forged: forged.with_text(lambda text: text.replace(b",100,", b",101,", 1)),
        "other rows than were committed",
    ),
    "wrong checksums": (lambda forged: forged.with_part(checksums="AAAAAA=="), "not as written"),
    "no checksums": (lambda forged: forged.with_part(checksums=""), "cannot be read"),
    "checksums that are no base64": (lambda forged: forged.with_part(checksums="?"), "cannot be read"),
    "another header": (replaced_header, "cannot be read"),
    "rows of another symbol": (
        lambda forged: forged.with_text(lambda text: text.replace(b"AAPL", b"MSFT", 1)),
        "another symbol",
    ),
    "no rows, but bytes": (
        lambda forged: forged.with_text(lambda text: b"\xff" * len(text)),
        "cannot be read",
    ),
    "rows without a line end": (lambda forged: forged.with_text(lambda text: text + b"x"), "no line end"),
    "too few cells": (
        lambda forged: forged.with_text(lambda text: text.replace(b",", b"", 1)),
        "cannot be read",
    ),
    "a time before": (lambda forged: forged.with_facts(committed_at=0), "not later"),
    "a time after all": (lambda forged: forged.with_facts(committed_at=2**64), "not later"),
    "the wrong number": (lambda forged: forged.with_facts(number=2), "not the next one"),
    "the future": (lambda forged: forged.with_facts(complete_until_ns=2**90), "names an instant"),
}


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_of_a_record_is_kept(origin: Origin, honest: Forged, tmp_path: Path, lie: str):
    forge, message = LIES[lie]
    forged, before = forge(honest), all_files(tmp_path)
    origin.changed = lambda _: forged.lines()
    with pytest.raises(CopyMalformed, match=message):
        mirrored(origin, tmp_path / "mirror")
    new = all_files(tmp_path) - before
    assert new - {f"mirror/trades/{SYMBOL}/2025-01-0{n}.csv" for n in (2, 3)} == {
        "mirror/mirror.json",
        "mirror/mirror.lock",
    }
    assert CsvStore(tmp_path / "mirror").symbols(TRADES) == []
    origin.changed = lambda lines: lines
    mirrored(origin, tmp_path / "mirror")
    assert files_of(tmp_path / "mirror") == files_of(tmp_path / "origin")


def test_a_correction_of_a_row_that_is_not_there(origin: Origin, tmp_path: Path):
    folder = tmp_path / "origin" / "trades" / SYMBOL
    mirrored(origin, tmp_path / "mirror")
    first = origin.store.log(TRADES, SYMBOL).head
    origin.store.correct(amendment(cancel(2, trade_id="a")))
    line = (folder / "commits.jsonl").read_bytes().split(b"\n")[1]
    commit, _ = decode_commit(line, first)
    text = (folder / commit.parts[0].file).read_bytes()
    forged = Forged(commit, [text], first.hash).with_text(
        lambda text: text.replace(b",1,cancel", b",9,cancel")
    )
    origin.changed = lambda _: forged.lines()
    with pytest.raises(CopyMalformed, match="is of no row"):
        mirrored(origin, tmp_path / "mirror")
    assert CsvStore(tmp_path / "mirror").log(TRADES, SYMBOL).head == first


def endless(lines: Iterable[bytes]) -> Iterable[bytes]:
    yield from list(lines)[:1]
    while True:
        yield b"x" * 2**20


ANSWERS: dict[str, tuple[Callable[[Forged], Iterable[bytes]], str]] = {
    "another symbol": (lambda honest: honest.lines("MSFT"), "not of trades of AAPL"),
    "another dataset": (lambda honest: honest.lines(SYMBOL, "quotes"), "not of trades of AAPL"),
    "nothing": (lambda _: [], "ends before"),
    "no lines of JSON": (lambda _: [b"<html>\n"], "not as expected"),
    "other lines": (lambda _: [b'{"kind":"surprise"}\n'], "not as expected"),
    "no base64": (lambda honest: [honest.lines()[0], b'{"kind":"data","data":"?"}\n'], "not as expected"),
    "data first": (
        lambda honest: [honest.lines()[0], encode_line(CopiedBytes(b"x"))],
        "a record was expected",
    ),
    "a start within": (
        lambda honest: [*honest.lines()[:2], honest.lines()[0]],
        "bytes of a part are missing",
    ),
    "an end within": (
        lambda honest: [*honest.lines()[:2], honest.lines()[-1]],
        "bytes of a part are missing",
    ),
    "bytes that are none": (
        lambda honest: [*honest.lines()[:2], encode_line(CopiedBytes(b""))],
        "bytes of a part are missing",
    ),
    "more bytes": (
        lambda honest: Forged(honest.commit, [honest.data[0], honest.data[1] + b"x"]).lines(),
        "more bytes than its parts",
    ),
    "more data": (
        lambda honest: Forged(honest.commit, honest.data, extra=[encode_line(CopiedBytes(b"x"))]).lines(),
        "SHA-256",
    ),
    "other hashes": (
        lambda honest: Forged(honest.commit, honest.data, hashes=["0" * 64, "1" * 64]).lines(),
        "SHA-256",
    ),
    "fewer hashes": (lambda honest: Forged(honest.commit, honest.data, hashes=["0" * 64]).lines(), "SHA-256"),
    "no commit": (lambda honest: [honest.lines()[0], honest.lines()[-1]], "did not come"),
    "an endless line": (lambda honest: endless(honest.lines()), f"over {LINE_BYTES:,} bytes"),
    "a record of two lines": (
        lambda honest: [honest.lines()[0], encode_line(CopiedRecord('{"commit":1,\n"x":2}'))],
        "several lines",
    ),
    "a record that is none": (
        lambda honest: [honest.lines()[0], encode_line(CopiedRecord("x" * 1000))],
        "not the next one",
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_wrong_answer_is_kept(origin: Origin, honest: Forged, tmp_path: Path, answer: str):
    made, message = ANSWERS[answer]
    origin.changed = lambda _: made(honest)
    with pytest.raises(CopyMalformed, match=message):
        mirrored(origin, tmp_path / "mirror")
    assert CsvStore(tmp_path / "mirror").symbols(TRADES) == []
    assert not [path for path in (tmp_path / "mirror").rglob("commits.jsonl") if path.stat().st_size]


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
