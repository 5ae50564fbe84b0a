"""Commit records: the chain of hashes, and the checksums of parts."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.commits import Facts
from store.csv.files.commit_records import (
    BLOCK_BYTES,
    Commit,
    Part,
    PartKind,
    block_checksums,
    decode_commit,
    encode_commit,
    first_damaged_block,
)
from store.exceptions import DataDamaged
from store.protocol import NO_COMMIT, CommitId

parts = st.builds(
    Part,
    file=st.sampled_from(["2025-01-02.csv", "2025-01-02.1.csv"]),
    offset=st.integers(0, 2**40),
    length=st.integers(1, 2**30),
    rows=st.integers(1, 10**5),
    first_ns=st.integers(-(2**62), 2**62),
    last_ns=st.integers(-(2**62), 2**62),
    checksums=st.binary(max_size=12).map(block_checksums),
    kind=st.sampled_from(list(PartKind)),
)
facts = st.builds(
    Facts,
    number=st.just(1),
    committed_at=st.integers(0, 2**62),
    caller=st.text(max_size=20) | st.just('","hash":"' + "0" * 64 + '"}') | st.just('","check":"01234567"}'),
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    received=st.integers(1, 10**5),
    content=st.text("0123456789abcdef", min_size=64, max_size=64),
    duplicate_rows=st.lists(st.integers(0, 10**5), max_size=5).map(tuple),
    key_hash=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
)
commits = st.builds(Commit, facts, st.lists(parts, max_size=3).map(tuple))


@given(commits)
def test_a_record_is_one_line_of_json_and_is_read_back_as_it_was(commit):
    line, commit_hash = encode_commit(commit, NO_COMMIT.hash)
    assert line.count(b"\n") == 1
    assert json.loads(line)["hash"] == commit_hash
    written = [part.get("kind") for part in json.loads(line)["parts"]]
    assert written == [None if part.kind == PartKind.ROWS else part.kind for part in commit.parts]
    assert decode_commit(line[:-1], NO_COMMIT) == (commit, CommitId(1, commit_hash))


@given(commits, st.lists(parts, max_size=3).map(tuple))
def test_the_hash_does_not_depend_on_the_layout(commit, others):
    moved = msgspec.structs.replace(commit, parts=others)
    assert encode_commit(moved, NO_COMMIT.hash)[1] == encode_commit(commit, NO_COMMIT.hash)[1]


@given(commits, st.data())
def test_a_record_with_one_flipped_bit_is_damage(commit, data):
    line = bytearray(encode_commit(commit, NO_COMMIT.hash)[0][:-1])
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DataDamaged):
        decode_commit(bytes(line), NO_COMMIT)


@given(commits, st.integers(0, 10**4))
def test_a_shorter_record_is_damage(commit, length):
    line = encode_commit(commit, NO_COMMIT.hash)[0][:-1]
    with pytest.raises(DataDamaged):
        decode_commit(line[: length % len(line)], NO_COMMIT)


@pytest.mark.parametrize(
    "previous",
    [
        pytest.param(CommitId(0, "1" * 64), id="another log"),
        pytest.param(CommitId(1, "0" * 64), id="another number"),
    ],
)
def test_a_record_that_follows_another_commit_is_damage(previous):
    commit = Commit(Facts(1, 5, "key:1", "0" * 64, 1))
    with pytest.raises(DataDamaged):
        decode_commit(encode_commit(commit, NO_COMMIT.hash)[0][:-1], previous)


def part_of(data: bytes, offset: int) -> Part:
    return Part("f.csv", offset, len(data), 1, 0, 0, block_checksums(data))


@given(st.binary(min_size=1, max_size=3 * BLOCK_BYTES + 5), st.integers(0, 2**20), st.data())
def test_the_first_damaged_block_is_named(text, offset, data):
    part = part_of(text, offset)
    assert first_damaged_block(text, part) is None
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = bytearray(text)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    assert first_damaged_block(bytes(damaged), part) == offset + place // BLOCK_BYTES * BLOCK_BYTES


@given(st.binary(min_size=1, max_size=2 * BLOCK_BYTES), st.data())
def test_bytes_that_are_missing_are_damage(text, data):
    length = data.draw(st.integers(0, len(text) - 1))
    damaged = first_damaged_block(text[:length], part_of(text, 0))
    assert damaged == length // BLOCK_BYTES * BLOCK_BYTES
