import os
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stats.caching.shared import Entry, _mac

ENTRY = Entry(
    body=b'{"data":[]}',
    content_type="application/json",
    etag='"0f"',
    computed_at=1_750_000_000.5,
)
STORED = ENTRY.to_bytes("key")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
entries = st.builds(
    Entry,
    body=st.binary(max_size=200),
    content_type=texts,
    etag=texts,
    computed_at=st.floats(allow_nan=False),
)


@given(entries, st.text(max_size=30))
def test_stored_entry_comes_back_equal(entry: Entry, key: str):
    assert Entry.from_bytes(entry.to_bytes(key), key) == entry


def test_a_large_body_is_stored_packed_once():
    large = replace(ENTRY, body=ENTRY.body * 1_000)
    assert len(large.to_bytes("key")) < len(large.body) / 10
    assert Entry.from_bytes(large.to_bytes("key"), "key") == large
    encoded = replace(large, headers=(("Content-Encoding", "gzip"),))
    assert large.body in encoded.to_bytes("key")
    assert Entry.from_bytes(encoded.to_bytes("key"), "key") == encoded


def test_a_body_that_does_not_shrink_is_stored_as_it_is():
    random = replace(ENTRY, body=os.urandom(4_096))
    assert random.body in random.to_bytes("key")
    assert Entry.from_bytes(random.to_bytes("key"), "key") == random


def test_a_cut_entry_is_a_miss():
    found = [length for length in range(len(STORED)) if Entry.from_bytes(STORED[:length], "key") is not None]
    assert found == []


def test_an_entry_with_a_flipped_bit_is_a_miss():
    found = [place for place in range(len(STORED)) if Entry.from_bytes(flipped(place), "key") is not None]
    assert found == []


def flipped(position: int) -> bytes:
    damaged = bytearray(STORED)
    damaged[position] ^= 1 << position % 8
    return bytes(damaged)


def test_a_description_of_another_shape_is_a_miss():
    payload = msgspec.msgpack.encode([1, 2])
    assert Entry.from_bytes(_mac("key", payload) + payload, "key") is None


def test_an_entry_under_another_key_is_a_miss():
    assert Entry.from_bytes(STORED, "another") is None
    assert Entry.from_bytes(STORED + b"x", "key") is None


@pytest.mark.parametrize("name", ["Set-Cookie", "Content-Type", "content-encoding", "X-Cache", "Location"])
def test_an_entry_with_a_header_that_no_answer_has_is_a_miss(name: str):
    assert Entry.from_bytes(replace(ENTRY, headers=((name, "x"),)).to_bytes("key"), "key") is None


def test_an_entry_of_another_secret_is_a_miss(settings: Any):
    settings.SECRET_KEY = "another"
    assert Entry.from_bytes(STORED, "key") is None
    assert Entry.from_bytes(ENTRY.to_bytes("key"), "key") == ENTRY


def test_an_entry_whose_key_and_payload_are_split_elsewhere_is_a_miss():
    """A MAC over the bare concatenation could not tell them apart."""
    assert len({_mac("key1", b"2"), _mac("key", b"12"), _mac("key12", b""), _mac("", b"key12")}) == 4


@pytest.mark.parametrize(
    "foreign",
    [None, 7, b"garbage", b"MDE2" + bytes(100)],
    ids=["none", "int", "garbage", "magic only"],
)
def test_foreign_values_are_misses(foreign: object):
    assert Entry.from_bytes(foreign, "key") is None
