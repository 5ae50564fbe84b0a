"""Bits of the commit index that flip, and pages of it that are old, torn or gone: found, and every answer is as without it."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.csv.files.disk import Disk
from store.csv.log.commit_log import CommitLog
from store.csv.log.history import CommitHistory
from store.csv.log.index_file import INDEX_FILE, IndexFile
from store.csv.log.log_index import IndexDamaged, IndexUnavailable
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS
from tests.chance import SOAK
from tests.faults.table import Tallies
from tests.store.csv.log.plain_history import FIRST_DAY, LogWriter

pytestmark = pytest.mark.system

DATES, OLD, NEW, TAIL = 12, 130, 150, 20
FLIPS, TRIES = (300, 100) if SOAK else (30, 10)
PAGE_BYTES = 4096

Spoil = Callable[[bytearray, bytes, random.Random], None]
"""Changes the content of the file. The second argument is its content before the last commits were added."""


def answers(history: CommitHistory) -> list[Any]:
    """All that is asked of a history: versions, parts, keys, times, fills, files, at the head and at older commits."""
    head = history.head().number
    numbers = range(0, head + 1, 19)
    days = [Window(day * DAY_NS, (day + 1) * DAY_NS) for day in range(FIRST_DAY - 1, FIRST_DAY + DATES + 1)]
    found: list[Any] = [history.committed_times(np.arange(1, head + 1)).tolist()]
    found += [(history.head(n), history.completeness(n)) for n in numbers]
    found += [history.version(day, n) for day in days for n in (None, *numbers[1::5])]
    found += [history.parts_in(ALL_TIME), history.parts_in(ALL_TIME, 100, after=40)]
    found += [(history.parts_in(day, 90, after=30), history.times_on(day.start_ns // DAY_NS)) for day in days]
    found += [
        (history.first_from(day.start_ns + 1, 99), history.change_bound(day, 10**12, 3, 99)) for day in days
    ]
    found += [history.commit_as_of(instant) for instant in range(0, history.committed_at + 9, 31)]
    keys = [(caller, str(n)) for caller in ("key:1", "key:2") for n in range(51)]
    found += [history.accepted(*key) for key in keys]
    found += [
        history.fills(ALL_TIME),
        history.fill_commits(days[3]),
    ]
    files = [
        f"{FIRST_DAY + n}{kind}" for n in range(DATES) for kind in (".csv", ".corrections.csv", ".1.csv")
    ]
    return found + [history.file_end(file) for file in files] + [history.rows, history.end]


class Subject:
    """A log, its index, and what its history answers without one."""

    def __init__(self, folder: Path) -> None:
        writer = LogWriter(folder / "commits.jsonl", 5, dates=DATES)
        self.folder, self.path = folder, folder / ".derived" / INDEX_FILE
        writer.write(OLD)
        self.opened().write_index()
        self.old = self.path.read_bytes()
        writer.write(NEW)
        self.opened().write_index()
        self.new = self.path.read_bytes()
        writer.write(TAIL)
        self.path.unlink()
        self.right = answers(self.opened().history())

    def opened(self) -> CommitLog:
        return CommitLog(self.folder, Disk())

    def is_right(self, content: bytes) -> bool:
        """Return whether a new process answers all as it should, with this content of the file."""
        self.path.write_bytes(content)
        return answers(self.opened().history()) == self.right

    def is_seen(self, content: bytes) -> bool:
        """Return whether a check reports this content of the file, unless SQLite reads all pieces of it as of one write."""
        self.path.write_bytes(content)
        try:
            IndexFile(self.folder / "commits.jsonl").check()
        except (IndexDamaged, IndexUnavailable):
            return True
        return pieces_of(content, self.path) in [pieces_of(each, self.path) for each in (self.new, self.old)]


def pieces_of(content: bytes, path: Path) -> list[tuple[int, bytes]]:
    path.write_bytes(content)
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT id, content FROM pieces ORDER BY id").fetchall()


def flip(content: bytearray, _old: bytes, rng: random.Random) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def replace_pages(content: bytearray, old: bytes, rng: random.Random) -> None:
    """As after a power cut: some of the pages that were written last are not on the disk."""
    share = rng.choice([0.03, 0.3, 0.9])
    for place in range(0, len(content), PAGE_BYTES):
        if rng.random() < share:
            page = old[place : place + PAGE_BYTES] or bytes(PAGE_BYTES)
            content[place : place + PAGE_BYTES] = page


def cut(content: bytearray, _old: bytes, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


FAULTS: dict[Spoil, str] = {
    flip: "flipped bit",
    replace_pages: "pages from before the last write",
    cut: "cut",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=FAULTS.get)
def test_a_spoiled_index_gives_no_wrong_answer(
    tmp_path: Path, rng: random.Random, tallied: Tallies, caplog, spoil: Spoil
):
    tries = FLIPS if spoil is flip else TRIES
    tally = tallied(f"12 commit index: {FAULTS[spoil]}")
    subject = Subject(tmp_path / "log")
    assert subject.is_right(subject.new)
    IndexFile(subject.folder / "commits.jsonl").check()
    for _ in range(tries):
        content = bytearray(subject.new)
        spoil(content, subject.old, rng)
        is_seen = subject.is_seen(bytes(content))
        tally.add(acknowledged=1, torn=not subject.is_right(bytes(content)), lost=not is_seen)
    assert len([record for record in caplog.records if "made again" in record.message]) > tries // 3
    tally.settle()


def test_a_log_goes_on_from_pages_of_several_moments(tmp_path: Path, rng: random.Random, tallied: Tallies):
    """The next commits are added to what the power cut left, and are then asked for."""
    tally = tallied("12 commit index: extended after a power cut")
    subject = Subject(tmp_path / "log")
    for _ in range(TRIES):
        content = bytearray(subject.new)
        replace_pages(content, subject.old, rng)
        subject.path.write_bytes(content)
        subject.opened().write_index()
        tally.add(acknowledged=1, torn=answers(subject.opened().history()) != subject.right)
    tally.settle()


def test_the_pieces_are_what_is_checked(tmp_path: Path):
    """A piece that is exchanged for another one, or missing, is noticed, whatever SQLite says of the file."""
    subject = Subject(tmp_path / "log")
    subject.path.write_bytes(subject.new)
    with sqlite3.connect(subject.path) as connection:
        pieces = connection.execute("SELECT id, content FROM pieces").fetchall()
    for number, (key, _) in enumerate(pieces[:: max(len(pieces) // (40 if SOAK else 10), 1)]):
        subject.path.write_bytes(subject.new)
        with sqlite3.connect(subject.path) as connection:
            if number % 2:
                connection.execute("DELETE FROM pieces WHERE id = ?", (key,))
            else:
                other = pieces[(number + 1) % len(pieces)][1]
                connection.execute("UPDATE pieces SET content = ? WHERE id = ?", (other, key))
        connection.close()
        assert answers(subject.opened().history()) == subject.right
