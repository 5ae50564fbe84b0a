"""The head outside of the database: never behind what was told, anchored in time, and patient with a disk that fails."""

import os
from datetime import timedelta

import pytest

from audit.chain.links import ChainKey, Head
from audit.chain.verify import evidence
from audit.chain.witness import ANCHOR_RECORDS, PUT_BACK, UnreadableWitness, Witness
from tests.audit.builders import AT

KEY = ChainKey("a secret")
HOUR = timedelta(hours=1)


def head(sequence, letter="a"):
    return Head(sequence, letter * 64)


@pytest.fixture
def kept(tmp_path):
    return Witness(tmp_path / "audit", KEY, tmp_path / "copy.jsonl")


def anchored(kept):
    """Numbers of the anchors in the first file."""
    lines = list(kept.anchors())
    return [note.sequence for note in lines[: len(lines) // 2]]


def test_nothing_is_kept_at_first(kept):
    assert kept.read_head() is None
    assert list(kept.anchors()) == []
    kept.anchor_if_due(now=AT)
    assert not kept.folder.exists()


def test_the_head_goes_on_and_never_back(kept):
    for sequence in (3, 5, 4, 5):
        kept.advance(head(sequence), now=AT)
    assert kept.read_head().head == head(5)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(1, 0), (2, 0)], [1]),
        ([(1, 0), (ANCHOR_RECORDS, 0), (ANCHOR_RECORDS + 1, 0)], [1, ANCHOR_RECORDS + 1]),
        ([(1, 0), (2, 59), (3, 60), (4, 61)], [1, 3]),
        ([(1, 0), (2, -61)], [1, 2]),
    ],
    ids=["first", "many", "hourly", "clock-that-goes-back"],
)
def test_anchors_are_set(kept, steps, expected, caplog):
    caplog.set_level("INFO")
    for sequence, minutes in steps:
        kept.advance(head(sequence), now=AT + timedelta(minutes=minutes))
    assert anchored(kept) == expected
    assert (kept.folder / "anchors.jsonl").read_bytes() == kept.copy.read_bytes()
    assert all(f"record {sequence} has the hash {'a' * 64}" in caplog.text for sequence in expected)


def test_an_hour_without_records_anchors_the_last(kept):
    kept.advance(head(1), now=AT)
    kept.advance(head(2), now=AT)
    for hours in (0, 1, 2):
        kept.anchor_if_due(now=AT + hours * HOUR)
    assert anchored(kept) == [1, 2]


def test_a_database_that_was_put_back_is_noted_once(kept, caplog):
    for sequence in (1, 9):
        kept.advance(head(sequence), now=AT)
    for now in (head(9), head(12)):
        kept.check(now, now=AT)
    assert PUT_BACK not in {note.kind for note in kept.anchors()}
    kept.check(head(5), now=AT)
    kept.check(head(5), now=AT)
    kept.advance(head(6, "b"), now=AT)
    notes = [note for note in kept.anchors() if note.kind == PUT_BACK]
    assert [(note.sequence, note.anchored) for note in notes] == [(5, 9)] * 2
    assert "was put back: the database ends at record 5, and 9 had been reached" in caplog.text
    assert kept.read_head().head == head(6, "b")


def test_another_head_of_the_same_number_is_noted(kept):
    kept.advance(head(9), now=AT)
    kept.check(head(9, "b"), now=AT)
    assert [note.kind for note in kept.anchors()].count(PUT_BACK) == 2


def test_what_was_known_of_a_chain_that_was_put_back_is_forgotten(kept, settings, tmp_path):
    settings.AUDIT_DIR = kept.folder
    for sequence in (4, 9):
        kept.advance(head(sequence), now=AT + sequence * HOUR)
    kept.check(head(4), now=AT)
    kept.advance(head(20, "b"), now=AT + 40 * HOUR)
    found = evidence(KEY)
    assert found.hashes == {4: "a" * 64, 20: "b" * 64}
    assert [finding.sequence for finding in found.findings] == [5]


def test_a_disk_that_fails_is_logged_and_nothing_else(kept, caplog):
    kept.folder.write_bytes(b"no folder")
    kept.advance(head(1), now=AT)
    kept.check(head(1), now=AT)
    kept.anchor_if_due(now=AT)
    assert caplog.text.count("cannot be kept in") == 3


def test_a_torn_write_is_no_head(kept, monkeypatch, caplog):
    kept.advance(head(1), now=AT)
    monkeypatch.setattr(os, "write", lambda _fd, _data: 1)
    kept.advance(head(2), now=AT)
    monkeypatch.undo()
    assert kept.read_head().head == head(1)
    assert "only 1 of" in caplog.text


def test_an_anchor_that_was_torn_spoils_no_other(kept, monkeypatch):
    kept.advance(head(1), now=AT)
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:9]))
    kept.advance(head(2), now=AT + HOUR)
    monkeypatch.undo()
    kept.advance(head(3), now=AT + HOUR)
    assert anchored(kept) == [1, 3]


def test_a_copy_that_cannot_be_written_keeps_nothing_else_back(kept, caplog):
    kept.copy.mkdir()
    for sequence in (1, 2, 3):
        kept.advance(head(sequence), now=AT)
    assert kept.read_head().head == head(3)
    assert len((kept.folder / "anchors.jsonl").read_bytes().splitlines()) == 1
    assert f"cannot be written to {kept.copy}" in caplog.text


def test_a_damaged_head_is_made_anew(kept, caplog):
    kept.advance(head(1), now=AT)
    (kept.folder / "head").write_bytes(b"{")
    with pytest.raises(UnreadableWitness):
        kept.read_head()
    kept.check(head(1), now=AT)
    kept.advance(head(2), now=AT)
    assert kept.read_head().head == head(2)
    assert "is damaged and will be replaced" in caplog.text


def test_files_are_private(kept):
    kept.advance(head(1), now=AT)
    assert {path.stat().st_mode & 0o777 for path in kept.folder.iterdir() if path.name != "head.lock"} == {
        0o600
    }
    assert kept.folder.stat().st_mode & 0o777 == 0o700
